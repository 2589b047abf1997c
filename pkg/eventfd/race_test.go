// SPDX-License-Identifier: MIT

//go:build race

package eventfd

// raceEnabled: the race detector makes system calls allocate.
const raceEnabled = true
