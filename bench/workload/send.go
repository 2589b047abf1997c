// SPDX-License-Identifier: MIT

//go:build linux

package workload

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mytun/mytun/bench/peer"
	"github.com/mytun/mytun/bench/result"
)

const (
	sendPackets = 40000
	sendWarmUp  = 8192
	sinkPort    = 9000
)

var send = Workload{
	Name:  result.WorkloadTx,
	Sizes: []int{64, 1400},
	Run:   sendRun,
}

// sendRun makes the contestant send datagrams to a socket of this machine that nobody reads, and whose buffer is full after the first few:
// the cheapest end that is still the stack's whole way. Each is counted there, as one that found no room.
func sendRun(e *Env, p peer.Peer, size int, _ float64) (s []Sample, err error) {
	dev, err := p.Open(peer.Config{Name: "bench0"})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, dev.Close()) }()
	if err := bringUp(dev.Name(), nearAddr+"/24", 1000); err != nil {
		return nil, err
	}
	sink, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(nearAddr), sinkPort)))
	if err != nil {
		return nil, err
	}
	defer sink.Close()
	packet, err := datagram(farAddr, nearAddr, sinkPort, size)
	if err != nil {
		return nil, err
	}
	// Those of the first that find room in the buffer are not counted as the others are, so these are counted one step before it.
	if err := sendAll(dev, packet, sendWarmUp, snmp{"Ip:", "InDelivers"}); err != nil {
		return nil, err
	}
	before, err := dev.Counters()
	if err != nil {
		return nil, err
	}
	start, err := e.usage()
	if err != nil {
		return nil, err
	}
	if err := sendAll(dev, packet, sendPackets, snmp{"Udp:", "RcvbufErrors"}); err != nil {
		return nil, err
	}
	end, err := e.usage()
	if err != nil {
		return nil, err
	}
	after, err := dev.Counters()
	if err != nil {
		return nil, err
	}
	return append(e.costs(p.Name, end.Sub(start), sendPackets, size, 0), doorbells(p, before, after, sendPackets)...), nil
}

// sendAll sends count packets and waits until the stack has counted them all.
func sendAll(dev peer.Device, packet []byte, count int, arrivals snmp) error {
	before, err := arrivals.read()
	if err != nil {
		return err
	}
	if err := dev.Send(0, packet, count); err != nil {
		return err
	}
	arrived := 0
	for end := time.Now().Add(burstPatience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		now, err := arrivals.read()
		if err != nil {
			return err
		}
		switch arrived = now - before; {
		case arrived == count:
			return nil
		case arrived > count:
			return fmt.Errorf("%d packets were sent and %s %s counted %d", count, arrivals.protocol, arrivals.name, arrived)
		}
	}
	return fmt.Errorf("%d packets were sent and %s %s counted %d after %v", count, arrivals.protocol, arrivals.name, arrived, burstPatience)
}

// snmp is one of the stack's counters of this network namespace, as /proc/net/snmp names it.
type snmp struct{ protocol, name string }

func (c snmp) read() (int, error) {
	text, err := os.ReadFile("/proc/net/snmp")
	if err != nil {
		return 0, err
	}
	return c.find(string(text))
}

// find looks the counter up: a protocol has a line of names, then one of values.
func (c snmp) find(text string) (int, error) {
	var names []string
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] != c.protocol {
			continue
		}
		if names == nil {
			names = words
			continue
		}
		i := slices.Index(names, c.name)
		if i < 0 || i >= len(words) {
			break
		}
		return strconv.Atoi(words[i])
	}
	return 0, fmt.Errorf("/proc/net/snmp has no counter %s %s", c.protocol, c.name)
}
