// SPDX-License-Identifier: MIT

//go:build mytun_device

package stat

import (
	"math"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

const (
	port    = 9
	payload = 100
	nobody  = 65534
)

// sendDown sends datagrams to the process, which need not take them.
func sendDown(t *testing.T, l *device.Link, conn *net.UDPConn, n int) {
	t.Helper()
	for range n {
		if _, err := conn.WriteToUDPAddrPort(device.Pattern(1, payload), l.PeerAddr(false, port)); err != nil {
			t.Fatal(err)
		}
	}
}

// sum adds up what rates say of their intervals.
type sum struct{ rxPackets, rxBytes, rxWakeups, txPackets, txBytes, txWakeups, drops float64 }

func (s *sum) add(r *rates, seconds float64) {
	s.rxPackets += r.RxPackets * seconds
	s.rxBytes += r.RxBytes * seconds
	s.txPackets += r.TxPackets * seconds
	s.txBytes += r.TxBytes * seconds
	s.drops += r.Drops * seconds
	if r.RxWakeups != nil {
		s.rxWakeups += *r.RxWakeups / 1000 * r.RxPackets * seconds
	}
	if r.TxWakeups != nil {
		s.txWakeups += *r.TxWakeups / 1000 * r.TxPackets * seconds
	}
}

// TestRatesAreOfWhatWasSent: over all intervals they come to the packets and bytes that went each way,
// and to the doorbells that the kernel's own statistics tell of.
func TestRatesAreOfWhatWasSent(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	conn := l.ListenUDP(t, false, device.HostPort)
	stat := goOn(t, l.Name)
	first := stat.next(t).only(t, l.Name).queue(t, 0, 1).Counters
	const down, up = 300, 200
	for range down {
		sendDown(t, l, conn, 1)
		l.Queue().Receive(t, l.To(port))
	}
	frame := l.Frame(false, device.Datagram{SrcPort: port, DstPort: device.HostPort, Payload: device.Pattern(2, payload)})
	for range up {
		l.Queue().Send(t, frame)
	}
	l.Queue().WaitTaken(t)
	want := l.Queue().Settled(t)
	var s sum
	for {
		r := stat.next(t)
		q := r.only(t, l.Name).queue(t, 0, 1)
		s.add(q.Rates, r.Seconds)
		if q.Counters["rx_frames"] == want.RxFrames && q.Counters["tx_frames"] == want.TxFrames {
			break
		}
	}
	for _, c := range []struct {
		name string
		got  float64
		want uint64
	}{
		{"rx packets", s.rxPackets, down}, {"rx bytes", s.rxBytes, down * (payload + 28)},
		{"tx packets", s.txPackets, up}, {"tx bytes", s.txBytes, up * (payload + 28)},
		{"drops", s.drops, 0},
		{"rx wake-ups", s.rxWakeups, want.RxDoorbells - first["rx_doorbells"]},
		{"tx wake-ups", s.txWakeups, want.TxDoorbells - first["tx_doorbells"]},
	} {
		if math.Abs(c.got-float64(c.want)) > 0.01 {
			t.Errorf("%s come to %v, want %d", c.name, c.got, c.want)
		}
	}
}

// TestEachQueue has its own line: several, one of them parked, with the rings' sizes and what is in them.
func TestEachQueue(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{TAP: true, Queues: 2, TxSize: 2 * device.RingSizeMin})
	conn := l.ListenUDP(t, false, device.HostPort)
	l.Queues[1].SetQueue(t, unix.IFF_DETACH_QUEUE)
	const frames = 5
	sendDown(t, l, conn, frames)
	footprint := device.Footprint(l.LinkHeader() + 28 + payload)
	d := once(t, 0, l.Name)
	got := d.only(t, l.Name)
	if got.Mode != "TAP" || !got.Up || !got.Carrier || got.Persistent || got.Rates == nil {
		t.Errorf("the device: %+v", got)
	}
	for i := range l.Queues {
		q := got.queue(t, i, 2)
		q.checkOwner(t)
		if q.Parked != (i == 1) || q.New || len(q.Broken) != 0 {
			t.Errorf("queue %d: %+v", i, q)
		}
		if q.Rings == nil || q.Rings.RxSize != device.RingSizeMin || q.Rings.TxSize != 2*device.RingSizeMin || q.Rings.TxUsed != 0 {
			t.Errorf("rings of queue %d: %+v", i, q.Rings)
		}
	}
	if used := got.Queues[0].Rings.RxUsed; used != frames*footprint {
		t.Errorf("%d bytes in the rx ring, want %d", used, frames*footprint)
	}
}

// TestDropsByReason: what the process sent amiss, each under its name.
func TestDropsByReason(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	stat := goOn(t, l.Name)
	stat.next(t)
	const short, neither = 3, 2
	for range short {
		l.Queue().Send(t, []byte{0x45})
	}
	for range neither {
		l.Queue().Send(t, make([]byte, 40))
	}
	l.Queue().WaitTaken(t)
	var s sum
	for {
		r := stat.next(t)
		q := r.only(t, l.Name).queue(t, 0, 1)
		s.add(q.Rates, r.Seconds)
		if q.Drops["tx_refused_length"].Total == short && q.Drops["tx_refused_protocol"].Total == neither {
			break
		}
	}
	if math.Abs(s.drops-(short+neither)) > 0.01 {
		t.Errorf("drops come to %v, want %d", s.drops, short+neither)
	}
	out, _, err := run(t, 0, l.Name)
	if err != nil || !strings.Contains(out, "dropped: tx_refused_length 3, tx_refused_protocol 2\n") {
		t.Errorf("%v, the table is\n%s", err, out)
	}
}

// TestBrokenRing is said, of a queue that has stopped for it.
func TestBrokenRing(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	q := l.Queue()
	atomic.StoreUint32(q.Words.TxProducer, q.TxProducer()+1)
	if err := device.Signal(q.TxDoorbell); err != nil {
		t.Fatal(err)
	}
	device.WaitFor(t, "the queue to stop", func() bool { return q.State() != 0 })
	r := once(t, 0)
	if got := r.only(t, l.Name).queue(t, 0, 1); len(got.Broken) != 1 || got.Broken[0] != "tx" {
		t.Errorf("broken is %q", got.Broken)
	}
}

// TestOrdinaryUser sees what anybody may, and is told what is missing.
func TestOrdinaryUser(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	conn := l.ListenUDP(t, false, device.HostPort)
	sendDown(t, l, conn, 4)
	r := once(t, nobody)
	q := r.only(t, l.Name).queue(t, 0, 1)
	if q.Counters["rx_frames"] != 4 || q.Rates == nil || q.New {
		t.Errorf("the queue: %+v", q)
	}
	if len(q.Owners) != 0 || q.Rings != nil || q.Broken != nil || !noted(r, "of 1 queue: the processes are another user's: as root (sudo mytunstat)") {
		t.Errorf("the queue: %+v, notes %q", q, r.Notes)
	}
}

// TestOtherNamespace: a device is shown where it is, with its process, which is elsewhere; one of the
// same name is another.
func TestOtherNamespace(t *testing.T) {
	device.Sandbox(t)
	other := device.NewNamespace(t)
	f := device.Open(t)
	name := f.Attach(t, "mytwin", device.TUN)
	f.SetRings(t, device.RingSizeMin, device.RingSizeMin)
	device.Move(t, name, other)
	if r := once(t, 0); len(r.Devices) != 0 || !noted(r, "processes hold 1 queue in others: ip netns exec") {
		t.Errorf("where the device is not: %+v", r)
	}
	g := device.Open(t)
	g.Attach(t, name, device.TUN) // without rings
	r := once(t, 0)
	if q := r.only(t, name).queue(t, 0, 1); q.Rings != nil {
		t.Errorf("it has the other's rings: %+v", q.Rings)
	} else {
		q.checkOwner(t)
	}
	device.Inside(t, other, func() {
		r := once(t, 0)
		q := r.only(t, name).queue(t, 0, 1)
		q.checkOwner(t)
		if q.Rings == nil {
			t.Error("where it was moved it has no rings")
		}
	})
}

// TestDeviceGoes between two looks: that is said once, and is no end. Another one that comes is new.
func TestDeviceGoes(t *testing.T) {
	device.Sandbox(t)
	f := device.Open(t)
	name := f.Attach(t, "mygoes", device.TUN)
	stat := goOn(t, name)
	stat.next(t).only(t, name)
	device.Delete(t, name)
	gone := 0
	for {
		r := stat.next(t)
		gone += len(r.Gone)
		if len(r.Devices) == 0 && len(r.Gone) == 0 {
			break
		}
	}
	if gone != 1 {
		t.Errorf("%d times it is said that it is gone, want 1", gone)
	}
	device.Open(t).Attach(t, name, device.TUN)
	for {
		r := stat.next(t)
		if len(r.Devices) > 0 {
			if q := r.Devices[0].queue(t, 0, 1); !q.New || q.Rates != nil {
				t.Errorf("one that has come: %+v", q)
			}
			return
		}
	}
}

// TestPersistentDevice without a queue is shown all the same.
func TestPersistentDevice(t *testing.T) {
	device.Sandbox(t)
	f := device.Open(t)
	name := f.Attach(t, "mystays", device.TUN)
	f.SetPersist(t, true)
	f.Close()
	defer device.Delete(t, name)
	r := once(t, 0)
	if d := r.only(t, name); !d.Persistent || len(d.Queues) != 0 || d.Rates != nil || d.Carrier {
		t.Errorf("got %+v", d)
	}
	if out, _, err := run(t, 0); err != nil || !strings.Contains(out, "no queue") {
		t.Errorf("%v, the table is\n%s", err, out)
	}
}

// TestNoSuchDevice: the words are for people, and the status is for programs.
func TestNoSuchDevice(t *testing.T) {
	device.Sandbox(t)
	stock := device.OpenNode(t, device.StockNode, 0)
	stockName := stock.Attach(t, "stock0", device.TUN)
	for _, test := range []struct{ name, want string }{
		{"nowhere", "there is no network device nowhere"}, {"lo", "lo is no mytun device"}, {stockName, "kernel's own tun"},
	} {
		out, complaint, err := run(t, 0, "-w", test.name)
		if err == nil || out != "" || !strings.Contains(complaint, test.want) || strings.Count(complaint, "\n") != 1 {
			t.Errorf("%s: %v, %q, %q", test.name, err, out, complaint)
		}
	}
	if out, complaint, err := run(t, 0); err != nil || !strings.HasPrefix(out, "no mytun device to show") {
		t.Errorf("no device: %v, %q, %q", err, out, complaint)
	}
}
