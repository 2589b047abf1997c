module github.com/mytun/mytun/bench

go 1.25.0

require github.com/jedib0t/go-pretty/v6 v6.8.3

require (
	github.com/mattn/go-runewidth v0.0.16 // indirect
	github.com/rivo/uniseg v0.4.7 // indirect
	golang.org/x/sys v0.47.0 // indirect
	golang.org/x/text v0.28.0 // indirect
)

replace github.com/mytun/mytun => ../
