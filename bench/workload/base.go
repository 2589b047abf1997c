// SPDX-License-Identifier: MIT

//go:build linux

package workload

import (
	"github.com/mytun/mytun/bench/peer"
	"github.com/vishvananda/netlink"
)

// Generator is the name of what stands in a table for a workload without a contestant: what the generator costs, and how fast it can be.
const Generator = "generator"

// costOf is what bursts cost that nobody receives: all but the first together have so many packets of that size. It is what is to be
// subtracted from a contestant's cost, too.
func (e *Env) costOf(size, packets int, burst func() error) (base float64, s []Sample, err error) {
	from, to, err := e.bursts(burst)
	if err != nil {
		return 0, nil, err
	}
	s = e.costs(Generator, to.usage.Sub(from.usage), packets, size, 0)
	return s[0].Value, s, nil
}

// rateOf is how fast a generator sends packets of that size into an interface that drops them: no contestant can be faster.
func (e *Env) rateOf(from source, sink string, size int) (base float64, s []Sample, err error) {
	s, err = e.watchWhile(from, peer.Peer{Name: Generator}, size, func() (int, error) { return sent(sink) })
	return 0, s, err
}

// sent is how many packets an interface has taken.
func sent(name string) (int, error) {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return 0, err
	}
	return int(link.Attrs().Statistics.TxPackets), nil
}
