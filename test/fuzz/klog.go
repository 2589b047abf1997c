// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// kernelLog is what the kernel says from now on.
type kernelLog struct {
	fd      int
	allowed []*regexp.Regexp
}

// openKernelLog reads the patterns of what the kernel may say, one a line, each
// below a comment that says why. All else is a complaint: nothing that a process
// does makes the kernel print.
func openKernelLog(allowed string) (*kernelLog, error) {
	text, err := os.ReadFile(allowed)
	if err != nil {
		return nil, err
	}
	k := &kernelLog{}
	if k.allowed, err = patterns(string(text)); err != nil {
		return nil, fmt.Errorf("%s: %w", allowed, err)
	}
	if k.fd, err = unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); err != nil {
		return nil, fmt.Errorf("/dev/kmsg: %w", err)
	}
	_, err = unix.Seek(k.fd, 0, unix.SEEK_END)
	return k, err
}

func patterns(text string) (found []*regexp.Regexp, err error) {
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		pattern, err := regexp.Compile(line)
		if err != nil {
			return nil, err
		}
		found = append(found, pattern)
	}
	return found, nil
}

// news is all that was said since the last time, if there is a complaint in it.
func (k *kernelLog) news() string {
	var said strings.Builder
	complaint := false
	record := make([]byte, 8192)
	for {
		n, err := unix.Read(k.fd, record)
		if errors.Is(err, unix.EPIPE) || errors.Is(err, unix.EINTR) {
			continue // older records were overwritten
		}
		if err != nil || n <= 0 {
			break
		}
		_, text, _ := strings.Cut(string(record[:n]), ";")
		complaint = complaint || k.isComplaint(text)
		said.WriteString(text)
	}
	if !complaint {
		return ""
	}
	return said.String()
}

func (k *kernelLog) isComplaint(text string) bool {
	line := firstLine(text)
	return !slices.ContainsFunc(k.allowed, func(p *regexp.Regexp) bool { return p.MatchString(line) })
}
