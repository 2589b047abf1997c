// SPDX-License-Identifier: MIT

package gso

import (
	"github.com/mytun/mytun/pkg/mytunev"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
)

// Checksum computes the checksum that v says was left to be computed, in place:
// that of frame from v.CsumStart to its end, where the field at v.CsumOffset behind
// CsumStart holds the sum of the pseudo header. Without VNetNeedsChecksum it does
// nothing. Afterwards the frame needs no VNetHeader, unless it is a super-packet.
//
// It fails with an error that wraps ErrMalformed, and changes nothing, if the field
// is not within the frame.
func Checksum(frame []byte, v mytunev.VNetHeader) error {
	if v.Flags&mytunev.VNetNeedsChecksum == 0 {
		return nil
	}
	start := int(v.CsumStart)
	field := start + int(v.CsumOffset)
	if field+checksum.Size > len(frame) {
		return errField
	}
	putChecksum(frame[field:], checksum.Checksum(frame[start:], 0))
	return nil
}

// putChecksum stores the complement of sum. In UDP, 0 would mean that there is no
// checksum; its other representation is right for every protocol.
func putChecksum(field []byte, sum uint16) {
	if sum != 0xFFFF {
		sum = ^sum
	}
	checksum.Put(field, sum)
}
