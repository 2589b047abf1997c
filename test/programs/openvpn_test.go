// SPDX-License-Identifier: MIT

//go:build mytun_device

package programs

import (
	"path/filepath"
	"testing"
)

// openvpn is a tunnel between two peers that share a key.
func openvpn(kind string, netmask func(e *end) string) tunnel {
	const key = "key"
	return tunnel{
		addresses: true,
		prepare: func(t *testing.T, e *end) {
			// both read the first one's
			if e.name == "left" {
				run(t, "openvpn", "--genkey", "secret", filepath.Join(e.dir, key))
				e.peer.dir = e.dir
			}
		},
		command: func(e *end) []string {
			return []string{
				"openvpn", "--dev", e.name, "--dev-type", kind, "--dev-node", e.node,
				"--proto", "udp4", "--local", e.wire.String(), "--remote", e.peer.wire.String(),
				"--ifconfig", e.inner4.String(), netmask(e),
				"--secret", filepath.Join(e.dir, key), "--cipher", "AES-256-CBC", "--providers", "default",
			}
		},
	}
}

func TestOpenVPN(t *testing.T) {
	need(t, "openvpn")
	t.Run("TUN", openvpn("tun", func(e *end) string { return e.peer.inner4.String() }).onBoth)
	t.Run("TAP", openvpn("tap", func(*end) string { return "255.255.255.0" }).onBoth)
	t.Run("persistent", func(t *testing.T) { sameResults(t, openvpnTool, atNode) })
}
