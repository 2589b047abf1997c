// SPDX-License-Identifier: MIT

package tunbpf

import (
	"fmt"

	"github.com/cilium/ebpf/asm"
)

// ipv4 goes past an IPv4 header.
func (a *assembler) ipv4(l level, seed uint64) {
	a.mark(l.label("ipv4"))
	a.load(0, stackHeader, 20, done)
	a.version(asm.R1, stackHeader)
	a.add(asm.JNE.Imm(asm.R1, 4, done))
	a.ends(seed, asm.Word, [2][]int16{{12}, {16}})
	a.add(
		asm.LoadMem(asm.R1, asm.RFP, stackHeader, asm.Byte),
		asm.And.Imm(asm.R1, 0xf),
		asm.JLT.Imm(asm.R1, 5, done),
		asm.LSh.Imm(asm.R1, 2),
		asm.Add.Reg(regOffset, asm.R1),
		asm.LoadMem(regProtocol, asm.RFP, stackHeader+9, asm.Byte),
	)
	a.big16(asm.R1, stackHeader+6)
	a.add(
		asm.JSet.Imm(asm.R1, 0x3fff, l.label("fragment")),
		asm.Ja.Label(l.label("transport")),
	)
}

// ipv6 goes past an IPv6 header and its extension headers.
func (a *assembler) ipv6(l level, seed uint64) {
	a.mark(l.label("ipv6"))
	a.load(0, stackHeader, 40, done)
	a.version(asm.R1, stackHeader)
	a.add(asm.JNE.Imm(asm.R1, 6, done))
	a.ends(seed, asm.DWord, [2][]int16{{8, 16}, {24, 32}})
	a.add(
		asm.LoadMem(regProtocol, asm.RFP, stackHeader+6, asm.Byte),
		asm.Add.Imm(regOffset, 40),
	)
	for i := range extensions {
		a.extension(l, i)
	}
	a.add(asm.Ja.Label(l.label("transport")))
}

// extensions is how many extension headers in a row are looked behind.
const extensions = 4

// Numbers of extension headers.
const (
	protocolHopByHop    = 0
	protocolRouting     = 43
	protocolFragment    = 44
	protocolDestination = 60
)

// extension goes past an extension header, if there is one at regOffset.
func (a *assembler) extension(l level, number int) {
	options, behind := l.label(fmt.Sprint("options ", number)), l.label(fmt.Sprint("behind ", number))
	for _, protocol := range []int32{protocolHopByHop, protocolRouting, protocolDestination} {
		a.add(asm.JEq.Imm(regProtocol, protocol, options))
	}
	a.add(asm.JNE.Imm(regProtocol, protocolFragment, l.label("transport")))

	a.load(0, stackHeader, 8, l.label("fragment"))
	a.add(
		asm.LoadMem(regProtocol, asm.RFP, stackHeader, asm.Byte),
		asm.Add.Imm(regOffset, 8),
	)
	a.big16(asm.R1, stackHeader+2)
	a.add(
		asm.JSet.Imm(asm.R1, 0xfff9, l.label("fragment")),
		asm.Ja.Label(behind), // a datagram in one piece
	)

	a.mark(options)
	a.load(0, stackHeader, 2, l.label("fragment"))
	a.add(
		asm.LoadMem(regProtocol, asm.RFP, stackHeader, asm.Byte),
		asm.LoadMem(asm.R1, asm.RFP, stackHeader+1, asm.Byte),
		asm.Add.Imm(asm.R1, 1),
		asm.LSh.Imm(asm.R1, 3),
		asm.Add.Reg(regOffset, asm.R1),
	)
	a.mark(behind)
}
