// SPDX-License-Identifier: MIT

package syscount

import (
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// Offsets from the frame pointer of what the program keeps on its stack.
const (
	stackNamespacePID = -8  // struct bpf_pidns_info: thread, then process
	stackProcess      = -4  // its second half
	stackKey          = -16 // a key
	stackKeyFD        = stackKey + int16(unsafe.Offsetof(key{}.FD))
	stackWord         = -24 // a value on its way
)

// Arguments of the tracepoint: the registers and the number of the call.
const (
	contextRegisters = 0
	contextNumber    = 8
)

const controlLost = int16(unsafe.Offsetof(control{}.Lost))

// assemble returns the program, in C:
//
//	if (!control->on || tgid() != self)
//		return 0;
//	struct key key = { number, is_by_fd(number) ? first_argument() : -1 };
//	u64 *count = lookup_or_insert(&calls, &key);
//	atomic_add(count ?: &control->lost, 1);
//	return 0;
func assemble(self process, calls, ctl int) asm.Instructions {
	var p asm.Instructions
	p = append(p, filter(self, ctl)...)
	p = append(p, makeKey()...)
	p = append(p, findCount(calls)...)
	return append(p,
		asm.Mov.Imm(asm.R1, 1).WithSymbol("add"),
		asm.AddAtomic.Mem(asm.R0, asm.R1, asm.DWord, 0),
		asm.Mov.Imm(asm.R0, 0).WithSymbol("exit"),
		asm.Return(),
	)
}

// filter leaves unless counting is on and this is a thread of self. After it,
// R6 is the context, R7 the control and R8 the number of the call.
func filter(self process, ctl int) asm.Instructions {
	return asm.Instructions{
		asm.LoadMapValue(asm.R7, ctl, 0),
		asm.LoadMem(asm.R2, asm.R7, 0, asm.DWord),
		asm.JEq.Imm(asm.R2, 0, "exit"),
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadMem(asm.R8, asm.R6, contextNumber, asm.DWord),

		asm.LoadImm(asm.R1, int64(self.device), asm.DWord),
		asm.LoadImm(asm.R2, int64(self.inode), asm.DWord),
		asm.Mov.Reg(asm.R3, asm.R10),
		asm.Add.Imm(asm.R3, stackNamespacePID),
		asm.Mov.Imm(asm.R4, 8),
		asm.FnGetNsCurrentPidTgid.Call(),
		asm.JNE.Imm(asm.R0, 0, "exit"), // in another PID namespace
		asm.LoadMem(asm.R1, asm.R10, stackProcess, asm.Word),
		asm.JNE.Imm(asm.R1, int32(self.id), "exit"),
	}
}

// makeKey puts the key of the call on the stack.
func makeKey() asm.Instructions {
	p := asm.Instructions{
		asm.StoreMem(asm.R10, stackKey, asm.R8, asm.Word),
		asm.StoreImm(asm.R10, stackKeyFD, NoFD, asm.Word),
	}
	if firstArgument >= 0 {
		for _, number := range callsByFD {
			p = append(p, asm.JEq.Imm(asm.R8, int32(number), "by fd"))
		}
		p = append(p,
			asm.Ja.Label("find"),
			asm.Mov.Reg(asm.R1, asm.R10).WithSymbol("by fd"),
			asm.Add.Imm(asm.R1, int32(stackKeyFD)),
			asm.Mov.Imm(asm.R2, 4),
			asm.LoadMem(asm.R3, asm.R6, contextRegisters, asm.DWord),
			asm.Add.Imm(asm.R3, firstArgument),
			asm.FnProbeReadKernel.Call(),
		)
	}
	return p
}

// findCount makes R0 point to the count that goes with the key.
func findCount(calls int) asm.Instructions {
	lookup := asm.Instructions{
		asm.LoadMapPtr(asm.R1, calls),
		asm.Mov.Reg(asm.R2, asm.R10),
		asm.Add.Imm(asm.R2, stackKey),
		asm.FnMapLookupElem.Call(),
		asm.JNE.Imm(asm.R0, 0, "add"),
	}
	insert := asm.Instructions{
		asm.StoreMem(asm.R10, stackWord, asm.R0, asm.DWord), // R0 is zero
		asm.LoadMapPtr(asm.R1, calls),
		asm.Mov.Reg(asm.R2, asm.R10),
		asm.Add.Imm(asm.R2, stackKey),
		asm.Mov.Reg(asm.R3, asm.R10),
		asm.Add.Imm(asm.R3, stackWord),
		asm.Mov.Imm(asm.R4, int32(ebpf.UpdateNoExist)), // another thread may be faster
		asm.FnMapUpdateElem.Call(),
	}
	lost := asm.Instructions{
		asm.Mov.Reg(asm.R0, asm.R7),
		asm.Add.Imm(asm.R0, int32(controlLost)),
	}
	p := asm.Instructions{lookup[0].WithSymbol("find")}
	p = append(p, lookup[1:]...)
	p = append(p, insert...)
	p = append(p, lookup...)
	return append(p, lost...)
}
