// SPDX-License-Identifier: MIT

//go:build mytun_device

package mytunev

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/vishvananda/netlink"
)

// since reports whether the kernel is of that version or newer.
func since(t *testing.T, major, minor int) bool {
	t.Helper()
	var is [2]int
	if _, err := fmt.Sscanf(kernelRelease(), "%d.%d", &is[0], &is[1]); err != nil {
		t.Fatalf("kernel %s: %v", kernelRelease(), err)
	}
	return is[0] > major || is[0] == major && is[1] >= minor
}

// TestModuleTunOffload: what the kernel's tun does not know is refused, and it is said since
// when others do; what it knows works.
func TestModuleTunOffload(t *testing.T) {
	loadTun(t)
	tunnels := AllOffloads | OffloadUDPTunnel | OffloadUDPTunnelChecksum
	for o, known := range map[Offload]bool{
		OffloadTx: true, OffloadTSO4 | OffloadTSO6: true, AllOffloads: since(t, 6, 2), tunnels: since(t, 6, 17),
		OffloadTSO4 | OffloadUDPTunnel: since(t, 6, 17),
	} {
		d, err := Open(Config{Backend: BackendTun, Offload: o})
		if !known {
			if !errors.Is(err, ErrNotSupported) || !strings.Contains(err.Error(), o.String()+": USO is of Linux 6.2, UDPTunnel of 6.17") {
				t.Errorf("%v: %v, want ErrNotSupported and why", o, err)
			}
			d = openDevice(t, Config{Backend: BackendTun, Offload: OffloadTx})
			if err := d.SetOffload(o); !errors.Is(err, ErrNotSupported) || !strings.Contains(err.Error(), o.String()) || !strings.Contains(err.Error(), d.Name()) {
				t.Errorf("SetOffload(%v): %v, want ErrNotSupported of %s", o, err, d.Name())
			}
		} else if err != nil {
			t.Errorf("%v: %v", o, err)
			continue
		}
		setUp(t, d)
		wait := start(t.Context(), d, echo)
		if err := ping("10.9.0.2:7", 100, 1200); err != nil {
			t.Errorf("%v: %v", o, err)
		}
		d.Close()
		wait()
	}
}

// TestModuleTunBackpressure: where the kernel's tun knows it nothing is lost, and elsewhere Open
// says so, in whatever way it came to stock tun.
func TestModuleTunBackpressure(t *testing.T) {
	loadTun(t)
	const frames = 3000
	kept := &netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: "kept8"}, Mode: netlink.TUNTAP_MODE_TUN}
	if err := netlink.LinkAdd(kept); err != nil {
		t.Fatal(err)
	}
	defer netlink.LinkDel(kept)
	for _, f := range kept.Fds {
		f.Close()
	}
	for _, c := range []Config{{Backend: BackendTun}, {Name: "kept8"}} {
		c.Backpressure = true
		d, err := Open(c)
		if !since(t, 7, 3) {
			if !errors.Is(err, ErrNotSupported) || !strings.Contains(err.Error(), "Config.Backpressure, which is of Linux 7.3") {
				t.Errorf("%v, want ErrNotSupported and why", err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		if out, err := exec.Command("tc", "qdisc", "replace", "dev", d.Name(), "root", "pfifo", "limit", "100000").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		setUp(t, d)
		var came atomic.Int64
		wait := func() error { return nil }
		c, err := net.Dial("udp", "10.9.0.2:7")
		if err != nil {
			t.Fatal(err)
		}
		for i := range frames {
			if i == 600 { // of which the ring has room for 500
				wait = start(t.Context(), d, func(b *Batch) error {
					for f := range b.Frames() {
						if isUDP(f.Data) {
							came.Add(1)
						}
					}
					return nil
				})
			}
			if _, err := c.Write(make([]byte, 100)); err != nil {
				t.Fatal(err)
			}
		}
		c.Close()
		until(t, "all frames", func() bool { return came.Load() == frames })
		d.Close()
		wait()
	}
}

// testDeviceTunnel: a stream within VXLAN comes in super-packets, where the kernel has them, and
// goes back so. What stock tun would refuse is refused before it is too late to cut it up.
func testDeviceTunnel(t *testing.T) {
	o := OffloadTSO4 | OffloadTSO6 | OffloadUDPTunnel
	if onTun() && !since(t, 6, 17) {
		if _, err := Open(Config{Offload: o}); !errors.Is(err, ErrNotSupported) {
			t.Errorf("%v, want ErrNotSupported", err)
		}
		return
	}
	for _, mode := range []Mode{TUN, TAP} {
		t.Run(mode.String(), func(t *testing.T) {
			d := openDevice(t, Config{Mode: mode, Offload: o})
			if onTun() && mode == TUN {
				packet := append([]byte{0x45, 0, 0, 200, 0, 0, 0, 0, 64, 17, 0, 0, 10, 9, 0, 2, 10, 9, 0, 1}, make([]byte, 180)...)
				whole := VNetHeader{Flags: VNetNeedsChecksum, GSOType: GSOTCPv4 | GSOUDPTunnelIPv4, GSOSize: 50, HdrLen: 110,
					CsumStart: 70, CsumOffset: 16, OuterTHOffset: 20, InnerNHOffset: 50}
				if err := d.first().SendVNet(packet, whole); !errors.Is(err, errors.ErrUnsupported) || errors.Is(err, ErrNotSupported) {
					t.Errorf("%v, want an error that package gso goes by", err)
				}
				return
			}
			throughVXLAN(t, d, &farSide{tap: mode == TAP})
		})
	}
}

// throughVXLAN sends what is for the hosts behind s through a tunnel on top of d.
func throughVXLAN(t *testing.T, d *Device, s *farSide) {
	t.Helper()
	for _, command := range []string{
		"modprobe vxlan",
		"ip address add 10.8.0.1/24 dev " + d.Name(),
		"ip link set up dev " + d.Name(),
		"ip link add vxlan7 up type vxlan id 7 dstport 4789 noudpcsum local 10.8.0.1 remote 10.8.0.2 dev " + d.Name(),
		"ip address add 10.9.0.1/24 dev vxlan7",
	} {
		words := strings.Fields(command)
		if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", command, err, out)
		}
	}
	defer exec.Command("ip", "link", "delete", "vxlan7").Run()
	wait := start(t.Context(), d, s.handleVXLAN)
	if err := errors.Join(ping("10.9.0.2:7", 20, 1000), carry("10.9.0.3", 4<<20)); err != nil {
		t.Error(err)
	}
	st, err := d.Stats()
	if err != nil || st.TxRefusedVNet != 0 || st.TxRefusedProtocol != 0 {
		t.Errorf("%+v, %v", st.KernelStats, err)
	}
	if s.supers.Load() == 0 {
		t.Error("no super-packet came")
	}
	d.Close()
	wait()
}

// handleVXLAN is handle for what is in a tunnel.
func (s *farSide) handleVXLAN(b *Batch) error {
	const tunnel = 20 + 8 + 8
	for f := range b.Frames() {
		if f.VNet().GSOType&GSOUDPTunnelIPv4 != 0 {
			s.supers.Add(1)
		}
		p, answered := f.Data, false
		if s.tap {
			p = p[14:]
		}
		if isUDP(p) && binary.BigEndian.Uint16(p[22:]) == 4789 {
			answered = s.answerEthernet(p[tunnel:])
			for i := range 4 { // of the tunnel, the addresses alone
				p[12+i], p[16+i] = p[16+i], p[12+i]
			}
			if s.tap {
				copy(f.Data[:6], f.Data[6:12])
				copy(f.Data[6:12], farMAC[:])
			}
		} else if s.tap {
			answered = s.answerEthernet(f.Data)
		}
		if answered {
			if err := b.SendFrame(f); err != nil {
				return err
			}
		}
	}
	return nil
}
