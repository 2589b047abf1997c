// SPDX-License-Identifier: MIT

//go:build mytun_device

package conform

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

// scenario is a sequence of calls. Which calls it makes must not depend on what
// they answer.
type scenario struct {
	name string
	run  func(*world)
}

// line is what one call answered.
type line struct{ call, answer string }

// world is where a scenario runs: one of the two nodes, and a namespace.
type world struct {
	testing.TB
	node  string
	lines []line
	files []*file
	sys   string // where the namespace's sysfs is mounted
}

// log adds an answer to the record.
func (w *world) log(call, format string, args ...any) {
	w.lines = append(w.lines, line{call, fmt.Sprintf(format, args...)})
}

// record runs a scenario with a node.
func record(t *testing.T, node string, s scenario) []line {
	t.Helper()
	w := &world{TB: t, node: node}
	ns := device.MakeNamespace(t)
	defer ns.Close()
	device.Inside(t, ns, func() {
		s.run(w)
		w.end()
	})
	return w.lines
}

// end closes what the scenario has opened.
func (w *world) end() {
	for _, f := range w.files {
		f.close()
	}
	if w.sys != "" {
		unix.Unmount(w.sys, unix.MNT_DETACH)
	}
}

// compare runs the scenarios of a group with both nodes.
func compare(t *testing.T, group string, scenarios []scenario) {
	t.Helper()
	device.Sandbox(t)
	device.LoadStockTun(t)
	k := newKnowledge(t, group)
	calls := 0
	for _, s := range scenarios {
		s.name = group + "/" + s.name
		stock, mytun := record(t, device.StockNode, s), record(t, device.Node, s)
		if len(stock) != len(mytun) {
			t.Errorf("%s: %d answers of stock tun, %d of mytun", s.name, len(stock), len(mytun))
			continue
		}
		calls += len(stock)
		k.compare(t, s.name, stock, mytun)
	}
	k.complain(t)
	t.Logf("%s: %d scenarios, %d calls, %d known differences", group, len(scenarios), calls, k.met)
}

// knowledge is what of Known concerns a group, and what of it has been seen.
type knowledge struct {
	places []*place
	met    int

	calls, refused int // of stock tun, in random sequences
}

type place struct {
	Place
	id   string
	seen bool
}

func newKnowledge(t *testing.T, group string) *knowledge {
	t.Helper()
	k := &knowledge{}
	for _, d := range Known {
		here := slices.DeleteFunc(slices.Clone(d.Where), func(p Place) bool { return !strings.HasPrefix(p.Scenario, group+"/") })
		if len(here) == 0 || d.Probe != "" && !probed(t, d.Probe) {
			continue
		}
		for _, p := range here {
			k.places = append(k.places, &place{Place: p, id: d.ID})
		}
	}
	return k
}

func (k *knowledge) compare(t *testing.T, name string, stock, mytun []line) {
	t.Helper()
	for i := range stock {
		if stock[i] == mytun[i] {
			continue
		}
		if stock[i].call != mytun[i].call {
			t.Errorf("%s: other calls were made: %q, %q", name, stock[i].call, mytun[i].call)
			return
		}
		if !k.find(name, stock[i], mytun[i]) {
			t.Errorf("%s: %s\n  stock tun: %s\n  mytun:     %s", name, stock[i].call, stock[i].answer, mytun[i].answer)
			continue
		}
		k.met++
	}
}

// find tells whether a difference is listed. All places that match are seen.
func (k *knowledge) find(name string, stock, mytun line) (found bool) {
	for _, p := range k.places {
		if glob(p.Scenario, name) && glob(p.Call, stock.call) && glob(p.Stock, stock.answer) && glob(p.Mytun, mytun.answer) {
			p.seen = true
			found = true
		}
	}
	return found
}

func (k *knowledge) complain(t *testing.T) {
	t.Helper()
	for _, p := range k.places {
		if !p.seen {
			t.Errorf("the known difference %s has not been seen: %+v", p.id, p.Place)
		}
	}
}

func glob(pattern, text string) bool {
	if pattern == "" {
		return true
	}
	expression := strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(regexp.QuoteMeta(pattern))
	matched, err := regexp.MatchString("^(?s:"+expression+")$", text)
	return err == nil && matched
}

// product names every combination of two lists' members.
func product[A, B any](a []A, b []B, f func(A, B)) {
	for _, x := range a {
		for _, y := range b {
			f(x, y)
		}
	}
}
