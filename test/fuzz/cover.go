// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
)

// The name of the function that the compiler calls at the beginning of each
// block, and the bytes from the call's operand, which has a relocation, to where
// it returns to.
const (
	coverHook    = "__sanitizer_cov_trace_pc"
	operandBytes = 4
)

// block is a piece of the module's code that runs as a whole.
type block struct {
	section  string
	offset   uint64 // in the section: where the call at its beginning returns to
	function string
}

// coveredSections hold the module's functions. Blocks in others run when the
// module is loaded or unloaded: init and exit, and what KASAN adds to each file.
var coveredSections = []string{".text", ".text.unlikely"}

// blocksOf are the blocks of a module's file, in the order of the file.
func blocksOf(module io.ReaderAt) ([]block, error) {
	f, err := elf.NewFile(module)
	if err != nil {
		return nil, err
	}
	symbols, err := f.Symbols()
	if err != nil {
		return nil, err
	}
	var blocks []block
	for i, s := range f.Sections {
		if s.Type != elf.SHT_RELA || !slices.Contains(coveredSections, f.Sections[s.Info].Name) {
			continue
		}
		data, err := f.Sections[i].Data()
		if err != nil {
			return nil, err
		}
		blocks = append(blocks, blocksIn(f.Sections[s.Info].Name, s.Info, data, symbols)...)
	}
	if len(blocks) == 0 {
		return nil, fmt.Errorf("no block calls %s: build the module with MYTUN_COVER=y", coverHook)
	}
	return blocks, nil
}

// blocksIn finds the calls among the relocations of a section.
func blocksIn(name string, section uint32, rela []byte, symbols []elf.Symbol) (blocks []block) {
	const entry = 24
	for ; len(rela) >= entry; rela = rela[entry:] {
		offset, info := binary.LittleEndian.Uint64(rela), binary.LittleEndian.Uint64(rela[8:])
		// the table of symbols is without its first, which is empty
		if i := info >> 32; i == 0 || symbols[i-1].Name != coverHook {
			continue
		}
		blocks = append(blocks, block{name, offset + operandBytes, functionAt(symbols, section, offset)})
	}
	return blocks
}

func functionAt(symbols []elf.Symbol, section uint32, offset uint64) string {
	for _, s := range symbols {
		if elf.ST_TYPE(s.Info) == elf.STT_FUNC && uint32(s.Section) == section && s.Value <= offset && offset < s.Value+s.Size {
			return s.Name
		}
	}
	return "?"
}

// coverage is which blocks have been reached, of all.
type coverage struct {
	blocks  []block
	places  []uint64 // of the blocks, in the record
	reached []bool
	count   int

	record *os.File
	bytes  []byte
}

// Where the module tells of itself.
const (
	coverParameter = "/sys/module/mytun/parameters/cover"
	coverRecord    = "/sys/kernel/debug/mytun_cover"
	moduleSections = "/sys/module/mytun/sections/"
)

// openCoverage finds the blocks of the module that is loaded.
func openCoverage(path string) (*coverage, error) {
	module, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer module.Close()
	c := &coverage{}
	if c.blocks, err = blocksOf(module); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	c.reached = make([]bool, len(c.blocks))
	if _, err := os.Stat(coverRecord); err != nil {
		if err := os.WriteFile(coverParameter, []byte("1"), 0); err != nil {
			return nil, fmt.Errorf("ask the module for its record: %w", err)
		}
	}
	if err := c.locate(); err != nil {
		return nil, err
	}
	c.record, err = os.Open(coverRecord)
	return c, err
}

// locate finds the blocks' places in the record.
func (c *coverage) locate() error {
	base, err := readHex(coverParameter)
	if err != nil {
		return err
	}
	sections := map[string]uint64{}
	for _, b := range c.blocks {
		if _, known := sections[b.section]; known {
			continue
		}
		if sections[b.section], err = readHex(moduleSections + b.section); err != nil {
			return err
		}
	}
	for _, b := range c.blocks {
		c.places = append(c.places, sections[b.section]-base+b.offset)
	}
	size := slices.Max(c.places) + 1
	c.bytes = make([]byte, size)
	return nil
}

func readHex(path string) (uint64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(strings.TrimSpace(string(text)), 0, 64)
}

// update reads the record and tells how many blocks have run since the last time
// that had not before.
func (c *coverage) update() (news int, err error) {
	if _, err := c.record.ReadAt(c.bytes, 0); err != nil {
		return 0, fmt.Errorf("%s: %w", coverRecord, err)
	}
	return c.merge(c.bytes), nil
}

// merge is update of a record that has been read.
func (c *coverage) merge(record []byte) (news int) {
	for i, place := range c.places {
		if record[place] != 0 && !c.reached[i] {
			c.reached[i] = true
			news++
		}
	}
	c.count += news
	return news
}

// missing is how many blocks of each function were not reached.
func (c *coverage) missing() map[string]int {
	missing := map[string]int{}
	for i, b := range c.blocks {
		if !c.reached[i] {
			missing[b.function]++
		}
	}
	return missing
}
