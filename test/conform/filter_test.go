// SPDX-License-Identifier: MIT

//go:build mytun_device

package conform

import (
	"fmt"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

// mac is a unicast address, multi a multicast one.
func mac(n byte) []byte   { return []byte{2, 0, 0, 0, 0, n} }
func multi(n byte) []byte { return []byte{1, 0, 0x5e, 0, 0, n} }

// sendFrame gives a device a frame to transmit, as it is.
func (w *world) sendFrame(name string, frame []byte) {
	w.Helper()
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		w.Fatal(err)
	}
	defer unix.Close(fd)
	to := &unix.SockaddrLinklayer{Ifindex: device.LinkOf(w, name).Attrs().Index, Protocol: 0x0008}
	if err := unix.Sendto(fd, frame, 0, to); err != nil {
		w.Fatalf("send %d bytes to %s: %v", len(frame), name, err)
	}
}

// ethernet is a frame of a private protocol: nobody but the test sends such.
func ethernet(destination []byte, payload ...byte) []byte {
	b := append([]byte{}, destination...)
	b = append(b, 2, 0, 0, 0, 0, 1, 0x88, 0xb5)
	return append(b, append(payload, make([]byte, 46)...)...)
}

// passes sends a frame and records whether the device dropped it.
func (w *world) passes(what, name string, frame []byte) {
	w.Helper()
	before := device.Counters(w, name).TxDropped
	w.sendFrame(name, frame)
	w.log(what, "dropped %d", device.Counters(w, name).TxDropped-before)
}

// program is the argument of TUNATTACHFILTER.
func program(w *world, filter ...unix.SockFilter) []byte {
	w.Helper()
	return device.Fprog(w.page(), filter...)
}

// pinned is one page for all scenarios: TUNGETFILTER answers with its address.
var pinned []byte

func (w *world) page() []byte {
	w.Helper()
	if pinned == nil {
		page, err := unix.Mmap(-1, 0, device.PageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
		if err != nil {
			w.Fatal(err)
		}
		pinned = page
	}
	return pinned
}

var (
	acceptAll = unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0xffff}
	dropAll   = unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K}
	cut       = unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 20}
	nonsense  = unix.SockFilter{Code: 0xffff}
)

// ifLast lets a frame pass whose destination's last byte is n.
func ifLast(n uint32) []unix.SockFilter {
	return []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 5},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: n, Jt: 0, Jf: 1},
		acceptAll, dropAll,
	}
}

func addresses(of func(byte) []byte, from, to byte) (all [][]byte) {
	for n := from; n < to; n++ {
		all = append(all, of(n))
	}
	return all
}

// tap is a TAP device that is up and has one reader.
func (w *world) tap(set uint16) *file {
	f := w.open("file")
	f.attach("conf", set)
	device.Up(w, "conf")
	return f
}

func TestAddressFilter(t *testing.T) {
	broadcast := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	some := append(addresses(mac, 1, 4), broadcast)
	filters := map[string][]byte{
		"1 none":              txfilter(0, 0),
		"2 one":               txfilter(0, 1, mac(1)),
		"3 some":              txfilter(0, 4, some...),
		"4 multicast":         txfilter(0, 3, addresses(multi, 1, 4)...),
		"5 many multicast":    txfilter(0, 12, addresses(multi, 1, 13)...),
		"6 all multicast":     txfilter(1 /* TUN_FLT_ALLMULTI */, 1, mac(1)),
		"7 many unicast":      txfilter(0, 12, addresses(mac, 1, 13)...),
		"8 eight unicast":     txfilter(0, 8, addresses(mac, 1, 9)...),
		"9 unknown flag":      txfilter(0x8000, 1, mac(2)),
		"10 mixed, then many": txfilter(0, 20, append(addresses(mac, 1, 9), addresses(multi, 1, 13)...)...),
	}
	var scenarios []scenario
	for name, filter := range filters {
		scenarios = append(scenarios, scenario{name, func(w *world) {
			f := w.tap(device.TAP)
			f.call("TUNSETTXFILTER", unix.TUNSETTXFILTER, filter)
			for _, n := range []byte{1, 2, 3, 8, 9, 12, 13, 15} {
				w.passes(fmt.Sprintf("unicast %d", n), "conf", ethernet(mac(n)))
				w.passes(fmt.Sprintf("multicast %d", n), "conf", ethernet(multi(n)))
			}
			w.passes("broadcast", "conf", ethernet(broadcast))
			f.call("TUNSETTXFILTER 0", unix.TUNSETTXFILTER, txfilter(0, 0))
			w.passes("without a filter", "conf", ethernet(mac(15)))
		}})
	}
	scenarios = append(scenarios,
		scenario{"cut short", func(w *world) {
			f := w.tap(device.TAP)
			page := w.page()
			copy(page[len(page)-10:], txfilter(0, 1, mac(1)))
			guard := func(count uint16, offset int) {
				copy(page[offset:], le16(0, count))
				f.log(fmt.Sprintf("TUNSETTXFILTER %d at %d", count, offset), "%s",
					outcome(device.IoctlValue(f.fd, unix.TUNSETTXFILTER, device.Address(page)+uintptr(offset))))
			}
			guard(0, len(page)-4)
			w.passes("unicast", "conf", ethernet(mac(1)))
		}},
		scenario{"outlives its queue", func(w *world) {
			f := w.tap(device.TAP)
			f.call("TUNSETTXFILTER", unix.TUNSETTXFILTER, txfilter(0, 1, mac(1)))
			f.value("TUNSETPERSIST", unix.TUNSETPERSIST, 1)
			f.close()
			w.open("again").attach("conf", device.TAP)
			w.passes("unicast 1", "conf", ethernet(mac(1)))
			w.passes("unicast 2", "conf", ethernet(mac(2)))
		}})
	compare(t, "txfilter", scenarios)
}

// ebpfProgram loads a program that returns a number, until the end of the test.
func (w *world) ebpfProgram(kind ebpf.ProgramType, number int32) []byte {
	w.Helper()
	p := w.load(kind, number)
	w.Cleanup(func() { p.Close() })
	return le32(uint32(p.FD()))
}

// load is ebpfProgram where the caller closes it.
func (w *world) load(kind ebpf.ProgramType, number int32) *ebpf.Program {
	w.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: kind, License: "MIT", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, number), asm.Return()},
	})
	if err != nil {
		w.Fatalf("eBPF program: %v", err)
	}
	return p
}

// program gives a device an eBPF program. Its descriptor's number says nothing.
func (f *file) program(what string, request uint, fd []byte) {
	f.log(what, "%s", outcome(device.Ioctl(f.fd, request, fd)))
}

func TestPrograms(t *testing.T) {
	none := le32(1<<32 - 1)
	var scenarios []scenario
	for _, set := range []uint16{device.TUN | device.Multi, device.TAP} {
		scenarios = append(scenarios, scenario{flagNames(set), func(w *world) {
			f := w.tap(set)
			for _, number := range []int32{0, 1, 20, 65535, -1} {
				f.program(fmt.Sprintf("TUNSETFILTEREBPF, returns %d", number), unix.TUNSETFILTEREBPF, w.ebpfProgram(ebpf.SocketFilter, number))
				w.passes(fmt.Sprintf("returns %d", number), "conf", frame(set, 100))
			}
			f.program("TUNSETFILTEREBPF none", unix.TUNSETFILTEREBPF, none)
			f.program("TUNSETFILTEREBPF none, again", unix.TUNSETFILTEREBPF, none)
			w.passes("without one", "conf", frame(set, 100))
			f.program("TUNSETSTEERINGEBPF", unix.TUNSETSTEERINGEBPF, w.ebpfProgram(ebpf.SocketFilter, 7))
			w.passes("steered", "conf", frame(set, 100))
			f.program("TUNSETSTEERINGEBPF none", unix.TUNSETSTEERINGEBPF, none)
			for _, request := range []uint{unix.TUNSETFILTEREBPF, unix.TUNSETSTEERINGEBPF} {
				f.program(fmt.Sprintf("%#x, of another kind", request), request, w.ebpfProgram(ebpf.SchedCLS, 0))
				f.program(fmt.Sprintf("%#x, no program", request), request, le32(uint32(f.fd)))
			}
			f.getiff()
		}})
	}
	compare(t, "ebpf", scenarios)
}

func TestSocketFilter(t *testing.T) {
	attach := func(w *world, f *file, what string, filter ...unix.SockFilter) {
		f.call("TUNATTACHFILTER "+what, unix.TUNATTACHFILTER, program(w, filter...))
		f.getiff()
		f.call("TUNGETFILTER after "+what, unix.TUNGETFILTER, make([]byte, 16))
	}
	compare(t, "bpf", []scenario{
		{"attach and detach", func(w *world) {
			f := w.tap(device.TAP)
			f.call("TUNGETFILTER", unix.TUNGETFILTER, make([]byte, 16))
			f.value("TUNDETACHFILTER", unix.TUNDETACHFILTER, 0)
			attach(w, f, "accept", acceptAll)
			w.passes("accepted", "conf", ethernet(mac(1)))
			attach(w, f, "drop", dropAll)
			w.passes("dropped", "conf", ethernet(mac(1)))
			attach(w, f, "cut", cut)
			w.passes("cut", "conf", ethernet(mac(1)))
			attach(w, f, "last 7", ifLast(7)...)
			w.passes("last 7", "conf", ethernet(mac(7)))
			w.passes("last 8", "conf", ethernet(mac(8)))
			f.value("TUNDETACHFILTER", unix.TUNDETACHFILTER, 0)
			f.getiff()
			w.passes("detached", "conf", ethernet(mac(8)))
			f.call("TUNGETFILTER after detach", unix.TUNGETFILTER, make([]byte, 16))
		}},
		{"what is no filter", func(w *world) {
			f := w.tap(device.TAP)
			attach(w, f, "nonsense", nonsense)
			attach(w, f, "without an end", unix.SockFilter{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS})
			attach(w, f, "empty")
			f.call("TUNATTACHFILTER from nowhere", unix.TUNATTACHFILTER, append(le16(1, 0, 0, 0), make([]byte, 8)...))
			f.call("TUNATTACHFILTER too long", unix.TUNATTACHFILTER, append(le16(0xffff, 0, 0, 0), make([]byte, 8)...))
			w.passes("unfiltered", "conf", ethernet(mac(1)))
		}},
		{"a bad one leaves the good one", func(w *world) {
			f := w.tap(device.TAP)
			f.call("TUNATTACHFILTER", unix.TUNATTACHFILTER, program(w, dropAll))
			f.call("TUNATTACHFILTER nonsense", unix.TUNATTACHFILTER, program(w, nonsense))
			w.passes("still dropped", "conf", ethernet(mac(1)))
		}},
		{"not of a TUN device", func(w *world) {
			f := w.tap(device.TUN)
			attach(w, f, "drop", dropAll)
			f.value("TUNDETACHFILTER", unix.TUNDETACHFILTER, 0)
		}},
		{"of a device without NO_PI", func(w *world) {
			f := w.tap(unix.IFF_TAP)
			f.getiff()
			attach(w, f, "drop", dropAll)
			w.passes("dropped", "conf", ethernet(mac(1)))
		}},
		{"a further queue with NOFILTER", func(w *world) {
			f := w.tap(device.TAP | device.Multi)
			f.call("TUNATTACHFILTER", unix.TUNATTACHFILTER, program(w, dropAll))
			second := w.open("second")
			second.attach("conf", device.TAP|device.Multi)
			second.getiff()
			f.getiff()
		}},
		{"a persistent device without NO_PI", func(w *world) {
			f := w.tap(unix.IFF_TAP)
			f.call("TUNATTACHFILTER", unix.TUNATTACHFILTER, program(w, dropAll))
			f.value("TUNSETPERSIST", unix.TUNSETPERSIST, 1)
			f.close()
			again := w.open("again")
			again.attach("conf", unix.IFF_TAP)
			again.getiff()
		}},
		{"a queue that was detached", func(w *world) {
			f := w.tap(device.TAP | device.Multi)
			f.call("TUNATTACHFILTER", unix.TUNATTACHFILTER, program(w, dropAll))
			f.setqueue(unix.IFF_DETACH_QUEUE)
			f.setqueue(unix.IFF_ATTACH_QUEUE)
			f.getiff()
		}},
	})
}
