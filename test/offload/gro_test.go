// SPDX-License-Identifier: MIT

//go:build mytun_device

package offload

import (
	"bytes"
	"net"
	"testing"
	"time"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

// putSegments puts count plain segments of TCP and publishes them at once. It
// returns what they carry.
func putSegments(p *device.TCPPeer, seed uint64, count, size int) []byte {
	data := device.Pattern(seed, count*size)
	for at := 0; at < len(data); at += size {
		p.Link.Queue().Put(p.Segment(data[at : at+size]))
	}
	p.Link.Queue().Publish()
	return data
}

// TestSegmentsOfTCPAreMerged: what the process sent one by one but at once is
// few packets for the stack; with GRO off it is as many as were sent.
func TestSegmentsOfTCPAreMerged(t *testing.T) {
	eachLink(t, device.Config{}, func(t *testing.T, l *device.Link, ipv6 bool) {
		const count, size = 30, 1400
		p := l.DialTCP(t, ipv6, 4000)
		tap := openTap(t, l, ipv6)
		data := putSegments(p, 1, count, size)
		expectStream(t, p, data)
		if n := tap.packets(t, count*size); n > 4 {
			t.Errorf("%d segments of a flow came as %d packets", count, n)
		}
		device.SetFeature(t, l.Name, "rx-gro", false)
		data = putSegments(p, 2, count, size)
		expectStream(t, p, data)
		if n := tap.packets(t, count*size); n != count {
			t.Errorf("%d segments of a flow came as %d packets without GRO", count, n)
		}
		checkErrors(t)
		expectRefused(t, l, 0)
	})
}

// tap is a packet socket that sees what the stack gets from a device.
type tap struct {
	fd, headers int
}

func openTap(t *testing.T, l *device.Link, ipv6 bool) *tap {
	t.Helper()
	protocol, headers := uint16(unix.ETH_P_IP), device.IPHeader(ipv6)+20
	if ipv6 {
		protocol = unix.ETH_P_IPV6
	}
	protocol = protocol<<8 | protocol>>8
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, int(protocol))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	index := device.LinkOf(t, l.Name).Attrs().Index
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: protocol, Ifindex: index}); err != nil {
		t.Fatal(err)
	}
	limit := unix.Timeval{Sec: int64(device.Deadline.Seconds())}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20); err != nil {
		t.Fatal(err)
	}
	return &tap{fd, headers}
}

// packets is how many packets of TCP it takes to carry so many bytes.
func (s *tap) packets(t *testing.T, bytes int) (count int) {
	t.Helper()
	b := make([]byte, 1<<16)
	for bytes > 0 {
		n, err := device.Restart(func() (int, error) { return unix.Read(s.fd, b) })
		if err != nil {
			t.Fatalf("%d bytes more were to come: %v", bytes, err)
		}
		if n > s.headers { // not what ended the handshake
			count++
			bytes -= n - s.headers
		}
	}
	return count
}

// TestOrderOfMergedFlows: two flows in turns, and segments of odd sizes.
func TestOrderOfMergedFlows(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{TxSize: 1 << 20})
	first, second := l.DialTCP(t, false, 4000), l.DialTCP(t, false, 4001)
	a, b := device.Pattern(1, device.WindowMin), device.Pattern(2, device.WindowMin)
	for at := 0; at < len(a); {
		size := min(1+at*7%1400, len(a)-at)
		l.Queue().Put(first.Segment(a[at : at+size]))
		l.Queue().Put(second.Segment(b[at : at+size]))
		at += size
	}
	l.Queue().Publish()
	expectStream(t, first, a)
	expectStream(t, second, b)
	checkErrors(t)
	if n := device.NetStat(t)["TcpExt.TCPOFOQueue"]; n != 0 {
		t.Errorf("%d segments came out of order", n)
	}
}

// TestNothingIsHeldBack: a lone segment, with nothing behind it, arrives.
func TestNothingIsHeldBack(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	conn := l.ListenUDP(t, false, hostPort)
	device.AskForGRO(t, conn)
	p := l.DialTCP(t, false, 4000)
	for i := range 200 {
		expectStream(t, p, putSegments(p, uint64(i), 1, 1+i))
		data := device.Pattern(uint64(i), 1+i)
		l.Queue().Send(t, l.Frame(false, device.Datagram{SrcPort: peerPort, DstPort: hostPort, Payload: data}))
		if got, _ := device.ReadBatch(t, conn); !bytes.Equal(got, data) {
			t.Fatalf("%d bytes came as %d others", len(data), len(got))
		}
	}
}

// putDatagrams puts datagrams of the given sizes and publishes them at once.
func putDatagrams(l *device.Link, ipv6 bool, sizes []int) (data []byte) {
	for i, size := range sizes {
		payload := device.Pattern(uint64(i), size)
		l.Queue().Put(l.Frame(ipv6, device.Datagram{SrcPort: peerPort, DstPort: hostPort, Payload: payload}))
		data = append(data, payload...)
	}
	l.Queue().Publish()
	return data
}

// readBatches reads so many bytes in as many batches as it takes.
func readBatches(t *testing.T, conn *net.UDPConn, bytes int) (data []byte, batches int) {
	t.Helper()
	for ; len(data) < bytes; batches++ {
		batch, _ := device.ReadBatch(t, conn)
		data = append(data, batch...)
	}
	return data, batches
}

// TestDatagramsAreMergedForWhoAsks: a socket with UDP_GRO reads many at once,
// in their order, and with GRO off one by one.
func TestDatagramsAreMergedForWhoAsks(t *testing.T) {
	eachLink(t, device.Config{}, func(t *testing.T, l *device.Link, ipv6 bool) {
		conn := l.ListenUDP(t, ipv6, hostPort)
		device.AskForGRO(t, conn)
		sizes := make([]int, 40)
		for i := range sizes {
			sizes[i] = 1200
		}
		want := putDatagrams(l, ipv6, sizes)
		got, batches := readBatches(t, conn, len(want))
		if !bytes.Equal(got, want) || batches > 4 {
			t.Errorf("%d datagrams came in %d batches, or changed", len(sizes), batches)
		}
		device.SetFeature(t, l.Name, "rx-gro", false)
		want = putDatagrams(l, ipv6, sizes)
		got, batches = readBatches(t, conn, len(want))
		if !bytes.Equal(got, want) || batches != len(sizes) {
			t.Errorf("%d datagrams came in %d batches without GRO, or changed", len(sizes), batches)
		}
		checkErrors(t)
	})
}

// TestOrderOfMergedDatagrams: sizes that go up and down end a batch each time.
func TestOrderOfMergedDatagrams(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{TxSize: 1 << 20})
	conn := l.ListenUDP(t, false, hostPort)
	device.AskForGRO(t, conn)
	var sizes []int
	for i := range 200 {
		sizes = append(sizes, 1+i*37%1400, 1000, 1000, 999)
	}
	want := putDatagrams(l, false, sizes)
	if got, batches := readBatches(t, conn, len(want)); !bytes.Equal(got, want) || batches >= len(sizes) {
		t.Errorf("%d datagrams came in %d batches, or in another order", len(sizes), batches)
	}
}

// TestDatagramsAreNotMergedForOthers: a socket that did not ask reads them one
// by one, even if another one did.
func TestDatagramsAreNotMergedForOthers(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	device.AskForGRO(t, l.ListenUDP(t, false, hostPort+1))
	conn := l.ListenUDP(t, false, hostPort)
	sizes := []int{1200, 1200, 1200, 1200, 500}
	putDatagrams(l, false, sizes)
	for i, size := range sizes {
		device.Expect(t, conn, device.Pattern(uint64(i), size))
	}
	conn.SetReadDeadline(time.Now())
	if n, err := conn.Read(make([]byte, 1)); err == nil {
		t.Errorf("%d bytes more came", n)
	}
}
