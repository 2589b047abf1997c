// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"slices"

	"github.com/mytun/mytun/bench/peer"
	"golang.org/x/sys/unix"
)

// lacks reports whether an error means that this machine has not what was asked for: a module, a device, a program. Anything else is a failure.
func lacks(err error) bool {
	return slices.ContainsFunc([]error{fs.ErrNotExist, exec.ErrNotFound, unix.ENODEV, unix.ENXIO, unix.EOPNOTSUPP, unix.EPROTONOSUPPORT},
		func(absence error) bool { return errors.Is(err, absence) })
}

// present returns the contestants whose interfaces can be made here, and says of each other why not.
func present(peers []peer.Peer, say io.Writer) ([]peer.Peer, error) {
	var all []peer.Peer
	for _, p := range peers {
		switch err := try(p); {
		case err == nil || errors.Is(err, peer.ErrUnable):
			all = append(all, p)
		case lacks(err):
			fmt.Fprintf(say, "mytun-bench: this machine has no %s, which is left out: %v\n", p.Name, err)
		default:
			return nil, fmt.Errorf("%s: %w", p.Name, err)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("none of the contestants is there: the lines above say which module each needs")
	}
	return all, nil
}

// try makes an interface and removes it.
func try(p peer.Peer) error {
	dev, err := p.Open(peer.Config{Name: "bench0", TAP: p.Ethernet})
	if err != nil {
		return err
	}
	return dev.Close()
}
