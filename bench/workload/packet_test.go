// SPDX-License-Identifier: MIT

//go:build linux

package workload

import (
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// echo is an echo request in an IPv4 packet, from near to far.
func echo(t *testing.T) []byte {
	t.Helper()
	packet, err := datagram(nearAddr, farAddr, 9, 84)
	if err != nil {
		t.Fatal(err)
	}
	ip := header.IPv4(packet)
	packet[9] = uint8(header.ICMPv4ProtocolNumber)
	ip.SetChecksum(0)
	ip.SetChecksum(^ip.CalculateChecksum())
	icmp := header.ICMPv4(ip.Payload())
	icmp.SetType(header.ICMPv4Echo)
	icmp.SetCode(0)
	icmp.SetChecksum(0)
	icmp.SetChecksum(header.ICMPv4Checksum(icmp, 0))
	return packet
}

func TestDatagram(t *testing.T) {
	for _, size := range []int{28, 64, 1400} {
		packet, err := datagram(farAddr, nearAddr, 9000, size)
		if err != nil || len(packet) != size {
			t.Fatalf("%d bytes, %v, want %d", len(packet), err, size)
		}
		ip := header.IPv4(packet)
		udp := header.UDP(ip.Payload())
		if !ip.IsValid(size) || !ip.IsChecksumValid() || ip.SourceAddress().String() != farAddr || ip.DestinationAddress().String() != nearAddr {
			t.Errorf("%d bytes: the IP header is wrong: %x", size, packet[:20])
		}
		if !udp.IsChecksumValid(ip.SourceAddress(), ip.DestinationAddress(), checksum.Checksum(udp.Payload(), 0)) ||
			udp.DestinationPort() != 9000 || int(udp.Length()) != size-20 {
			t.Errorf("%d bytes: the UDP header is wrong: %x", size, packet[20:28])
		}
	}
	if _, err := datagram(farAddr, nearAddr, 9000, 27); err == nil {
		t.Error("27 bytes are a datagram")
	}
}

func TestAnswer(t *testing.T) {
	packet := echo(t)
	if !answer(packet) {
		t.Fatal("an echo request is not answered")
	}
	ip := header.IPv4(packet)
	icmp := header.ICMPv4(ip.Payload())
	if !ip.IsChecksumValid() || ip.SourceAddress().String() != farAddr || ip.DestinationAddress().String() != nearAddr ||
		icmp.Type() != header.ICMPv4EchoReply || header.ICMPv4Checksum(icmp, 0) != icmp.Checksum() {
		t.Errorf("the answer is wrong: %x", packet)
	}
	if answer(packet) {
		t.Error("a reply is answered")
	}
	if other, _ := datagram(nearAddr, farAddr, 9, 64); answer(other) || answer(nil) || answer(echo(t)[:24]) {
		t.Error("what is no echo request is answered")
	}
}

func TestAnswerEthernet(t *testing.T) {
	frame := append([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 8, 0}, echo(t)...)
	if !answerEthernet(frame) || [6]byte(frame) != [6]byte{7, 8, 9, 10, 11, 12} || [6]byte(frame[6:]) != [6]byte{1, 2, 3, 4, 5, 6} {
		t.Errorf("the answer is wrong: %x", frame)
	}
	arp := append([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 8, 6}, echo(t)...)
	if answerEthernet(arp) || answerEthernet(frame[:13]) {
		t.Error("what is no echo request is answered")
	}
}

func TestLeaveChecksum(t *testing.T) {
	packet, err := datagram(farAddr, nearAddr, 9000, 1400)
	if err != nil {
		t.Fatal(err)
	}
	udp := header.UDP(header.IPv4(packet).Payload())
	want := udp.Checksum()
	leaveChecksum(packet)
	// What is left to the kernel: the sum over header and payload, with the pseudo-header's in the field.
	if got := ^checksum.Checksum(udp, 0); got != want {
		t.Errorf("the kernel would make it %#x, want %#x", got, want)
	}
}

func TestExpect(t *testing.T) {
	packet, err := datagram(nearAddr, farAddr, 9000, 64)
	if err != nil {
		t.Fatal(err)
	}
	frame := append(make([]byte, header.EthernetMinimumSize), packet...)
	for name, c := range map[string]struct {
		expect expect
		frame  []byte
		want   bool
	}{
		"the packet":      {expect{64, 0, 9000}, packet, true},
		"in a frame":      {expect{78, 14, 9000}, frame, true},
		"another port":    {expect{64, 0, 9}, packet, false},
		"another size":    {expect{65, 0, 9000}, packet, false},
		"not IPv4 at all": {expect{78, 0, 9000}, frame, false},
	} {
		if got := c.expect.is(c.frame); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
