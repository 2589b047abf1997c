// SPDX-License-Identifier: MIT

//go:build linux

package workload

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

const pktgenText = `Params: count 8192  min_pkt_size: 64  max_pkt_size: 64
     frags: 0  delay: 0  clone_skb: 0  ifname: bench0
Current:
     pkts-sofar: 8192  errors: %d
     started: 100us  stopped: 200us idle: 0us
%s: OK: 100(c100+d0) usec, 8192 (64byte,0frags)
  81920000pps 41943Mb/sec (41943040000bps) errors: %[1]d`

func TestParsePktgen(t *testing.T) {
	sent, refused, err := parsePktgen(fmt.Sprintf(pktgenText, 7, "Result"))
	if sent != 8192 || refused != 7 || err != nil {
		t.Errorf("%d, %d, %v, want 8192, 7 and no error", sent, refused, err)
	}
	for _, text := range []string{"", "Result: OK", fmt.Sprintf(pktgenText, 7, "Idle"), "Result: OK: pkts-sofar: x errors: 1"} {
		if _, _, err := parsePktgen(text); err == nil {
			t.Errorf("%q is taken for the end of a run", text)
		}
	}
}

const snmpText = `Ip: Forwarding InDelivers
Ip: 1 40
Udp: InDatagrams NoPorts InErrors RcvbufErrors
Udp: 1 2 3 4
UdpLite: InDatagrams NoPorts InErrors RcvbufErrors
UdpLite: 5 6 7 8
`

func TestSNMP(t *testing.T) {
	for c, want := range map[snmp]int{overrun: 4, {"Ip:", "InDelivers"}: 40, {"Udp:", "InDatagrams"}: 1} {
		if got, err := c.find(snmpText); got != want || err != nil {
			t.Errorf("%v: %d, %v, want %d", c, got, err, want)
		}
	}
	for _, c := range []snmp{{"Udp:", "Gone"}, {"Tcp:", "RcvbufErrors"}} {
		if _, err := c.find(snmpText); err == nil {
			t.Errorf("%v is found", c)
		}
	}
	if _, err := overrun.find("Udp: RcvbufErrors\n"); err == nil {
		t.Error("a counter without a value is found")
	}
}

func TestParseSchedstat(t *testing.T) {
	const text = `version 16
timestamp 4294892296
cpu0 0 0 0 0 0 0 1000 5 6
domain0 3 1 2
cpu1 0 0 0 0 0 0 234 5 6
`
	if d, err := parseSchedstat(text); d != 1234 || err != nil {
		t.Errorf("%v, %v, want 1.234us", d, err)
	}
	for _, text := range []string{"version 16\n", "cpu0 1 2 3\n", "cpu0 0 0 0 0 0 0 x 5 6\n"} {
		if d, err := parseSchedstat(text); err == nil {
			t.Errorf("%q is %v", text, d)
		}
	}
}

func TestParseStat(t *testing.T) {
	const text = `cpu  1 2 4 1000 1000 8 16 1000 0 0
cpu0 1 1 1 1 1 1 1 1 0 0
intr 1
`
	if d, err := parseStat(text); d != 310*time.Millisecond || err != nil {
		t.Errorf("%v, %v, want 310ms: idle, iowait and steal are not busy", d, err)
	}
	if _, err := parseStat("cpu0 1 1 1 1 1 1 1 1\n"); err == nil {
		t.Error("one CPU is taken for all")
	}
}

func TestParsePing(t *testing.T) {
	line := "64 bytes from 10.88.0.2: icmp_seq=1 ttl=64 time=0.%03d ms\n"
	var text strings.Builder
	for i := range pings - 1 {
		fmt.Fprintf(&text, line, i+1)
	}
	times, err := parsePing([]byte(text.String()))
	if len(times) != pings-1 || err != nil || times[41] != 42 {
		t.Fatalf("%d times, %v, want %d, the 42nd 42 us", len(times), err, pings-1)
	}
	if _, err := parsePing([]byte(fmt.Sprintf(line, 1) + "--- ping statistics ---\n400 packets transmitted, 1 received")); err == nil ||
		!strings.Contains(err.Error(), "1 received") {
		t.Errorf("%v, want an error with ping's words", err)
	}
}

func TestPercentile(t *testing.T) {
	values := []float64{5, 1, 4, 2, 3}
	for _, c := range []struct {
		n, percent int
		want       float64
	}{{5, 50, 3}, {5, 99, 5}, {5, 100, 5}, {5, 0, 1}, {5, 20, 1}, {5, 21, 2}, {10, 50, 5}, {10, 51, math.Inf(1)}} {
		if got := percentile(values, c.n, c.percent); got != c.want {
			t.Errorf("%d %% of %d: %v, want %v", c.percent, c.n, got, c.want)
		}
	}
}
