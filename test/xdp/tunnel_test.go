// SPDX-License-Identifier: MIT

//go:build mytun_device

package xdp

import (
	"slices"
	"testing"

	"github.com/cilium/ebpf/asm"
	"github.com/mytun/mytun/test/device"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Places in a super-packet of TCP in VXLAN, all over IPv4, behind an Ethernet header.
const (
	outerIP  = 14
	outerUDP = outerIP + 20
	innerIP  = outerUDP + device.TunnelHeaders
	innerTCP = innerIP + 20
	tunneled = innerTCP + 20

	tunneledPayload = 4096
)

// tunnelled is a device whose frames can be super-packets, which nobody answers.
var tunnelled = device.Config{Flags: device.Vnet, NoAddresses: true}

// sayOffsets makes what is written and read say where a tunnel's headers are, as what is in a ring does.
func (p *port) sayOffsets(t *testing.T) {
	t.Helper()
	if p.way == "ring" {
		return
	}
	p.vnet = device.TunnelVnetSize
	if err := p.file.SetInt(unix.TUNSETVNETHDRSZ, p.vnet); err != nil {
		t.Fatalf("TUNSETVNETHDRSZ: %v", err)
	}
}

// superTunnel is a super-packet in a tunnel with an outer checksum, for nobody.
func (p *port) superTunnel() device.VnetFrame {
	peer := &device.TCPPeer{Link: p.Inner()}
	vnet, inner := peer.Super(device.Pattern(4, tunneledPayload), 1000)
	return p.InTunnel(device.Tunnel{Checksum: true}, vnet, inner)
}

// TestSuperPacketsInTunnels meet the program, and come to the stack, or back to the process, as they were.
func TestSuperPacketsInTunnels(t *testing.T) {
	onAll(t, tunnelled, func(t *testing.T, p *port) {
		p.sayOffsets(t)
		f := p.superTunnel()
		stack := device.NewVnetSocket(t, p.Name, unix.ETH_P_IP)
		for _, mode := range []int{nl.XDP_FLAGS_DRV_MODE, nl.XDP_FLAGS_SKB_MODE} {
			if err := tryAttach(t, p.Name, always(t, pass), mode); err != nil {
				t.Fatal(err)
			}
			before := p.count(t)
			p.give(t, f)
			p.expectCounted(t, before, counted{passed: 1, received: 1})
			got := stack.Receive(t)
			// a packet socket tells nothing of tunnels
			if !slices.Equal(got.Data, f.Data) || got.Vnet.GSOType != device.GSOTCPv4 || got.Vnet.GSOSize != f.Vnet.GSOSize || got.Vnet.CsumStart != innerTCP {
				t.Errorf("%d bytes came to the stack, %+v, want %d, %+v", len(got.Data), got.Vnet, len(f.Data), f.Vnet)
			}
			detachMode(t, p.Name, mode)
		}

		attach(t, p.Name, always(t, drop))
		before := p.count(t)
		p.give(t, f, f)
		p.expectCounted(t, before, counted{taken: 2})

		attach(t, p.Name, always(t, back))
		before = p.count(t)
		p.give(t, f)
		got := p.take(t)
		got.Vnet.HdrLen = f.Vnet.HdrLen // the kernel may say more
		if !slices.Equal(got.Data, f.Data) || got.Vnet != f.Vnet || got.Tunnel != f.Tunnel {
			t.Errorf("%d bytes came back, %+v, %+v, want %d, %+v, %+v", len(got.Data), got.Vnet, got.Tunnel, len(f.Data), f.Vnet, f.Tunnel)
		}
		p.expectCounted(t, before, counted{taken: 1, sent: 1, sentToProcess: 1})
	})
}

func store(at int16, value int64, size asm.Size) asm.Instructions {
	return concat(loadPacket(tunneled), asm.Instructions{asm.StoreImm(asm.R2, at, value, size)})
}

// tag puts a VLAN tag into a frame, as a program does that lets frames into a VLAN.
func tag() asm.Instructions {
	return concat(loadPacket(14), asm.Instructions{
		asm.LoadMem(asm.R7, asm.R2, 0, asm.DWord),
		asm.LoadMem(asm.R8, asm.R2, 8, asm.Word),
	}, call(asm.FnXdpAdjustHead, -4), reload(18), asm.Instructions{
		asm.StoreMem(asm.R2, 0, asm.R7, asm.DWord),
		asm.StoreMem(asm.R2, 8, asm.R8, asm.Word),
		asm.StoreImm(asm.R2, 12, 0x2a000081, asm.Word),
	})
}

// untunnel takes the tunnel away, as a program does that ends tunnels.
func untunnel() asm.Instructions {
	return concat(loadPacket(tunneled), call(asm.FnXdpAdjustHead, innerIP-14), reload(14), asm.Instructions{
		asm.StoreImm(asm.R2, 0, 0x00000002, asm.Word),
		asm.StoreImm(asm.R2, 12, 0x0008, asm.Half),
	})
}

// TestSuperPacketsInTunnelsThatAreChanged: the stack gets what a program left if all headers are still where they were. If not,
// nobody could cut it up.
func TestSuperPacketsInTunnelsThatAreChanged(t *testing.T) {
	for _, c := range []struct {
		what   string
		code   asm.Instructions
		passes bool
	}{
		{"nothing", loadPacket(14), true},
		{"another time to live", store(outerIP+8, 3, asm.Byte), true},
		{"another port of the tunnel", store(outerUDP+2, 1, asm.Half), true},
		{"another number of the tunnel", store(outerUDP+8+4, 9, asm.Byte), true},
		{"another inner address", store(innerIP+16, 10, asm.Byte), true},
		{"shorter payload", tail(-100), true},
		{"a tag", tag(), true},
		{"outer protocol TCP", store(outerIP+9, 6, asm.Byte), false},
		{"outer version, which nobody looks at before the stack", store(outerIP, 0x65, asm.Byte), true},
		{"outer header longer", store(outerIP, 0x46, asm.Byte), false},
		{"outer header a fragment's", store(outerIP+6, 0x20, asm.Byte), false},
		{"not IP", store(12, 0xb588, asm.Half), false},
		{"inner version", store(innerIP, 0x55, asm.Byte), false},
		{"inner header longer", store(innerIP, 0x46, asm.Byte), false},
		{"inner header IPv6", store(innerIP, 0x60, asm.Byte), false},
		{"inner protocol UDP", store(innerIP+9, 17, asm.Byte), false},
		{"inner header a fragment's", store(innerIP+6, 0x20, asm.Byte), false},
		{"no tunnel", untunnel(), false},
		{"in front of the beginning", head(4), false},
		{"within the inner header", tail(innerIP + 10 - tunneled - tunneledPayload), false},
		{"within the inner checksum", tail(innerTCP + 17 - tunneled - tunneledPayload), false},
	} {
		t.Run(c.what, func(t *testing.T) {
			onAll(t, tunnelled, func(t *testing.T, p *port) {
				p.sayOffsets(t)
				stack := newTap(t, p.Name)
				attach(t, p.Name, load(t, concat(c.code, ending(pass))...))
				before := p.count(t)
				p.give(t, p.superTunnel())
				want := counted{taken: 1, dropped: 1}
				if c.passes {
					want = counted{passed: 1, received: 1}
				}
				p.expectCounted(t, before, want)
				if c.passes {
					stack.receive(t)
				}
				// and nothing else has come, nor will it
				detach(t, p.Name)
				next := p.up([]byte("next"))
				p.give(t, device.VnetFrame{Data: next})
				stack.expect(t, 1, next)
			})
		})
	}
}
