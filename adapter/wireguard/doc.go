// SPDX-License-Identifier: MIT

// Package wireguard makes a mytun device of what wireguard-go, and programs built on it,
// know as a tun.Device. One line changes:
//
//	tunDevice, err := wireguard.CreateTUN("wg0", 1420) // was tun.CreateTUN
//	dev := device.NewDevice(tunDevice, conn.NewDefaultBind(), logger)
//
// Where mytun's module is not, the device is stock tun's, by package mytunev's other backend;
// MYTUN_BACKEND chooses.
//
// A Read returns up to 128 packets of one batch from the ring, without a goroutine and
// without a channel in between; super-packets come whole from the kernel and are cut up
// into the caller's buffers. A Write joins what is consecutive of a flow into super-packets
// in the ring, and shows all to the kernel at once.
//
// For Tailscale's fork of wireguard-go, whose tun.Device is another, there is [CreateTailscaleTUN].
//
// It is a Go module of its own, so that wireguard-go reaches nobody who does not use it.
package wireguard
