// SPDX-License-Identifier: MIT

//go:build linux

package main

import "math/rand/v2"

// maker makes programs up. All it decides comes from the source of random
// numbers, and from the corpus it is given.
type maker struct {
	random *rand.Rand
}

// newMaker is a maker for the number-th program of a run: whatever came before
// has no part in what it draws.
func newMaker(seed, number uint64) *maker {
	return &maker{rand.New(rand.NewPCG(seed, number))}
}

// program is a new program: mostly a changed one of the corpus.
func (m *maker) program(corpus []Program) Program {
	if len(corpus) == 0 || m.random.IntN(20) == 0 {
		return m.fresh()
	}
	// what was kept last has seen the least of this
	i := len(corpus) - 1 - m.random.IntN(m.random.IntN(len(corpus))+1)
	p := corpus[i].clone()
	for range 1 + m.random.IntN(5) {
		p = m.mutate(p, corpus)
	}
	return p[:min(len(p), operationsMax)]
}

// fresh is a program without a model. It begins with a device, or little would
// come of it.
func (m *maker) fresh() Program {
	p := Program{m.operation(specOf(deviceName))}
	for range 2 + m.random.IntN(operationsMax/2) {
		p = append(p, m.operation(m.spec()))
	}
	return p
}

// spec is an operation drawn by weight.
func (m *maker) spec() *Spec {
	left := m.random.IntN(weights)
	for i := range specs {
		if left -= specs[i].Weight; left < 0 {
			return &specs[i]
		}
	}
	panic("weights do not add up")
}

func (m *maker) operation(spec *Spec) Operation {
	o := Operation{Thread: m.thread(), Spec: spec, Arguments: make([]uint64, len(spec.Kinds))}
	for i, k := range spec.Kinds {
		o.Arguments[i] = k.random(m.random)
	}
	return o
}

// thread prefers low ones: most of what is to be reached takes an order.
func (m *maker) thread() uint8 { return uint8(m.random.IntN(m.random.IntN(threadsMax) + 1)) }

// mutate makes one change. The program is its to change.
func (m *maker) mutate(p Program, corpus []Program) Program {
	if len(p) == 0 {
		return m.fresh()
	}
	at := m.random.IntN(len(p))
	switch m.random.IntN(16) {
	case 0, 1, 2, 3, 4:
		return insert(p, at+m.random.IntN(2), m.operation(m.spec()))
	case 5, 6, 7, 8, 9:
		m.changeArgument(&p[at])
	case 10:
		return append(p[:at], p[at+1:]...)
	case 11:
		p[at].Thread = m.thread()
	case 12:
		other := m.random.IntN(len(p))
		p[at], p[other] = p[other], p[at]
	case 13:
		return insert(p, at, p[at : at+1].clone()[0])
	case 14:
		return m.splice(p, at, corpus)
	case 15:
		p[at] = m.operation(p[at].Spec)
	}
	return p
}

func insert(p Program, at int, o Operation) Program {
	p = append(p, Operation{})
	copy(p[at+1:], p[at:])
	p[at] = o
	return p
}

func (m *maker) changeArgument(o *Operation) {
	if len(o.Arguments) == 0 {
		o.Thread = m.thread()
		return
	}
	i := m.random.IntN(len(o.Arguments))
	o.Arguments[i] = o.Spec.Kinds[i].random(m.random)
}

// splice puts a part of another program in.
func (m *maker) splice(p Program, at int, corpus []Program) Program {
	other := corpus[m.random.IntN(len(corpus))]
	if len(other) == 0 {
		return p
	}
	from := m.random.IntN(len(other))
	to := from + 1 + m.random.IntN(len(other)-from)
	part := other[from:to].clone()
	return append(append(p[:at:at], part...), p[at:]...)
}
