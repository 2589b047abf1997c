// SPDX-License-Identifier: MIT

//go:build linux

package workload

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// snmp is one of the stack's counters, as /proc/net/snmp names it.
type snmp struct{ protocol, name string }

// overrun counts the datagrams that arrived at a socket whose buffer was full.
var overrun = snmp{"Udp:", "RcvbufErrors"}

// read returns the counter of a network namespace.
func (c snmp) read(n *namespace) (value int, err error) {
	var text []byte
	err = n.do(func() (err error) {
		text, err = os.ReadFile("/proc/thread-self/net/snmp")
		return err
	})
	if err != nil {
		return 0, err
	}
	return c.find(string(text))
}

// await returns when the counter has come to count more than before. That it goes on beyond is an error.
func (c snmp) await(n *namespace, before, count int) error {
	arrived := 0
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		now, err := c.read(n)
		if err != nil {
			return err
		}
		switch arrived = now - before; {
		case arrived == count:
			return nil
		case arrived > count:
			return fmt.Errorf("%d packets were sent and %s %s counted %d", count, c.protocol, c.name, arrived)
		}
	}
	return fmt.Errorf("%d packets were sent and %s %s counted %d after %v", count, c.protocol, c.name, arrived, patience)
}

// find looks the counter up: a protocol has a line of names, then one of values.
func (c snmp) find(text string) (int, error) {
	var names []string
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] != c.protocol {
			continue
		}
		if names == nil {
			names = words
			continue
		}
		i := slices.Index(names, c.name)
		if i < 0 || i >= len(words) {
			break
		}
		return strconv.Atoi(words[i])
	}
	return 0, fmt.Errorf("/proc/net/snmp has no counter %s %s", c.protocol, c.name)
}
