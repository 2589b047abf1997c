// SPDX-License-Identifier: MIT

package tunbpf

import (
	"fmt"
	"math/rand/v2"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/mytun/mytun/pkg/mytunev"
)

// A FlowConfig says what NewFlowSteering makes.
type FlowConfig struct {
	// Mode is the device's, as [mytunev.Device.Mode] tells it: where a frame's
	// IP header is.
	Mode mytunev.Mode

	// VXLANPorts are the UDP ports to which VXLAN is sent; nil means 4789, which
	// is IANA's, and an empty list none. Linux's own default, which flannel uses,
	// is 8472.
	VXLANPorts []uint16

	// GenevePorts are the UDP ports to which Geneve is sent; nil means 6081, and
	// an empty list none. A port in both lists is VXLAN's. Both have room for 1000
	// ports together.
	GenevePorts []uint16
}

// maxPorts keeps jumps shorter than their 16 bits.
const maxPorts = 1000

func (c FlowConfig) validate() error {
	if n := len(c.VXLANPorts) + len(c.GenevePorts); n > maxPorts {
		return fmt.Errorf("tunbpf: FlowConfig has %d ports of VXLAN and Geneve, more than %d", n, maxPorts)
	}
	return checkMode(c.Mode)
}

// levels is how many headers of a kind are looked at: a tunnel's and what is in it.
const levels = 2

// NewFlowSteering loads a program that chooses a frame's queue by a hash of its
// flow: addresses, protocol and, of TCP, UDP, UDP-Lite, SCTP and DCCP, ports. Both
// directions of a flow share a queue. Of a tunnel's frame it is the flow inside
// that counts, so that the flows of a tunnel are spread, each the same way with a
// tunnel around it or without. It looks into
//
//   - IPv4 and IPv6 in IPv4 and IPv6 (ipip, sit, ip6tnl),
//   - GRE with IPv4, IPv6 or Ethernet, with checksum, key or sequence number or
//     without,
//   - VXLAN, and Geneve with IPv4, IPv6 or Ethernet,
//
// and no deeper than into one tunnel: of a tunnel in a tunnel, the flow is that
// between the inner tunnel's ends. It looks past up to two VLAN tags and four
// extension headers of IPv6, as the kernel's own hash does: hop-by-hop and
// destination options, routing and fragment headers. A flow of which some packets
// have others, such as AH, may meet more than one queue. What it cannot look into goes by the outer flow:
// encrypted or otherwise tunnelled frames, fragments of a tunnel's frames, frames
// inside that are neither IPv4 nor IPv6. Fragments go by addresses and protocol
// alone, so they may meet another queue than their flow; what is neither IPv4 nor
// IPv6 goes to the first queue.
//
// The hash has a random seed: nobody outside can tell the queue. The program is
// the caller's to close; a device that it is attached to keeps it.
func NewFlowSteering(c FlowConfig) (*ebpf.Program, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	return assembleFlow(c.withDefaults(), rand.Uint64()).program("tun_flow")
}

func (c FlowConfig) withDefaults() FlowConfig {
	if c.VXLANPorts == nil {
		c.VXLANPorts = []uint16{4789}
	}
	if c.GenevePorts == nil {
		c.GenevePorts = []uint16{6081}
	}
	return c
}

// What registers hold besides, and where things are on the stack.
const (
	regHash     = asm.R8 // of the innermost flow so far
	regProtocol = asm.R9 // number of the header at regOffset

	stackHeader = -40 // as much of a header as is looked at
	stackFrom   = -48 // hash of the end that sends, 64 bits
	stackTo     = -56 // hash of the other end
)

// assembleFlow assembles, in C:
//
//	hash = 0;
//	for (level = 0; level < levels && find_ip(); level++) {
//		from = mix(seed ^ source), to = mix(seed ^ destination);
//		if (has_ports())
//			from = mix(from ^ source_port), to = mix(to ^ destination_port);
//		hash = mix(from + to + protocol);
//		if (!enter_tunnel())
//			break;
//	}
//	return hash >> 48;
func assembleFlow(c FlowConfig, seed uint64) *assembler {
	a := &assembler{}
	a.begin()
	a.add(asm.Mov.Imm(regHash, 0))
	a.findIP(c.Mode, stackHeader, level(0).places())
	for l := level(0); l < levels; l++ {
		a.ipv4(l, seed)
		a.ipv6(l, seed)
		a.transport(l)
		if l+1 < levels {
			a.tunnels(l, c)
		}
	}
	a.mark(done)
	a.add(
		asm.Mov.Reg(asm.R0, regHash),
		asm.RSh.Imm(asm.R0, 48),
		asm.Return(),
	)
	return a
}

// done is where the hash is as good as it gets.
const done = "done"

// A level is how deep a header is in tunnels. It tells labels apart.
type level int

func (l level) label(name string) string { return fmt.Sprint(name, " ", int(l)) }

func (l level) places() places {
	return places{ipv4: l.label("ipv4"), ipv6: l.label("ipv6"), other: done, short: done}
}
