// SPDX-License-Identifier: MIT

//go:build mytun_device

package steering

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/mytun/mytun/pkg/mytunev"
	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

// testProgramNamesTheQueue: the lower 16 bits of its result, modulo the number of
// queues.
func testProgramNamesTheQueue(t *testing.T) {
	eachMode(t, func(t *testing.T, mode mytunev.Mode) {
		r := newRig(t, mytunev.Config{Mode: mode, Queues: 3})
		for result, want := range map[int32]int{
			0: 0, 1: 1, 2: 2, 3: 0, 3*1000 + 1: 1, 65535: 0, 65536: 0, 65536 + 2: 2, -1: 0, -2: 2, 0x7fff0001: 1,
		} {
			must(t, r.AttachSteering(returns(t, result)))
			for _, f := range append(flows(false, 8), flows(true, 8)...) {
				if got := r.queueOf(r.packet(f[0], f[1])); got != want {
					t.Errorf("result %d: %v came by queue %d, want %d", result, f, got, want)
				}
			}
		}
	})
}

// testDetachBringsTheHashBack: each flow goes where it went before.
func testDetachBringsTheHashBack(t *testing.T) {
	eachMode(t, func(t *testing.T, mode mytunev.Mode) {
		r := newRig(t, mytunev.Config{Mode: mode, Queues: 4})
		where := func() (queues []int) {
			for _, f := range append(flows(false, 32), flows(true, 32)...) {
				queues = append(queues, r.queueOf(r.packet(f[0], f[1])))
			}
			return queues
		}
		before := where()
		if len(slices.Compact(slices.Sorted(slices.Values(before)))) < 3 {
			t.Errorf("the hash spreads over queues %v", before)
		}
		must(t, r.DetachSteering()) // of none
		must(t, r.AttachSteering(returns(t, 1)))
		must(t, r.AttachSteering(returns(t, 2)))
		if got := where(); slices.ContainsFunc(got, func(q int) bool { return q != 2 }) {
			t.Errorf("steered to queue 2: %v", got)
		}
		must(t, r.DetachSteering())
		must(t, r.DetachSteering())
		if after := where(); !slices.Equal(before, after) {
			t.Errorf("before %v, afterwards %v", before, after)
		}
	})
}

// testOtherTypesAreRefused: the error says what is needed, and the program before
// stays.
func testOtherTypesAreRefused(t *testing.T) {
	device.Sandbox(t)
	r := newRig(t, mytunev.Config{Queues: 2})
	must(t, r.AttachSteering(returns(t, 1)))
	must(t, r.AttachFilter(returns(t, 24)))
	for _, kind := range []ebpf.ProgramType{ebpf.SchedCLS, ebpf.XDP, ebpf.CGroupSKB} {
		p := programOf(t, kind, asm.Mov.Imm(asm.R0, 0))
		for name, attach := range map[string]func(mytunev.Program) error{"steering": r.AttachSteering, "filter": r.AttachFilter} {
			err := attach(p)
			if !errors.Is(err, unix.EINVAL) || !strings.Contains(err.Error(), "has to be of type SocketFilter") ||
				!strings.Contains(err.Error(), r.Name()) || !strings.Contains(err.Error(), name) {
				t.Errorf("%s of type %v: %v", name, kind, err)
			}
		}
	}
	r.send(flowPacket(r, 1))
	if came, _ := r.settled(); len(came) != 1 || came[0].queue != 1 || len(came[0].frame) != 24 {
		t.Errorf("after refusals: %+v", came)
	}
}

// flowPacket is a packet of the flow with that number.
func flowPacket(r *rig, number int) []byte {
	f := flows(false, number+1)[number]
	return r.packet(f[0], f[1])
}

// firstByte makes R0 the first byte that a program sees.
func firstByte() []asm.Instruction {
	return []asm.Instruction{
		asm.Mov.Imm(asm.R2, 0),
		asm.Mov.Reg(asm.R3, asm.RFP),
		asm.Add.Imm(asm.R3, -8),
		asm.Mov.Imm(asm.R4, 1),
		asm.FnSkbLoadBytes.Call(),
		asm.LoadMem(asm.R0, asm.RFP, -8, asm.Byte),
	}
}

// testFramesBeginAsTheProcessSeesThem: at the IP header on TUN, at the Ethernet
// header on TAP, for both kinds of program.
func testFramesBeginAsTheProcessSeesThem(t *testing.T) {
	eachMode(t, func(t *testing.T, mode mytunev.Mode) {
		r := newRig(t, mytunev.Config{Mode: mode, Queues: 7})
		must(t, r.AttachSteering(program(t, firstByte()...)))
		must(t, r.AttachFilter(program(t, append(firstByte(), asm.Add.Imm(asm.R0, 20))...)))
		for _, ipv6 := range []bool{false, true} {
			f := flows(ipv6, 1)[0]
			frame := r.packet(f[0], f[1], make([]byte, 200)...)
			r.send(frame)
			came, _ := r.settled()
			last := came[len(came)-1]
			if last.queue != int(frame[0])%7 || last.frame != string(frame[:20+int(frame[0])]) {
				t.Errorf("frame that begins with %#x: %d bytes came by queue %d", frame[0], len(last.frame), last.queue)
			}
		}
	})
}

// testOneQueueIsNotSteered, nor filtered less for that.
func testOneQueueIsNotSteered(t *testing.T) {
	device.Sandbox(t)
	r := newRig(t, mytunev.Config{})
	must(t, r.AttachSteering(returns(t, 5)))
	if got := r.queueOf(flowPacket(r, 1)); got != 0 {
		t.Errorf("came by queue %d", got)
	}
	must(t, r.AttachFilter(returns(t, 0)))
	r.send(flowPacket(r, 1))
	if _, dropped := r.settled(); dropped != 1 {
		t.Errorf("%d dropped", dropped)
	}
}

// testQueuesThatAreClosed do not count any more: the others move up, or with stock tun
// the last takes the place of one that goes.
func testQueuesThatAreClosed(t *testing.T) {
	device.Sandbox(t)
	r := newRig(t, mytunev.Config{Queues: 3})
	must(t, r.AttachSteering(returns(t, 2)))
	if got := r.queueOf(flowPacket(r, 1)); got != 2 {
		t.Errorf("came by queue %d", got)
	}
	// Run ends with its first queue
	r.end()
	must(t, r.Queues()[0].Close())
	first, second := r.Queues()[1], r.Queues()[2]
	if onTun() {
		first, second = second, first
	}
	r.send(flowPacket(r, 2))
	readFrom(t, first, flowPacket(r, 2))     // of two: 2 % 2
	must(t, r.AttachSteering(returns(t, 1))) // by another queue's file
	r.send(flowPacket(r, 3))
	readFrom(t, second, flowPacket(r, 3))
	must(t, r.Close())
	for _, err := range []error{r.AttachSteering(returns(t, 1)), r.DetachSteering(), r.AttachFilter(returns(t, 1)), r.DetachFilter()} {
		if err != mytunev.ErrClosed {
			t.Errorf("after Close: %v", err)
		}
	}
}

// readFrom reads a frame, which has to be that one.
func readFrom(t testing.TB, q *mytunev.Queue, want []byte) {
	t.Helper()
	must(t, q.SetReadDeadline(time.Now().Add(device.Deadline)))
	p := make([]byte, 2000)
	if n, err := q.Read(p); err != nil || !slices.Equal(p[:n], want) {
		t.Errorf("queue %d: %x, %v, want %x", q.Index(), p[:n], err, want)
	}
}
