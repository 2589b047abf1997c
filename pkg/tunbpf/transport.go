// SPDX-License-Identifier: MIT

package tunbpf

import "github.com/cilium/ebpf/asm"

// withPorts are the protocols whose header begins with two ports.
var withPorts = []int32{protocolTCP, protocolUDP, protocolDCCP, protocolSCTP, protocolUDPLite}

const (
	protocolTCP     = 6
	protocolUDP     = 17
	protocolDCCP    = 33
	protocolSCTP    = 132
	protocolUDPLite = 136
)

// transport makes the hash of a flow. With a fragment, or a header that is cut
// off, the way of the frame ends there.
func (a *assembler) transport(l level) {
	a.mark(l.label("transport"))
	for _, protocol := range withPorts {
		a.add(asm.JEq.Imm(regProtocol, protocol, l.label("ports")))
	}
	a.add(asm.Ja.Label(l.label("flow")))

	a.mark(l.label("fragment"))
	a.flow()
	a.add(asm.Ja.Label(done))

	a.mark(l.label("ports"))
	a.load(0, stackHeader, 4, l.label("fragment"))
	for i, end := range []int16{stackFrom, stackTo} {
		a.add(
			asm.LoadMem(asm.R1, asm.RFP, end, asm.DWord),
			asm.LoadMem(asm.R2, asm.RFP, stackHeader+int16(2*i), asm.Half),
			asm.Xor.Reg(asm.R1, asm.R2),
		)
		a.mix(asm.R1)
		a.add(asm.StoreMem(asm.RFP, end, asm.R1, asm.DWord))
	}
	a.mark(l.label("flow"))
	a.flow()
}
