// SPDX-License-Identifier: MIT

// Bench-report shows the rows that a benchmark run left in build/bench.json.
//
//	bench-report table [-markdown] FILE        a table: mytun beside its peers, and the targets
//	bench-report vpn-table [-markdown] FILE    a table of what a VPN gains, from build/demo-vpn.json
//	bench-report plot FILE DIR                 one bar chart (SVG) for each workload
//	bench-report doc FILE DOCUMENT DIR         the charts into DIR, and table and charts into the marked part of DOCUMENT
//	bench-report native-doc FILE DOCUMENT      the native clock's tables into another marked part of DOCUMENT
//	bench-report baseline [-o BASELINE] FILE   FILE's instruction counts become the baseline
//	bench-report check [-baseline BASELINE] FILE
//	                                           fails if an instruction count is missing, or worse than the baseline's by over 3 %
//
// Baseline and check read from the measured program and module (-program, -module) what they were built with: figures of
// another kernel, Go or compiler are still compared, and the output says so.
//
// The exit status is 1 if a check or anything else failed, and 2 for wrong arguments.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mytun/mytun/bench/report"
	"github.com/mytun/mytun/bench/result"
)

// errUsage is an error in the arguments; errChecked one that the output has explained already.
var (
	errUsage   = errors.New("usage: bench-report table|vpn-table|plot|doc|native-doc|baseline|check [FLAGS] FILE [...]; see bench-report COMMAND -h")
	errChecked = errors.New("the check failed")
)

// commands take their own arguments and write what is asked for to out.
var commands = map[string]func(out io.Writer, args []string) error{
	"table":      tableCommand,
	"vpn-table":  vpnTableCommand,
	"plot":       plotCommand,
	"doc":        docCommand,
	"native-doc": nativeDocCommand,
	"baseline":   baselineCommand,
	"check":      checkCommand,
}

func main() {
	err := run(os.Stdout, os.Args[1:])
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return
	case errors.Is(err, errChecked):
		os.Exit(1)
	}
	fmt.Fprintln(os.Stderr, "bench-report:", err)
	if errors.Is(err, errUsage) {
		os.Exit(2)
	}
	os.Exit(1)
}

func run(out io.Writer, args []string) error {
	if len(args) == 0 {
		return errUsage
	}
	command, ok := commands[args[0]]
	if !ok {
		return fmt.Errorf("there is no command %q: %w", args[0], errUsage)
	}
	return command(out, args[1:])
}

// parse returns the arguments behind the flags, of which there must be as many as names.
func parse(flags *flag.FlagSet, args []string, names ...string) ([]string, error) {
	flags.Usage = func() {
		fmt.Fprintf(flags.Output(), "usage: bench-report %s [FLAGS]", flags.Name())
		for _, name := range names {
			fmt.Fprintf(flags.Output(), " %s", name)
		}
		fmt.Fprintln(flags.Output())
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil, err
	} else if err != nil {
		return nil, fmt.Errorf("%w: %w", err, errUsage)
	}
	if flags.NArg() != len(names) {
		return nil, fmt.Errorf("%s wants %d arguments %v behind its flags, not %q: %w", flags.Name(), len(names), names, flags.Args(), errUsage)
	}
	return flags.Args(), nil
}

func newFlags(name string) *flag.FlagSet {
	return flag.NewFlagSet(name, flag.ContinueOnError)
}

// load says who writes the file, if there is none.
func load(file string) ([]result.Row, error) {
	rows, err := result.Load(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: make bench and make bench-quick measure the rows", err)
	}
	return rows, err
}

func tableCommand(out io.Writer, args []string) error {
	return showTable("table", report.Table, out, args)
}

func vpnTableCommand(out io.Writer, args []string) error {
	return showTable("vpn-table", report.VPN, out, args)
}

// showTable is a command of that name that writes a table.
func showTable(name string, write func(io.Writer, []result.Row, report.Format) error, out io.Writer, args []string) error {
	flags := newFlags(name)
	format := report.Text
	flags.BoolFunc("markdown", "write Markdown instead of text for a terminal", func(string) error {
		format = report.Markdown
		return nil
	})
	files, err := parse(flags, args, "FILE")
	if err != nil {
		return err
	}
	rows, err := load(files[0])
	if err != nil {
		return err
	}
	return write(out, rows, format)
}

func plotCommand(out io.Writer, args []string) error {
	files, err := parse(newFlags("plot"), args, "FILE", "DIR")
	if err != nil {
		return err
	}
	_, _, err = plotted(out, files[0], files[1])
	return err
}

// plotted draws the rows of the file and says what it drew.
func plotted(out io.Writer, file, dir string) (rows []result.Row, names []string, err error) {
	if rows, err = load(file); err != nil {
		return nil, nil, err
	}
	names, err = report.Plot(dir, rows)
	for _, name := range names {
		fmt.Fprintln(out, filepath.Join(dir, name))
	}
	return rows, names, err
}

func docCommand(out io.Writer, args []string) error {
	files, err := parse(newFlags("doc"), args, "FILE", "DOCUMENT", "DIR")
	if err != nil {
		return err
	}
	document, dir := files[1], files[2]
	relative, err := filepath.Rel(filepath.Dir(document), dir)
	if err != nil {
		return err
	}
	rows, names, err := plotted(out, files[0], dir)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, document)
	return report.Document(document, report.Measured, rows, filepath.ToSlash(relative), names)
}

func nativeDocCommand(out io.Writer, args []string) error {
	files, err := parse(newFlags("native-doc"), args, "FILE", "DOCUMENT")
	if err != nil {
		return err
	}
	rows, err := load(files[0])
	if err != nil {
		return err
	}
	fmt.Fprintln(out, files[1])
	return report.Document(files[1], report.Native, rows, "", nil)
}

// readEnvironment is replaced by tests, which have no module.
var readEnvironment = report.ReadEnvironment

// measuredFlags adds the flags that name what was measured; the function returns FILE's rows with its environment.
func measuredFlags(flags *flag.FlagSet) func(file string) (*report.Baseline, error) {
	program := flags.String("program", "build/guest/mytun-bench", "the program that was measured")
	module := flags.String("module", "build/kmod-6.12/mytun.ko", "the module that was measured")
	return func(file string) (*report.Baseline, error) {
		rows, err := load(file)
		if err != nil {
			return nil, err
		}
		environment, err := readEnvironment(*program, *module)
		if err != nil {
			return nil, err
		}
		measured, err := report.NewBaseline(rows, environment)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		return measured, nil
	}
}

func baselineCommand(out io.Writer, args []string) error {
	flags := newFlags("baseline")
	path := flags.String("o", "bench/baseline.json", "the baseline to write")
	measured := measuredFlags(flags)
	files, err := parse(flags, args, "FILE")
	if err != nil {
		return err
	}
	now, err := measured(files[0])
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s: %d rows\n", *path, len(now.Rows))
	return now.Save(*path)
}

func checkCommand(out io.Writer, args []string) error {
	flags := newFlags("check")
	path := flags.String("baseline", "bench/baseline.json", "the baseline to compare with")
	measured := measuredFlags(flags)
	files, err := parse(flags, args, "FILE")
	if err != nil {
		return err
	}
	base, err := report.LoadBaseline(*path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: make bench-quick bench-baseline measures it", err)
	} else if err != nil {
		return err
	}
	now, err := measured(files[0])
	if err != nil {
		return err
	}
	ok, err := report.Check(out, base, now)
	if err == nil && !ok {
		return errChecked
	}
	return err
}
