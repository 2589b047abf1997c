// SPDX-License-Identifier: MIT

//go:build mytun_device

package programs

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/mytun/mytun/test/device"
)

// TestVDE: two virtual switches with a TAP device each, and a cable between them.
func TestVDE(t *testing.T) {
	need(t, "vde_switch", "vde_plug")
	socket := func(e *end) string { return filepath.Join(e.dir, "switch") }
	tunnel{
		fixed: true,
		command: func(e *end) []string {
			return []string{"vde_switch", "--tap", e.name, "--sock", socket(e)}
		},
		join: func(t *testing.T, ends [2]*end) {
			for _, e := range ends {
				e.waitFor(t, "a switch to plug into", func() bool {
					_, err := os.Stat(filepath.Join(socket(e), "ctl"))
					return err == nil
				})
			}
			device.Enter(t, ends[0].ns)
			start(t, "vde_plug", "vde://"+socket(ends[0]), "vde://"+socket(ends[1]))
		},
	}.onBoth(t)
}
