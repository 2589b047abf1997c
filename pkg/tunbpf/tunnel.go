// SPDX-License-Identifier: MIT

package tunbpf

import (
	"fmt"

	"github.com/cilium/ebpf/asm"
)

// Numbers of what can be in an IP packet that is itself a tunnel's.
const (
	protocolIPv4 = 4
	protocolIPv6 = 41
	protocolGRE  = 47
)

// tunnels goes to the header inside a tunnel, if regProtocol is one.
func (a *assembler) tunnels(l level, c FlowConfig) {
	in := (l + 1).places()
	a.add(
		asm.JEq.Imm(regProtocol, protocolIPv4, in.ipv4),
		asm.JEq.Imm(regProtocol, protocolIPv6, in.ipv6),
		asm.JEq.Imm(regProtocol, protocolGRE, l.label("gre")),
		asm.JNE.Imm(regProtocol, protocolUDP, done),
	)
	a.udpTunnels(l, c)
	a.gre(l)
	a.inside(l, in)
}

// udpTunnels knows tunnels by the destination port, which transport has left on
// the stack. Code that nothing leads to is not accepted.
func (a *assembler) udpTunnels(l level, c FlowConfig) {
	kinds := []struct {
		name     string
		ports    []uint16
		assemble func(level)
	}{
		{"vxlan", c.VXLANPorts, a.vxlan},
		{"geneve", c.GenevePorts, a.geneve},
	}
	a.big16(asm.R1, stackHeader+2)
	for _, kind := range kinds {
		for _, port := range kind.ports {
			a.add(asm.JEq.Imm(asm.R1, int32(port), l.label(kind.name)))
		}
	}
	a.add(asm.Ja.Label(done))
	for _, kind := range kinds {
		if len(kind.ports) > 0 {
			kind.assemble(l)
		}
	}
}

// vxlan goes past UDP and a VXLAN header, which is valid if it has an identifier.
func (a *assembler) vxlan(l level) {
	const hasIdentifier = 0x08
	a.mark(l.label("vxlan"))
	a.load(8, stackHeader, 8, done)
	a.add(
		asm.LoadMem(asm.R1, asm.RFP, stackHeader, asm.Byte),
		asm.And.Imm(asm.R1, hasIdentifier),
		asm.JEq.Imm(asm.R1, 0, done),
		asm.Add.Imm(regOffset, 16),
		asm.Ja.Label(l.label("ethernet")),
	)
}

// geneve goes past UDP and a Geneve header of version 0 with its options.
func (a *assembler) geneve(l level) {
	a.mark(l.label("geneve"))
	a.load(8, stackHeader, 8, done)
	a.add(
		asm.LoadMem(asm.R1, asm.RFP, stackHeader, asm.Byte),
		asm.JGE.Imm(asm.R1, 1<<6, done),
		asm.LSh.Imm(asm.R1, 2),
		asm.Add.Imm(asm.R1, 16),
		asm.Add.Reg(regOffset, asm.R1),
	)
	a.big16(asm.R1, stackHeader+2)
	a.add(asm.Ja.Label(l.label("inside")))
}

// gre goes past a GRE header of version 0 without source routing. Each of three
// flags stands for four bytes more.
func (a *assembler) gre(l level) {
	const (
		routingOrVersion = 0x4007
		checksum         = 0x8000
		key              = 0x2000
		sequence         = 0x1000
	)
	a.mark(l.label("gre"))
	a.load(0, stackHeader, 4, done)
	a.big16(asm.R2, stackHeader)
	a.add(
		asm.JSet.Imm(asm.R2, routingOrVersion, done),
		asm.Add.Imm(regOffset, 4),
	)
	for _, flag := range []int32{checksum, key, sequence} {
		more, next := l.label(fmt.Sprint("gre with ", flag)), l.label(fmt.Sprint("gre past ", flag))
		a.add(
			asm.JSet.Imm(asm.R2, flag, more),
			asm.Ja.Label(next),
		)
		a.mark(more)
		a.add(asm.Add.Imm(regOffset, 4))
		a.mark(next)
	}
	a.big16(asm.R1, stackHeader+2)
}

// inside goes where R1 says.
func (a *assembler) inside(l level, in places) {
	a.mark(l.label("inside"))
	a.add(asm.JEq.Imm(asm.R1, etherEthernet, l.label("ethernet")))
	a.byEtherType(in)
	a.mark(l.label("ethernet"))
	a.ethernet(l.label("inner"), stackHeader, in)
}
