// SPDX-License-Identifier: MIT

package report

import (
	"encoding/xml"
	"fmt"
	"image/color"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mytun/mytun/bench/result"
)

// A drawing is what the tests want to know of an SVG file.
type drawing struct {
	texts              []string
	mytunBars, bars    int
	whiskers           int
	styles, unreadable int
}

// parse reads a file as XML: whatever is not well-formed is an error.
func parse(t *testing.T, path string) drawing {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var root element
	if err := xml.Unmarshal(data, &root); err != nil {
		t.Fatalf("%s is no XML: %v", path, err)
	}
	if root.XMLName.Local != "svg" {
		t.Fatalf("%s is a %s, not an svg", path, root.XMLName.Local)
	}
	var d drawing
	d.visit(root)
	return d
}

type element struct {
	XMLName  xml.Name
	Style    string    `xml:"style,attr"`
	Text     string    `xml:",chardata"`
	Children []element `xml:",any"`
}

func (d *drawing) visit(e element) {
	switch {
	case e.XMLName.Local == "text":
		d.texts = append(d.texts, strings.TrimSpace(e.Text))
		if !strings.Contains(e.Style, "sans-serif") {
			d.unreadable++
		}
	case strings.Contains(e.Style, hex(colorMytun)):
		d.mytunBars++
	case strings.Contains(e.Style, hex(colorPeer)):
		d.bars++
	case strings.Contains(e.Style, "stroke:"+hex(colorText)):
		d.whiskers++
	}
	if strings.Contains(e.Style, "#-") {
		d.styles++
	}
	for _, child := range e.Children {
		d.visit(child)
	}
}

func hex(c color.RGBA) string {
	return fmt.Sprintf("#%02X%02X%02X", c.R, c.G, c.B)
}

func TestPlot(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "by", "plot")
	names, err := Plot(dir, madeUp(t))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"rx.svg", "tx.svg", "forward-udp.svg", "forward-tcp-1.svg", "ping.svg", "overload.svg"}
	if !slices.Equal(names, want) {
		t.Errorf("drew %q, want %q", names, want)
	}
	// Panels of rx: net instructions at two sizes, packets and CPU at one, the last without vhost-net. A whisker has a line and two ends.
	d := parse(t, filepath.Join(dir, "rx.svg"))
	if d.mytunBars != 4 || d.bars != 4+4+4+3 {
		t.Errorf("rx has %d bars of mytun and %d of others, want 4 and 15", d.mytunBars, d.bars)
	}
	if d.whiskers != 3*(5+4) {
		t.Errorf("rx has %d lines of whiskers, want 27: on the timed panels alone", d.whiskers)
	}
	if d.styles != 0 || d.unreadable != 0 {
		t.Errorf("rx has %d styles that are none and %d texts without a fallback font", d.styles, d.unreadable)
	}
	for _, label := range []string{
		"rx, kernel 6.12.0-made-up-cloud-amd64", "net instr/packet, 64 B, 1 CPU: lower is better", "packets/s, 64 B, 2 CPUs: higher is better",
		"tun", "tun-napi", "wireguard", "vhost-net", "mytun", "1020", "3612", "401k", missing,
	} {
		if !slices.Contains(d.texts, label) {
			t.Errorf("rx has no label %q among %q", label, d.texts)
		}
	}
}

// A figure of nothing has a label and no whisker, and does not upset the scale.
func TestPlotZero(t *testing.T) {
	dir := t.TempDir()
	zero := timed(result.WorkloadOverload, 64, "mytun", result.MetricLost, "packets", 0)
	if _, err := Plot(dir, []result.Row{zero}); err != nil {
		t.Fatal(err)
	}
	if d := parse(t, filepath.Join(dir, "overload.svg")); !slices.Contains(d.texts, "0") || d.whiskers != 0 || d.mytunBars != 1 {
		t.Errorf("the drawing is %+v", d)
	}
}

func TestPlotFailure(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Plot(file, madeUp(t)); err == nil {
		t.Error("drew into a file that is no directory")
	}
}

func TestChartsOfTwoKernels(t *testing.T) {
	rows := append(rxRows("6.1.9", 1, 2), rxRows("6.12.1", 1, 2)...)
	var names []string
	for _, c := range charts(rows) {
		names = append(names, c.name)
		if len(c.panels) != 1 {
			t.Errorf("%s has %d panels, want its own one", c.name, len(c.panels))
		}
	}
	if want := []string{"rx-6.1.9", "rx-6.12.1"}; !slices.Equal(names, want) {
		t.Errorf("charts %q, want %q", names, want)
	}
}

func TestHeadlines(t *testing.T) {
	cpu := counted("tx", 64, "mytun", result.MetricProcessCPU, 1)
	packets := timed("tx", 64, "mytun", result.MetricPackets, "packets/s", 1)
	for _, c := range []struct {
		name string
		rows []result.Row
		want []string
	}{
		{"net rather than all", []result.Row{counted("tx", 64, "mytun", result.MetricInstructions, 2),
			counted("tx", 64, "mytun", result.MetricNetInstructions, 1)}, []string{"icount net instructions"}},
		{"all if there is no net", []result.Row{counted("tx", 64, "mytun", result.MetricInstructions, 2), cpu}, []string{"icount instructions"}},
		{"sizes beside each other", []result.Row{counted("tx", 64, "mytun", result.MetricInstructions, 2), packets,
			counted("tx", 1400, "mytun", result.MetricInstructions, 2)}, []string{"icount instructions", "icount instructions", "wall packets"}},
		{"doorbells if there is nothing else", []result.Row{counted("tx", 64, "mytun", result.MetricDoorbells, 2)}, []string{"icount doorbells"}},
		{"no doorbells beside rates", []result.Row{packets, timed("tx", 64, "mytun", result.MetricDoorbells, "1/packet", 2)}, []string{"wall packets"}},
	} {
		var got []string
		for _, p := range charts(c.rows)[0].panels {
			got = append(got, p.measured())
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: panels %q, want %q", c.name, got, c.want)
		}
	}
}

func TestChartsWithoutPeers(t *testing.T) {
	if all := charts([]result.Row{counted("rx", 64, "generator", result.MetricInstructions, 1)}); len(all) != 0 {
		t.Errorf("%d charts of the generator alone", len(all))
	}
}

func TestFileName(t *testing.T) {
	if got, want := fileName("../rx 2 queues/é+6.1"), ".._rx_2_queues___6.1"; got != want {
		t.Errorf("fileName is %q, want %q", got, want)
	}
}
