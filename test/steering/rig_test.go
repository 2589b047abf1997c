// SPDX-License-Identifier: MIT

//go:build mytun_device

// Package steering tests eBPF programs on devices: the library's own, and those of
// package tunbpf, with frames that the stack sends.
package steering

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/mytun/mytun/pkg/mytunev"
	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

// A rig is a device that is up in a namespace where nobody else sends, and all that
// came out of it.
type rig struct {
	*mytunev.Device
	t       testing.TB
	socket  int // sends frames to the device
	address unix.SockaddrLinklayer
	sent    int
	before  uint64 // tx_dropped

	mu       sync.Mutex
	arrivals []arrival
	end      func()
}

// An arrival is a frame that came by a queue.
type arrival struct {
	queue int
	frame string
}

// newRig opens a device. It is closed at the end of the test.
func newRig(t testing.TB, c mytunev.Config) *rig {
	t.Helper()
	d, err := mytunev.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{Device: d, t: t}
	t.Cleanup(r.close)
	device.Up(t, d.Name())
	r.before = device.Counters(t, d.Name()).TxDropped
	r.openSocket()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx, r.take) }()
	r.end = sync.OnceFunc(func() {
		cancel()
		<-ended
	})
	return r
}

// close closes the device, if the test has not.
func (r *rig) close() {
	if r.end != nil {
		r.end()
	}
	r.Device.Close()
}

func (r *rig) openSocket() {
	r.t.Helper()
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { unix.Close(fd) })
	r.socket = fd
	r.address.Ifindex = device.LinkOf(r.t, r.Name()).Attrs().Index
}

func (r *rig) take(b *mytunev.Batch) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for f := range b.Frames() {
		r.arrivals = append(r.arrivals, arrival{b.Queue().Index(), string(f.Data)})
	}
	return nil
}

// send gives the device a frame to transmit, as it is.
func (r *rig) send(frame []byte) {
	r.t.Helper()
	r.address.Protocol = r.protocol(frame)
	if err := unix.Sendto(r.socket, frame, 0, &r.address); err != nil {
		r.t.Fatalf("send %d bytes to %s: %v", len(frame), r.Name(), err)
	}
	r.sent++
}

// protocol is what a stack that sends the frame would say of it, big endian.
func (r *rig) protocol(frame []byte) uint16 {
	kind := uint16(0x0800)
	switch {
	case r.Mode() == mytunev.TAP:
		kind = binary.BigEndian.Uint16(frame[12:])
	case frame[0]>>4 == 6:
		kind = 0x86dd
	}
	return kind<<8 | kind>>8
}

// dropped is how many frames the device dropped since it was opened.
func (r *rig) dropped() int {
	r.t.Helper()
	return int(device.Counters(r.t, r.Name()).TxDropped - r.before)
}

func (r *rig) came() []arrival {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.arrivals)
}

func (r *rig) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.arrivals)
}

// settled waits until each frame that was sent has come or was dropped, and returns
// those that came and how many were dropped.
func (r *rig) settled() ([]arrival, int) {
	r.t.Helper()
	device.WaitFor(r.t, fmt.Sprintf("%d frames to come or be dropped", r.sent), func() bool {
		return r.count()+r.dropped() >= r.sent
	})
	came, dropped := r.came(), r.dropped()
	if len(came)+dropped != r.sent {
		r.t.Errorf("of %d frames %d came and %d were dropped", r.sent, len(came), dropped)
	}
	return came, dropped
}

// room waits while very many frames are under way.
func (r *rig) room() {
	r.t.Helper()
	if r.sent%256 == 0 {
		r.settled()
	}
}

// queueOf sends a frame, which has to come, and returns the queue that it came by.
// All frames before have to be settled.
func (r *rig) queueOf(frame []byte) int {
	r.t.Helper()
	before := r.count()
	r.send(frame)
	device.WaitFor(r.t, "a frame to come", func() bool { return r.count() > before })
	last := r.came()[before]
	if last.frame != string(frame) {
		r.t.Fatalf("%x was sent, and %x came", frame, last.frame)
	}
	return last.queue
}

// packet is a UDP datagram, behind an Ethernet header on a TAP device.
func (r *rig) packet(from, to netip.AddrPort, payload ...byte) []byte {
	return r.wrap(udp(from, to, payload))
}

// wrap puts an Ethernet header before a packet on a TAP device.
func (r *rig) wrap(packet []byte) []byte {
	if r.Mode() == mytunev.TUN {
		return packet
	}
	return ethernet(packet)
}

// ethernet is a frame to an address that begins with 2.
func ethernet(packet []byte) []byte {
	kind := []byte{0x08, 0x00}
	if packet[0]>>4 == 6 {
		kind = []byte{0x86, 0xdd}
	}
	return slices.Concat([]byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1}, kind, packet)
}

func udp(from, to netip.AddrPort, payload []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, from.Port())
	b = binary.BigEndian.AppendUint16(b, to.Port())
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(payload)))
	return ip(from.Addr(), to.Addr(), append(append(b, 0, 0), payload...))
}

// ip is a packet with UDP.
func ip(from, to netip.Addr, payload []byte) []byte {
	length := binary.BigEndian.AppendUint16(nil, uint16(len(payload)))
	if from.Is6() {
		return slices.Concat([]byte{0x60, 0, 0, 0}, length, []byte{unix.IPPROTO_UDP, 64}, from.AsSlice(), to.AsSlice(), payload)
	}
	binary.BigEndian.PutUint16(length, uint16(20+len(payload)))
	return slices.Concat([]byte{0x45, 0}, length, []byte{0, 0, 0, 0, 64, unix.IPPROTO_UDP, 0, 0}, from.AsSlice(), to.AsSlice(), payload)
}

func addrPort(text string) netip.AddrPort { return netip.MustParseAddrPort(text) }

// flows are that many flows of a family, in one direction.
func flows(ipv6 bool, n int) (all [][2]netip.AddrPort) {
	from, to := "10.99.0.1:%d", "10.99.0.2:443"
	if ipv6 {
		from, to = "[fd99::1]:%d", "[fd99::2]:443"
	}
	for i := range n {
		all = append(all, [2]netip.AddrPort{addrPort(fmt.Sprintf(from, 1000+i)), addrPort(to)})
	}
	return all
}

// program loads a socket filter.
func program(t testing.TB, code ...asm.Instruction) *ebpf.Program {
	t.Helper()
	return programOf(t, ebpf.SocketFilter, code...)
}

func programOf(t testing.TB, kind ebpf.ProgramType, code ...asm.Instruction) *ebpf.Program {
	t.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: kind, License: "MIT", Instructions: append(code, asm.Return())})
	if err != nil {
		t.Fatalf("eBPF program: %v", err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// returns is a program that returns a number.
func returns(t testing.TB, number int32) *ebpf.Program {
	t.Helper()
	return program(t, asm.Mov.Imm(asm.R0, number))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eachMode runs a test with devices of both kinds.
func eachMode(t *testing.T, f func(t *testing.T, mode mytunev.Mode)) {
	for _, mode := range []mytunev.Mode{mytunev.TUN, mytunev.TAP} {
		t.Run(mode.String(), func(t *testing.T) {
			device.Sandbox(t)
			f(t, mode)
		})
	}
}

// within bounds a loop that goes on until something happened.
func within(t testing.TB, what string) func() bool {
	deadline := time.Now().Add(device.Deadline)
	return func() bool {
		if time.Now().After(deadline) {
			t.Fatalf("%v were not enough for %s", device.Deadline, what)
		}
		return true
	}
}
