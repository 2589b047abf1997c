// SPDX-License-Identifier: MIT

package report

import (
	"debug/buildinfo"
	"debug/elf"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mytun/mytun/bench/result"
)

// A Baseline is what an earlier commit measured, with the instruction count as the clock: the only one that repeats.
type Baseline struct {
	Environment Environment  `json:"environment"`
	Rows        []result.Row `json:"rows"`
}

// An Environment is what figures depend on beside the project's own source.
type Environment struct {
	Kernel   string `json:"kernel"`   // releases, separated by commas
	Go       string `json:"go"`       // that built the program under test
	Compiler string `json:"compiler"` // that built the module
}

// NewBaseline takes those of the rows that repeat. It fails if there are none.
func NewBaseline(rows []result.Row, environment Environment) (*Baseline, error) {
	b := &Baseline{Environment: environment}
	for _, row := range rows {
		if row.Clock == result.Icount {
			b.Rows = append(b.Rows, row)
		}
	}
	if len(b.Rows) == 0 {
		return nil, fmt.Errorf("none of the %d rows was measured with the instruction count as the clock: run make bench-quick", len(rows))
	}
	if _, err := index(b.Rows); err != nil {
		return nil, err
	}
	b.Environment.Kernel = releases(b.Rows)
	return b, nil
}

func releases(rows []result.Row) string {
	var names []string
	for _, row := range rows {
		if !slices.Contains(names, row.Kernel) {
			names = append(names, row.Kernel)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// LoadBaseline reads what Save wrote.
func LoadBaseline(path string) (*Baseline, error) {
	b := new(Baseline)
	if err := result.LoadJSON(path, b); err != nil {
		return nil, err
	}
	if err := result.CheckAll(b.Rows); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(b.Rows) == 0 {
		return nil, fmt.Errorf("%s: there is no row in it, so that nothing could ever fail", path)
	}
	return b, nil
}

// Save writes the baseline to path, in the way that result.Save does.
func (b *Baseline) Save(path string) error {
	if err := result.CheckAll(b.Rows); err != nil {
		return fmt.Errorf("%s is not written: %w", path, err)
	}
	return result.SaveJSON(path, b)
}

// ReadEnvironment asks the measured files themselves which Go built the program and which compiler built the module: what is installed by
// now need not be what they were built with. The kernel is known from the rows.
func ReadEnvironment(program, module string) (Environment, error) {
	build, err := buildinfo.ReadFile(program)
	if err != nil {
		return Environment{}, fmt.Errorf("which Go built the program: %w; run make bench-quick first, or name the program with -program", err)
	}
	compiler, err := compilerOf(module)
	if err != nil {
		return Environment{}, fmt.Errorf("which compiler built the module: %w; run make bench-quick first, or name the module with -module", err)
	}
	return Environment{Go: build.GoVersion, Compiler: compiler}, nil
}

// compilerOf reads the words that compilers leave in each object file: strings that end with a zero, the same one for each source file.
func compilerOf(module string) (string, error) {
	file, err := elf.Open(module)
	if err != nil {
		return "", err
	}
	defer file.Close()
	section := file.Section(".comment")
	if section == nil {
		return "", fmt.Errorf("%s: %w", module, errNoCompiler)
	}
	data, err := section.Data()
	if err != nil {
		return "", fmt.Errorf("%s: %w", module, err)
	}
	names := strings.FieldsFunc(string(data), func(r rune) bool { return r == 0 })
	if len(names) == 0 {
		return "", fmt.Errorf("%s: %w", module, errNoCompiler)
	}
	return names[0], nil
}

var errNoCompiler = errors.New("it does not name its compiler (no .comment section)")
