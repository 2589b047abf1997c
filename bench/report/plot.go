// SPDX-License-Identifier: MIT

package report

import (
	"bytes"
	"image/color"
	"os"
	"path/filepath"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/mytun/mytun/bench/result"
)

var (
	colorMytun = color.RGBA{R: 0x1f, G: 0x6f, B: 0xd0, A: 0xff}
	colorPeer  = color.RGBA{R: 0xb4, G: 0xbb, B: 0xc4, A: 0xff}
	colorText  = color.RGBA{R: 0x24, G: 0x29, B: 0x2f, A: 0xff}
)

// Lengths of a chart.
const (
	panelWidth  = vg.Length(360)
	titleHeight = vg.Length(34)
	panelTitle  = vg.Length(30)
	barPitch    = vg.Length(21)
	barWidth    = vg.Length(14)
	margin      = vg.Length(10)
	gap         = vg.Length(16)
	textRise    = vg.Length(1.6) // up to the middle of the bar
)

// Plot draws one SVG file for each workload into dir, which is made if need be, and returns the names of the files in it.
func Plot(dir string, rows []result.Row) ([]string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	var names []string
	for _, c := range charts(rows) {
		svg, err := c.svg()
		if err != nil {
			return names, err
		}
		if err := result.WriteFile(filepath.Join(dir, c.name+".svg"), svg); err != nil {
			return names, err
		}
		names = append(names, c.name+".svg")
	}
	return names, nil
}

func (c *chart) svg() ([]byte, error) {
	plots, err := c.plots()
	if err != nil {
		return nil, err
	}
	tiles := draw.Tiles{Rows: len(plots), Cols: len(plots[0]), PadX: gap, PadY: gap}
	panelHeight := panelTitle + barPitch*vg.Length(len(c.panels[0].peers))
	width := panelWidth*vg.Length(tiles.Cols) + gap*vg.Length(tiles.Cols-1) + 2*margin
	height := (panelHeight+gap)*vg.Length(tiles.Rows) - gap + titleHeight + 2*margin
	canvas := vgsvg.New(width, height)
	whole := draw.New(canvas)
	whole.SetColor(color.White)
	whole.Fill(whole.Rectangle.Path())
	inside := draw.Crop(whole, margin, -margin, margin, -margin)
	inside.FillText(heavy(15), vg.Point{X: inside.Min.X, Y: inside.Max.Y}, c.title)
	areas := plot.Align(plots, tiles, draw.Crop(inside, 0, 0, 0, -titleHeight))
	for row := range plots {
		for column, p := range plots[row] {
			if p != nil {
				p.Draw(areas[row][column])
			}
		}
	}
	return write(canvas)
}

// write replaces the one font that may be missing where the picture is looked at by a list that ends with one that never is.
func write(canvas *vgsvg.Canvas) ([]byte, error) {
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return nil, err
	}
	const family = "font-family:Liberation Sans"
	return bytes.ReplaceAll(b.Bytes(), []byte(family+";"), []byte(family+",Arial,Helvetica,sans-serif;")), nil
}

// plots arranges the panels in two columns, or in one if there is only one.
func (c *chart) plots() ([][]*plot.Plot, error) {
	columns := min(2, len(c.panels))
	var rows [][]*plot.Plot
	for i, panel := range c.panels {
		if i%columns == 0 {
			rows = append(rows, make([]*plot.Plot, columns))
		}
		p, err := panel.plot()
		if err != nil {
			return nil, err
		}
		rows[i/columns][i%columns] = p
	}
	return rows, nil
}

// plot draws bars from left to right, the first peer on top, with the figure behind each, so that no axis of values is needed.
func (p panel) plot() (*plot.Plot, error) {
	chart := plot.New()
	chart.BackgroundColor = nil // the picture has one
	chart.Title.Text = p.title()
	chart.Title.TextStyle = plain(11)
	chart.Title.TextStyle.XAlign = draw.XCenter
	chart.Title.Padding = 4
	chart.HideX()
	largest := 0.0
	names := make([]string, len(p.peers))
	for i, peer := range p.peers {
		place := len(p.peers) - 1 - i
		names[place] = peer
		row, ok := p.line.cells[peer]
		if err := addBar(chart, float64(place), peer, row, ok); err != nil {
			return nil, err
		}
		largest = max(largest, row.Max)
	}
	chart.NominalY(names...)
	chart.Y.Tick.Label = plain(11)
	chart.Y.Tick.Label.XAlign = draw.XRight
	chart.Y.Tick.Label.YAlign = draw.YCenter - 0.08 // down to the middle of the bar
	chart.X.Min, chart.X.Max = 0, scale(largest)
	chart.Y.Min, chart.Y.Max = -0.5, float64(len(p.peers))-0.5
	return chart, nil
}

// scale leaves room for the figure behind the longest bar.
func scale(largest float64) float64 {
	if largest <= 0 {
		return 1
	}
	return largest * 1.2
}

// addBar adds the bar, its whisker from the lowest to the highest round, and its figure; a dash alone if there is none.
func addBar(chart *plot.Plot, place float64, peer string, row result.Row, measured bool) error {
	if !measured {
		return addLabel(chart, place, 0, missing, plain(11))
	}
	bar, err := plotter.NewBarChart(plotter.Values{row.Median}, barWidth)
	if err != nil {
		return err
	}
	bar.Horizontal, bar.XMin, bar.LineStyle.Width, bar.Color = true, place, 0, colorPeer
	style := plain(11)
	if peer == result.PeerMytun {
		bar.Color, style = colorMytun, heavy(11)
	}
	chart.Add(bar)
	if row.Max > row.Min {
		if err := addWhisker(chart, place, row); err != nil {
			return err
		}
	}
	return addLabel(chart, place, row.Max, figure(row.Median), style)
}

func addWhisker(chart *plot.Plot, place float64, row result.Row) error {
	whisker, err := plotter.NewXErrorBars(struct {
		plotter.XYs
		plotter.XErrors
	}{plotter.XYs{{X: row.Median, Y: place}}, plotter.XErrors{{Low: row.Median - row.Min, High: row.Max - row.Median}}})
	if err != nil {
		return err
	}
	whisker.LineStyle.Color = colorText
	whisker.LineStyle.Width = 0.8
	chart.Add(whisker)
	return nil
}

func addLabel(chart *plot.Plot, place, at float64, words string, style text.Style) error {
	label, err := plotter.NewLabels(plotter.XYLabels{XYs: plotter.XYs{{X: at, Y: place}}, Labels: []string{words}})
	if err != nil {
		return err
	}
	style.YAlign = draw.YCenter
	label.TextStyle[0] = style
	label.Offset = vg.Point{X: 4, Y: textRise}
	chart.Add(label)
	return nil
}

// plain and heavy are the two faces of the text, at a size in points.
func plain(size vg.Length) text.Style {
	return text.Style{
		Color:   colorText,
		Font:    font.Font{Typeface: "Liberation", Variant: "Sans", Size: size},
		Handler: plot.DefaultTextHandler,
		YAlign:  draw.YTop,
	}
}

func heavy(size vg.Length) text.Style {
	style := plain(size)
	style.Font.Weight = xfont.WeightBold
	return style
}
