// SPDX-License-Identifier: MIT

//go:build race

package mytunev

// raceEnabled: the race detector makes system calls allocate.
const raceEnabled = true
