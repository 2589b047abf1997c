// SPDX-License-Identifier: MIT

//go:build linux

package workload

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/mytun/mytun/bench/peer"
	"github.com/mytun/mytun/bench/result"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// Echo requests of one round, and the time between two: long enough for everyone to fall asleep.
const (
	pings        = 400
	pingInterval = "0.005"
)

// The load beside the echo requests: some datagrams now and then, far from what any contestant can take.
const (
	loadBurst = "64"
	loadPause = 5 * time.Millisecond
)

var ping = Workload{
	Name:  result.WorkloadPing,
	Sizes: []int{0},
	Run: func(e *Env, p peer.Peer, _ int, _ float64) ([]Sample, error) {
		return pingRun(e, p, peer.Config{}, reflect, nothing)
	},
}

var pingLoad = Workload{
	Name:   result.WorkloadPingLoad,
	Sizes:  []int{0},
	Clocks: []string{result.Wall},
	Run: func(e *Env, p peer.Peer, _ int, _ float64) ([]Sample, error) {
		return pingRun(e, p, peer.Config{}, reflect, startDatagrams)
	},
}

// A responder answers with what edit makes of the packets that come, until ctx is done.
type responder func(ctx context.Context, dev peer.Device, edit peer.Visitor) error

// reflect is the contestant's own way.
func reflect(ctx context.Context, dev peer.Device, edit peer.Visitor) error {
	return dev.Reflect(ctx, edit)
}

// nothing is what goes on beside the echo requests on an idle machine.
func nothing() (stop func() error, err error) { return func() error { return nil }, nil }

// startDatagrams makes a helper send some datagrams of 1400 bytes now and then, and returns what ends it.
func startDatagrams() (stop func() error, err error) {
	sender, err := startHelper(&namespace{}, "udp-send", farAddr, "1400")
	if err != nil {
		return nil, err
	}
	l := startLoad(func() error {
		time.Sleep(loadPause)
		_, err := sender.ask("burst", loadBurst)
		return err
	})
	return func() error { return errors.Join(l.stop(), sender.close()) }, nil
}

// pingRun makes the contestant answer pings, with an interface made as c says besides its name and kind, beside what start starts.
func pingRun(e *Env, p peer.Peer, c peer.Config, respond responder, start func() (stop func() error, err error)) (s []Sample, err error) {
	c.Name, c.TAP = "bench0", p.Ethernet
	dev, err := p.Open(c)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, dev.Close()) }()
	if err := bringUpReachable(p, dev, 1000); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	end := make(chan error, 1)
	edit := answer
	if p.Ethernet {
		edit = answerEthernet
	}
	go func() { end <- respond(ctx, dev, edit) }()
	defer func() {
		cancel()
		err = errors.Join(err, <-end)
	}()
	stop, err := start()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	return e.roundTrips(p, dev)
}

// roundTrips pings the contestant, with system calls counted if they are.
func (e *Env) roundTrips(p peer.Peer, dev peer.Device) ([]Sample, error) {
	from, err := e.read(dev)
	if err != nil {
		return nil, err
	}
	text, err := exec.Command("ping", "-n", "-c", strconv.Itoa(pings), "-i", pingInterval, farAddr).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("ping: %w: %s", err, tail(text))
	}
	if e.Calls == nil {
		return pingSamples(p, text)
	}
	if _, err := parsePing(text); err != nil {
		return nil, err
	}
	to, err := e.read(dev)
	return e.samples(p, from, to, pings, 0, 0), err
}

// pingSamples are the figures in what ping printed.
func pingSamples(p peer.Peer, text []byte) ([]Sample, error) {
	times, err := parsePing(text)
	if err != nil {
		return nil, err
	}
	s := []Sample{{p.Name, result.MetricLost, "packets", float64(pings - len(times))}}
	for _, m := range []struct {
		name    string
		percent int
	}{{result.MetricRTTP50, 50}, {result.MetricRTTP99, 99}} {
		if value := percentile(times, pings, m.percent); !math.IsInf(value, 0) {
			s = append(s, Sample{p.Name, m.name, "us", value})
		}
	}
	return s, nil
}

var pingTime = regexp.MustCompile(` time=([0-9.]+) ms`)

// parsePing returns the round trips that ping printed, in microseconds. That most were lost is an error.
func parsePing(text []byte) (times []float64, err error) {
	for _, m := range pingTime.FindAllSubmatch(text, -1) {
		ms, err := strconv.ParseFloat(string(m[1]), 64)
		if err != nil {
			return nil, err
		}
		times = append(times, ms*1000)
	}
	if len(times) < pings/2 {
		return nil, fmt.Errorf("%d of %d pings were answered: %s", len(times), pings, tail(text))
	}
	return times, nil
}

// tail is the last two lines of an output that is not empty.
func tail(text []byte) []byte {
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-2):], []byte("; "))
}

// percentile returns the smallest of the values that at least percent of them do not exceed. Those that are missing to n never came: they are
// infinite.
func percentile(values []float64, n, percent int) float64 {
	sorted := slices.Sorted(slices.Values(values))
	if i := max(0, (n*percent+99)/100-1); i < len(sorted) {
		return sorted[i]
	}
	return math.Inf(1)
}

// answer makes an echo request the reply to it. It returns false for everything else.
func answer(p []byte) bool {
	ip := header.IPv4(p)
	if !ip.IsValid(len(p)) || ip.TransportProtocol() != header.ICMPv4ProtocolNumber {
		return false
	}
	icmp := header.ICMPv4(ip.Payload())
	if len(icmp) < header.ICMPv4MinimumSize || icmp.Type() != header.ICMPv4Echo {
		return false
	}
	from, to := ip.SourceAddress(), ip.DestinationAddress()
	ip.SetSourceAddress(to) // the sum of both stays, and so does the checksum
	ip.SetDestinationAddress(from)
	icmp.SetType(header.ICMPv4EchoReply)
	icmp.SetChecksum(0)
	icmp.SetChecksum(header.ICMPv4Checksum(icmp, 0))
	return true
}

// answerEthernet is answer for what is in an Ethernet frame.
func answerEthernet(p []byte) bool {
	const address = 6
	if len(p) < header.EthernetMinimumSize || header.Ethernet(p).Type() != header.IPv4ProtocolNumber || !answer(p[header.EthernetMinimumSize:]) {
		return false
	}
	for i := range address {
		p[i], p[address+i] = p[address+i], p[i]
	}
	return true
}
