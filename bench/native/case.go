// SPDX-License-Identifier: MIT

package native

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/mytun/mytun/bench/result"
)

// A Kind is what is done in a case.
type Kind string

// The kinds.
const (
	Call      Kind = "call"      // system calls that do nothing
	Generator Kind = "generator" // packets into an interface that swallows them
	Rx        Kind = "rx"        // packets towards the process
	Tx        Kind = "tx"        // packets from the process, to a socket that has no room
	Reflect   Kind = "reflect"   // packets towards the process, which sends them back, past the stack's door
	RxSuper   Kind = "rx-super"  // rx, super-packets
	TxSuper   Kind = "tx-super"  // tx, super-packets
)

// A super-packet is one of UDP that stands for so many datagrams with that payload.
const (
	SuperSegments = 44
	SuperSegment  = 1372
	SuperHeaders  = 28
	superSize     = SuperHeaders + SuperSegments*SuperSegment
)

// A Case is one thing to measure.
type Case struct {
	Kind    Kind
	Size    int  // bytes of a packet
	Ring    int  // bytes of mytun's ring in MiB, 0 for one
	Polls   bool // the process looks at an empty ring instead of sleeping
	Senders int  // generators, one a CPU, of several into one queue; 0 for one
	Queues  int  // queues, each with a generator of its own; 0 for one
	Thread0 bool // the peer's thread is on the sender's CPU instead of the process's; in tx on the CPU that the process is not on
}

// Workload is the case's name without the size.
func (c Case) Workload() string {
	words := []string{string(c.Kind)}
	for _, option := range []struct {
		has  bool
		word string
	}{
		{c.Ring > 1, fmt.Sprintf("%dm", c.Ring)}, {c.Polls, "polls"}, {c.Senders > 1, fmt.Sprintf("senders%d", c.Senders)},
		{c.Queues > 1, fmt.Sprintf("queues%d", c.Queues)}, {c.Thread0, "thread0"},
	} {
		if option.has {
			words = append(words, option.word)
		}
	}
	return strings.Join(words, "-")
}

// Name is the case's name, such as rx-8m-polls:64.
func (c Case) Name() string {
	if c.Size == 0 {
		return c.Workload()
	}
	return fmt.Sprintf("%s:%d", c.Workload(), c.Size)
}

// Receives tells whether the packets go towards the process.
func (c Case) Receives() bool { return c.Kind == Rx || c.Kind == Reflect || c.Kind == RxSuper }

// Super tells whether they are super-packets.
func (c Case) Super() bool { return c.Kind == RxSuper || c.Kind == TxSuper }

// contested tells whether a peer does it.
func (c Case) contested() bool { return c.Kind != Call && c.Kind != Generator }

// plain tells whether nothing in it is about rings or threads: stock tun does these.
func (c Case) plain() bool { return c == Case{Kind: c.Kind, Size: c.Size} }

// others are who else does the case. Vhost-net has a thread, as mytun has, and rings of a size of its own.
// It has no rx-thread0: with its thread on the generator's CPU there the turn after it does not end.
func (c Case) others() []Module {
	switch {
	case c.plain() || c.Super():
		return []Module{{Peer: result.PeerTun}, {Peer: result.PeerVhost}}
	case c == Case{Kind: Tx, Size: c.Size, Thread0: true}:
		return []Module{{Peer: result.PeerVhost}}
	}
	return nil
}

// Cases returns what there is to measure on so many CPUs.
func Cases(cpus int) []Case {
	cases := []Case{{Kind: Call}}
	for _, size := range []int{64, 1400} {
		cases = append(cases, Case{Kind: Generator, Size: size}, Case{Kind: Rx, Size: size})
		if cpus > 1 {
			cases = append(cases,
				Case{Kind: Rx, Size: size, Ring: 8},
				Case{Kind: Rx, Size: size, Polls: true},
				Case{Kind: Rx, Size: size, Ring: 8, Polls: true},
				Case{Kind: Rx, Size: size, Thread0: true},
				Case{Kind: Rx, Size: size, Senders: 2},
				Case{Kind: Rx, Size: size, Queues: 2},
				Case{Kind: Reflect, Size: size, Thread0: true},
				Case{Kind: Tx, Size: size, Thread0: true})
		}
		cases = append(cases, Case{Kind: Reflect, Size: size}, Case{Kind: Tx, Size: size})
	}
	return append(cases, Case{Kind: RxSuper, Size: superSize, Ring: 8}, Case{Kind: TxSuper, Size: superSize, Ring: 8})
}

// Choose returns those of Cases whose names match one of the patterns, which are separated by commas and may have the wildcards of path.Match; all
// without a pattern. What the figures of the others are compared with is always among them: system calls, and the generator at that size.
func Choose(cpus int, patterns string) ([]Case, error) {
	all := Cases(cpus)
	if patterns == "" {
		return all, nil
	}
	chosen := make(map[string]bool)
	for pattern := range strings.SplitSeq(patterns, ",") {
		for _, c := range all {
			match, err := path.Match(pattern, c.Name())
			if err != nil {
				return nil, fmt.Errorf("rows %q: %w", pattern, err)
			}
			chosen[c.Name()] = chosen[c.Name()] || match
		}
	}
	return slices.DeleteFunc(all, func(c Case) bool { return !chosen[c.Name()] && !needed(c, all, chosen) }), nil
}

// needed tells whether c is what one of the chosen is compared with.
func needed(c Case, all []Case, chosen map[string]bool) bool {
	return slices.ContainsFunc(all, func(o Case) bool {
		return chosen[o.Name()] && (c.Kind == Call || c.Kind == Generator && (o.Kind == Rx || o.Kind == Reflect) && o.Size == c.Size)
	})
}

// Turns returns who does the case, in the order of their turns: the modules, and others where peers are wanted.
func (c Case) Turns(modules []Module, peers bool) []Module {
	if !c.contested() {
		return []Module{{Peer: generator}}
	}
	turns := slices.Clone(modules)
	if peers {
		turns = append(turns, c.others()...)
	}
	return turns
}

// generator is who does what no peer does.
const generator = "generator"
