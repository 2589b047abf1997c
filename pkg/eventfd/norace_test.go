// SPDX-License-Identifier: MIT

//go:build !race

package eventfd

const raceEnabled = false
