// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// An owner is a process that holds a queue.
type owner struct {
	PID     int    `json:"pid"`
	Command string `json:"command"`
}

// A holding is a queue's file that a process has open.
type holding struct {
	owner
	fdinfo
}

// holdings are all such files of the processes that this one may look at.
type holdings struct {
	found  []holding
	denied bool // it may not look at some
}

// readHoldings looks through the processes below root, which is /proc.
func readHoldings(root string) (holdings, error) {
	var h holdings
	entries, err := os.ReadDir(root)
	if err != nil {
		return h, err
	}
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			h.look(root, pid)
		}
	}
	return h, nil
}

// look adds what one process holds. It may end meanwhile: then it holds nothing.
func (h *holdings) look(root string, pid int) {
	dir := filepath.Join(root, strconv.Itoa(pid))
	names, err := readNames(filepath.Join(dir, "fd"))
	if errors.Is(err, fs.ErrPermission) {
		h.denied = true
		return
	}
	var command string
	for _, name := range names {
		info, ok := readFdinfo(dir, name)
		if !ok {
			continue
		}
		if command == "" {
			command = commandOf(dir)
		}
		if info.namespace == 0 {
			info.namespace = namespaceOf(dir)
		}
		h.found = append(h.found, holding{owner{pid, command}, info})
	}
}

// readNames is os.ReadDir without a look at each file.
func readNames(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdirnames(-1)
}

// readFdinfo reads of a descriptor that is a queue's. Most are not, so its name is
// looked at first; files are not, as those of a network that is down would keep us.
func readFdinfo(dir, fd string) (fdinfo, bool) {
	target, err := os.Readlink(filepath.Join(dir, "fd", fd))
	if err != nil || filepath.Base(strings.TrimSuffix(target, " (deleted)")) != moduleName {
		return fdinfo{}, false
	}
	text, err := os.ReadFile(filepath.Join(dir, "fdinfo", fd))
	if err != nil {
		return fdinfo{}, false
	}
	return parseFdinfo(string(text))
}

// commandOf is the process's name as it stands in ps.
func commandOf(dir string) string {
	text, err := os.ReadFile(filepath.Join(dir, "comm"))
	if err != nil {
		return "?"
	}
	return printable(strings.TrimSuffix(string(text), "\n"))
}

// printable replaces what would act on a terminal: processes and devices are named as somebody likes.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// namespaceOf is the number of a process's network namespace, or 0.
func namespaceOf(dir string) uint64 {
	target, err := os.Readlink(filepath.Join(dir, "ns", "net"))
	if err != nil {
		return 0
	}
	n, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimPrefix(target, "net:["), "]"), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
