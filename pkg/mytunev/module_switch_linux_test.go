// SPDX-License-Identifier: MIT

//go:build mytun_device

package mytunev

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mytun/mytun/internal/watchdog"

	"github.com/vishvananda/netlink"
)

// Of Ethernet frames.
const (
	etherARP  = 0x0806
	etherIPv4 = 0x0800
	etherVLAN = 0x8100
)

// farMAC is the address of all that is behind a TAP device.
var farMAC = [6]byte{2, 0, 0, 0, 0, 0x99}

// A farSide is all hosts behind a device: it answers ARP, sends datagrams back, and turns a TCP
// connection to one of them into one from it to the same port here. It counts what it sees.
type farSide struct {
	tap                  bool
	tagged, supers, seen atomic.Int64
	broadcasts           chan []byte // if not nil: Ethernet frames to everybody with IPv4, as many as it has room for
	arpReplies           atomic.Int64
}

// handle is a Handler.
func (s *farSide) handle(b *Batch) error {
	for f := range b.Frames() {
		s.seen.Add(1)
		if f.SegmentSize() != 0 {
			s.supers.Add(1)
		}
		answered := false
		if s.tap {
			answered = s.answerEthernet(f.Data)
		} else {
			answered = answerIPv4(f.Data)
		}
		if answered {
			if err := b.SendFrame(f); err != nil {
				return err
			}
		}
	}
	return nil
}

// answerEthernet makes the answer to a frame of it, and tells whether there is one.
func (s *farSide) answerEthernet(p []byte) bool {
	kind, packet := binary.BigEndian.Uint16(p[12:]), p[14:]
	if kind == etherVLAN {
		s.tagged.Add(1)
		kind, packet = binary.BigEndian.Uint16(p[16:]), p[18:]
	}
	answered := false
	switch {
	case kind == etherARP:
		answered = s.answerARP(packet)
	case kind == etherIPv4 && p[0]&1 != 0:
		select {
		case s.broadcasts <- bytes.Clone(p):
		default:
		}
	case kind == etherIPv4:
		answered = answerIPv4(packet)
	}
	copy(p[:6], p[6:12])
	copy(p[6:12], farMAC[:])
	return answered
}

// answerARP makes an answer of a question.
func (s *farSide) answerARP(p []byte) bool {
	const answer = 2
	if p[7] == answer {
		s.arpReplies.Add(1)
		return false
	}
	var asked [4]byte
	copy(asked[:], p[24:28])
	if bytes.Equal(asked[:], p[14:18]) { // it tells of itself
		return false
	}
	p[7] = answer
	copy(p[18:28], p[8:18])
	copy(p[8:14], farMAC[:])
	copy(p[14:18], asked[:])
	return true
}

// answerIPv4 makes an answer of a packet. No sum changes.
func answerIPv4(p []byte) bool {
	switch {
	case isUDP(p):
		turnAround(p)
	case len(p) >= 40 && p[0] == 0x45 && p[9] == 6:
		var address [4]byte
		copy(address[:], p[12:])
		copy(p[12:16], p[16:])
		copy(p[16:20], address[:])
	default:
		return false
	}
	return true
}

// carry sends bytes to a host behind a device by TCP, which come back as a connection from
// there, and compares.
func carry(host string, bytesSent int) error {
	l, err := net.Listen("tcp", "10.9.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	l.(*net.TCPListener).SetDeadline(time.Now().Add(watchdog.Bound))
	got := make(chan error, 1)
	want := pattern(bytesSent, 7)
	go func() {
		c, err := l.Accept()
		if err != nil {
			got <- err
			return
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(watchdog.Bound))
		p, err := io.ReadAll(c)
		if err == nil && !bytes.Equal(p, want) {
			err = fmt.Errorf("%d bytes came that are not the %d that were sent", len(p), len(want))
		}
		got <- err
	}()
	d := net.Dialer{Timeout: watchdog.Bound}
	c, err := d.Dial("tcp", fmt.Sprint(host, ":", l.Addr().(*net.TCPAddr).Port))
	if err != nil {
		return err
	}
	c.SetDeadline(time.Now().Add(watchdog.Bound))
	_, err = c.Write(want)
	return errors.Join(err, c.Close(), <-got)
}

// testDeviceTAP: frames of all sizes, to one host and to all of them, with a VLAN tag and
// without; super-packets are whole.
func testDeviceTAP(t *testing.T) {
	for name, c := range map[string]Config{
		"plain":     {},
		"tx":        {Offload: OffloadTx},
		"checksums": {Offload: OffloadChecksum},
		"all":       {Offload: AllOffloads &^ (OffloadUSO4 | OffloadUSO6)},
		"queues":    {Queues: 2, Offload: OffloadTSO4 | OffloadTSO6},
		"room":      {Headroom: 50, Tailroom: 16, RxRing: 128 << 10, TxRing: 128 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			c.Mode = TAP
			d := openDevice(t, c)
			s := &farSide{tap: true, broadcasts: make(chan []byte, 1)}
			setUp(t, d)
			wait := start(t.Context(), d, s.handle)
			for _, size := range []int{0, 1, 17, 18, 19, 1471, 1472} {
				if err := ping("10.9.0.2:7", 20, size); err != nil {
					t.Errorf("%d bytes: %v", size, err)
				}
			}
			if err := carry("10.9.0.3", 2<<20); err != nil {
				t.Errorf("TCP: %v", err)
			}
			if whole := s.supers.Load() != 0; whole != (c.Offload&OffloadTSO4 != 0) {
				t.Errorf("super-packets came: %v", whole)
			}
			broadcast(t, s)
			tagged(t, d, s)
			d.Close()
			if err := wait(); err != ErrClosed {
				t.Error(err)
			}
		})
	}
}

// broadcast sends a datagram to everybody behind the device.
func broadcast(t *testing.T, s *farSide) {
	t.Helper()
	c, err := net.Dial("udp", "10.9.0.255:9")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("to everybody")); err != nil {
		t.Fatal(err)
	}
	select {
	case p := <-s.broadcasts:
		if !bytes.HasPrefix(p, bytes.Repeat([]byte{0xff}, 6)) || !bytes.HasSuffix(p, []byte("to everybody")) || len(p) != 14+28+12 {
			t.Errorf("%x", p)
		}
	case <-time.After(watchdog.Bound):
		t.Error("no frame to everybody came")
	}
}

// tagged sends datagrams and a stream through a VLAN on top of the device.
func tagged(t *testing.T, d *Device, s *farSide) {
	t.Helper()
	if out, err := exec.Command("modprobe", "8021q").CombinedOutput(); err != nil {
		t.Fatalf("modprobe 8021q: %v: %s", err, out)
	}
	below, err := netlink.LinkByName(d.Name())
	if err != nil {
		t.Fatal(err)
	}
	vlan := &netlink.Vlan{LinkAttrs: netlink.LinkAttrs{Name: "vlan7", ParentIndex: below.Attrs().Index}, VlanId: 7}
	address, _ := netlink.ParseAddr("10.10.0.1/24")
	if err := errors.Join(netlink.LinkAdd(vlan), netlink.AddrAdd(vlan, address), netlink.LinkSetUp(vlan)); err != nil {
		t.Fatal(err)
	}
	before := s.tagged.Load()
	for _, size := range []int{0, 18, 1472} {
		if err := ping("10.10.0.2:7", 20, size); err != nil {
			t.Errorf("%d bytes in a VLAN: %v", size, err)
		}
	}
	if n := s.tagged.Load() - before; n < 60 {
		t.Errorf("%d frames with a tag came, of 60 at least", n)
	}
}

// testDeviceTAPSends: a question to everybody is answered, and what is no Ethernet frame is
// refused.
func testDeviceTAPSends(t *testing.T) {
	d := openDevice(t, Config{Mode: TAP})
	setUp(t, d)
	s := &farSide{tap: true}
	wait := start(t.Context(), d, s.handle)
	question := append(bytes.Repeat([]byte{0xff}, 6), farMAC[:]...)
	question = append(question, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1)
	question = append(append(question, farMAC[:]...), 10, 9, 0, 2)
	question = append(question, 0, 0, 0, 0, 0, 0, 10, 9, 0, 1)
	if err := d.Send(question); err != nil {
		t.Fatal(err)
	}
	until(t, "the answer", func() bool { return s.arpReplies.Load() == 1 })
	var before Stats
	until(t, "the question counted", func() bool { // which may be later than the answer is there
		var err error
		before, err = d.Stats()
		return err != nil || before.TxFrames == 1
	})
	unknown := append(append(bytes.Repeat([]byte{0xff}, 6), farMAC[:]...), 0x88, 0xb5)
	for _, frame := range [][]byte{unknown, unknown[:13], unknown[:1], append(bytes.Clone(unknown), make([]byte, 46)...)} {
		if err := d.Send(frame); err != nil {
			t.Errorf("%d bytes: %v", len(frame), err)
		}
	}
	until(t, "two frames sent and two refused", func() bool {
		s, err := d.Stats()
		return err != nil || s.TxFrames-before.TxFrames == 2 && s.TxRefusedLength-before.TxRefusedLength == 2
	})
	d.Close()
	wait()
}

// testDeviceStream: TCP by super-packets and without, over TUN.
func testDeviceStream(t *testing.T) {
	for _, o := range []Offload{0, OffloadTx, OffloadChecksum, OffloadTSO4 | OffloadTSO6 | OffloadTSOECN} {
		t.Run(o.String(), func(t *testing.T) {
			d := openDevice(t, Config{Offload: o})
			s := &farSide{}
			setUp(t, d)
			wait := start(t.Context(), d, s.handle)
			if err := carry("10.9.0.3", 4<<20); err != nil {
				t.Error(err)
			}
			if whole := s.supers.Load() != 0; whole != (o&OffloadTSO4 != 0) {
				t.Errorf("super-packets came: %v", whole)
			}
			d.Close()
			wait()
		})
	}
}
