// SPDX-License-Identifier: MIT

//go:build mytun_device

package programs

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// tinc is a network of two daemons: a router has a TUN device, a switch a TAP device.
func tinc(mode string) tunnel {
	return tunnel{
		addresses: true,
		prepare: func(t *testing.T, e *end) {
			prepareTinc(t, e, mode)
		},
		command: func(e *end) []string {
			return []string{
				"tincd", "--no-detach", "--debug=1", "--config=" + e.dir, "--pidfile=" + filepath.Join(e.dir, "pid"),
			}
		},
	}
}

// prepareTinc writes an end's configuration and makes its key, whose public half both must have.
func prepareTinc(t *testing.T, e *end, mode string) {
	write(t, e, "tinc.conf", fmt.Sprintf("Name=%s\nMode=%s\nDevice=%s\nInterface=%s\nConnectTo=%s\n",
		e.name, mode, e.node, e.name, e.peer.name))
	write(t, e, "tinc-up", fmt.Sprintf("#!/bin/sh\nip address add %v/24 dev $INTERFACE && ip link set $INTERFACE up\n", e.inner4))
	hosts := filepath.Join(e.dir, "hosts")
	if err := os.Mkdir(hosts, 0o755); err != nil && !os.IsExist(err) {
		t.Fatal(err)
	}
	host := filepath.Join("hosts", e.name)
	write(t, e, host, fmt.Sprintf("Address=%v\nSubnet=%v\nSubnet=%v\n", e.wire, e.inner4, e.inner6))
	// a key that is fast to make: nothing is secret here
	run(t, "tincd", "--config="+e.dir, "--generate-keys=1024")
	peers := filepath.Join(e.peer.dir, "hosts")
	if err := os.MkdirAll(peers, 0o755); err != nil {
		t.Fatal(err)
	}
	public, err := os.ReadFile(filepath.Join(e.dir, host))
	if err != nil {
		t.Fatal(err)
	}
	write(t, e.peer, host, string(public))
}

// write writes a file of an end's program.
func write(t *testing.T, e *end, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(e.dir, name), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestTinc(t *testing.T) {
	need(t, "tincd")
	t.Run("router", tinc("router").onBoth)
	t.Run("switch", tinc("switch").onBoth)
}
