// SPDX-License-Identifier: MIT

//go:build mytun_device

package programs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestOpenSSH: ssh -w, from the left end to an sshd at the right one. Both have the same key, and a
// device with a number. Key and key exchange are of the kind that costs an emulator least.
func TestOpenSSH(t *testing.T) {
	need(t, "ssh", "sshd", "ssh-keygen")
	names := map[string]string{"left": "tun7", "right": "tun8"}
	key := func(e *end) string { return filepath.Join(e.dir, "key") }
	// it starts itself anew for a client, and wants to be told where it is
	sshd, _ := exec.LookPath("sshd")
	tunnel{
		fixed: true,
		prepare: func(t *testing.T, e *end) {
			if e.name == "left" {
				run(t, "ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", key(e))
				e.peer.dir = e.dir
			} else if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
				t.Fatal(err)
			}
			e.name = names[e.name]
		},
		command: func(e *end) []string {
			if e.name == names["left"] {
				return []string{
					"ssh", "-N", "-F", "none", "-i", key(e), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
					"-o", "BatchMode=yes", "-o", "KexAlgorithms=ecdh-sha2-nistp256", "-w", "7:8", "root@" + e.peer.wire.String(),
				}
			}
			return []string{
				sshd, "-D", "-e", "-f", "/dev/null", "-h", key(e), "-o", fmt.Sprintf("ListenAddress=%v", e.wire),
				"-o", "AuthorizedKeysFile=" + key(e) + ".pub", "-o", "StrictModes=no", "-o", "PermitRootLogin=yes",
				"-o", "PermitTunnel=point-to-point", "-o", "PidFile=none",
			}
		},
		listens: "Server listening",
	}.onBoth(t)
}
