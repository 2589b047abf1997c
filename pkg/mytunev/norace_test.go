// SPDX-License-Identifier: MIT

//go:build !race

package mytunev

const raceEnabled = false
