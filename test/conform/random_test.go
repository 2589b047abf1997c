// SPDX-License-Identifier: MIT

//go:build mytun_device

package conform

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mytun/mytun/test/device"
)

// Sequences of calls that nobody has thought of, with arguments that nobody has
// either, on both nodes. A seed and a number make a sequence, so that it can be
// repeated; one that is answered differently is shortened as far as it goes.

var (
	randomSeed = flag.Uint64("random.seed", 1, "of the random sequences")
	randomFor  = flag.Duration("random.for", 0, "how long random sequences are made up; 0: as many as a selftest has time for")
	randomOnly = flag.Int64("random.only", -1, "number of the one sequence that is to be made up")
)

const (
	// sequencesOfSelftest is what a selftest has time for
	sequencesOfSelftest = 40
	callsMax            = 30
	// shorteningMax is how many sequences are run to shorten one
	shorteningMax = 100
)

// randomGroup is the group of Known that is about random sequences.
const randomGroup = "random"

// step is a call of a sequence, with its arguments.
type step struct {
	call *randomCall
	args []int
}

// sequence is what is done with each node. The set is what frames are laid out
// by, and what most of its TUNSETIFFs ask for.
type sequence struct {
	set   uint16
	steps []step
}

// makeSequence makes up the number-th of a seed.
func makeSequence(seed, number uint64) sequence {
	r := rand.New(rand.NewPCG(seed, number))
	s := sequence{set: randomSet(r)}
	s.steps = append(s.steps, makeStep(r, callNamed("open")), makeStep(r, callNamed("attach")), makeStep(r, callNamed("up")))
	s.steps[0].args[0], s.steps[1].args[0] = 0, 0
	for range 1 + r.IntN(callsMax) {
		if c := drawCall(r); c.name != "send" || canSend(s.set) {
			s.steps = append(s.steps, makeStep(r, c))
		}
	}
	return s
}

func makeStep(r *rand.Rand, c *randomCall) step {
	s := step{call: c}
	for _, arg := range c.args {
		s.args = append(s.args, arg(r))
	}
	return s
}

// scenario is the sequence as one.
func (s sequence) scenario(name string) scenario {
	return scenario{name, func(w *world) {
		p := newPlay(w, s.set)
		for _, step := range s.steps {
			step.call.run(p, step.args)
		}
	}}
}

// disagreement is where two records part in a way that is not known, if they do.
type disagreement struct {
	before       []line // what both have answered
	stock, mytun line
}

func (d *disagreement) String() string {
	var b strings.Builder
	for _, l := range d.before {
		fmt.Fprintf(&b, "  %s: %s\n", l.call, l.answer)
	}
	fmt.Fprintf(&b, "  %s\n    stock tun: %s\n    mytun:     %s", d.stock.call, d.stock.answer, d.mytun.answer)
	return b.String()
}

// disagree compares two records up to where the devices are known to part.
func (k *knowledge) disagree(name string, stock, mytun []line) *disagreement {
	for i := range min(len(stock), len(mytun)) {
		if stock[i] == mytun[i] {
			continue
		}
		if !k.find(name, stock[i], mytun[i]) {
			return &disagreement{stock[:i], stock[i], mytun[i]}
		}
		k.met++
		if refusedBy(stock[i]) != refusedBy(mytun[i]) {
			return nil
		}
	}
	return nil
}

// refusedBy tells whether the answer is an error. If one has refused what the
// other has done, they are different from then on.
func refusedBy(l line) bool { return strings.HasPrefix(l.answer, "E") }

// play runs a sequence with both nodes.
func (k *knowledge) play(t *testing.T, s sequence) *disagreement {
	t.Helper()
	one := s.scenario(randomGroup + "/" + flagNames(s.set))
	stock, mytun := record(t, device.StockNode, one), record(t, device.Node, one)
	for _, l := range stock {
		k.calls++
		if refusedBy(l) {
			k.refused++
		}
	}
	return k.disagree(one.name, stock, mytun)
}

// shorten leaves out of a sequence whatever the disagreement does without.
func (k *knowledge) shorten(t *testing.T, s sequence, d *disagreement) *disagreement {
	t.Helper()
	attempts := 0
	for size := len(s.steps) / 2; size > 0; size /= 2 {
		for at := 0; at+size <= len(s.steps) && attempts < shorteningMax; attempts++ {
			shorter := sequence{s.set, slices.Delete(slices.Clone(s.steps), at, at+size)}
			if found := k.play(t, shorter); found != nil && found.stock.call == d.stock.call {
				s, d = shorter, found
				continue
			}
			at += size
		}
	}
	return d
}

// numbers are those of the sequences to be made up.
func numbers(yield func(uint64) bool) {
	if *randomOnly >= 0 {
		yield(uint64(*randomOnly))
		return
	}
	end := time.Now().Add(*randomFor)
	for n := uint64(0); *randomFor == 0 && n < sequencesOfSelftest || time.Now().Before(end); n++ {
		if !yield(n) {
			return
		}
	}
}

func TestRandomCalls(t *testing.T) {
	device.Sandbox(t)
	device.LoadStockTun(t)
	k := newKnowledge(t, randomGroup)
	sequences := 0
	for number := range numbers {
		s := makeSequence(*randomSeed, number)
		sequences++
		if d := k.play(t, s); d != nil {
			d = k.shorten(t, s, d)
			t.Errorf("-random.seed %d -random.only %d, on a device with %s:\n%v", *randomSeed, number, flagNames(s.set), d)
		}
	}
	t.Logf("%d sequences of seed %d: %d calls, %d refused by stock tun, %d known differences",
		sequences, *randomSeed, k.calls, k.refused, k.met)
}

// TestDisagreementIsFoundAndShortened: to a sequence of calls that are known to
// be answered otherwise, if only nobody knew.
func TestDisagreementIsFoundAndShortened(t *testing.T) {
	device.Sandbox(t)
	device.LoadStockTun(t)
	s := sequence{device.TUN, []step{
		{callNamed("open"), []int{1}}, {callNamed("attach"), []int{1, 0, 0}}, {callNamed("poll"), []int{1}},
		{callNamed("up"), []int{0}}, {callNamed("look"), []int{0}}, {callNamed("close"), []int{1}},
	}}
	k := &knowledge{}
	d := k.play(t, s)
	if d == nil {
		t.Fatal("the two drivers have the same name")
	}
	d = k.shorten(t, s, d)
	if d.stock != (line{"link kind", "tun"}) || d.mytun != (line{"link kind", "mytun"}) {
		t.Errorf("they disagree in\n%v", d)
	}
	var calls []string
	for _, l := range d.before {
		calls = append(calls, l.call)
	}
	if want := []string{"f1 open", `f1 TUNSETIFF "conf" TUN|NO_PI`, "link type"}; !slices.Equal(calls[:min(3, len(calls))], want) {
		t.Errorf("shortened to %q, want it to begin with %q", calls, want)
	}
}
