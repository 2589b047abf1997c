// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"sync/atomic"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

// A packet in a tunnel that is as it should be in all but one thing, so that it gets
// as far as whoever looks at that.

var (
	carriers = enum{"ring", "write", "many"}
	wrapped  = enum{"vxlan4", "vxlan6", "vxlan4_sum", "vxlan6_sum", "vxlan_routed"}
	fields   = enum{
		"nothing", "flags", "gso_type", "hdr_len", "gso_size", "csum_start", "csum_offset", "outer_th", "inner_nh", "length",
		"outer_version", "outer_protocol", "inner_version", "inner_protocol", "data_offset",
	}
	changes = enum{"set", "add", "xor"}
)

// untrue sends one.
func (w *world) untrue(_ *thread, a []uint64) error {
	packet := wrapped[a[2]]
	f := w.packet(a[0], packet, claims[a[3]], int(a[4]))
	alter(&f, fields[a[5]], changes[a[6]], uint16(a[7]))
	h := f.Header()
	switch carriers[a[1]] {
	case "ring":
		own, _ := w.words(a[0])
		before := atomic.LoadUint32(own[2])
		w.put(a[0], encode(&h), f.Data)
		return w.announce(a[0], before)
	case "many":
		fileOf(a[0]).TrySetBatch(device.BatchRead | device.BatchWrite)
		_, err := unix.Write(firstFile+int(a[0]), device.Record(h, f.Data))
		return err
	}
	fileOf(a[0]).TrySetBatch(0)
	if fileOf(a[0]).SetInt(unix.TUNSETVNETHDRSZ, device.TunnelVnetSize) == nil {
		w.vnet[a[0]].Store(device.TunnelVnetSize)
	}
	_, err := unix.Write(firstFile+int(a[0]), w.framed(a[0], protocolOf(packet), f))
	return err
}

func changed(n uint16, how string, value uint16) uint16 {
	switch how {
	case "add":
		return n + value
	case "xor":
		return n ^ value
	}
	return value
}

// alter changes one field of a frame's header, one byte of its own headers, or its
// length. What is not there stays.
func alter(f *device.VnetFrame, field, how string, value uint16) {
	v := &f.Vnet
	numbers := map[string]*uint16{
		"hdr_len": &v.HdrLen, "gso_size": &v.GSOSize, "csum_start": &v.CsumStart, "csum_offset": &v.CsumOffset,
		"outer_th": &f.Tunnel.OuterTH, "inner_nh": &f.Tunnel.InnerNH,
	}
	octets := map[string]*uint8{"flags": &v.Flags, "gso_type": &v.GSOType}
	for name, at := range placesIn(f) {
		if at < len(f.Data) {
			octets[name] = &f.Data[at]
		}
	}
	if n := numbers[field]; n != nil {
		*n = changed(*n, how, value)
	}
	if n := octets[field]; n != nil {
		*n = uint8(changed(uint16(*n), how, value))
	}
	if field == "length" {
		f.Data = f.Data[:min(int(changed(uint16(len(f.Data)), how, value)), len(f.Data))]
	}
}

// placesIn are where a frame has the bytes that say what it is, if its offsets are
// true: version and protocol stand in the same place from the end of an IP header
// without options, or its beginning.
func placesIn(f *device.VnetFrame) map[string]int {
	outer := device.IPHeader(f.Vnet.GSOType&device.GSOTunnel6 != 0)
	start, inner := int(f.Tunnel.OuterTH)-outer, int(f.Tunnel.InnerNH)
	if start < 0 {
		return nil
	}
	protocol := map[int]int{20: 9, 40: 6}
	return map[string]int{
		"outer_version": start, "outer_protocol": start + protocol[outer],
		"inner_version": inner, "inner_protocol": inner + protocol[int(f.Vnet.CsumStart)-inner], "data_offset": int(f.Vnet.CsumStart) + 12,
	}
}
