// SPDX-License-Identifier: MIT

package report

import (
	"strings"
	"testing"

	"github.com/mytun/mytun/bench/result"
)

// vpnRows are figures that nobody has measured: mytun gains in UDP what was aimed at, and not in VXLAN.
func vpnRows() []result.Row {
	const stock, mytun = result.PeerWireGuard, result.PeerMytun
	return []result.Row{
		timed(result.WorkloadVPNTCP1, 0, stock, result.MetricThroughput, "Gb/s", 0.5),
		timed(result.WorkloadVPNTCP1, 0, stock, result.MetricAllCPU, "ns/packet", 77777),
		timed(result.WorkloadVPNTCP1, 0, mytun, result.MetricThroughput, "Gb/s", 1.25),
		timed(result.WorkloadVPNUDP, 1400, stock, result.MetricCPUPackets, "packets/s", 1000),
		timed(result.WorkloadVPNUDP, 1400, mytun, result.MetricCPUPackets, "packets/s", 1500),
		timed(result.WorkloadVPNUDP, 1400, stock, result.MetricSyscalls, "1/packet", 2),
		timed(result.WorkloadVPNUDP, 1400, mytun, result.MetricSyscalls, "1/packet", 0.25),
		timed(result.WorkloadVPNVXLAN, 200, stock, result.MetricCPUPackets, "packets/s", 1000),
		timed(result.WorkloadVPNVXLAN, 200, mytun, result.MetricCPUPackets, "packets/s", 1490),
		timed(result.WorkloadVPNVXLAN, 200, stock, result.MetricLost, "packets", 0),
		timed(result.WorkloadVPNVXLAN, 200, mytun, result.MetricLost, "packets", 3),
		counted(result.WorkloadVPNUDP, 1400, "cipher", result.MetricInstructions, 9000),
		counted(result.WorkloadVPNUDP, 1400, stock, result.MetricNetInstructions, 20000),
		counted(result.WorkloadVPNUDP, 1400, mytun, result.MetricNetInstructions, 10000),
		counted(result.WorkloadVPNUDP, 1400, stock, result.MetricInstructions, 29000),
		counted(result.WorkloadVPNUDP, 1400, mytun, result.MetricInstructions, 19000),
		counted(result.WorkloadRx, 64, mytun, result.MetricInstructions, 55555),
	}
}

func writeVPN(t *testing.T, rows []result.Row, format Format) string {
	t.Helper()
	var b strings.Builder
	if err := VPN(&b, rows, format); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// fields are the words of a text, each line's apart by one blank: how wide a table is says nothing.
func fields(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.Join(strings.Fields(line), " ") + "\n")
	}
	return b.String()
}

func TestVPN(t *testing.T) {
	got := fields(writeVPN(t, vpnRows(), Text))
	for _, want := range []string{
		"stock mytun ratio\n",
		"TCP, one flow\nthroughput, Gb/s 0.5 1.25 2.50\n",
		"UDP without GSO, packets of 1400 bytes\npackets a CPU second, all CPUs 1000 1500 1.50\nsystem calls of wireguard-go a packet 2 0.25 0.12\n",
		"VXLAN over the VPN, packets of 200 bytes in it\npackets a CPU second, all CPUs 1000 1490 1.49\npackets lost 0 3 -\n",
		"instructions a packet, without the cipher's 20k 10k 0.50\n",
		"Without a peer: cipher, vpn-udp, 1400 B: 9000 instr/packet.\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
	for _, want := range []string{": vpn-udp 1.50 (reached), vpn-vxlan 1.49 (not reached). ", ": vpn-udp 1.53 (reached). "} {
		if joined := strings.ReplaceAll(got, "\n", " "); !strings.Contains(joined, want) {
			t.Errorf("there is no verdict %q in\n%s", want, got)
		}
	}
	for _, unwanted := range []string{"77.78k", "instructions a packet -", "55.55k", "rx"} {
		if strings.Contains(got, unwanted) {
			t.Errorf("%q is in\n%s", unwanted, got)
		}
	}
}

func TestVPNMarkdown(t *testing.T) {
	got := fields(writeVPN(t, vpnRows(), Markdown))
	for _, want := range []string{"| **TCP, one flow** |", "throughput, Gb/s | 0.5 | 1.25 | 2.50 |"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
}

// TestVPNAdapter: the adapter over stock tun has a column where it was measured with a VPN, and is named below.
func TestVPNAdapter(t *testing.T) {
	const explained = "adapter: mytun's adapter"
	rows := append(vpnRows(), timed(result.WorkloadVPNUDP, 1400, result.PeerTun, result.MetricCPUPackets, "packets/s", 1250))
	got := fields(writeVPN(t, rows, Text))
	for _, want := range []string{"stock adapter mytun ratio\n", "packets a CPU second, all CPUs 1000 1250 1500 1.50\n", "throughput, Gb/s 0.5 - 1.25 2.50\n", explained} {
		if !strings.Contains(strings.ReplaceAll(got, "mytun's\nadapter", "mytun's adapter"), want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
	got = fields(writeVPN(t, append(vpnRows(), timed(result.WorkloadRx, 64, result.PeerTun, result.MetricThroughput, "Gb/s", 1)), Text))
	if !strings.Contains(got, "stock mytun ratio\n") || strings.Contains(got, "adapter") {
		t.Errorf("stock tun without a VPN has a column:\n%s", got)
	}
	if alone := fields(writeVPN(t, rows[len(rows)-1:], Text)); !strings.Contains(alone, "all CPUs - 1250 - -\n") {
		t.Errorf("alone it is\n%s", alone)
	}
}

// TestVPNIncomplete: who has one side only gets no ratio, and no verdict on an aim.
func TestVPNIncomplete(t *testing.T) {
	got := fields(writeVPN(t, vpnRows()[3:4], Text))
	if !strings.Contains(got, "packets a CPU second, all CPUs 1000 - -\n") || strings.Contains(got, "Aim:") {
		t.Errorf("it is\n%s", got)
	}
	if err := VPN(&strings.Builder{}, nil, Text); err == nil || !strings.Contains(err.Error(), "make demo-vpn") {
		t.Errorf("no rows: %v", err)
	}
}
