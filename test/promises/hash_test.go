// SPDX-License-Identifier: MIT

//go:build mytun_device

// Package promises tests what kmod/uapi/linux/mytun.h promises and what no other suite is about.
package promises

import (
	"net/netip"
	"testing"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

const peerPort = 4000

// eachFamily runs a test with a device of its own and each family.
func eachFamily(t *testing.T, f func(t *testing.T, l *device.Link, ipv6 bool)) {
	t.Helper()
	for name, ipv6 := range map[string]bool{"IPv4": false, "IPv6": true} {
		t.Run(name, func(t *testing.T) {
			device.Sandbox(t)
			f(t, device.NewLink(t, device.Config{IPv6: true}), ipv6)
		})
	}
}

// A flow is what came of one, and the hash that all of it must have.
type flow struct {
	l      *device.Link
	frames int
	hash   uint32
}

// next is the next frame of the kernel's to a port of TCP or UDP.
func (f *flow) next(t *testing.T, ipv6 bool, protocol uint8, port uint16) []byte {
	t.Helper()
	h, frame := f.l.Queue().Receive(t, func(_ device.Header, frame []byte) bool {
		at := device.IPHeader(ipv6)
		return len(frame) >= at+header.UDPMinimumSize && protocolOf(frame) == protocol &&
			header.UDP(frame[at:]).DestinationPort() == port
	})
	f.add(t, h)
	return frame
}

// add looks at the hash of one more frame.
func (f *flow) add(t *testing.T, h device.Header) {
	t.Helper()
	if h.Flags&device.FrameHash == 0 {
		t.Fatalf("frame %d has no hash", f.frames)
	}
	if f.frames > 0 && h.Hash != f.hash {
		t.Fatalf("frame %d of a flow has the hash %#x, those before it have %#x", f.frames, h.Hash, f.hash)
	}
	f.frames, f.hash = f.frames+1, h.Hash
}

func protocolOf(packet []byte) uint8 {
	if packet[0]>>4 == 6 {
		return header.IPv6(packet).NextHeader()
	}
	return header.IPv4(packet).Protocol()
}

const (
	tcp = uint8(header.TCPProtocolNumber)
	udp = uint8(header.UDPProtocolNumber)
)

// TestHashOfAFlowThatIsSentAgain: TCP chooses another hash for its socket whenever nobody
// acknowledges what it has sent, to have it take another path.
func TestHashOfAFlowThatIsSentAgain(t *testing.T) {
	eachFamily(t, func(t *testing.T, l *device.Link, ipv6 bool) {
		p, f := l.DialTCP(t, ipv6, peerPort), flow{l: l}
		if _, err := p.Conn.Write(device.Pattern(1, 100)); err != nil {
			t.Fatal(err)
		}
		const again = 4
		for range 1 + again {
			f.next(t, ipv6, tcp, peerPort)
		}
		if n := device.NetStat(t)["TcpExt.TcpTimeoutRehash"]; n < again-1 {
			t.Errorf("the socket chose another hash %d times only: this proved nothing", n)
		}
	})
}

// TestHashOfAConnectionThatIsNotAnswered: the same for the first frame of a connection.
func TestHashOfAConnectionThatIsNotAnswered(t *testing.T) {
	eachFamily(t, func(t *testing.T, l *device.Link, ipv6 bool) {
		fd := socket(t, l, ipv6, unix.SOCK_STREAM)
		if err := unix.Connect(fd, sockaddr(l.Peer(ipv6), peerPort)); err != unix.EINPROGRESS {
			t.Fatalf("connect: %v", err)
		}
		f := flow{l: l}
		for range 3 {
			f.next(t, ipv6, tcp, peerPort)
		}
	})
}

// TestHashOfAConnectionFromFirstToLast: what the kernel sends of one comes of three kinds of socket.
func TestHashOfAConnectionFromFirstToLast(t *testing.T) {
	eachFamily(t, func(t *testing.T, l *device.Link, ipv6 bool) {
		p := l.DialTCP(t, ipv6, peerPort)
		f := flow{l: l, frames: 1, hash: p.Answer.Hash} // of a request
		p.Conn.Write(device.Pattern(1, 1000))           // of the connection
		f.next(t, ipv6, tcp, peerPort)
		p.Conn.Close()
		for !header.TCP(f.next(t, ipv6, tcp, peerPort)[device.IPHeader(ipv6):]).Flags().Contains(header.TCPFlagFin) {
		}
		l.Queue().Send(t, p.Segment([]byte("to nobody"))) // of none: it is reset
		for !header.TCP(f.next(t, ipv6, tcp, peerPort)[device.IPHeader(ipv6):]).Flags().Contains(header.TCPFlagRst) {
		}
	})
}

// TestHashUnderEachQdisc: some compute a hash of their own on the way.
func TestHashUnderEachQdisc(t *testing.T) {
	eachFamily(t, func(t *testing.T, l *device.Link, ipv6 bool) {
		fd, f := socket(t, l, ipv6, unix.SOCK_DGRAM), flow{l: l}
		to := sockaddr(l.Peer(ipv6), peerPort)
		for _, kind := range []string{"noqueue", "fq_codel", "pfifo", "fq", "noqueue"} {
			device.SetQdisc(t, l.Name, kind)
			for i := range 3 {
				if err := unix.Sendto(fd, device.Pattern(uint64(i), 100*i), 0, to); err != nil {
					t.Fatalf("send under %s: %v", kind, err)
				}
				f.next(t, ipv6, udp, peerPort)
			}
		}
	})
}

// TestHashOfASocketThatIsConnectedLater: a flow is its addresses and ports, not its socket.
func TestHashOfASocketThatIsConnectedLater(t *testing.T) {
	eachFamily(t, func(t *testing.T, l *device.Link, ipv6 bool) {
		fd, f := socket(t, l, ipv6, unix.SOCK_DGRAM), flow{l: l}
		to := sockaddr(l.Peer(ipv6), peerPort)
		for range 3 {
			if err := unix.Sendto(fd, []byte("unconnected"), 0, to); err != nil {
				t.Fatal(err)
			}
			f.next(t, ipv6, udp, peerPort)
			if err := unix.Connect(fd, to); err != nil {
				t.Fatal(err)
			}
			if _, err := unix.Write(fd, []byte("connected")); err != nil {
				t.Fatal(err)
			}
			f.next(t, ipv6, udp, peerPort)
		}
	})
}

// TestHashWithFlowLabels: a label is no part of a flow's name here.
func TestHashWithFlowLabels(t *testing.T) {
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{IPv6: true})
	fd, f := socket(t, l, true, unix.SOCK_DGRAM), flow{l: l}
	for i, automatic := range []int{0, 1, 0, 1} {
		const autoFlowLabel = 70 // IPV6_AUTOFLOWLABEL
		if err := unix.SetsockoptInt(fd, unix.SOL_IPV6, autoFlowLabel, automatic); err != nil {
			t.Fatal(err)
		}
		if err := unix.Sendto(fd, []byte("labelled"), 0, sockaddr(l.Peer6, peerPort)); err != nil {
			t.Fatal(err)
		}
		frame := f.next(t, true, udp, peerPort)
		if _, label := header.IPv6(frame).TOS(); (label != 0) != (automatic == 1) {
			t.Errorf("datagram %d has the label %#x", i, label)
		}
	}
}

// TestHashOfAForwardedFlow: the device that a frame came from may have given it a hash, or not.
func TestHashOfAForwardedFlow(t *testing.T) {
	device.Sandbox(t)
	device.Sysctl(t, "net/ipv4/ip_forward", "1")
	device.Sysctl(t, "net/ipv4/conf/default/rp_filter", "0")
	from := device.NewLink(t, device.Config{Name: "from", NoAddresses: true})
	l := device.NewLink(t, device.Config{})
	f := flow{l: l}
	source := netip.MustParseAddr("10.77.0.1")
	device.AddRoute(t, from.Name, "10.77.0.0/24")
	// what is sent from the other device is for this one's peer
	outer := *from
	outer.Peer4, outer.Host4 = source, l.Peer4
	frame := outer.Frame(false, device.Datagram{SrcPort: 1, DstPort: peerPort, Payload: []byte("forwarded")})
	for _, hash := range []uint32{0, 1, 0x80000000, 0, 0xffffffff} {
		h := device.Header{Length: uint32(len(frame)), Hash: hash}
		if hash != 0 {
			h.Flags = device.FrameHash
		}
		from.Queue().PutRaw(h, frame, device.Footprint(len(frame)))
		from.Queue().Publish()
		f.next(t, false, udp, peerPort)
	}
}

// TestHashIsTheSameBothWays: what one end sends, and what the other answers, handed out by two devices.
func TestHashIsTheSameBothWays(t *testing.T) {
	eachFamily(t, func(t *testing.T, l *device.Link, ipv6 bool) {
		there := flow{l: l}
		fd := socket(t, l, ipv6, unix.SOCK_DGRAM)
		if err := unix.Sendto(fd, []byte("there"), 0, sockaddr(l.Peer(ipv6), peerPort)); err != nil {
			t.Fatal(err)
		}
		frame := there.next(t, ipv6, udp, peerPort)
		port := header.UDP(frame[device.IPHeader(ipv6):]).SourcePort()
		device.Inside(t, device.NewNamespace(t), func() {
			back := flow{l: device.NewLink(t, device.Config{IPv6: true, Mirror: true})}
			fd := socket(t, back.l, ipv6, unix.SOCK_DGRAM)
			if err := unix.Bind(fd, sockaddr(back.l.Host(ipv6), peerPort)); err != nil {
				t.Fatal(err)
			}
			if err := unix.Sendto(fd, []byte("back"), 0, sockaddr(back.l.Peer(ipv6), port)); err != nil {
				t.Fatal(err)
			}
			back.next(t, ipv6, udp, port)
			if back.hash != there.hash {
				t.Errorf("there the hash is %#x, and back %#x", there.hash, back.hash)
			}
		})
	})
}

// TestHashIsForWhoAsks: a queue that did not, beside one that did, gets frames of which nothing is said.
func TestHashIsForWhoAsks(t *testing.T) {
	device.Sandbox(t)
	for _, flags := range []uint32{0, device.RingsHash} {
		p := device.NewPort(t, device.Node, device.Config{})
		if err := p.TrySetRings(device.RingConfig{RxSize: device.RingSizeMin, Flags: flags}); err != nil {
			t.Fatal(err)
		}
		q := device.MapQueue(t, p.File)
		p.Queues = []*device.Queue{q}
		fd := socket(t, p.Link, false, unix.SOCK_DGRAM)
		if err := unix.Sendto(fd, []byte("asked"), 0, sockaddr(p.Peer(false), peerPort)); err != nil {
			t.Fatal(err)
		}
		h, _ := q.Receive(t, nil)
		if h.Flags != flags || (h.Hash != 0) != (flags != 0) {
			t.Errorf("rings with the flags %#x: a frame with the flags %#x and the hash %#x", flags, h.Flags, h.Hash)
		}
		q.Unmap()
		q.Close()
	}
}

// TestHashOfFragments: only a datagram's first fragment has its ports, and all have one hash: that of whatever is in
// fragments between the two ends.
func TestHashOfFragments(t *testing.T) {
	eachFamily(t, func(t *testing.T, l *device.Link, ipv6 bool) {
		f := flow{l: l}
		for port := range uint16(3) {
			fd := socket(t, l, ipv6, unix.SOCK_DGRAM)
			if err := unix.Sendto(fd, device.Pattern(1, 4*l.MTU), 0, sockaddr(l.Peer(ipv6), peerPort+port)); err != nil {
				t.Fatal(err)
			}
			for range 5 {
				h, _ := l.Queue().Receive(t, func(_ device.Header, frame []byte) bool { return isFragment(frame) })
				f.add(t, h)
			}
		}
	})
}

func isFragment(packet []byte) bool {
	if packet[0]>>4 == 6 {
		return header.IPv6(packet).NextHeader() == uint8(header.IPv6FragmentHeader)
	}
	h := header.IPv4(packet)
	return h.More() || h.FragmentOffset() != 0
}

func socket(t *testing.T, l *device.Link, ipv6 bool, kind int) int {
	t.Helper()
	family := unix.AF_INET
	if ipv6 {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		t.Fatal(err)
	}
	return fd
}

func sockaddr(a netip.Addr, port uint16) unix.Sockaddr {
	if a.Is6() {
		return &unix.SockaddrInet6{Port: int(port), Addr: a.As16()}
	}
	return &unix.SockaddrInet4{Port: int(port), Addr: a.As4()}
}
