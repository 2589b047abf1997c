// SPDX-License-Identifier: MIT

//go:build linux

package workload

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/mytun/mytun/bench/peer"
	"github.com/mytun/mytun/bench/result"
)

// handedOff is how many packets may be under way between two goroutines, as long as an echo request a bound that is never reached.
const handedOff = 16

// longestHandedOff is room for an echo request, behind an Ethernet header or not.
const longestHandedOff = 2048

// handOffWith is ping, with each packet handed to another goroutine that answers it, where Go has so many Ps: as a program does that encrypts
// with one goroutine a CPU. What is beyond ping is the price of the hand-over.
func handOffWith(processors int) Workload {
	return Workload{
		Name:  fmt.Sprintf("%s-%dp", result.WorkloadHandOff, processors),
		Sizes: []int{0},
		Run: func(e *Env, p peer.Peer, _ int, _ float64) ([]Sample, error) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(processors))
			return pingRun(e, p, peer.Config{Poller: true}, handOff, nothing)
		},
	}
}

// handOff is a responder that answers from another goroutine than the one that receives.
func handOff(ctx context.Context, dev peer.Device, edit peer.Visitor) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	free, packets := make(chan []byte, handedOff), make(chan []byte, handedOff)
	for range handedOff {
		free <- make([]byte, longestHandedOff)
	}
	failed := make(chan error, 1)
	go func() { failed <- answerAll(dev, packets, free, edit, cancel) }()
	err := dev.Receive(ctx, 0, func(p []byte) bool {
		b := <-free
		packets <- b[:copy(b, p)]
		return true
	})
	close(packets)
	return errors.Join(err, <-failed)
}

// answerAll answers packets, and gives each back as room for another, until there will be no more. After a failure it calls failed, and answers none.
func answerAll(dev peer.Device, packets <-chan []byte, free chan<- []byte, edit peer.Visitor, failed func()) error {
	var err error
	for p := range packets {
		if err == nil && edit(p) {
			if err = dev.Send(0, p, 1); err != nil {
				failed()
			}
		}
		free <- p[:cap(p)]
	}
	return err
}
