// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
)

// A label is what a payload says of itself. It stands in front.
type label struct {
	flow uint32
	life uint32
	seq  uint64
}

const (
	labelSize  = 16
	maxPayload = 8900 // fits the MTU
)

// The pattern is cut out of one random table, so that making and comparing it is a copy.
const tableSize = 1 << 16

var table = func() []byte {
	b := make([]byte, tableSize+maxPayload)
	rand.NewChaCha8([32]byte{'m', 'y', 't', 'u', 'n'}).Read(b)
	return b
}()

// pattern is what stands behind a label.
func (l label) pattern(n int) []byte {
	at := (l.seq*0x9E3779B97F4A7C15 + uint64(l.life)<<7 + uint64(l.flow)<<3) >> 13 % tableSize
	return table[at : at+uint64(n)]
}

// write fills p, which has room for a label.
func (l label) write(p []byte) {
	binary.LittleEndian.PutUint32(p, l.flow)
	binary.LittleEndian.PutUint32(p[4:], l.life)
	binary.LittleEndian.PutUint64(p[8:], l.seq)
	copy(p[labelSize:], l.pattern(len(p)-labelSize))
}

var errShort = errors.New("a payload that is too short for its label")

// readLabel takes the label of a payload, and compares all that is behind it.
func readLabel(p []byte) (l label, err error) {
	if len(p) < labelSize {
		return l, errShort
	}
	l = label{binary.LittleEndian.Uint32(p), binary.LittleEndian.Uint32(p[4:]), binary.LittleEndian.Uint64(p[8:])}
	if len(p) > labelSize+maxPayload || !bytes.Equal(p[labelSize:], l.pattern(len(p)-labelSize)) {
		return l, fmt.Errorf("%d bytes of %+v are not what was sent", len(p), l)
	}
	return l, nil
}

// A sequence says whether what comes is what may come.
type sequence struct {
	seen  []uint64 // a bit for each number
	next  uint64   // one more than the highest that came
	loose bool     // queues came or went: flows may overtake themselves
	gaps  bool     // frames may be missing
}

// add is told of a number that came.
func (s *sequence) add(seq uint64) error {
	word, bit := seq/64, uint64(1)<<(seq%64)
	if seq > s.next+1<<20 {
		return fmt.Errorf("number %d came long before its time, the highest was %d", seq, s.next)
	}
	for uint64(len(s.seen)) <= word {
		s.seen = append(s.seen, 0)
	}
	if s.seen[word]&bit != 0 {
		return fmt.Errorf("number %d came a second time", seq)
	}
	s.seen[word] |= bit
	if !s.loose && (seq < s.next || seq > s.next && !s.gaps) {
		return fmt.Errorf("number %d came where %d was due", seq, s.next)
	}
	s.next = max(s.next, seq+1)
	return nil
}
