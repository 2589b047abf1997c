// SPDX-License-Identifier: MIT

//go:build linux

package workload

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/mytun/mytun/bench/peer"
	"github.com/vishvananda/netlink"
)

const (
	// Not /proc/net, which is that of the process's first thread: see onThread.
	pktgenDir = "/proc/thread-self/net/pktgen"
	pgctrl    = pktgenDir + "/pgctrl"

	pktgenPort = 9 // discard
)

// A pktgen is the kernel's packet generator on one interface, which must be an Ethernet one. Its packets are UDP to port 9, each a new skb.
type pktgen struct {
	file string // of the interface
	end  chan error
}

// newPktgen makes CPU 0's generator thread send packets of size bytes, Ethernet header included, to dev.
func newPktgen(dev string, size int) (*pktgen, error) {
	link, err := netlink.LinkByName(dev)
	if err != nil {
		return nil, fmt.Errorf("generator for %s: %w", dev, err)
	}
	thread := filepath.Join(pktgenDir, "kpktgend_0")
	for _, command := range []string{"rem_device_all", "add_device " + dev} {
		if err := pktgenCommand(thread, command); err != nil {
			return nil, err
		}
	}
	g := &pktgen{file: filepath.Join(pktgenDir, dev)}
	for _, command := range []string{
		"pkt_size " + strconv.Itoa(size), "clone_skb 0", "delay 0", "dst " + farAddr, "src_min " + nearAddr, "src_max " + nearAddr,
		"dst_mac " + farMAC, "src_mac " + link.Attrs().HardwareAddr.String(), "udp_dst_min " + itoa(pktgenPort), "udp_dst_max " + itoa(pktgenPort), "udp_src_min 9", "udp_src_max 9",
	} {
		if err := pktgenCommand(g.file, command); err != nil {
			return nil, err
		}
	}
	return g, nil
}

func pktgenCommand(file, command string) error {
	if err := os.WriteFile(file, []byte(command+"\n"), 0); err != nil {
		return fmt.Errorf("pktgen: %q to %s: %w (modprobe pktgen)", command, file, err)
	}
	return nil
}

// pktgenControl starts or stops all generators; both wait for the end of their run. A signal while they wait would stop the generators.
func pktgenControl(command string) error {
	return onThread(func() error {
		return peer.WithoutSignals(func() error { return pktgenCommand(pgctrl, command) })
	})
}

// flows makes the packets those of a hundred flows, at random.
func (g *pktgen) flows() error {
	return errors.Join(pktgenCommand(g.file, "udp_src_max 109"), pktgenCommand(g.file, "flag UDPSRC_RND"))
}

// whole sends a burst at full speed. The interface must take all of it at the first offer.
func (g *pktgen) whole() error {
	if err := pktgenCommand(g.file, "count "+strconv.Itoa(burstPackets)); err != nil {
		return err
	}
	if err := pktgenControl("start"); err != nil {
		return err
	}
	text, err := os.ReadFile(g.file)
	if err != nil {
		return err
	}
	sent, refused, err := parsePktgen(string(text))
	if err == nil && (sent != burstPackets || refused != 0) {
		err = fmt.Errorf("the interface took %d packets of a burst of %d and refused %d", sent, burstPackets, refused)
	}
	return err
}

// start sends at full speed until stop. What the interface refuses is lost.
func (g *pktgen) start() error {
	if err := pktgenCommand(g.file, "count 0"); err != nil {
		return err
	}
	g.end = make(chan error, 1)
	go func() { g.end <- pktgenControl("start") }()
	return nil
}

func (g *pktgen) stop() error {
	return errors.Join(pktgenControl("stop"), <-g.end)
}

func (g *pktgen) close() error {
	return pktgenCommand(filepath.Join(pktgenDir, "kpktgend_0"), "rem_device_all")
}

// parsePktgen finds in an interface's file how many packets it took and how many it refused.
func parsePktgen(text string) (sent, refused int, err error) {
	if !strings.Contains(text, "Result: OK") {
		return 0, 0, fmt.Errorf("pktgen did not finish: %q", text)
	}
	var errs [2]error
	sent, errs[0] = numberAfter(text, "pkts-sofar:")
	refused, errs[1] = numberAfter(text, "errors:")
	return sent, refused, errors.Join(errs[:]...)
}

func numberAfter(text, key string) (int, error) {
	_, rest, found := strings.Cut(text, key)
	words := strings.Fields(rest)
	if !found || len(words) == 0 {
		return 0, fmt.Errorf("there is no number after %q in %q", key, text)
	}
	return strconv.Atoi(words[0])
}
