// SPDX-License-Identifier: MIT

package mytunev

import (
	"os/exec"
	"strings"
	"testing"
)

// TestDependencies: who uses the package, but no eBPF program, does not pay for a library
// that loads them; nor for those that this package's tests use.
func TestDependencies(t *testing.T) {
	command, err := exec.LookPath("go")
	if err != nil {
		t.Skip("no go command here")
	}
	list, err := exec.Command(command, "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := strings.Fields(string(list))
	for _, p := range packages {
		for _, unwanted := range []string{"github.com/cilium/ebpf", "github.com/vishvananda", "gvisor.dev"} {
			if strings.HasPrefix(p, unwanted) {
				t.Errorf("the package depends on %s", p)
			}
		}
	}
	if len(packages) < 2 || packages[len(packages)-1] != "github.com/mytun/mytun/pkg/mytunev" {
		t.Errorf("go list says %q", packages)
	}
}
