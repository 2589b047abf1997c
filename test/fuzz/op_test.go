// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

func TestPiecesAreTheBuffer(t *testing.T) {
	whole := device.Pattern(1, 100)
	for _, pieces := range []uint64{0, 1, 2, 3, 99, 100, 1024} {
		parts := inPieces(whole, pieces)
		if got := bytes.Join(parts, nil); !bytes.Equal(got, whole) || len(parts) != int(max(pieces, 1)) {
			t.Errorf("%d pieces: %d with %d bytes", pieces, len(parts), len(got))
		}
	}
}

func TestFramesHaveTheFormOfTheirFile(t *testing.T) {
	w := emptyWorld(t)
	f := device.VnetFrame{
		Vnet:   device.VnetHeader{Flags: device.VnetNeedsCsum, NumBuffers: 0x1234},
		Tunnel: device.TunnelOffsets{OuterTH: 20, InnerNH: 0x132}, Data: []byte{0x45, 1, 2},
	}
	for what, want := range map[string][]byte{
		"tun":         {0x45, 1, 2},
		"tap_pi":      {0, 0, 0x86, 0xdd, 0x45, 1, 2},
		"tun_vnet":    {1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x45, 1, 2},
		"tun_pi_vnet": {0, 0, 0x86, 0xdd, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x45, 1, 2},
	} {
		w.flags[1].Store(uint32(flagsOf(what)))
		if got := w.framed(1, 0x86dd, f); !bytes.Equal(got, want) {
			t.Errorf("%s: %x, want %x", what, got, want)
		}
	}
	w.flags[1].Store(uint32(flagsOf("tun_pi_vnet")))
	w.vnet[1].Store(20)
	if got := w.framed(1, 0, f); len(got) != 4+20+3 || got[4+10] != 0x34 {
		t.Errorf("with a header of 20 bytes: %x", got)
	}
	for _, size := range []uint32{device.TunnelVnetSize, 32} {
		w.vnet[1].Store(size)
		if got := w.framed(1, 0, f); len(got) != 4+int(size)+3 || !bytes.Equal(got[4+20:4+24], []byte{20, 0, 0x32, 1}) {
			t.Errorf("with a header of %d bytes: %x", size, got)
		}
	}
}

func TestKindsAreFlags(t *testing.T) {
	for what, want := range map[string]uint16{
		"tun": device.TUN, "tap_multi": device.TAP | device.Multi, "tun_pi": unix.IFF_TUN,
		"tap_vnet_napi_multi": device.TAP | device.Vnet | device.Multi | unix.IFF_NAPI,
	} {
		if got := flagsOf(what); got != want {
			t.Errorf("%s: %#x, want %#x", what, got, want)
		}
	}
}

// TestCommandsHaveNumbers: the two lists go side by side.
func TestCommandsHaveNumbers(t *testing.T) {
	if len(commands) != len(requests) {
		t.Errorf("%d names of %d commands", len(commands), len(requests))
	}
}

// TestCopyWaitsInItsCall: and goes with the others.
func TestCopyWaitsInItsCall(t *testing.T) {
	w := emptyWorld(t)
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1)
	if err := w.forkAnd(unix.SYS_READ, uintptr(ends[0]), device.Address(b), 1); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := device.Signal(ends[1]); err != nil {
			t.Fatal(err)
		}
	}
	device.WaitFor(t, "the copy to have read all and to wait", func() bool {
		left, err := unix.IoctlGetInt(ends[0], unix.TIOCINQ)
		return err == nil && left == 0
	})
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa((*w.children.Load())[0]), "syscall"))
	if err == nil && !bytes.HasPrefix(stat, []byte("0 ")) && !bytes.HasPrefix(stat, []byte("running")) {
		t.Errorf("the copy is in system call %s", stat)
	}
	if err := w.reset(); err != nil {
		t.Fatal(err)
	}
	unix.Close(ends[0])
	if _, err := unix.Write(ends[1], b); err != unix.EPIPE {
		t.Errorf("somebody still has the end that reads: %v", err)
	}
	unix.Close(ends[1])
}
