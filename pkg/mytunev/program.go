// SPDX-License-Identifier: MIT

package mytunev

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"
)

// A Program is a loaded eBPF program: a *ebpf.Program of github.com/cilium/ebpf, one of
// package tunbpf, or whatever else has its descriptor. FD returns that, and a negative
// number once the program is closed. The caller keeps owning it.
type Program interface{ FD() int }

// A programSlot is one of the two places of a device for an eBPF program.
type programSlot int

const (
	steeringSlot programSlot = iota
	filterSlot
)

func (s programSlot) String() string {
	if s == steeringSlot {
		return "steering program"
	}
	return "filter program"
}

// AttachSteering makes p choose the queue of every frame that the stack sends to
// d, in place of the one that AttachSteering was given before, or of the kernel's
// own choice. The queue is the lower 16 bits of p's result, modulo the number of
// queues that are attached, in the order of Queues. While there is one only, p is
// not run. Package tunbpf has programs that are ready to be used.
//
// p has to be of type BPF_PROG_TYPE_SOCKET_FILTER, ebpf.SocketFilter. The bytes that it sees begin as Frame.Data
// does: with the IP header on a TUN device, with the Ethernet header on a TAP
// device. What offloading changes happens afterwards: a VLAN tag may still be in
// p's context (vlan_tci) instead of the frame, and the frame may be a super-packet
// though Config.Offload wants none.
//
// The program is the device's, not the queue's and not the process's: the device
// holds a reference, so p may be closed right away, and so may the maps that p
// uses. It stays until DetachSteering, until another takes its place, or until
// the device is gone; Close of d ends it, unless the device is persistent or
// another process has it open. When AttachSteering returns, every frame that is
// sent afterwards meets p. It needs no right but that of having d.
func (d *Device) AttachSteering(p Program) error { return d.attachProgram(steeringSlot, p) }

// DetachSteering brings the kernel's own choice back: a flow comes on the queue from
// which a frame of it was last sent, and one that was not sent to on that of its
// hash. It is no error if there was no program.
func (d *Device) DetachSteering() error { return d.setProgram(steeringSlot, -1) }

// AttachFilter makes every frame that the stack sends to d pass p before it can
// come into a ring. p's result is how many bytes of the frame are kept: with 0 it
// is dropped, and counted in the interface's tx_dropped; what is as long as the
// frame or longer, such as -1, leaves it whole. A frame that p cuts inside the
// checksum that is to be filled in (VNetHeader.NeedsChecksum) is dropped.
//
// In all else a filter is as the program of AttachSteering, beside which it may be
// attached, and after which it is run, for d with a single queue too. It sees each
// frame as the process would get it, VLAN tag included.
func (d *Device) AttachFilter(p Program) error { return d.attachProgram(filterSlot, p) }

// DetachFilter lets all frames pass. It is no error if there was no filter.
func (d *Device) DetachFilter() error { return d.setProgram(filterSlot, -1) }

func (d *Device) attachProgram(slot programSlot, p Program) error {
	if isNil(p) {
		return fmt.Errorf("mytunev: attach to %s: the %v is nil (to have none, detach it)", d.Name(), slot)
	}
	fd := p.FD()
	if fd < 0 { // for the kernel that would mean none
		return fmt.Errorf("mytunev: attach to %s: the %v is closed (close it after it was attached)", d.Name(), slot)
	}
	defer runtime.KeepAlive(p)
	return d.setProgram(slot, fd)
}

// isNil reports whether p is nil or a nil pointer, which has no descriptor.
func isNil(p Program) bool {
	v := reflect.ValueOf(p)
	return !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil()
}

// setProgram asks the first queue that is open.
func (d *Device) setProgram(slot programSlot, program int) error {
	for _, q := range d.queues {
		file, err := q.file()
		if err != nil {
			continue
		}
		switch e := file.control(func(fd uintptr) { err = setProgram(int(fd), slot, program) }); {
		case errors.Is(e, ErrClosed):
			continue
		case e != nil:
			return e
		case err == ErrDetached:
			return err
		case err != nil:
			return opError("set the "+slot.String()+" of", d.Name(), err, programHint(program))
		}
		return nil
	}
	return ErrClosed
}
