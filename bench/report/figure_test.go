// SPDX-License-Identifier: MIT

package report

import "testing"

func TestFigure(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 1: "1", 0.5: "0.5", 0.0156: "0.016", 0.00049: "0.00049", 1.23456: "1.235", 9.9996: "10", 12.345: "12.35", 99.999: "100",
		123.45: "123.5", 999.96: "1000", 4321.4: "4321", 9999.4: "9999", 9999.6: "10k", 12345: "12.35k", 123456: "123.5k", 999949: "999.9k",
		999951: "1M", 1234567: "1.235M", 2e9: "2G", -1500: "-1500", -0.25: "-0.25",
	} {
		if got := figure(v); got != want {
			t.Errorf("figure(%v) = %q, want %q", v, got, want)
		}
	}
}

// The table's columns are six characters wide.
func TestFigureWidth(t *testing.T) {
	for v := 0.001; v < 9e9; v *= 1.0137 {
		if got := figure(v); len(got) > 6 {
			t.Errorf("figure(%v) = %q, which is longer than six characters", v, got)
		}
	}
}

func TestQuotient(t *testing.T) {
	for v, want := range map[float64]string{0: "0.00", 0.0666: "0.067", 0.333: "0.33", 1: "1.00", 2.5: "2.50", 9.996: "10.0", 12.34: "12.3", 123.4: "123"} {
		if got := quotient(v); got != want {
			t.Errorf("quotient(%v) = %q, want %q", v, got, want)
		}
	}
}

func TestMeasure(t *testing.T) {
	for _, c := range []struct{ metric, unit, want string }{
		{"instructions", "instr/packet", "instr/packet"},
		{"net instructions", "instr/packet", "net instr/packet"},
		{"packets", "packets/s", "packets/s"},
		{"throughput", "Gb/s", "throughput Gb/s"},
		{"system calls", "1/packet", "system calls/packet"},
		{"lost", "packets", "lost packets"},
		{"RTT p50", "us", "RTT p50 us"},
	} {
		if got := measure(c.metric, c.unit); got != c.want {
			t.Errorf("measure(%q, %q) = %q, want %q", c.metric, c.unit, got, c.want)
		}
	}
}
