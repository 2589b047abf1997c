// SPDX-License-Identifier: MIT

package gso

import (
	"encoding/binary"
	"slices"

	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// A TunnelConfig says which tunnels [Coalescer.JoinTunnels] looks into.
type TunnelConfig struct {
	// Checksum says that the device takes super-packets whose outer UDP header has a
	// checksum too ([mytunev.VNetUDPTunnelChecksum]). Without it, only tunnels without
	// one are joined, as VXLAN over IPv4 mostly is.
	Checksum bool

	// VXLANPorts are the UDP ports to which VXLAN is sent; nil means 4789, which
	// is IANA's, and an empty list none. Linux's own default, which flannel uses,
	// is 8472.
	VXLANPorts []uint16

	// GenevePorts are the UDP ports to which Geneve is sent; nil means 6081, and
	// an empty list none. A port in both lists is VXLAN's.
	GenevePorts []uint16
}

func (t TunnelConfig) withDefaults() *TunnelConfig {
	t.VXLANPorts, t.GenevePorts = slices.Clone(t.VXLANPorts), slices.Clone(t.GenevePorts)
	if t.VXLANPorts == nil {
		t.VXLANPorts = []uint16{4789}
	}
	if t.GenevePorts == nil {
		t.GenevePorts = []uint16{6081}
	}
	return &t
}

// parseWithin finds the headers of the TCP or UDP packet within the UDP datagram outer. It
// reports false if there is none that fills it: padding in a tunnel is payload of the
// datagram, and must not get lost.
func (t *TunnelConfig) parseWithin(p, outer *packet, frame []byte) bool {
	*p = packet{}
	known := false
	switch port := binary.BigEndian.Uint16(frame[outer.l4+2:]); {
	case slices.Contains(t.VXLANPorts, port):
		known = p.parseVXLAN(frame, outer.payload)
	case slices.Contains(t.GenevePorts, port):
		known = p.parseGeneve(frame, outer.payload)
	}
	return known && p.parseNetwork(frame) == nil && p.end == outer.end
}

// parseVXLAN is parseLink for VXLAN (RFC 7348), with Linux's group policy or without. Any
// other flag may mean anything: with that of remote checksum offload, the checksum within
// is not what it seems.
func (p *packet) parseVXLAN(frame []byte, at int) bool {
	const (
		size        = 8
		instance    = 0x08000000
		groupPolicy = 0x8048FFFF
	)
	if len(frame)-at < size || binary.BigEndian.Uint32(frame[at:])&^groupPolicy != instance {
		return false
	}
	return p.parseEthernet(frame, at+size) == nil
}

// parseGeneve is parseLink for Geneve (RFC 8926). Options may be any: section 4.6 lets
// whoever joins packets compare them byte for byte. Packets of control are left alone.
func (p *packet) parseGeneve(frame []byte, at int) bool {
	const (
		size     = 8
		unit     = 4
		units    = 0x3F // of the first byte, which has the version besides
		critical = 0x40 // of the second

		ethernet = 0x6558
	)
	if len(frame)-at < size || frame[at+1]&^critical != 0 {
		return false
	}
	version, kind := frame[at], binary.BigEndian.Uint16(frame[at+2:])
	if version&^units != 0 {
		return false
	}
	at += size + int(version)*unit
	switch kind {
	case ethernet:
		return p.parseEthernet(frame, at) == nil
	case uint16(header.IPv4ProtocolNumber), uint16(header.IPv6ProtocolNumber):
		p.l3, p.v6 = at, kind == uint16(header.IPv6ProtocolNumber)
		return at < len(frame)
	}
	return false
}
