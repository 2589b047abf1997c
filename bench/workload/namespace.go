// SPDX-License-Identifier: MIT

//go:build linux

package workload

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// A namespace is a network namespace in which nobody but the benchmark sends anything. The zero value is the one of the process.
type namespace struct {
	handle netns.NsHandle
	entry  bool // handle is valid
}

// newNamespace makes one. It is gone after close, when nothing is left in it.
func newNamespace() (*namespace, error) {
	n := &namespace{}
	return n, onThread(func() (err error) {
		if n.handle, err = netns.New(); err != nil {
			return fmt.Errorf("make a network namespace: %w", err)
		}
		n.entry = true
		const noIPv6 = "/proc/sys/net/ipv6/conf/default/disable_ipv6"
		if err := os.WriteFile(noIPv6, []byte("1"), 0); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return fmt.Errorf("look up lo: %w", err)
		}
		return netlink.LinkSetUp(lo)
	})
}

// do runs f inside. What f opens, and processes that it starts, stay inside.
func (n *namespace) do(f func() error) error {
	if !n.entry {
		return f()
	}
	return onThread(func() error {
		if err := netns.Set(n.handle); err != nil {
			return fmt.Errorf("enter a network namespace: %w", err)
		}
		return f()
	})
}

func (n *namespace) close() error {
	if !n.entry {
		return nil
	}
	return n.handle.Close()
}

// onThread runs f on a thread that is not used afterwards, whatever f does to it. It may be the first thread of the process.
func onThread(f func() error) error {
	err := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock: Go then ends the thread
		err <- f()
	}()
	return <-err
}
