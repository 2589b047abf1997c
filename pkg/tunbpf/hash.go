// SPDX-License-Identifier: MIT

package tunbpf

import "github.com/cilium/ebpf/asm"

// mix makes every bit of a register depend on every other, by the finaliser of
// SplitMix64. It changes R5.
func (a *assembler) mix(r asm.Register) {
	fold := func(bits int32) {
		a.add(asm.Mov.Reg(asm.R5, r), asm.RSh.Imm(asm.R5, bits), asm.Xor.Reg(r, asm.R5))
	}
	multiply := func(by uint64) {
		a.add(asm.LoadImm(asm.R5, int64(by), asm.DWord), asm.Mul.Reg(r, asm.R5))
	}
	fold(30)
	multiply(0xbf58476d1ce4e5b9)
	fold(27)
	multiply(0x94d049bb133111eb)
	fold(31)
}

// ends hashes the addresses of a header on the stack, of one word each or of two.
func (a *assembler) ends(seed uint64, size asm.Size, addresses [2][]int16) {
	for i, words := range addresses {
		a.add(asm.LoadImm(asm.R1, int64(seed), asm.DWord))
		for _, word := range words {
			a.add(
				asm.LoadMem(asm.R2, asm.RFP, stackHeader+word, size),
				asm.Xor.Reg(asm.R1, asm.R2),
			)
			a.mix(asm.R1)
		}
		a.add(asm.StoreMem(asm.RFP, []int16{stackFrom, stackTo}[i], asm.R1, asm.DWord))
	}
}

// flow makes the hash of both ends: the same when they change places.
func (a *assembler) flow() {
	a.add(
		asm.LoadMem(regHash, asm.RFP, stackFrom, asm.DWord),
		asm.LoadMem(asm.R1, asm.RFP, stackTo, asm.DWord),
		asm.Add.Reg(regHash, asm.R1),
		asm.Add.Reg(regHash, regProtocol),
	)
	a.mix(regHash)
}
