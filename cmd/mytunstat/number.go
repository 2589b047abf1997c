// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"fmt"
	"strconv"
)

// short prints a number in at most five characters: 0, 0.05, 3.2, 47, 152k, 1.34M.
func short(n float64) string {
	units := []string{"", "k", "M", "G", "T", "P", "E"}
	unit := 0
	for n >= 999.5 && unit < len(units)-1 {
		n /= 1000
		unit++
	}
	switch {
	case n == 0:
		return "0"
	case n >= 99.95, unit == 0 && n >= 9.995:
		return strconv.FormatFloat(n, 'f', 0, 64) + units[unit]
	case n >= 9.995:
		return strconv.FormatFloat(n, 'f', 1, 64) + units[unit]
	case unit == 0 && n < 0.01:
		return "<0.01"
	}
	digits := 2
	if unit == 0 && n >= 1 {
		digits = 1
	}
	return strconv.FormatFloat(n, 'f', digits, 64) + units[unit]
}

// percent is how much of size is used.
func percent(used, size uint64) string {
	switch p := 100 * float64(used) / float64(size); {
	case p == 0:
		return "0%"
	case p < 1:
		return "<1%"
	default:
		return strconv.FormatFloat(p, 'f', 0, 64) + "%"
	}
}

// thousands prints n as 1,234,567.
func thousands(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%s %ss", thousands(uint64(n)), what)
}
