// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"golang.org/x/sys/unix"
)

// kernelLog is what the kernel says from now on.
type kernelLog struct {
	fd       int
	patterns []*regexp.Regexp
}

// openKernelLog reads the patterns of what the kernel must not say, one a line.
func openKernelLog(complaints string) (*kernelLog, error) {
	text, err := os.ReadFile(complaints)
	if err != nil {
		return nil, err
	}
	k := &kernelLog{}
	for line := range strings.Lines(string(text)) {
		pattern, err := regexp.Compile(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", complaints, err)
		}
		k.patterns = append(k.patterns, pattern)
	}
	if k.fd, err = unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); err != nil {
		return nil, fmt.Errorf("/dev/kmsg: %w", err)
	}
	_, err = unix.Seek(k.fd, 0, unix.SEEK_END)
	return k, err
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
	for _, p := range k.patterns {
		if p.MatchString(text) {
			return true
		}
	}
	return false
}
