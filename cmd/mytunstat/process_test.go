// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const node = "/dev/net/mytun"

func TestReadHoldings(t *testing.T) {
	old := strings.Replace(queueText, "netns:\t4026532008\n", "", 1)
	root := makeProc(t, 10,
		process{10, "demo", 1, map[int][2]string{0: {"/dev/null", ""}, 3: {node, queueText}, 4: {node, "iff:\nstate:\t0x1\n"}}},
		process{20, "old", 77, map[int][2]string{5: {"/chroot/dev/mytun", old}, 6: {"anon_inode:[eventfd]", queueText}}},
		process{30, "none", 1, nil},
	)
	// one that ends while it is looked at
	if err := os.Mkdir(filepath.Join(root, "40"), 0o700); err != nil {
		t.Fatal(err)
	}
	h, err := readHoldings(root)
	if err != nil || h.denied {
		t.Fatalf("%+v, %v", h, err)
	}
	found := map[owner]uint64{}
	for _, one := range h.found {
		found[one.owner] = one.namespace
	}
	if len(h.found) != 2 || found[owner{10, "demo"}] != 4026532008 || found[owner{20, "old"}] != 77 {
		t.Errorf("found %+v", h.found)
	}
}

// TestReadHoldingsDenied: what may not be looked at is noted.
func TestReadHoldingsDenied(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may look at all processes: test/stat tries it as another user")
	}
	root := makeProc(t, 10, process{10, "other", 1, nil})
	if err := os.Chmod(filepath.Join(root, "10", "fd"), 0); err != nil {
		t.Fatal(err)
	}
	if h, err := readHoldings(root); err != nil || !h.denied {
		t.Errorf("%+v, %v", h, err)
	}
}

func TestReadHoldingsWithoutProc(t *testing.T) {
	if _, err := readHoldings(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("no error without /proc")
	}
}

// TestCommandActsOnNoTerminal: a process names itself as it likes.
func TestCommandActsOnNoTerminal(t *testing.T) {
	dir := t.TempDir()
	if got := commandOf(dir); got != "?" {
		t.Errorf("of a process that has ended: %q", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "comm"), []byte("a\x1b[2J\nb c\xff\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, want := commandOf(dir), "a?[2J?b c\ufffd"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
