// SPDX-License-Identifier: MIT

//go:build linux

package device

import (
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Config says what NewLink makes. The zero value is a TUN device with one
// queue, smallest rings, MTU 1500, and an IPv4 address. With
// MYTUN_TEST_OFFLOADS in the environment all offloads are on besides.
type Config struct {
	TAP    bool
	Queues int
	Flags  uint16 // besides TUN or TAP and Multi
	PI     bool   // without IFF_NO_PI
	RxSize uint32
	TxSize uint32
	Room   [2]uint32 // in front of and behind each rx frame
	MTU    int
	IPv6   bool // an IPv6 address too
	Name   string
	Mirror bool // the two sides' addresses swapped: the other end of a wire

	// Offloads besides those that the kernel's own tun always has, for an End.
	Offloads uintptr

	NoAddresses bool // up, but without addresses
}

// Link is a device that is up, with addresses, in the thread's namespace.
// "Host" is the kernel's side, "Peer" the process's.
type Link struct {
	Name             string
	Flags            uint16 // of TUNSETIFF, for more queues
	TAP              bool
	MTU              int
	Queues           []*Queue
	Host4, Peer4     netip.Addr
	Host6, Peer6     netip.Addr
	HostMAC, PeerMAC net.HardwareAddr
}

func (c *Config) setDefaults() {
	if c.Queues == 0 {
		c.Queues = 1
	}
	if c.RxSize == 0 {
		c.RxSize = RingSizeMin
	}
	if c.TxSize == 0 {
		c.TxSize = RingSizeMin
	}
	if c.MTU == 0 {
		c.MTU = 1500
	}
	if c.Name == "" {
		c.Name = "mytest%d"
	}
}

func (c *Config) rings() RingConfig {
	return RingConfig{
		RxSize: c.RxSize, TxSize: c.TxSize, Flags: RingsHash,
		RxHeadroom: c.Room[0], RxTailroom: c.Room[1],
	}
}

func (c *Config) flags() uint16 {
	flags := uint16(TUN)
	if c.TAP {
		flags = TAP
	}
	if c.Queues > 1 {
		flags |= Multi
	}
	if c.PI {
		flags &^= unix.IFF_NO_PI
	}
	if offloadsWanted() {
		flags |= Vnet
	}
	return flags | c.Flags
}

// link is a Link without a device: the addresses of both sides.
func (c *Config) link() *Link {
	l := &Link{
		Name: c.Name, Flags: c.flags(), TAP: c.TAP, MTU: c.MTU,
		Host4:   netip.MustParseAddr("10.99.0.1"),
		Peer4:   netip.MustParseAddr("10.99.0.2"),
		Host6:   netip.MustParseAddr("fd99::1"),
		Peer6:   netip.MustParseAddr("fd99::2"),
		HostMAC: net.HardwareAddr{2, 0, 0, 0, 0, 1},
		PeerMAC: net.HardwareAddr{2, 0, 0, 0, 0, 2},
	}
	if c.Mirror {
		l.Host4, l.Peer4 = l.Peer4, l.Host4
		l.Host6, l.Peer6 = l.Peer6, l.Host6
		l.HostMAC, l.PeerMAC = l.PeerMAC, l.HostMAC
	}
	return l
}

// LinkNamed is a device that another process made with an empty Config: its
// addresses, without queues.
func LinkNamed(name string) *Link {
	c := Config{Name: name}
	c.setDefaults()
	return c.link()
}

// NewLink makes a device with its queues and configures it.
func NewLink(t testing.TB, c Config) *Link {
	t.Helper()
	c.setDefaults()
	l := c.link()
	for range c.Queues {
		q := newQueue(t, l.Name, l.Flags, c.rings())
		l.Name = q.Name
		l.Queues = append(l.Queues, q)
	}
	if offloadsWanted() {
		l.Queue().SetOffload(t, OffloadAll)
	}
	l.configure(t, c)
	return l
}

// Queue is the first queue.
func (l *Link) Queue() *Queue { return l.Queues[0] }

func (l *Link) configure(t testing.TB, c Config) {
	t.Helper()
	link := LinkOf(t, l.Name)
	if err := netlink.LinkSetMTU(link, c.MTU); err != nil {
		t.Fatalf("MTU %d: %v", c.MTU, err)
	}
	if c.TAP {
		if err := netlink.LinkSetHardwareAddr(link, l.HostMAC); err != nil {
			t.Fatalf("address %v: %v", l.HostMAC, err)
		}
	}
	if c.IPv6 {
		Sysctl(t, "net/ipv6/conf/"+l.Name+"/disable_ipv6", "0")
	}
	Up(t, l.Name)
	if c.NoAddresses {
		return
	}
	AddAddress(t, l.Name, l.Host4.String()+"/24")
	if c.IPv6 {
		AddAddress(t, l.Name, l.Host6.String()+"/64")
	}
	if c.TAP {
		l.addNeighbour(t, l.Peer4)
		if c.IPv6 {
			l.addNeighbour(t, l.Peer6)
		}
	}
}

// addNeighbour tells the kernel the peer's MAC, so that it need not ask.
func (l *Link) addNeighbour(t testing.TB, ip netip.Addr) {
	t.Helper()
	err := netlink.NeighSet(&netlink.Neigh{
		LinkIndex: LinkOf(t, l.Name).Attrs().Index, State: netlink.NUD_PERMANENT,
		IP: ip.AsSlice(), HardwareAddr: l.PeerMAC,
	})
	if err != nil {
		t.Fatalf("neighbour %v: %v", ip, err)
	}
}

// Host is the kernel's address of a family.
func (l *Link) Host(ipv6 bool) netip.Addr {
	if ipv6 {
		return l.Host6
	}
	return l.Host4
}

// Peer is the process's address of a family.
func (l *Link) Peer(ipv6 bool) netip.Addr {
	if ipv6 {
		return l.Peer6
	}
	return l.Peer4
}

// ListenUDP is a socket on the kernel's side, with a receive buffer so large
// that it does not drop what a test sends.
func (l *Link) ListenUDP(t testing.TB, ipv6 bool, port int) *net.UDPConn {
	t.Helper()
	address := net.UDPAddrFromAddrPort(netip.AddrPortFrom(l.Host(ipv6), uint16(port)))
	conn, err := net.ListenUDP("udp", address)
	if err != nil {
		t.Fatalf("listen on %v: %v", address, err)
	}
	t.Cleanup(func() { conn.Close() })
	SetBuffers(t, conn, 256<<20)
	return conn
}

// SetBuffers sets a socket's buffers, beyond what the system allows others.
func SetBuffers(t testing.TB, conn syscall.Conn, bytes int) {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = raw.Control(func(fd uintptr) {
		for _, option := range []int{unix.SO_RCVBUFFORCE, unix.SO_SNDBUFFORCE} {
			if err := unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, option, bytes); err != nil {
				t.Errorf("socket buffers: %v", err)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// PeerAddr is where the kernel's side sends datagrams for the process.
func (l *Link) PeerAddr(ipv6 bool, port int) netip.AddrPort {
	return netip.AddrPortFrom(l.Peer(ipv6), uint16(port))
}

func (l *Link) String() string {
	kind := "tun"
	if l.TAP {
		kind = "tap"
	}
	return fmt.Sprintf("%s %s mtu %d", kind, l.Name, l.MTU)
}
