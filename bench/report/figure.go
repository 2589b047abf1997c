// SPDX-License-Identifier: MIT

package report

import (
	"math"
	"strconv"
	"strings"

	"github.com/mytun/mytun/bench/result"
)

// missing stands where a peer has no figure.
const missing = "-"

// figure prints four significant digits, three behind the point at most, in a column of six: 0.016, 12.34, 4321, 98.77k, 1.234M.
func figure(v float64) string {
	switch size := math.Abs(v); {
	case size >= 999_950_000:
		return digits(v/1e9) + "G"
	case size >= 999_950:
		return digits(v/1e6) + "M"
	case size >= 9999.5:
		return digits(v/1e3) + "k"
	}
	return digits(v)
}

// digits prints a number below 10,000. One that would be printed as nothing, and is not nothing, gets its own first digits.
func digits(v float64) string {
	decimals := 3
	for limit := 9.9995; decimals > 0 && math.Abs(v) >= limit; limit = limit*10 + 0.0045 {
		decimals--
	}
	if v != 0 && math.Abs(v) < 0.0005 {
		return strconv.FormatFloat(v, 'g', 2, 64)
	}
	s := strconv.FormatFloat(v, 'f', decimals, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// quotient prints a ratio with three significant digits.
func quotient(v float64) string {
	switch size := math.Abs(v); {
	case size >= 99.95:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case size >= 9.995:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case size != 0 && size < 0.0995:
		return strconv.FormatFloat(v, 'f', 3, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// percent prints a part of one, such as a spread.
func percent(part float64) string {
	return strconv.FormatFloat(part*100, 'f', 1, 64) + " %"
}

// subject prints what was done: "rx, 64 B".
func subject(workload string, size int) string {
	if size == 0 {
		return workload
	}
	return workload + ", " + strconv.Itoa(size) + " B"
}

// measure prints a metric with its unit, and nothing twice: "net instr/packet", "packets/s", "RTT p50 us".
func measure(metric, unit string) string {
	if events, ok := strings.CutPrefix(unit, "1/"); ok {
		return metric + "/" + events
	}
	head, _, isRate := strings.Cut(unit, "/")
	words := strings.Fields(metric)
	if last := len(words) - 1; isRate && last >= 0 && strings.HasPrefix(words[last], head) {
		words = words[:last]
	}
	return strings.Join(append(words, unit), " ")
}

// direction says in words what is better in that unit.
func direction(unit string) string {
	if result.HigherIsBetter(unit) {
		return "higher is better"
	}
	return "lower is better"
}
