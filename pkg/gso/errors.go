// SPDX-License-Identifier: MIT

package gso

import "errors"

// Errors that callers tell apart with [errors.Is].
var (
	// ErrMalformed is the class of errors about a frame whose headers contradict
	// its length, each other or its VNetHeader. Drop the frame.
	ErrMalformed = errors.New("gso: malformed frame")

	// ErrUnsupported is the class of errors about a frame that may be sound but
	// that this package cannot cut up; it wraps [errors.ErrUnsupported]. Send the
	// frame on with its VNetHeader, or drop it.
	ErrUnsupported error = &frameError{"gso: unsupported frame", errors.ErrUnsupported}
)

// The errors are made once: input that is bad on purpose costs no memory.
var (
	errTruncated  = malformed("the frame ends within its headers")
	errLength     = malformed("a length field does not agree with the frame's length")
	errVersion    = malformed("neither IPv4 nor IPv6 where the frame's kind says so")
	errStart      = malformed("CsumStart is not where the TCP or UDP header is")
	errField      = malformed("CsumStart and CsumOffset point outside the frame")
	errOffset     = malformed("CsumOffset is not where the header has its checksum")
	errKind       = malformed("GSOType does not agree with the frame's protocol")
	errSize       = malformed("a super-packet with GSOSize 0")
	errFlags      = malformed("a TCP super-packet with SYN, RST or URG")
	errTwoTunnels = malformed("GSOType names a tunnel over IPv4 and one over IPv6")
	errUnsummed   = malformed("a tunnel's super-packet without VNetNeedsChecksum")
	errOuter      = malformed("OuterTHOffset is not where the outer UDP header is")
	errInner      = malformed("InnerNHOffset is not behind the outer UDP header")
	errNoPayload  = malformed("a super-packet without payload")
	errProtocol   = unsupported("a protocol other than TCP and UDP")
	errUnknown    = unsupported("a protocol or an extension header that this package does not know")
	errRouting    = unsupported("a routing header, a source route or a home address")
	errFragment   = unsupported("an IP fragment")
	errEtherType  = unsupported("an Ethernet frame with neither IPv4 nor IPv6, or more than one VLAN tag")
	errMode       = unsupported("a Mode that is neither TUN nor TAP")
	errUnknownGSO = unsupported("a GSOType other than TCPv4, TCPv6 and UDPL4")
)

// errNoSender is a mistake of the caller that no program tells apart.
var errNoSender = errors.New("gso: Flush has no Sender to send the frames to")

// A frameError is one reason within a class of errors.
type frameError struct {
	text  string
	class error
}

func malformed(text string) error { return &frameError{"gso: malformed frame: " + text, ErrMalformed} }

func unsupported(text string) error {
	return &frameError{"gso: unsupported frame: " + text, ErrUnsupported}
}

func (e *frameError) Error() string { return e.text }

func (e *frameError) Unwrap() error { return e.class }
