// SPDX-License-Identifier: MIT

//go:build linux

package workload

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/mytun/mytun/bench/peer"
	"github.com/mytun/mytun/bench/result"
)

var forwardTCP1, forwardTCP8 = forwardTCP(result.WorkloadForwardTCP1, 1), forwardTCP(result.WorkloadForwardTCP8, 8)

// forwardTCP passes that many TCP flows through a contestant with two interfaces, with super-packets if it can.
func forwardTCP(name string, flows int) Workload {
	return Workload{
		Name:      name,
		Sizes:     []int{0},
		Clocks:    []string{result.Wall},
		Uncounted: true, // what is a packet differs
		Run:       func(_ *Env, p peer.Peer, _ int, _ float64) ([]Sample, error) { return forwardTCPRun(p, flows) },
	}
}

func forwardTCPRun(p peer.Peer, flows int) (s []Sample, err error) {
	w, err := newWire(p, peer.Config{Offload: true})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	return w.streams(p, farAddr, flows)
}

// streams sends so many TCP streams from one namespace to an address in the other.
func (w *wire) streams(p peer.Peer, to string, flows int) (s []Sample, err error) {
	sink, err := startHelper(w.far, "tcp-sink", to)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, sink.close()) }()
	source, err := startHelper(w.near, "tcp-send", to, strconv.Itoa(flows))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, source.close()) }()
	time.Sleep(settle)
	return bitRate(p, func() (int, error) { return sink.count("bytes") })
}

// bitRate measures at what rate bytes arrive.
func bitRate(p peer.Peer, bytes func() (int, error)) ([]Sample, error) {
	first, err := bytes()
	if err != nil {
		return nil, err
	}
	start := time.Now()
	time.Sleep(2 * window)
	last, err := bytes()
	if err != nil {
		return nil, err
	}
	if first == 0 || last == first {
		return nil, fmt.Errorf("no bytes arrived in %v", 2*window)
	}
	rate := float64(last-first) * 8 / time.Since(start).Seconds() / 1e9
	return []Sample{{p.Name, result.MetricThroughput, "Gb/s", rate}}, nil
}

const tcpBuffer = 256 << 10

// startTCPSink is the helper that takes connections at an address and counts the bytes that come, checking each block's first.
func startTCPSink(args []string) (act, error) {
	if len(args) != 1 {
		return nil, fmt.Errorf("tcp-sink takes an address, not %q", args)
	}
	listener, err := net.Listen("tcp4", net.JoinHostPort(args[0], strconv.Itoa(sinkPort)))
	if err != nil {
		return nil, err
	}
	var total, bad atomic.Int64
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go discard(conn, &total, &bad)
		}
	}()
	return func([]string) (string, error) {
		if n := bad.Load(); n > 0 {
			return "", fmt.Errorf("%d bytes are not the ones that were sent", n)
		}
		return strconv.FormatInt(total.Load(), 10), nil
	}, nil
}

// discard reads a stream of the bytes 0 to 255 again and again, and looks at the first of what each read returns.
func discard(conn net.Conn, total, bad *atomic.Int64) {
	defer conn.Close()
	buffer := make([]byte, tcpBuffer)
	for place := 0; ; {
		n, err := conn.Read(buffer)
		if n > 0 && buffer[0] != byte(place) {
			bad.Add(1)
		}
		place += n
		total.Add(int64(n))
		if err != nil {
			return
		}
	}
}

// startTCPSend is the helper that sends to an address over some connections, from its start to its end.
func startTCPSend(args []string) (act, error) {
	if len(args) != 2 {
		return nil, fmt.Errorf("tcp-send takes an address and a number, not %q", args)
	}
	flows, err := strconv.Atoi(args[1])
	if err != nil {
		return nil, err
	}
	data := make([]byte, tcpBuffer)
	for i := range data {
		data[i] = byte(i)
	}
	for range flows {
		conn, err := net.Dial("tcp4", net.JoinHostPort(args[0], strconv.Itoa(sinkPort)))
		if err != nil {
			return nil, err
		}
		go pour(conn, data)
	}
	return func([]string) (string, error) { return "", errors.New("tcp-send takes no commands") }, nil
}

func pour(to io.Writer, data []byte) {
	for {
		if _, err := to.Write(data); err != nil {
			return
		}
	}
}
