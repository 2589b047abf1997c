// SPDX-License-Identifier: MIT

//go:build linux

package workload

import (
	"errors"
	"fmt"
	"net"

	"github.com/mytun/mytun/bench/peer"
	"github.com/mytun/mytun/bench/result"
	"github.com/vishvananda/netlink"
)

// Addresses within the tunnel, and the size of an IP packet that fits into one with an MTU of 1500.
const (
	overlayNear    = "10.89.0.1"
	overlayFar     = "10.89.0.2"
	overlayNearMAC = "02:00:00:00:01:01"
	overlayFarMAC  = "02:00:00:00:01:02"
	overlayPacket  = 1400
)

// Users of VPNs run overlays through them, whose datagrams no contestant can take in super-packets: each is a packet of its own. TCP's super-packets
// stay whole if the contestant can take those of tunnels.
var (
	overlayUDP = Workload{
		Name: result.WorkloadOverlayUDP, Sizes: []int{overlayPacket}, Base: overlayBase, Run: overlayUDPRun,
	}
	overlayTCP = Workload{
		Name: result.WorkloadOverlayTCP, Sizes: []int{0}, Clocks: []string{result.Wall}, Uncounted: true, Run: overlayTCPRun,
	}
)

// addOverlay makes an end of a VXLAN tunnel above an interface of this namespace, whose other end has an address below and within. The tunnel
// is as the kernel makes it by itself: the outer UDP header has a checksum.
func addOverlay(below, own, ownMAC, otherBelow, other, otherMAC string) error {
	link, err := netlink.LinkByName(below)
	if err != nil {
		return fmt.Errorf("look up %s: %w", below, err)
	}
	end := &netlink.Vxlan{
		LinkAttrs: netlink.LinkAttrs{Name: "overlay0"}, VxlanId: 7, Port: 4789, VtepDevIndex: link.Attrs().Index, Group: net.ParseIP(otherBelow),
	}
	if err := netlink.LinkAdd(end); err != nil {
		return fmt.Errorf("make a VXLAN tunnel above %s: %w (modprobe vxlan)", below, err)
	}
	if err := bringUp(end.Name, own+"/24", burstPackets); err != nil {
		return err
	}
	return introduce(end.Name, ownMAC, other, otherMAC)
}

// newOverlay makes a wire with a tunnel over it.
func newOverlay(p peer.Peer) (*wire, error) {
	w, err := newWire(p, peer.Config{Offload: true})
	if err != nil {
		return nil, err
	}
	err = w.near.do(func() error {
		return addOverlay("near0", overlayNear, overlayNearMAC, farAddr, overlayFar, overlayFarMAC)
	})
	if err == nil {
		err = w.far.do(func() error {
			return addOverlay("far0", overlayFar, overlayFarMAC, nearAddr, overlayNear, overlayNearMAC)
		})
	}
	if err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

// overlayBase is what the sender and its end of the tunnel cost, above an interface that drops all.
func overlayBase(e *Env, size int) (base float64, s []Sample, err error) {
	remove, err := dummy("sink0", nearAddr+"/24")
	if err != nil {
		return 0, nil, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	if err := addOverlay("sink0", overlayNear, overlayNearMAC, farAddr, overlayFar, overlayFarMAC); err != nil {
		return 0, nil, err
	}
	return e.sendersCost(overlayFar, size, 1, burstPackets)
}

func overlayUDPRun(e *Env, p peer.Peer, size int, base float64) (s []Sample, err error) {
	w, err := newOverlay(p)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	return w.datagrams(e, p, overlayFar, size, base)
}

func overlayTCPRun(_ *Env, p peer.Peer, _ int, _ float64) (s []Sample, err error) {
	w, err := newOverlay(p)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	return w.streams(p, overlayFar, 1)
}
