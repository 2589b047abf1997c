// SPDX-License-Identifier: MIT

package tunbpf

import (
	"fmt"

	"github.com/cilium/ebpf/asm"
	"github.com/mytun/mytun/pkg/mytunev"
)

// Numbers that an Ethernet header, or a tunnel's, has for what is behind it.
const (
	etherIPv4     = 0x0800
	etherVLAN     = 0x8100
	etherIPv6     = 0x86dd
	etherService  = 0x88a8 // the outer tag of two
	etherEthernet = 0x6558 // in tunnels only
)

// vlanTags is how many tags in a row are looked behind.
const vlanTags = 2

// places are the labels where the ways of an inspection go on.
type places struct {
	ipv4, ipv6 string // regOffset is the IP header's
	other      string // neither of the two
	short      string // there are not enough bytes to tell
}

func checkMode(m mytunev.Mode) error {
	if m != mytunev.TUN && m != mytunev.TAP {
		return fmt.Errorf("tunbpf: Mode is %v, neither TUN nor TAP", m)
	}
	return nil
}

// findIP sets regOffset to the IP header of a device's frame. It uses two bytes of
// the stack.
func (a *assembler) findIP(m mytunev.Mode, scratch int16, to places) {
	a.add(asm.Mov.Imm(regOffset, 0))
	if m == mytunev.TAP {
		a.ethernet("frame", scratch, to)
		return
	}
	a.load(0, scratch, 1, to.short)
	a.version(asm.R1, scratch)
	a.add(
		asm.JEq.Imm(asm.R1, 4, to.ipv4),
		asm.JEq.Imm(asm.R1, 6, to.ipv6),
		asm.Ja.Label(to.other),
	)
}

// version makes a register the version of an IP header on the stack.
func (a *assembler) version(to asm.Register, header int16) {
	a.add(
		asm.LoadMem(to, asm.RFP, header, asm.Byte),
		asm.RSh.Imm(to, 4),
	)
}

// ethernet moves regOffset from an Ethernet header to what is behind it. The name
// tells its labels from those of others.
func (a *assembler) ethernet(name string, scratch int16, to places) {
	a.load(12, scratch, 2, to.short)
	a.add(asm.Add.Imm(regOffset, 14))
	for i := range vlanTags {
		tag, behind := fmt.Sprint(name, " tag ", i), fmt.Sprint(name, " behind tag ", i)
		a.big16(asm.R1, scratch)
		a.add(
			asm.JEq.Imm(asm.R1, etherVLAN, tag),
			asm.JNE.Imm(asm.R1, etherService, behind),
		)
		a.mark(tag)
		a.load(2, scratch, 2, to.short)
		a.add(asm.Add.Imm(regOffset, 4))
		a.mark(behind)
	}
	a.big16(asm.R1, scratch)
	a.byEtherType(to)
}

// byEtherType goes where R1 says.
func (a *assembler) byEtherType(to places) {
	a.add(
		asm.JEq.Imm(asm.R1, etherIPv4, to.ipv4),
		asm.JEq.Imm(asm.R1, etherIPv6, to.ipv6),
		asm.Ja.Label(to.other),
	)
}
