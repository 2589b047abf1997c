// SPDX-License-Identifier: MIT

//go:build linux

package device

import "testing"

// BackendVariable chooses the backend of package mytunev, whatever a Config says.
const BackendVariable = "MYTUN_BACKEND"

// OnBothBackends runs a test over mytun and over stock tun, as subtests that are named so.
func OnBothBackends(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	LoadStockTun(t)
	for _, backend := range []string{"mytun", "tun"} {
		t.Run(backend, func(t *testing.T) {
			t.Setenv(BackendVariable, backend)
			test(t)
		})
	}
}
