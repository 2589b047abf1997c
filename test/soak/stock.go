// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"errors"
	"fmt"

	"github.com/mytun/mytun/test/device"
)

// A stock is what may be left behind.
type stock struct {
	threads, areas int
	packets        int // objects of the slab caches for packets
	references     int // to the module
}

// packetSlack is how many packets the kernel may keep in its own stores.
const packetSlack = 2000

func takeStock() (stock, error) {
	areas, err := device.CountAreas()
	packets, err2 := device.CountPackets()
	references, err3 := device.CountReferences()
	return stock{len(device.Kthreads("")), areas, packets, references}, errors.Join(err, err2, err3)
}

// compare waits until everything is as it was.
func (s stock) compare() error {
	var now stock
	err := waitFor("what the module holds to be given back", func() (bool, error) {
		var err error
		now, err = takeStock()
		return now.threads == s.threads && now.areas == s.areas && now.references == s.references &&
			now.packets <= s.packets+packetSlack, err
	})
	if err != nil {
		return fmt.Errorf("%w: %+v before, %+v now", err, s, now)
	}
	return nil
}
