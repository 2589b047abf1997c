// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// kind is what an argument can be: how it is made up and how it is written. All
// values are uint64, so that operations know nothing of text.
type kind interface {
	random(r *rand.Rand) uint64
	format(value uint64) string
	parse(word string) (uint64, error)
}

// number is a number, mostly one of those at which something changes.
type number struct {
	interesting []uint64
	limit       uint64 // the largest that is ever made up, or 0 for 2^32-1
}

func (n number) random(r *rand.Rand) uint64 {
	limit := n.limit
	if limit == 0 {
		limit = 1<<32 - 1
	}
	if len(n.interesting) > 0 && r.IntN(8) != 0 {
		value := n.interesting[r.IntN(len(n.interesting))]
		if r.IntN(8) == 0 {
			value += r.Uint64N(3) - 1
		}
		return min(value, limit)
	}
	return r.Uint64N(limit>>r.IntN(32) + 1)
}

func (number) format(value uint64) string {
	if value < 1<<20 {
		return strconv.FormatUint(value, 10)
	}
	return fmt.Sprintf("%#x", value)
}

func (n number) parse(word string) (uint64, error) {
	value, err := strconv.ParseUint(word, 0, 64)
	if err == nil && n.limit != 0 && value > n.limit {
		err = fmt.Errorf("%s is more than %d", word, n.limit)
	}
	return value, err
}

// slot is one of a few places that hold a descriptor: "f0" is a file of the
// device, "e0" another descriptor.
type slot struct {
	prefix byte
	count  uint64
}

// random prefers low slots: operations are to meet.
func (s slot) random(r *rand.Rand) uint64 { return r.Uint64N(r.Uint64N(s.count) + 1) }

func (s slot) format(value uint64) string { return string(s.prefix) + strconv.FormatUint(value, 10) }

func (s slot) parse(word string) (uint64, error) {
	if word == "" || word[0] != s.prefix {
		return 0, fmt.Errorf("%q is not one of %c0 to %[2]c%d", word, s.prefix, s.count-1)
	}
	value, err := strconv.ParseUint(word[1:], 10, 8)
	if err == nil && value >= s.count {
		err = fmt.Errorf("%s is not one of %c0 to %[2]c%d", word, s.prefix, s.count-1)
	}
	return value, err
}

// enum is one of some names; its value is the place in the list.
type enum []string

func (e enum) random(r *rand.Rand) uint64 { return r.Uint64N(uint64(len(e))) }

func (e enum) format(value uint64) string { return e[value] }

func (e enum) parse(word string) (uint64, error) {
	if i := slices.Index(e, word); i >= 0 {
		return uint64(i), nil
	}
	return 0, fmt.Errorf("%q is none of %s", word, strings.Join(e, " "))
}

// expensive is an enum whose names from a place on are rarely drawn: they take
// seconds.
type expensive struct {
	enum
	from int
}

func (e expensive) random(r *rand.Rand) uint64 {
	if r.IntN(16) == 0 {
		return e.enum.random(r)
	}
	return r.Uint64N(uint64(e.from))
}

// named is a bit, or some, with a name.
type named struct {
	name string
	bits uint64
}

// flags is a set of bits, some of which have names: "tun|no_pi|0x8".
type flags []named

func (f flags) random(r *rand.Rand) (value uint64) {
	for _, one := range f {
		if r.IntN(3) == 0 {
			value |= one.bits
		}
	}
	if r.IntN(32) == 0 {
		value ^= 1 << r.IntN(16)
	}
	return value
}

func (f flags) format(value uint64) string {
	var words []string
	for _, one := range f {
		if value&one.bits == one.bits {
			words = append(words, one.name)
			value &^= one.bits
		}
	}
	if value != 0 || len(words) == 0 {
		words = append(words, fmt.Sprintf("%#x", value))
	}
	return strings.Join(words, "|")
}

func (f flags) parse(word string) (value uint64, err error) {
	for part := range strings.SplitSeq(word, "|") {
		i := slices.IndexFunc(f, func(one named) bool { return one.name == part })
		bits := uint64(0)
		if i >= 0 {
			bits = f[i].bits
		} else if bits, err = strconv.ParseUint(part, 0, 64); err != nil {
			return 0, fmt.Errorf("%q is no flag: %w", part, err)
		}
		value |= bits
	}
	return value, nil
}
