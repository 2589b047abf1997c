// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// A column has a width of its own, which a longer cell goes beyond.
type column struct {
	heading string
	left    bool // where cells stand
	width   int
}

var columns = []column{
	{"DEVICE", true, 8}, {"QUEUE", false, 5},
	{"RX-PKT/s", false, 8}, {"RX-B/s", false, 6}, {"RX-WAKE", false, 7}, {"RX-FILL", false, 7},
	{"TX-PKT/s", false, 8}, {"TX-B/s", false, 6}, {"TX-WAKE", false, 7}, {"TX-FILL", false, 7},
	{"DROP/s", false, 6}, {"STATE", true, 10}, {"OWNER", true, 0},
}

// A table is a report for people: a heading, rows, and what there is to say below.
type table struct {
	heading string
	rows    []string
	remarks []string
}

func newTable(r *report) *table {
	t := &table{}
	var cells [][]string
	for _, d := range r.Devices {
		cells = append(cells, deviceRows(d)...)
		t.remarks = append(t.remarks, dropRemarks(d)...)
	}
	widths := widthsOf(cells)
	if len(cells) > 0 {
		t.heading = layOut(headings(), widths)
	}
	for _, row := range cells {
		t.rows = append(t.rows, layOut(row, widths))
	}
	for _, name := range r.Gone {
		t.remarks = append(t.remarks, printable(name)+" is gone: it was deleted, or moved to another namespace, or its last queue was closed")
	}
	t.remarks = append(t.remarks, r.Notes...)
	return t
}

// lines are all of a table, heading first.
func (t *table) lines() []string {
	var lines []string
	if t.heading != "" {
		lines = append(lines, t.heading)
	}
	return append(append(lines, t.rows...), t.remarks...)
}

func headings() []string {
	var cells []string
	for _, c := range columns {
		cells = append(cells, c.heading)
	}
	return cells
}

// deviceRows are one for each queue, with their sum before them if there are several.
func deviceRows(d deviceReport) [][]string {
	var rows [][]string
	if len(d.Queues) == 0 {
		rows = append(rows, row(printable(d.Device), "-", nil, nil, "no queue", ""))
	}
	if len(d.Queues) > 1 {
		rows = append(rows, row(printable(d.Device), "all", d.Rates, nil, deviceState(d), ""))
	}
	for _, q := range d.Queues {
		rows = append(rows, row(printable(d.Device), strconv.Itoa(q.Queue), q.Rates, q.Rings, queueState(d, q), owners(q.Owners)))
	}
	return rows
}

func row(device, queue string, r *rates, g *rings, state, owner string) []string {
	cells := append([]string{device, queue}, rateCells(r)...)
	rx, tx := "-", "-"
	if g != nil {
		rx, tx = fill(g.RxUsed, g.RxSize), fill(g.TxUsed, g.TxSize)
	}
	return []string{cells[0], cells[1], cells[2], cells[3], cells[4], rx,
		cells[5], cells[6], cells[7], tx, cells[8], state, owner}
}

func rateCells(r *rates) []string {
	if r == nil {
		return []string{"-", "-", "-", "-", "-", "-", "-"}
	}
	return []string{
		short(r.RxPackets), short(r.RxBytes), ratio(r.RxWakeups),
		short(r.TxPackets), short(r.TxBytes), ratio(r.TxWakeups),
		short(r.Drops),
	}
}

func ratio(r *float64) string {
	if r == nil {
		return "-"
	}
	return short(*r)
}

func fill(used *uint64, size uint64) string {
	if used == nil || size == 0 {
		return "-"
	}
	return percent(*used, size)
}

func deviceState(d deviceReport) string {
	switch {
	case !d.Up:
		return "down"
	case !d.Carrier:
		return "no carrier"
	}
	return "up"
}

func queueState(d deviceReport, q queueReport) string {
	switch {
	case len(q.Broken) > 0:
		return strings.Join(q.Broken, "+") + " broken"
	case q.Parked:
		return "parked"
	case q.New:
		return "new"
	}
	return deviceState(d)
}

func owners(all []owner) string {
	var names []string
	for _, o := range all {
		names = append(names, fmt.Sprintf("%s(%d)", o.Command, o.PID))
	}
	return strings.Join(names, " ")
}

// dropRemarks are the drops of each queue that has had some.
func dropRemarks(d deviceReport) (lines []string) {
	for _, q := range d.Queues {
		var names, reasons []string
		for name, n := range q.Drops {
			if n.Total > 0 {
				names = append(names, name)
			}
		}
		sort.Strings(names)
		for _, name := range names {
			reasons = append(reasons, name+" "+q.Drops[name].text())
		}
		if len(reasons) > 0 {
			lines = append(lines, fmt.Sprintf("%s queue %d dropped: %s", printable(d.Device), q.Queue, strings.Join(reasons, ", ")))
		}
	}
	return lines
}

func (d drop) text() string {
	if d.Second == nil || *d.Second == 0 {
		return thousands(d.Total)
	}
	return fmt.Sprintf("%s (%s/s)", thousands(d.Total), short(*d.Second))
}

func widthsOf(rows [][]string) []int {
	widths := make([]int, len(columns))
	for i, c := range columns {
		widths[i] = c.width
		for _, cells := range rows {
			if n := len([]rune(cells[i])); n > widths[i] {
				widths[i] = n
			}
		}
	}
	return widths
}

func layOut(cells []string, widths []int) string {
	var b strings.Builder
	for i, cell := range cells {
		blanks := strings.Repeat(" ", widthLeft(widths[i], cell))
		if i > 0 {
			b.WriteString("  ")
		}
		if columns[i].left {
			b.WriteString(cell + blanks)
		} else {
			b.WriteString(blanks + cell)
		}
	}
	return strings.TrimRight(b.String(), " ")
}

func widthLeft(width int, cell string) int {
	if n := len([]rune(cell)); n < width {
		return width - n
	}
	return 0
}
