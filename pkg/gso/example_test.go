// SPDX-License-Identifier: MIT

package gso_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"slices"

	"github.com/mytun/mytun/pkg/gso"
	"github.com/mytun/mytun/pkg/mytunev"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// A tunnel without encryption: what comes from the device is cut into packets for a
// socket; what comes from the socket is joined before it goes to the device.
func Example() {
	dev, err := mytunev.Open(mytunev.Config{Offload: mytunev.AllOffloads})
	if err != nil {
		log.Fatal(err)
	}
	defer dev.Close()
	peer, err := net.Dial("udp", "192.0.2.1:4754")
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		log.Fatal(receive(peer, dev.Queues()[0]))
	}()

	var s gso.Splitter
	packet := make([]byte, 1<<16)
	log.Fatal(dev.Run(context.Background(), func(b *mytunev.Batch) error {
		for f := range b.Frames() {
			err := s.Reset(dev.Mode(), f.Data, f.VNet())
			for err == nil {
				var n int
				if n, err = s.Next(packet); err == nil {
					_, err = peer.Write(packet[:n])
				}
			}
			// A frame that cannot be cut up is dropped, as a router would.
			if err != io.EOF && !errors.Is(err, gso.ErrMalformed) && !errors.Is(err, gso.ErrUnsupported) {
				return err
			}
		}
		return nil
	}))
}

func receive(peer net.Conn, q *mytunev.Queue) error {
	c := gso.NewCoalescer(mytunev.TUN)
	for {
		packets, err := receiveBatch(peer)
		if err != nil {
			return err
		}
		for _, packet := range packets {
			c.Add(packet, mytunev.VNetHeader{})
		}
		err = q.SendBatch(func(tx *mytunev.Tx) error { return c.Flush(tx) })
		if err != nil && !errors.Is(err, mytunev.ErrTooLong) && !errors.Is(err, gso.ErrMalformed) {
			return err
		}
	}
}

// receiveBatch reads one packet. A socket that gives several at a time (recvmmsg,
// UDP_GRO) makes it worth while to join them.
func receiveBatch(peer net.Conn) ([][]byte, error) {
	packet := make([]byte, 2000)
	n, err := peer.Read(packet)
	return [][]byte{packet[:n]}, err
}

// datagram is an IPv4 packet with UDP, complete.
func datagram(id uint16, payload string) []byte {
	from, to := tcpip.AddrFrom4([4]byte{10, 0, 0, 1}), tcpip.AddrFrom4([4]byte{10, 0, 0, 2})
	packet := make([]byte, 28, 28+len(payload))
	packet = append(packet, payload...)
	ip := header.IPv4(packet)
	ip.Encode(&header.IPv4Fields{TotalLength: uint16(len(packet)), ID: id, TTL: 64,
		Protocol: uint8(header.UDPProtocolNumber), SrcAddr: from, DstAddr: to})
	ip.SetChecksum(^ip.CalculateChecksum())
	udp := header.UDP(packet[20:])
	udp.Encode(&header.UDPFields{SrcPort: 4000, DstPort: 53, Length: uint16(len(udp))})
	sum := header.PseudoHeaderChecksum(header.UDPProtocolNumber, from, to, udp.Length())
	udp.SetChecksum(^udp.CalculateChecksum(checksum.Checksum([]byte(payload), sum)))
	return packet
}

// A printer stands for a queue's Tx.
type printer struct{ slot []byte }

func (p *printer) Reserve(n int) ([]byte, error) { p.slot = make([]byte, n); return p.slot, nil }

func (p *printer) WaitSpace(int) error { return nil }

func (p *printer) CommitHash(n int, v mytunev.VNetHeader, _ uint32) error { return p.CommitVNet(n, v) }

func (p *printer) CommitVNet(n int, v mytunev.VNetHeader) error {
	fmt.Printf("%d bytes, cut every %d: %q\n", n, v.GSOSize, p.slot[v.HdrLen:n])
	return nil
}

// Datagrams of one flow that follow each other become one frame. The last may be shorter.
func ExampleCoalescer() {
	c := gso.NewCoalescer(mytunev.TUN)
	for i, payload := range []string{"one ", "two ", "six ", "ten"} {
		c.Add(datagram(uint16(i), payload), mytunev.VNetHeader{})
	}
	fmt.Println(c.Len(), "frame")
	if err := c.Flush(&printer{}); err != nil {
		log.Fatal(err)
	}
	// Output:
	// 1 frame
	// 43 bytes, cut every 4: "one two six ten"
}

// vxlan puts a packet into network 42 of a VXLAN tunnel over IPv4, without checksum outside.
func vxlan(id uint16, packet []byte) []byte {
	ethernet := []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0}
	frame := datagram(id, string(slices.Concat([]byte{8, 0, 0, 0, 0, 0, 42, 0}, ethernet, packet)))
	udp := header.UDP(frame[20:])
	udp.SetDestinationPort(4789)
	udp.SetChecksum(0)
	return frame
}

// Datagrams within a tunnel become one frame, behind the tunnel's headers.
func ExampleCoalescer_JoinTunnels() {
	c := gso.NewCoalescer(mytunev.TUN)
	c.JoinTunnels(gso.TunnelConfig{})
	for i, payload := range []string{"one ", "two ", "six ", "ten"} {
		id := uint16(i)
		c.Add(vxlan(id, datagram(id, payload)), mytunev.VNetHeader{})
	}
	if err := c.Flush(&printer{}); err != nil {
		log.Fatal(err)
	}
	// Output:
	// 93 bytes, cut every 4: "one two six ten"
}

// A super-packet of UDP, as the kernel hands it over, and the datagrams that it stands for.
func ExampleSplitter() {
	super := datagram(7, "one two six ten")
	v := mytunev.VNetHeader{GSOType: mytunev.GSOUDPL4, GSOSize: 4}
	var s gso.Splitter
	if err := s.Reset(mytunev.TUN, super, v); err != nil {
		log.Fatal(err)
	}
	packet := make([]byte, 1500)
	for {
		n, err := s.Next(packet)
		if err == io.EOF {
			break
		} else if err != nil {
			log.Fatal(err)
		}
		ip := header.IPv4(packet[:n])
		fmt.Printf("identification %d, checksum right: %v, %q\n", ip.ID(), ip.IsChecksumValid(), packet[28:n])
	}
	// Output:
	// identification 7, checksum right: true, "one "
	// identification 8, checksum right: true, "two "
	// identification 9, checksum right: true, "six "
	// identification 10, checksum right: true, "ten"
}

// A frame whose UDP checksum was left to be computed: the field has the sum of the pseudo
// header.
func ExampleChecksum() {
	packet := datagram(7, "payload")
	udp := header.UDP(packet[20:])
	want := udp.Checksum()
	ip := header.IPv4(packet)
	udp.SetChecksum(header.PseudoHeaderChecksum(header.UDPProtocolNumber, ip.SourceAddress(), ip.DestinationAddress(), udp.Length()))

	v := mytunev.VNetHeader{Flags: mytunev.VNetNeedsChecksum, CsumStart: 20, CsumOffset: 6}
	if err := gso.Checksum(packet, v); err != nil {
		log.Fatal(err)
	}
	fmt.Println(udp.Checksum() == want)
	// Output: true
}
