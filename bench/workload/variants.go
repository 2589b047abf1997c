// SPDX-License-Identifier: MIT

//go:build linux

package workload

import (
	"errors"
	"fmt"

	"github.com/mytun/mytun/bench/peer"
	"github.com/mytun/mytun/bench/result"
)

// The variants of rx: more queues, and other sizes of the rings. They are wall-clock rows: on one CPU there is nothing to gain from queues.
var rxVariants = []Workload{
	receiveQueues(2), receiveQueues(4),
	receiveRing("128K", 128<<10), receiveRing("8M", 8<<20),
}

// receiveQueues is rx of many flows through an interface with that many queues, each with a goroutine of its own.
func receiveQueues(queues int) Workload {
	return Workload{
		Name:   fmt.Sprintf("%s-%d-queues", result.WorkloadRx, queues),
		Sizes:  []int{64},
		Clocks: []string{result.Wall},
		Run: func(e *Env, p peer.Peer, size int, _ float64) ([]Sample, error) {
			return receiveWith(e, p, peer.Config{Queues: queues}, size, 0)
		},
	}
}

// receiveRing is rx with rings of that many bytes, by the contestants whose rings have a size in bytes.
func receiveRing(name string, bytes int) Workload {
	return Workload{
		Name:  fmt.Sprintf("%s-ring-%s", result.WorkloadRx, name),
		Sizes: []int{1400},
		Run: func(e *Env, p peer.Peer, size int, base float64) ([]Sample, error) {
			if p.Name != result.PeerMytun {
				return nil, peer.ErrUnable
			}
			return receiveWith(e, p, peer.Config{Ring: bytes}, size, base)
		},
	}
}

// receivers are the goroutines of all queues.
type receivers []*receiver

func startReceivers(dev peer.Device, queues int, x expect) (rs receivers) {
	for i := range max(queues, 1) {
		rs = append(rs, startReceiver(dev, i, x))
	}
	return rs
}

func (rs receivers) count() (sum int, err error) {
	for _, r := range rs {
		n, e := r.count()
		sum, err = sum+n, errors.Join(err, e)
	}
	return sum, err
}

func (rs receivers) stop() error {
	var err error
	for _, r := range rs {
		err = errors.Join(err, r.stop())
	}
	return err
}
