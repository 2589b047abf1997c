// SPDX-License-Identifier: MIT

//go:build linux

package main

import "testing"

func TestShort(t *testing.T) {
	for n, want := range map[float64]string{
		0: "0", 0.004: "<0.01", 0.01: "0.01", 0.054: "0.05", 0.5: "0.50", 1: "1.0", 3.24: "3.2", 9.99: "10.0", 10: "10",
		47.4: "47", 999: "999", 999.4: "999", 999.6: "1.00k", 1000: "1.00k", 1234: "1.23k", 12345: "12.3k",
		152300: "152k", 999_499: "999k", 999_600: "1.00M", 98.1e6: "98.1M", 1e9: "1.00G", 2.5e12: "2.50T", 1e18: "1.00E", 18e18: "18.0E",
	} {
		got := short(n)
		if got != want {
			t.Errorf("%v is %q, want %q", n, got, want)
		}
		if len(got) > 5 {
			t.Errorf("%v is %q, which is wider than 5", n, got)
		}
	}
}

func TestPercent(t *testing.T) {
	for _, test := range []struct {
		used, size uint64
		want       string
	}{{0, 1 << 20, "0%"}, {64, 1 << 20, "<1%"}, {1 << 19, 1 << 20, "50%"}, {1 << 20, 1 << 20, "100%"}} {
		if got := percent(test.used, test.size); got != test.want {
			t.Errorf("%d of %d is %q, want %q", test.used, test.size, got, test.want)
		}
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", 1<<64 - 1: "18,446,744,073,709,551,615"} {
		if got := thousands(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}

func TestPlural(t *testing.T) {
	for n, want := range map[int]string{0: "0 queues", 1: "1 queue", 1200: "1,200 queues"} {
		if got := plural(n, "queue"); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}
