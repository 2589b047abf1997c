// SPDX-License-Identifier: MIT

package tunbpf

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// What the registers hold that calls leave alone, in every program.
const (
	regContext = asm.R6 // struct __sk_buff
	regOffset  = asm.R7 // of the header that is looked at, from the frame's start
)

// An assembler collects instructions.
type assembler struct {
	code  asm.Instructions
	label string // of the next instruction
}

// add appends instructions. The first gets the label that mark left.
func (a *assembler) add(code ...asm.Instruction) {
	if a.label != "" {
		code[0] = code[0].WithSymbol(a.label)
		a.label = ""
	}
	a.code = append(a.code, code...)
}

// mark names the next instruction. One that has a name already goes there.
func (a *assembler) mark(label string) {
	if a.label != "" {
		a.add(asm.Ja.Label(label))
	}
	a.label = label
}

// begin keeps the context.
func (a *assembler) begin() {
	a.add(asm.Mov.Reg(regContext, asm.R1))
}

// end returns a number.
func (a *assembler) end(number int32) {
	a.add(asm.Mov.Imm(asm.R0, number), asm.Return())
}

// load copies bytes of the frame, from an offset behind regOffset, to a place on
// the stack. If the frame has fewer, it jumps. It changes R0 to R5.
func (a *assembler) load(offset int32, to int16, bytes int32, missing string) {
	a.add(
		asm.Mov.Reg(asm.R1, regContext),
		asm.Mov.Reg(asm.R2, regOffset),
		asm.Add.Imm(asm.R2, offset),
		asm.Mov.Reg(asm.R3, asm.RFP),
		asm.Add.Imm(asm.R3, int32(to)),
		asm.Mov.Imm(asm.R4, bytes),
		asm.FnSkbLoadBytes.Call(),
		asm.JNE.Imm(asm.R0, 0, missing),
	)
}

// big16 makes a register the 16-bit number, big endian, at a place on the stack.
func (a *assembler) big16(to asm.Register, at int16) {
	a.add(
		asm.LoadMem(to, asm.RFP, at, asm.Half),
		asm.HostTo(asm.BE, to, asm.Half),
	)
}

// lookUp makes R0 the address of a map's value, or 0. It changes R1 to R5.
func (a *assembler) lookUp(m *ebpf.Map, key int16) {
	a.add(
		asm.LoadMapPtr(asm.R1, m.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, int32(key)),
		asm.FnMapLookupElem.Call(),
	)
}

// program loads what was collected.
func (a *assembler) program(name string) (*ebpf.Program, error) {
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: name, Type: ebpf.SocketFilter, Instructions: a.code, License: "MIT",
	})
	if err != nil {
		return nil, loadError("load the program "+name, err)
	}
	return p, nil
}

// loadError says what failed, and what to do about it.
func loadError(what string, err error) error {
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) && !isVerifier(err) {
		return fmt.Errorf("tunbpf: %s: %w (eBPF takes CAP_BPF: run as root)", what, err)
	}
	return fmt.Errorf("tunbpf: %s: %w", what, err)
}

func isVerifier(err error) bool {
	var refused *ebpf.VerifierError
	return errors.As(err, &refused)
}
