// SPDX-License-Identifier: MIT

package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/mytun/mytun/bench/result"
)

// vpnTitles say what is done, in words.
var vpnTitles = map[string]string{
	result.WorkloadVPNTCP1:  "TCP, one flow",
	result.WorkloadVPNTCP8:  "TCP, eight flows",
	result.WorkloadVPNUDP:   "UDP without GSO, packets of %d bytes",
	result.WorkloadVPNVXLAN: "VXLAN over the VPN, packets of %d bytes in it",
	result.WorkloadVPNPing:  "ping, on an idle machine",
}

// vpnLabels are the figures that the table has, by metric and unit.
var vpnLabels = map[[2]string]string{
	{result.MetricThroughput, "Gb/s"}:              "throughput, Gb/s",
	{result.MetricPackets, "packets/s"}:            "packets a second",
	{result.MetricCPUPackets, "packets/s"}:         "packets a CPU second, all CPUs",
	{result.MetricProcessPackets, "packets/s"}:     "packets a CPU second, wireguard-go's alone",
	{result.MetricInstructions, "instr/packet"}:    "instructions a packet",
	{result.MetricNetInstructions, "instr/packet"}: "instructions a packet, without the cipher's",
	{result.MetricProcessCPU, "instr/packet"}:      "instructions a packet, wireguard-go's alone",
	{result.MetricSyscalls, "1/packet"}:            "system calls of wireguard-go a packet",
	{result.MetricLost, "packets"}:                 "packets lost",
	{result.MetricRTTP50, "us"}:                    "round trip, median, us",
	{result.MetricRTTP99, "us"}:                    "round trip, 99 of 100, us",
}

// vpnAim is what mytun is to gain in packets a CPU second, or an instruction, where stock tun reads a packet a call.
const vpnAim = 1.5

var vpnAimed = []string{result.WorkloadVPNUDP, result.WorkloadVPNVXLAN}

const vpnLegend = "Two network namespaces, joined by a veth pair, and wireguard-go at each end, over its own stock tun and over mytun: the same program" +
	" but for that. ratio: mytun divided by stock. A packet of TCP is a full one. The time of all CPUs has the senders and the sinks in it." +
	" By the wall clock the figures follow what else runs on the emulator's host; instructions do not. In an emulator the cipher, which is the same for both, takes a larger part than on a machine."

// vpnAdapterLegend explains a column that is there on demand.
const vpnAdapterLegend = " adapter: mytun's adapter over stock tun, which wireguard-go's own device could do as well."

// VPN writes rows of the VPN's workloads as one table: stock tun beside mytun, and below what was aimed at.
func VPN(w io.Writer, rows []result.Row, format Format) error {
	var b strings.Builder
	_, rows = split(rows)
	all := sections(rows)
	for _, s := range all {
		fmt.Fprintf(&b, "%s\n%s\n%s%s\n", s.title(format), s.renderVPN(format), s.footer(format), s.vpnAims(format))
	}
	if b.Len() == 0 {
		return fmt.Errorf("there are no rows of a VPN: make demo-vpn measures them")
	}
	legend := vpnLegend
	if slices.ContainsFunc(all, (*section).hasVPNAdapter) {
		legend += vpnAdapterLegend
	}
	b.WriteString(paragraph(legend, format))
	_, err := io.WriteString(w, b.String())
	return err
}

func (s *section) renderVPN(format Format) string {
	t := table.NewWriter()
	t.SetStyle(style())
	t.SuppressTrailingSpaces()
	header, configs := table.Row{""}, []table.ColumnConfig{{Number: 1}}
	columns := s.vpnColumns()
	for _, c := range columns {
		header = append(header, c.title)
	}
	header = append(header, "ratio")
	for i := range header[1:] {
		configs = append(configs, alignRight(i+2))
	}
	t.SetColumnConfigs(configs)
	t.AppendHeader(header)
	last := ""
	for _, l := range s.lines {
		title, known := vpnTitles[l.workload]
		label, shown := vpnLabels[[2]string{l.metric, l.unit}]
		if !known || !shown || !l.contested() {
			continue
		}
		if strings.Contains(title, "%d") {
			title = fmt.Sprintf(title, l.size)
		}
		if title != last {
			t.AppendRow(table.Row{emphasis(title, format)})
			last = title
		}
		row := table.Row{"  " + label}
		for _, c := range columns {
			row = append(row, l.vpnFigure(c.peer))
		}
		t.AppendRow(append(row, l.vpnRatioText()))
	}
	if format == Markdown {
		return t.RenderMarkdown()
	}
	return t.Render()
}

// A vpnColumn has the figures of a peer.
type vpnColumn struct{ title, peer string }

// vpnColumns are the two that everybody wants, and the adapter over stock tun where somebody has measured it.
func (s *section) vpnColumns() []vpnColumn {
	columns := []vpnColumn{{"stock", result.PeerWireGuard}, {"adapter", result.PeerTun}, {"mytun", result.PeerMytun}}
	if !s.hasVPNAdapter() {
		columns = slices.Delete(columns, 1, 2)
	}
	return columns
}

func (s *section) hasVPNAdapter() bool {
	return slices.ContainsFunc(s.lines, func(l *line) bool {
		_, known := vpnTitles[l.workload]
		_, measured := l.cells[result.PeerTun]
		return known && measured
	})
}

func alignRight(column int) table.ColumnConfig {
	return table.ColumnConfig{Number: column, Align: text.AlignRight, AlignHeader: text.AlignRight}
}

func (l *line) vpnFigure(peer string) string {
	if row, ok := l.cells[peer]; ok {
		return figure(row.Median)
	}
	return missing
}

// vpnRatio is mytun's figure divided by stock's, if there is one.
func (l *line) vpnRatio() (ratio float64, ok bool) {
	stock, ok1 := l.cells[result.PeerWireGuard]
	mytun, ok2 := l.cells[result.PeerMytun]
	if !ok1 || !ok2 || stock.Median == 0 {
		return 0, false
	}
	return mytun.Median / stock.Median, true
}

func (l *line) vpnRatioText() string {
	if ratio, ok := l.vpnRatio(); ok {
		return quotient(ratio)
	}
	return missing
}

// vpnAims says of each aim whether it was reached.
func (s *section) vpnAims(format Format) string {
	var said []string
	for _, l := range s.lines {
		gain, ok := l.vpnGain()
		if !ok || !slices.Contains(vpnAimed, l.workload) {
			continue
		}
		verdict := "reached"
		if gain < vpnAim {
			verdict = "not reached"
		}
		said = append(said, fmt.Sprintf("%s %s (%s)", l.workload, quotient(gain), verdict))
	}
	if len(said) == 0 {
		return ""
	}
	return paragraph(fmt.Sprintf("Aim: for the same work of all CPUs %s times the packets, where stock reads a packet a call: %s.",
		quotient(vpnAim), strings.Join(said, ", ")), format)
}

// vpnGain is how many packets mytun carries for the work of all CPUs that takes stock one, if this line tells.
func (l *line) vpnGain() (gain float64, ok bool) {
	ratio, ok := l.vpnRatio()
	switch {
	case !ok || ratio == 0:
		return 0, false
	case l.metric == result.MetricCPUPackets:
		return ratio, true
	case l.metric == result.MetricInstructions:
		return 1 / ratio, true
	}
	return 0, false
}
