// SPDX-License-Identifier: MIT

//go:build linux

package device

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// KernelLog is what the kernel says from its beginning on.
type KernelLog struct{ fd int }

// ReadKernelLog begins to listen, until the end of the test. Of what is limited in
// rate the kernel says each line meanwhile: that another has said much is no excuse.
func ReadKernelLog(t testing.TB) *KernelLog {
	t.Helper()
	fd, err := unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatalf("open /dev/kmsg: %v", err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if _, err := unix.Seek(fd, 0, unix.SEEK_END); err != nil {
		t.Fatalf("/dev/kmsg: %v", err)
	}
	const usual = "5" // seconds
	setMessageCost(t, "0")
	t.Cleanup(func() { setMessageCost(t, usual) })
	return &KernelLog{fd}
}

// setMessageCost sets the limit of the network stack's lines, which only the first
// network namespace has.
func setMessageCost(t testing.TB, seconds string) {
	t.Helper()
	first := NamespaceOf(t, 1)
	defer first.Close()
	Inside(t, first, func() { Sysctl(t, "net/core/message_cost", seconds) })
}

// News are the lines since the last time.
func (k *KernelLog) News(t testing.TB) (lines []string) {
	t.Helper()
	record := make([]byte, 8192)
	for {
		n, err := unix.Read(k.fd, record)
		switch err {
		case nil:
			_, text, _ := strings.Cut(string(record[:n]), ";")
			lines = append(lines, strings.TrimSpace(text))
		case unix.EAGAIN:
			return lines
		case unix.EPIPE: // older ones were overwritten
			lines = append(lines, "(more than the log has room for)")
		case unix.EINTR:
		default:
			t.Fatalf("read /dev/kmsg: %v", err)
		}
	}
}
