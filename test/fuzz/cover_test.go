// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"debug/elf"
	"encoding/binary"
	"reflect"
	"testing"
)

func TestBlocksAreCountedOnce(t *testing.T) {
	c := &coverage{
		blocks:  []block{{".text", 4, "first"}, {".text", 9, "first"}, {".text", 20, "second"}},
		places:  []uint64{4, 9, 20},
		reached: make([]bool, 3),
	}
	record := make([]byte, 32)
	for _, step := range []struct {
		place       int // that is hit next
		news, total int
	}{{4, 1, 1}, {4, 0, 1}, {5, 0, 1}, {20, 1, 2}, {9, 1, 3}, {9, 0, 3}} {
		record[step.place] = 1
		if news := c.merge(record); news != step.news || c.count != step.total {
			t.Errorf("after place %d: %d new, %d in all, want %+v", step.place, news, c.count, step)
		}
	}
	if missing := c.missing(); len(missing) != 0 {
		t.Errorf("missing: %v", missing)
	}
}

func TestMissingBlocksAreCountedByFunction(t *testing.T) {
	c := &coverage{
		blocks:  []block{{".text", 4, "first"}, {".text", 9, "first"}, {".text", 20, "second"}},
		reached: []bool{false, false, true},
	}
	if got := c.missing(); !reflect.DeepEqual(got, map[string]int{"first": 2}) {
		t.Errorf("missing: %v", got)
	}
}

func TestBlocksAreWhereTheCallsReturnTo(t *testing.T) {
	symbols := []elf.Symbol{
		{Name: "one", Info: byte(elf.STT_FUNC), Section: 3, Value: 0, Size: 16},
		{Name: "other section", Info: byte(elf.STT_FUNC), Section: 4, Value: 0, Size: 64},
		{Name: "two", Info: byte(elf.STT_FUNC), Section: 3, Value: 16, Size: 16},
		{Name: coverHook},
		{Name: "printk"},
	}
	var rela []byte
	for _, entry := range []struct{ offset, symbol uint64 }{{5, 4}, {10, 5}, {17, 4}, {40, 4}} {
		rela = binary.LittleEndian.AppendUint64(rela, entry.offset)
		rela = binary.LittleEndian.AppendUint64(rela, entry.symbol<<32|uint64(elf.R_X86_64_PLT32))
		rela = binary.LittleEndian.AppendUint64(rela, 0)
	}
	want := []block{{".text", 9, "one"}, {".text", 21, "two"}, {".text", 44, "?"}}
	if got := blocksIn(".text", 3, rela, symbols); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
}
