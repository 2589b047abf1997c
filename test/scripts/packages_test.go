// SPDX-License-Identifier: MIT

// Package scripts tests what the set-up scripts do to the machine they run on, with
// programs of its own in the place of apt's.
package scripts

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// fakeApt is a directory with an apt and a dpkg that know every package and have none
// installed. What apt-get was called with, and which configuration it had, comes into
// the file that is returned too.
func fakeApt(t *testing.T) (dir, calls string) {
	t.Helper()
	dir = t.TempDir()
	calls = filepath.Join(dir, "calls")
	for name, script := range map[string]string{
		"apt-get":    `echo "$* APT_CONFIG=${APT_CONFIG:-}" >>` + calls,
		"apt-cache":  "echo Filename: somewhere",
		"dpkg-query": "exit 1",
		"sudo":       `exec "$@"`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return dir, calls
}

// TestInstallsFromThisMachinesRelease: while a kernel of another Debian release is being
// fetched, apt is told of that release alone. What is installed comes from this one.
func TestInstallsFromThisMachinesRelease(t *testing.T) {
	dir, calls := fakeApt(t)
	cmd := exec.Command("bash", "-c", `
		. ../../scripts/common.sh
		. ../../scripts/debian.sh
		use_sources other 'deb http://localhost/debian other main'
		../../scripts/setup-packages.sh root`)
	cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "MYTUN_CACHE="+t.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("setup-packages.sh root: %v\n%s", err, out)
	}
	text, err := os.ReadFile(calls)
	if err != nil {
		t.Fatal(err)
	}
	call := strings.TrimSpace(string(text))
	if !strings.Contains(call, "install") || !strings.HasSuffix(call, "bubblewrap APT_CONFIG=") {
		t.Errorf("apt-get was called as %q, and not to install bubblewrap with this machine's own configuration", call)
	}
}
