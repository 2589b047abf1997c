// SPDX-License-Identifier: MIT

//go:build linux

package device

import (
	"bytes"
	"encoding/binary"
	"net"
	"testing"
	"time"
)

// Pattern is n bytes that depend on seed, each on its place too, so that a
// byte that is missing, doubled or another frame's shows.
func Pattern(seed uint64, n int) []byte {
	b := make([]byte, n+8)
	x := seed*0x9e3779b97f4a7c15 + 1
	for at := 0; at < n; at += 8 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		binary.LittleEndian.PutUint64(b[at:], x)
	}
	return b[:n]
}

// Expect reads a datagram and compares it with what was sent.
func Expect(t testing.TB, conn *net.UDPConn, want []byte) {
	t.Helper()
	b := make([]byte, len(want)+1)
	if err := conn.SetReadDeadline(time.Now().Add(Deadline)); err != nil {
		t.Fatal(err)
	}
	n, _, err := conn.ReadFromUDPAddrPort(b)
	if err != nil {
		t.Fatalf("datagram of %d bytes did not come: %v", len(want), err)
	}
	if !bytes.Equal(b[:n], want) {
		t.Fatalf("datagram of %d bytes came as %d others", len(want), n)
	}
}

// The ports that Exchange uses: the kernel's side and the process's.
const (
	HostPort = 7777
	PeerPort = 9999
)

// Exchange sends datagrams of the given payload lengths one by one through a
// queue to the kernel, and from the kernel to the process, and compares all.
// Frames to the process are taken from the first queue.
func (l *Link) Exchange(t testing.TB, ipv6 bool, lengths ...int) {
	t.Helper()
	conn := l.ListenUDP(t, ipv6, HostPort)
	defer conn.Close()
	for i, length := range lengths {
		up, down := Pattern(uint64(2*i), length), Pattern(uint64(2*i+1), length)
		l.Queue().Send(t, l.Frame(ipv6, Datagram{PeerPort, HostPort, up}))
		Expect(t, conn, up)
		if _, err := conn.WriteToUDPAddrPort(down, l.PeerAddr(ipv6, PeerPort)); err != nil {
			t.Fatalf("send %d bytes: %v", length, err)
		}
		h, frame := l.Queue().Receive(t, l.To(PeerPort))
		if d, _ := l.Parse(frame); !bytes.Equal(d.Payload, down) || d.SrcPort != HostPort {
			t.Fatalf("frame of %d bytes came as %d others", length, len(d.Payload))
		}
		if h.Flags&^FrameHash != 0 || h.Tunnel != (TunnelOffsets{}) || h.Reserved != 0 {
			t.Fatalf("frame header %+v", h)
		}
	}
}

// Drain takes all frames that wait for the process, those in the kernel's
// queue included: the last is one that it sent itself. It sends another now and
// then, as the queue may be full, and waits for the newest: nothing follows it.
func (l *Link) Drain(t testing.TB) {
	t.Helper()
	conn := l.ListenUDP(t, false, 0)
	defer conn.Close()
	q, newest, looks := l.Queue(), uint32(0), 0
	WaitFor(t, "the end of the frames on their way", func() bool {
		if looks%50 == 0 {
			newest++
			conn.WriteToUDPAddrPort(binary.NativeEndian.AppendUint32(nil, newest), l.PeerAddr(false, drainPort))
		}
		looks++
		found := false
		for h, frame, ok := q.Peek(); ok; h, frame, ok = q.Peek() {
			d, whole := l.Parse(frame)
			found = whole && d.DstPort == drainPort && binary.NativeEndian.Uint32(d.Payload) == newest
			q.Next(h)
			q.Release()
		}
		return found
	})
}

const drainPort = 9998

// CheckWorks makes sure that a new device carries frames, whatever happened
// to others.
func CheckWorks(t testing.TB) {
	t.Helper()
	ns := NewNamespace(t)
	Inside(t, ns, func() {
		l := NewLink(t, Config{Name: "mycheck%d"})
		l.Exchange(t, false, 0, 1, 100, 1472)
		l.Queue().Close()
		l.Queue().Unmap()
		WaitGone(t, l.Name)
	})
}
