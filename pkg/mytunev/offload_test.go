// SPDX-License-Identifier: MIT

package mytunev

import (
	"strings"
	"testing"
)

// TestAllOffloadsHasAType: a variable of it takes the members away again.
func TestAllOffloadsHasAType(t *testing.T) {
	o := AllOffloads
	o &^= OffloadTSOECN
	if o.String() != "Tx|Checksum|TSO4|TSO6|USO4|USO6" {
		t.Error(o)
	}
}

func TestOffloadString(t *testing.T) {
	for o, want := range map[Offload]string{
		0:                                "none",
		OffloadTx:                        "Tx",
		OffloadChecksum | OffloadTSO4:    "Checksum|TSO4",
		AllOffloads:                      "Tx|Checksum|TSO4|TSO6|TSOECN|USO4|USO6",
		OffloadUSO6 | (AllOffloads+1)<<2: "USO6|0x200",
		OffloadTSO4 | OffloadUDPTunnel | OffloadUDPTunnelChecksum: "TSO4|UDPTunnel|UDPTunnelChecksum",
	} {
		if got := o.String(); got != want {
			t.Errorf("%#x: %q, want %q", uint(o), got, want)
		}
	}
}

// TestOffloadFlags compares with TUN_F_* of <linux/if_tun.h>.
func TestOffloadFlags(t *testing.T) {
	for o, want := range map[Offload]uintptr{
		0:                              0,
		OffloadTx:                      0,
		OffloadChecksum:                0x01,
		OffloadTSO4:                    0x03,
		OffloadTSO6 | OffloadTSOECN:    0x0D,
		OffloadUSO4 | OffloadUSO6:      0x61,
		AllOffloads:                    0x6F,
		AllOffloads &^ OffloadTx:       0x6F,
		OffloadTSO4 | OffloadUDPTunnel: 0x83,
		AllOffloads | OffloadUDPTunnel | OffloadUDPTunnelChecksum: 0x1EF,
		OffloadChecksum | OffloadTSO4:                             0x03,
	} {
		if got := o.kernelFlags(); got != want {
			t.Errorf("%v: %#x, want %#x", o, got, want)
		}
		if got := o.rx(); got != (want != 0) {
			t.Errorf("%v: rx is %v", o, got)
		}
	}
}

func TestOffloadValidate(t *testing.T) {
	for _, o := range []Offload{0, OffloadTx, OffloadChecksum, OffloadTSO4, OffloadTSO6 | OffloadTSOECN,
		OffloadUSO4 | OffloadUSO6, AllOffloads, OffloadTSO6 | OffloadUDPTunnel,
		AllOffloads | OffloadUDPTunnel | OffloadUDPTunnelChecksum} {
		if err := o.validate(); err != nil {
			t.Error(err)
		}
	}
	for o, want := range map[Offload]string{
		(AllOffloads + 1) << 2:                 "unknown",
		OffloadUDPTunnel | OffloadChecksum:     "needs one of",
		AllOffloads | OffloadUDPTunnelChecksum: "needs OffloadUDPTunnel",
		OffloadTSOECN:                          "OffloadTSO4",
		OffloadUSO4:                            "OffloadUSO6",
		OffloadUSO6 | OffloadTSO4:              "OffloadUSO4",
		OffloadTSOECN | AllOffloads:            "",
	} {
		err := o.validate()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%v: %v, want %q in the error", o, err, want)
		}
	}
}

func TestFrameOffload(t *testing.T) {
	for _, c := range []struct {
		v    VNetHeader
		sum  bool
		size int
	}{
		{VNetHeader{}, false, 0},
		{VNetHeader{Flags: VNetDataValid}, false, 0},
		{VNetHeader{Flags: VNetNeedsChecksum | VNetDataValid}, true, 0},
		{VNetHeader{Flags: VNetNeedsChecksum, GSOType: GSOTCPv4 | GSOECN, GSOSize: 1448}, true, 1448},
		{VNetHeader{GSOType: GSOUDPL4, GSOSize: 0x1234}, false, 0x1234},
		{VNetHeader{GSOType: GSOECN, GSOSize: 99}, false, 0},
	} {
		f := frameWith(c.v)
		if f.NeedsChecksum() != c.sum || f.SegmentSize() != c.size {
			t.Errorf("%+v: %v, %d, want %v, %d", c.v, f.NeedsChecksum(), f.SegmentSize(), c.sum, c.size)
		}
	}
	if (Frame{}).NeedsChecksum() || (Frame{}).SegmentSize() != 0 {
		t.Error("the zero Frame is offloaded")
	}
}

// TestSetOffloadRefuses what does not go together, and all of it without vnet headers.
func TestSetOffloadRefuses(t *testing.T) {
	none := &Device{}
	if err := none.SetOffload(OffloadTx); err != ErrClosed {
		t.Errorf("the zero Device: %v, want ErrClosed", err)
	}
	if err := none.SetOffload(OffloadUSO4); err == nil || !strings.Contains(err.Error(), "only together") {
		t.Errorf("OffloadUSO4: %v", err)
	}
}
