// SPDX-License-Identifier: MIT

//go:build mytun_device

// Package offload tests checksums and segmentation that one side leaves to the
// other, merging, back-pressure, and what spreads frames over CPUs.
package offload

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mytun/mytun/test/device"
	"github.com/vishvananda/netns"
)

const (
	minRing  = device.RingSizeMin
	hostPort = device.HostPort
	peerPort = device.PeerPort
)

// slice is how long a forwarder waits before it looks if it is to end.
const slice = 50 * time.Millisecond

// end is a process's side of a device. A frame that receive returned is valid
// until release.
type end interface {
	receive() (device.VnetHeader, []byte, bool)
	release()
	send(done *atomic.Bool, vnet device.VnetHeader, frame []byte) error
	link() *device.Link
}

type mytunEnd struct {
	*device.Queue
	l    *device.Link
	last device.Header
}

func (e *mytunEnd) link() *device.Link { return e.l }

func (e *mytunEnd) receive() (device.VnetHeader, []byte, bool) {
	if !e.WaitFrames(time.Now().Add(slice)) {
		return device.VnetHeader{}, nil, false
	}
	h, frame, ok := e.Peek()
	e.last = h
	return h.Vnet, frame, ok
}

func (e *mytunEnd) release() {
	e.Next(e.last)
	e.Release()
}

func (e *mytunEnd) send(done *atomic.Bool, vnet device.VnetHeader, frame []byte) error {
	for e.Room() < device.Footprint(len(frame)) {
		if done.Load() {
			return nil
		}
		e.WaitSpace(len(frame), time.Now().Add(slice))
	}
	e.PutVnet(vnet, frame)
	e.Publish()
	return nil
}

type tunEnd struct {
	*device.StockTun
	in, out []byte
}

func newTunEnd(t *testing.T, c device.Config) *tunEnd {
	t.Helper()
	const room = device.VnetSize + device.FrameMax
	return &tunEnd{device.NewStockTun(t, c), make([]byte, room), make([]byte, room)}
}

func (e *tunEnd) link() *device.Link { return e.Link }

func (e *tunEnd) receive() (vnet device.VnetHeader, frame []byte, ok bool) {
	e.File.SetReadDeadline(time.Now().Add(slice))
	n, err := e.File.Read(e.in)
	if err != nil || n < device.VnetSize {
		return vnet, nil, false
	}
	vnet.Decode(e.in)
	return vnet, e.in[device.VnetSize:n], true
}

func (e *tunEnd) release() {}

func (e *tunEnd) send(_ *atomic.Bool, vnet device.VnetHeader, frame []byte) error {
	vnet.Encode(e.out)
	n := copy(e.out[device.VnetSize:], frame)
	_, err := e.File.Write(e.out[:device.VnetSize+n])
	return err
}

// tally is what a forwarder saw of a device's frames.
type tally struct {
	sync.Mutex
	frames, partial int
	super           map[uint8]int // by gso_type
	longest         int
	wrong           []error
}

// see checks a frame. What is neither TCP nor UDP is the kernel's own business.
func (s *tally) see(l *device.Link, vnet device.VnetHeader, frame []byte) {
	if !l.IsTransport(frame) {
		return
	}
	err := l.Check(device.Header{Vnet: vnet}, frame)
	s.Lock()
	defer s.Unlock()
	s.frames++
	s.longest = max(s.longest, len(frame))
	if vnet.Flags&device.VnetNeedsCsum != 0 {
		s.partial++
	}
	if vnet.GSOType != device.GSONone {
		s.super[vnet.GSOType]++
	}
	if err != nil && len(s.wrong) < 5 {
		s.wrong = append(s.wrong, err)
	}
}

// supers is how many super-packets there were of a kind.
func (s *tally) supers(kind uint8) int {
	s.Lock()
	defer s.Unlock()
	return s.super[kind]
}

func (s *tally) report(t *testing.T, name string) {
	t.Helper()
	s.Lock()
	defer s.Unlock()
	for _, err := range s.wrong {
		t.Errorf("%s: %v", name, err)
	}
}

// wire is two devices in two namespaces, and a process that carries the frames
// of each to the other with their metadata. Each is the other's peer.
type wire struct {
	ends       [2]end
	nsA, nsB   netns.NsHandle
	canSegment bool // UDP_SEGMENT works; before Linux 6.11 it needs a device with checksum offload
	tallies    [2]*tally
	change     func(frame []byte) // what happens to frames of the first on their way, if anything
	forwarding sync.WaitGroup
	done       atomic.Bool
	errors     atomic.Pointer[error]
}

// maker makes a device of some kind in the thread's namespace.
type maker func(t *testing.T, c device.Config, offloads uintptr) end

func mytun(t *testing.T, c device.Config, offloads uintptr) end {
	t.Helper()
	c.Flags |= device.Vnet
	l := device.NewLink(t, c)
	l.Queue().SetOffload(t, offloads)
	return &mytunEnd{Queue: l.Queue(), l: l}
}

func stockTun(t *testing.T, c device.Config, offloads uintptr) end {
	t.Helper()
	e := newTunEnd(t, c)
	if err := e.TrySetOffload(t, offloads); err != nil {
		t.Fatalf("TUNSETOFFLOAD %#x of stock tun: %v", offloads, err)
	}
	return e
}

func newWire(t *testing.T, a, b maker, c device.Config, offloads uintptr) *wire {
	t.Helper()
	// with idle processors left, the runtime does not hand on the one of a
	// goroutine that sleeps in a system call
	runtime.GOMAXPROCS(8)
	w := &wire{nsA: device.Sandbox(t), nsB: device.NewNamespace(t)}
	w.canSegment = offloads != 0 || device.KernelAtLeast(t, 6, 11)
	w.ends[0] = a(t, c, offloads)
	c.Mirror = true
	device.Inside(t, w.nsB, func() { w.ends[1] = b(t, c, offloads) })
	for i := range w.tallies {
		w.tallies[i] = &tally{super: map[uint8]int{}}
	}
	return w
}

// start begins to forward, until the end of the test.
func (w *wire) start(t *testing.T) {
	t.Helper()
	w.forwarding.Go(func() { w.forward(0, w.change) })
	w.forwarding.Go(func() { w.forward(1, nil) })
	t.Cleanup(w.stop)
}

func (w *wire) stop() {
	w.done.Store(true)
	w.forwarding.Wait()
}

func (w *wire) forward(i int, change func([]byte)) {
	from, to := w.ends[i], w.ends[1-i]
	for !w.done.Load() {
		vnet, frame, ok := from.receive()
		if !ok {
			continue
		}
		w.tallies[i].see(from.link(), vnet, frame)
		if change != nil {
			change(frame)
		}
		if err := to.send(&w.done, vnet, frame); err != nil {
			err = fmt.Errorf("send to %v, %+v, %d bytes: %w", to.link(), vnet, len(frame), err)
			w.errors.Store(&err)
		}
		from.release()
	}
}

// check looks at everything that must have stayed right.
func (w *wire) check(t *testing.T) {
	t.Helper()
	w.stop()
	if err := w.errors.Load(); err != nil {
		t.Error(*err)
	}
	for i, ns := range []netns.NsHandle{w.nsA, w.nsB} {
		w.tallies[i].report(t, w.ends[i].link().String())
		device.Inside(t, ns, func() { checkErrors(t) })
		if e, ok := w.ends[i].(*mytunEnd); ok {
			if s := e.Stats(t); s.Refused() != 0 || s.RxDropped != 0 || s.TxDroppedMemory != 0 || e.State() != 0 {
				t.Errorf("state %#x, stats %+v", e.State(), s)
			}
		}
	}
}

// checkErrors: no receiver of the thread's namespace found anything wrong.
func checkErrors(t *testing.T) {
	t.Helper()
	counters := device.SNMP(t)
	for _, name := range []string{
		"Ip.InHdrErrors", "Ip.InDiscards", "Tcp.InErrs", "Tcp.InCsumErrors", "Udp.InErrors", "Udp.InCsumErrors",
		"Ip6.InHdrErrors", "Ip6.InTruncatedPkts", "Udp6.InErrors", "Udp6.InCsumErrors",
	} {
		if n, known := counters[name]; !known || n != 0 {
			t.Errorf("%s is %d, known %v", name, n, known)
		}
	}
}

const (
	csum = device.OffloadCsum
	tso4 = csum | device.OffloadTSO4
	tso6 = csum | device.OffloadTSO6
	tso  = tso4 | tso6
	ecn  = tso | device.OffloadTSOECN
	uso  = csum | device.OffloadUSO
	all  = device.OffloadAll
)

func offloadsName(offloads uintptr) string {
	names := map[uintptr]string{0: "none", csum: "csum", tso4: "tso4", tso6: "tso6", tso: "tso", ecn: "ecn", uso: "uso", all: "all"}
	return names[offloads]
}

// exchange sends what offloads are for, both families, both ways, and compares
// it: streams of TCP, and bursts of UDP that one call sends.
func (w *wire) exchange(t *testing.T, size int) {
	t.Helper()
	for _, ipv6 := range []bool{false, true} {
		device.Streams(t, w.nsB, w.ends[1].link().Host(ipv6), size)
		w.bursts(t, 0, ipv6)
		device.Inside(t, w.nsB, func() { w.bursts(t, 1, ipv6) })
	}
}

// bursts sends UDP from one end to the other and checks each datagram. Call it
// in the namespace of the sender.
func (w *wire) bursts(t *testing.T, from int, ipv6 bool) {
	t.Helper()
	sender := w.ends[from].link()
	const port = 6000
	conn := sender.ListenUDP(t, ipv6, port)
	defer conn.Close()
	far := conn
	device.Inside(t, []netns.NsHandle{w.nsA, w.nsB}[1-from], func() {
		far = w.ends[1-from].link().ListenUDP(t, ipv6, port)
	})
	defer far.Close()
	for i, size := range []int{1, 100, 999, 1200, sender.MaxPayload(ipv6)} {
		count := 1
		if w.canSegment {
			device.SetSegment(t, conn, size)
			count = min(device.SegmentsMax, device.UDPMax/size)
		}
		data := device.Pattern(uint64(i), size*count-count/2)
		if _, err := conn.WriteToUDPAddrPort(data, sender.PeerAddr(ipv6, port)); err != nil {
			t.Fatalf("burst of %d times %d bytes: %v", count, size, err)
		}
		for at := 0; at < len(data); at += size {
			device.Expect(t, far, data[at:min(at+size, len(data))])
		}
	}
}

// stockOffloads are the sets that this kernel's tun knows: UDP segmentation is
// no part of it before Linux 6.2.
func stockOffloads(t *testing.T) []uintptr {
	t.Helper()
	sets := []uintptr{0, csum, tso4, tso6, tso, ecn}
	if device.KernelAtLeast(t, 6, 2) {
		sets = append(sets, uso, all)
	}
	return sets
}

func testForwarding(t *testing.T, a, b maker, sets []uintptr, check func(*testing.T, *wire, uintptr)) {
	t.Helper()
	for _, offloads := range sets {
		t.Run(offloadsName(offloads), func(t *testing.T) {
			w := newWire(t, a, b, device.Config{IPv6: true, RxSize: 1 << 20, TxSize: 1 << 20}, offloads)
			w.start(t)
			w.exchange(t, 512<<10)
			w.check(t)
			if check != nil {
				check(t, w, offloads)
			}
		})
	}
}

// TestForwardedToStockTun: a process between mytun and the kernel's own tun
// passes metadata on as it gets it, in both directions.
func TestForwardedToStockTun(t *testing.T) {
	testForwarding(t, mytun, stockTun, stockOffloads(t), nil)
}

// TestForwardedToMytun: the same between two devices of ours. What is asked
// for comes as super-packets, what is not does not.
func TestForwardedToMytun(t *testing.T) {
	testForwarding(t, mytun, mytun, []uintptr{0, csum, tso4, tso6, tso, ecn, uso, all}, checkSupers)
}

func checkSupers(t *testing.T, w *wire, offloads uintptr) {
	t.Helper()
	for i, s := range w.tallies {
		for kind, bits := range map[uint8]uintptr{
			device.GSOTCPv4: tso4, device.GSOTCPv6: tso6, device.GSOUDPL4: uso,
		} {
			if asked := offloads&bits == bits; asked != (s.super[kind] > 0) {
				t.Errorf("end %d: %d super-packets of kind %d", i, s.super[kind], kind)
			}
		}
		if (offloads != 0) != (s.partial > 0) {
			t.Errorf("end %d: %d of %d frames without their checksum", i, s.partial, s.frames)
		}
		if offloads&uso == uso && s.longest < 64000 {
			t.Errorf("end %d: the longest frame has %d bytes", i, s.longest)
		}
		t.Logf("end %d: %d frames, %d partial, super-packets %v, longest %d", i, s.frames, s.partial, s.super, s.longest)
	}
}

// TestForwardedOverTap: with a link header in front, offsets are others.
func TestForwardedOverTap(t *testing.T) {
	w := newWire(t, mytun, mytun, device.Config{TAP: true, IPv6: true, RxSize: 1 << 20, TxSize: 1 << 20}, all)
	w.start(t)
	w.exchange(t, 512<<10)
	w.check(t)
	checkSupers(t, w, all)
}

// TestForwardedThroughSmallestRings, where few super-packets have room.
func TestForwardedThroughSmallestRings(t *testing.T) {
	w := newWire(t, mytun, mytun, device.Config{IPv6: true}, all)
	w.start(t)
	w.exchange(t, 4<<20)
	w.check(t)
}

// TestCongestionMarksOfSuperPackets: with TUN_F_TSO_ECN, super-packets may say
// that the window was reduced; without, the stack cuts those up. The wire
// marks what it carries, so that the receiver asks for a reduction.
func TestCongestionMarksOfSuperPackets(t *testing.T) {
	for _, offloads := range []uintptr{tso, ecn} {
		t.Run(offloadsName(offloads), func(t *testing.T) {
			w := newWire(t, mytun, mytun, device.Config{IPv6: true, RxSize: 1 << 20, TxSize: 1 << 20}, offloads)
			for _, ns := range []netns.NsHandle{w.nsA, w.nsB} {
				device.Inside(t, ns, func() { device.Sysctl(t, "net/ipv4/tcp_ecn", "1") })
			}
			marked, count := 0, 0
			w.change = func(frame []byte) {
				const ect, ce = 0x20, 0x30 // of the traffic class, in the second byte
				if count++; frame[0]>>4 == 6 && frame[1]&ce == ect && count%8 == 0 {
					frame[1] |= ce
					marked++
				}
			}
			w.start(t)
			const mostStreams = 40
			for i := range mostStreams {
				// one stream has a few such super-packets, and may have none
				if i > 0 && (offloads != ecn || w.tallies[0].supers(device.GSOTCPv6|device.GSOECN) > 0) {
					break
				}
				device.Streams(t, w.nsB, w.ends[1].link().Host6, 4<<20)
			}
			w.check(t)
			with := w.tallies[0].supers(device.GSOTCPv6 | device.GSOECN)
			t.Logf("%d frames marked, super-packets %v", marked, w.tallies[0].super)
			if marked == 0 || (offloads == ecn) != (with > 0) {
				t.Errorf("%d marks, %d super-packets with a reduced window", marked, with)
			}
		})
	}
}
