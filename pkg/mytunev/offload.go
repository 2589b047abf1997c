// SPDX-License-Identifier: MIT

package mytunev

import (
	"fmt"
	"strings"
)

// An Offload is a set of jobs that one side of the rings leaves to the other.
// Any member makes every frame carry a [VNetHeader].
type Offload uint

const (
	// OffloadTx lets the process leave jobs to the kernel: what it sends may
	// lack its checksum or be a super-packet, as its VNetHeader says. Each of
	// the others includes it.
	OffloadTx Offload = 1 << iota

	// OffloadChecksum lets the kernel hand over frames without the checksum of
	// their TCP or UDP header. See Frame.NeedsChecksum. Segmentation includes it.
	OffloadChecksum

	// OffloadTSO4 and OffloadTSO6 let the kernel hand over TCP super-packets:
	// one frame of up to 64 KiB in place of many. See Frame.SegmentSize.
	OffloadTSO4
	OffloadTSO6

	// OffloadTSOECN lets it do so with connections that use ECN. It needs
	// OffloadTSO4 or OffloadTSO6.
	OffloadTSOECN

	// OffloadUSO4 and OffloadUSO6 do for UDP what TSO does for TCP. The kernel
	// knows them only together.
	OffloadUSO4
	OffloadUSO6

	// AllOffloads is all of them, but for those of tunnels, which not every module
	// knows.
	AllOffloads Offload = 1<<iota - 1
)

const (
	// OffloadUDPTunnel lets the kernel hand over super-packets within VXLAN, Geneve
	// and other UDP tunnels, of the kinds that the other members name: it needs one of
	// those. VNetHeader then has GSOUDPTunnelIPv4 or GSOUDPTunnelIPv6.
	OffloadUDPTunnel Offload = (AllOffloads + 1) << iota

	// OffloadUDPTunnelChecksum lets it do so with tunnels whose outer UDP header has a
	// checksum, too. It needs OffloadUDPTunnel.
	OffloadUDPTunnelChecksum

	knownOffloads = AllOffloads | OffloadUDPTunnel | OffloadUDPTunnelChecksum
)

var offloadNames = []string{"Tx", "Checksum", "TSO4", "TSO6", "TSOECN", "USO4", "USO6", "UDPTunnel", "UDPTunnelChecksum"}

// String returns the names of the members, as in "Checksum|TSO4", or "none".
func (o Offload) String() string {
	if o == 0 {
		return "none"
	}
	var names []string
	for i, name := range offloadNames {
		if o&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	if rest := o &^ knownOffloads; rest != 0 {
		names = append(names, fmt.Sprintf("%#x", uint(rest)))
	}
	return strings.Join(names, "|")
}

// SetOffload replaces what Config.Offload said the kernel is to leave to the process, while
// frames flow: for a program that finds out that it is better off without one. A frame that
// was on its way before SetOffload returned may still be as it was asked for then.
//
// What the process may leave to the kernel was settled by Open, so OffloadTx makes no
// difference here; of a device that was opened without Config.Offload, SetOffload fails with
// ErrNotSupported unless o has no other member. So it does, and changes nothing, where the
// kernel does not know all of o. It fails with ErrDetached once the device is gone, and with
// ErrClosed after Close. It is the device's, as Config.Offload is.
func (d *Device) SetOffload(o Offload) error {
	if err := o.validate(); err != nil {
		return err
	}
	q := d.first()
	file, err := q.file()
	if err != nil {
		return err
	}
	if !q.port.vnet && o.rx() {
		return opError("set the offloads of", d.Name(), ErrNotSupported, "open it with Config.Offload, of OffloadTx at least")
	}
	return file.setOffload(o)
}

// validate finds what the kernel would refuse.
func (o Offload) validate() error {
	const tso, uso = OffloadTSO4 | OffloadTSO6, OffloadUSO4 | OffloadUSO6
	switch {
	case o&^knownOffloads != 0:
		return fmt.Errorf("mytunev: Config.Offload is %v, with unknown members", o)
	case o&OffloadTSOECN != 0 && o&tso == 0:
		return fmt.Errorf("mytunev: Config.Offload is %v: OffloadTSOECN needs OffloadTSO4 or OffloadTSO6", o)
	case o&uso != 0 && o&uso != uso:
		return fmt.Errorf("mytunev: Config.Offload is %v: OffloadUSO4 and OffloadUSO6 come only together", o)
	case o&OffloadUDPTunnel != 0 && o&(tso|uso) == 0:
		return fmt.Errorf("mytunev: Config.Offload is %v: OffloadUDPTunnel needs one of TSO or USO", o)
	case o&OffloadUDPTunnelChecksum != 0 && o&OffloadUDPTunnel == 0:
		return fmt.Errorf("mytunev: Config.Offload is %v: OffloadUDPTunnelChecksum needs OffloadUDPTunnel", o)
	}
	return nil
}

// rx reports whether the kernel is to leave any job to the process.
func (o Offload) rx() bool { return o&^OffloadTx != 0 }

// kernelFlags returns the argument of TUNSETOFFLOAD: TUN_F_* of <linux/if_tun.h>.
func (o Offload) kernelFlags() uintptr {
	// UFO, 0x10 there, is obsolete.
	const checksum, tso4, tso6, tsoECN, uso4, uso6, tunnel, tunnelChecksum = 0x01, 0x02, 0x04, 0x08, 0x20, 0x40, 0x80, 0x100
	if !o.rx() {
		return 0
	}
	flags := uintptr(checksum)
	for _, bit := range []struct {
		member Offload
		flag   uintptr
	}{{OffloadTSO4, tso4}, {OffloadTSO6, tso6}, {OffloadTSOECN, tsoECN}, {OffloadUSO4, uso4}, {OffloadUSO6, uso6},
		{OffloadUDPTunnel, tunnel}, {OffloadUDPTunnelChecksum, tunnelChecksum}} {
		if o&bit.member != 0 {
			flags |= bit.flag
		}
	}
	return flags
}
