// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"

	"github.com/mytun/mytun/test/device"
)

// A stock is what may be left behind.
type stock struct {
	threads, areas int
	packets        int // objects of the slab caches for packets
}

// packetSlack is how many packets the kernel may keep in its own stores.
const packetSlack = 2000

func takeStock() (s stock, err error) {
	s.threads = len(device.Kthreads(""))
	areas, err := os.ReadFile("/proc/vmallocinfo")
	if err != nil {
		return s, err
	}
	s.areas = bytes.Count(areas, []byte("mytun_area_alloc"))
	slabs, err := os.ReadFile("/proc/slabinfo")
	if err != nil {
		return s, err
	}
	for line := range strings.Lines(string(slabs)) {
		var name string
		var active int
		if strings.HasPrefix(line, "skbuff") {
			if _, err := fmt.Sscan(line, &name, &active); err != nil {
				return s, fmt.Errorf("/proc/slabinfo: %q: %w", line, err)
			}
			s.packets += active
		}
	}
	return s, nil
}

// compare waits until everything is as it was.
func (s stock) compare() error {
	var now stock
	err := waitFor("what the module holds to be given back", func() (bool, error) {
		var err error
		now, err = takeStock()
		return now.threads == s.threads && now.areas == s.areas && now.packets <= s.packets+packetSlack, err
	})
	if err != nil {
		return fmt.Errorf("%w: %+v before, %+v now", err, s, now)
	}
	return nil
}
