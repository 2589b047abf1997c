// SPDX-License-Identifier: MIT

//go:build mytun_device

package hostile

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/mytun/mytun/test/device"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	// callers is how many threads call at once: a file's holder may have more.
	callers = 256
	// stallMeasurements is how often what is over its bound is measured, each time with a
	// new device: the machine may be shared.
	stallMeasurements = 5
	// stallRequests is how many requests of somebody else are measured before
	// the device's end, and stallRest what lies between two.
	stallRequests = 20
	stallRest     = 10 * time.Millisecond

	// pause is how long a thread rests between two calls: what is measured is whom they
	// hold up in the kernel, and not that they take the processors.
	pause = 20 * time.Millisecond

	// Bounds of what mytun may take more than stock tun: so many times as long, and then
	// for a hold of rtnl less than waiting for RCU takes, and for the others what the
	// scheduler lets them wait besides.
	stallTimes = 2
	holdSlack  = time.Millisecond
	stallSlack = 400 * time.Millisecond
)

// A configCall is something that the holder of a file may do again and again. Its
// argument is the number of the call.
type configCall struct {
	name string
	call func(f *device.File, i int)
}

// intCall is an ioctl that takes a pointer to an int.
func intCall(name string, request uint, values ...int) configCall {
	return configCall{name, func(f *device.File, i int) { f.SetInt(request, values[i%len(values)]) }}
}

// valueCall is one that takes a number.
func valueCall(name string, request uint, values ...uintptr) configCall {
	return configCall{name, func(f *device.File, i int) { device.IoctlValue(f.FD, request, values[i%len(values)]) }}
}

// ifreqCall is one that takes a struct ifreq.
func ifreqCall(name string, request uint, ifreq ...[]byte) configCall {
	return configCall{name, func(f *device.File, i int) {
		device.Ioctl(f.FD, request, slices.Clone(ifreq[i%len(ifreq)]))
	}}
}

// hardwareAddress is the argument of SIOCSIFHWADDR.
func hardwareAddress(last byte) []byte {
	b := device.Ifreq("", unix.ARPHRD_ETHER)
	copy(b[unix.IFNAMSIZ+2:], []byte{2, 0, 0, 0, 0, last})
	return b
}

// addressFilter is the argument of TUNSETTXFILTER: an address, or none.
func addressFilter(addresses uint16) []byte {
	b := make([]byte, 4+6)
	binary.NativeEndian.PutUint16(b[2:], addresses)
	b[4] = 2
	return b
}

// stockCalls are the ioctls that both drivers have.
func stockCalls(program int) []configCall {
	passAll := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0xffff}}
	return []configCall{
		ifreqCall("TUNSETIFF", unix.TUNSETIFF, device.Ifreq("", device.TAP)),
		ifreqCall("TUNGETIFF", unix.TUNGETIFF, device.Ifreq("", 0)),
		ifreqCall("TUNSETQUEUE", unix.TUNSETQUEUE, device.Ifreq("", unix.IFF_DETACH_QUEUE), device.Ifreq("", unix.IFF_ATTACH_QUEUE)),
		valueCall("TUNSETPERSIST", unix.TUNSETPERSIST, 1, 0),
		valueCall("TUNSETOWNER", unix.TUNSETOWNER, 0, 1000),
		valueCall("TUNSETGROUP", unix.TUNSETGROUP, 0, 1000),
		valueCall("TUNSETNOCSUM", unix.TUNSETNOCSUM, 0),
		valueCall("TUNSETOFFLOAD", unix.TUNSETOFFLOAD, 0, 1),
		valueCall("TUNSETLINK", unix.TUNSETLINK, unix.ARPHRD_ETHER),
		intCall("TUNSETCARRIER", unix.TUNSETCARRIER, 0, 1),
		intCall("TUNSETSNDBUF", unix.TUNSETSNDBUF, 1<<20, 4096),
		intCall("TUNSETVNETHDRSZ", unix.TUNSETVNETHDRSZ, 10, 12),
		intCall("TUNSETVNETLE", unix.TUNSETVNETLE, 0, 1),
		intCall("TUNSETIFINDEX", unix.TUNSETIFINDEX, 1000),
		{"TUNSETTXFILTER", func(f *device.File, i int) { device.Ioctl(f.FD, unix.TUNSETTXFILTER, addressFilter(uint16(i%2))) }},
		{"TUNATTACHFILTER", func(f *device.File, _ int) { f.TryAttachFilter(passAll) }},
		valueCall("TUNDETACHFILTER", unix.TUNDETACHFILTER, 0),
		{"TUNATTACHFILTER, TUNDETACHFILTER", func(f *device.File, _ int) {
			f.TryAttachFilter(passAll)
			device.IoctlValue(f.FD, unix.TUNDETACHFILTER, 0)
		}},
		intCall("TUNSETSTEERINGEBPF", unix.TUNSETSTEERINGEBPF, program, -1),
		intCall("TUNSETFILTEREBPF", unix.TUNSETFILTEREBPF, program, -1),
		ifreqCall("SIOCGIFHWADDR", unix.SIOCGIFHWADDR, device.Ifreq("", 0)),
		ifreqCall("SIOCSIFHWADDR", unix.SIOCSIFHWADDR, hardwareAddress(1), hardwareAddress(2)),
		{"TUNGETSNDBUF", func(f *device.File, _ int) { f.GetInt(unix.TUNGETSNDBUF) }},
		{"TUNGETDEVNETNS", func(f *device.File, _ int) {
			if fd, err := device.IoctlResult(f.FD, unix.TUNGETDEVNETNS, nil); err == nil {
				unix.Close(fd)
			}
		}},
	}
}

// ownCalls are mytun's alone.
func ownCalls(eventfds [2]int) []configCall {
	return []configCall{
		{"MYTUN_IOC_GET_INFO", func(f *device.File, _ int) { f.TryInfo() }},
		{"MYTUN_IOC_SET_RINGS", func(f *device.File, _ int) {
			f.TrySetRings(device.RingConfig{RxSize: minRing, TxSize: minRing})
		}},
		{"MYTUN_IOC_SET_EVENTFDS", func(f *device.File, i int) {
			a, b := int32(eventfds[i%2]), int32(eventfds[1-i%2])
			f.TrySetEventfds(device.Eventfds{RxDoorbell: a, TxDoorbell: b, TxSpace: a})
		}},
		{"MYTUN_IOC_SET_POLL", func(f *device.File, i int) { f.TrySetPoll(uint32(i % 2)) }},
		{"MYTUN_IOC_SET_BACKPRESSURE", func(f *device.File, i int) { f.TrySetBackpressure(uint32(i % 2)) }},
		{"MYTUN_IOC_SET_BATCH", func(f *device.File, i int) { f.TrySetBatch(uint32(i % 4)) }},
		{"MYTUN_IOC_WAIT", func(f *device.File, _ int) { f.TryWait() }},
		{"MYTUN_IOC_GET_STATS", func(f *device.File, _ int) { device.Ioctl(f.FD, device.IocGetStats, make([]byte, device.StatsSize)) }},
	}
}

// A stall is how long others had to wait while a call was made in a loop.
type stall struct {
	Hold    time.Duration `json:"hold_ns"`    // of rtnl, on average, before the device's end
	Median  time.Duration `json:"median_ns"`  // of somebody else's requests, before the device's end
	Longest time.Duration `json:"longest_ns"` // of them, those during the deletion included
	Delete  time.Duration `json:"delete_ns"`  // of the device
}

// A stranger makes requests that have nothing to do with tun, in a network namespace of
// its own, and watches who keeps it waiting.
type stranger struct {
	*netlink.Handle
	dummy netlink.Link
	rtnl  *device.RTNL
}

func newStranger(t *testing.T) *stranger {
	t.Helper()
	ns := device.NewNamespace(t)
	h, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	if err := h.LinkAdd(&netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: "mystranger"}}); err != nil {
		t.Fatalf("dummy: %v", err)
	}
	dummy, err := h.LinkByName("mystranger")
	if err != nil {
		t.Fatal(err)
	}
	return &stranger{h, dummy, device.WatchRTNL(t, 2*callers)}
}

// request changes the length of a queue, and tells how long that took.
func (s *stranger) request(t *testing.T, i int) time.Duration {
	start := time.Now()
	if err := s.LinkSetTxQLen(s.dummy, 500+i); err != nil {
		t.Errorf("txqueuelen: %v", err)
	}
	return time.Since(start)
}

// urgent lets the calling goroutine's thread run before those that call.
func urgent(t *testing.T) {
	runtime.LockOSThread()
	const fifo = 1
	attr := &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: fifo, Priority: 1}
	if err := unix.SchedSetAttr(0, attr, 0); err != nil {
		t.Errorf("SCHED_FIFO: %v", err)
	}
}

// callInALoop makes a call from many threads until it is stopped.
func callInALoop(f *device.File, c configCall) (stop func()) {
	var over atomic.Bool
	var running sync.WaitGroup
	rest := unix.NsecToTimespec(int64(pause))
	for range callers {
		running.Go(func() {
			runtime.LockOSThread()
			for i := 0; !over.Load(); i++ {
				c.call(f, i)
				unix.Nanosleep(&rest, nil)
			}
		})
	}
	return func() {
		over.Store(true)
		running.Wait()
	}
}

// measureStall makes a device, and measures a round.
func (s *stranger) measureStall(t *testing.T, node string, c configCall, rings bool) (result stall) {
	t.Helper()
	f := device.OpenNode(t, node, unix.O_NONBLOCK)
	name := f.Attach(t, "mystall%d", device.TAP|device.Multi)
	if rings {
		f.SetRings(t, minRing, minRing)
	}
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	link := device.LinkOf(t, name)
	stop := callInALoop(f, c)
	measured := make(chan struct{})
	go func() {
		defer close(measured)
		urgent(t)
		result = s.measure(t, func() {
			if err := h.LinkDel(link); err != nil {
				t.Errorf("delete %s: %v", name, err)
			}
		})
	}()
	<-measured
	stop()
	f.Close()
	return result
}

// measure measures some requests, then the end of the device, and requests beside it.
func (s *stranger) measure(t *testing.T, end func()) stall {
	var took []time.Duration
	s.rtnl.Holds(t)
	rest := unix.NsecToTimespec(int64(stallRest))
	for i := range stallRequests {
		took = append(took, s.request(t, i))
		unix.Nanosleep(&rest, nil)
	}
	hold := s.rtnl.Holds(t).Mean()
	ended := make(chan time.Duration)
	go func() {
		urgent(t)
		start := time.Now()
		end()
		ended <- time.Since(start)
	}()
	for i := 0; ; i++ {
		took = append(took, s.request(t, i))
		select {
		case end := <-ended:
			slices.Sort(took[:stallRequests])
			return stall{hold, took[stallRequests/2], slices.Max(took), end}
		default:
		}
	}
}

// medianOf is the median of each number.
func medianOf(stalls []stall) stall {
	median := func(of func(stall) time.Duration) time.Duration {
		sorted := slices.SortedFunc(slices.Values(stalls), func(a, b stall) int { return cmp.Compare(of(a), of(b)) })
		return of(sorted[len(sorted)/2])
	}
	return stall{
		median(func(s stall) time.Duration { return s.Hold }),
		median(func(s stall) time.Duration { return s.Median }),
		median(func(s stall) time.Duration { return s.Longest }),
		median(func(s stall) time.Duration { return s.Delete }),
	}
}

// faults compares a stall of mytun's with what stock tun makes others wait.
func (s stall) faults(t *testing.T, name string, stock stall) (faults []string) {
	t.Helper()
	line, err := json.Marshal(map[string]any{"call": name, "mytun": s, "stock": stock})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%-33s ms: mytun holds rtnl %6.2f, others wait %7.2f to %7.1f, delete %7.1f; stock tun %6.2f, %7.2f to %7.1f, %7.1f", name,
		ms(s.Hold), ms(s.Median), ms(s.Longest), ms(s.Delete), ms(stock.Hold), ms(stock.Median), ms(stock.Longest), ms(stock.Delete))
	t.Logf("%s", line)
	for _, c := range []struct {
		what                string
		mytun, stock, slack time.Duration
	}{
		{"a hold of rtnl", s.Hold, stock.Hold, holdSlack},
		{"half of the others' requests", s.Median, stock.Median, stallSlack},
		{"somebody else's request", s.Longest, stock.Longest, stallSlack},
		{"deleting the device", s.Delete, stock.Delete, stallSlack},
	} {
		if most := stallTimes*c.stock + c.slack; c.mytun > most {
			faults = append(faults, fmt.Sprintf("%s took %v, with stock tun %v: at most %v would do", c.what, c.mytun, c.stock, most))
		}
	}
	return faults
}

// checkStalls fails if what is measured of mytun is over its bound in each of some
// measurements: what else the machine does shows in one of them, a wait of the module's
// in all.
func checkStalls(t *testing.T, measure func() []string) {
	t.Helper()
	var faults []string
	for range stallMeasurements {
		now := measure()
		if now == nil {
			return
		}
		faults = append(faults, now...)
	}
	t.Error(strings.Join(faults, "\n"))
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// socketProgram is what TUNSETSTEERINGEBPF and TUNSETFILTEREBPF take.
func socketProgram(t *testing.T) *ebpf.Program {
	t.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SocketFilter, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0xffff), asm.Return()},
	})
	if err != nil {
		t.Fatalf("program: %v", err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// TestCallsInALoopHoldNobodyUp: rtnl is the whole machine's. While many threads make a call
// in a loop, it is held no longer than with stock tun, nor does somebody else's request take
// longer, or the end of the device; beside mytun's own calls no longer than beside most of
// stock tun's.
func TestCallsInALoopHoldNobodyUp(t *testing.T) {
	if device.Slow() {
		t.Skip("how long a debug kernel takes says nothing")
	}
	runtime.GOMAXPROCS(callers + 8)
	device.Sandbox(t)
	s, program := newStranger(t), socketProgram(t)
	var stocks []stall
	for _, c := range stockCalls(program.FD()) {
		t.Run(c.name, func(t *testing.T) {
			checkStalls(t, func() []string {
				stock := s.measureStall(t, device.StockNode, c, false)
				stocks = append(stocks, stock)
				return s.measureStall(t, device.Node, c, false).faults(t, c.name, stock)
			})
		})
	}
	eventfds := [2]int{device.Eventfd(t), device.Eventfd(t)}
	for _, c := range ownCalls(eventfds) {
		t.Run(c.name, func(t *testing.T) {
			checkStalls(t, func() []string {
				return s.measureStall(t, device.Node, c, true).faults(t, c.name, medianOf(stocks))
			})
		})
	}
}
