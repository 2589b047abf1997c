// SPDX-License-Identifier: MIT

//go:build linux

package workload

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// newSink opens a UDP socket that nobody reads in a namespace, and fills its buffer: every datagram that arrives afterwards goes the stack's
// whole way, is dropped at its end, and is counted by the counter overrun.
func newSink(n *namespace, address string) (sink *net.UDPConn, err error) {
	to := net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(address), sinkPort))
	err = n.do(func() error {
		if sink, err = net.ListenUDP("udp4", to); err != nil {
			return err
		}
		source, err := net.DialUDP("udp4", nil, to)
		if err != nil {
			return errors.Join(err, sink.Close())
		}
		defer source.Close()
		return fill(n, source)
	})
	return sink, err
}

// fill sends until the first datagram is lost.
func fill(n *namespace, source *net.UDPConn) error {
	const batch, most = 256, 1 << 20
	before, err := overrun.read(n)
	if err != nil {
		return err
	}
	data := make([]byte, 64)
	for range most / batch {
		for range batch {
			if _, err := source.Write(data); err != nil {
				return err
			}
		}
		now, err := overrun.read(n)
		if err != nil || now != before {
			return err
		}
	}
	return fmt.Errorf("the buffer of %v is not full after %d datagrams", source.RemoteAddr(), most)
}
