// SPDX-License-Identifier: MIT

//go:build linux

package device

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// File is an open /dev/net/mytun: nothing but the descriptor.
type File struct {
	FD int
}

// Open opens the device node. The file is closed at the end of the test,
// unless the test closed it.
func Open(t testing.TB) *File {
	t.Helper()
	fd, err := unix.Open(Node, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatalf("open %s: %v", Node, err)
	}
	f := &File{FD: fd}
	t.Cleanup(func() { f.Close() })
	return f
}

// Close closes the file; a second time it does nothing.
func (f *File) Close() error {
	if f.FD < 0 {
		return nil
	}
	fd := f.FD
	f.FD = -1
	return unix.Close(fd)
}

// Ifreq is the argument of TUNSETIFF and TUNGETIFF.
func Ifreq(name string, flags uint16) []byte {
	b := make([]byte, IfreqSize)
	copy(b[:unix.IFNAMSIZ], name)
	b[unix.IFNAMSIZ] = byte(flags)
	b[unix.IFNAMSIZ+1] = byte(flags >> 8)
	return b
}

// IfreqName is the name in an Ifreq.
func IfreqName(b []byte) string {
	name, _, _ := bytes.Cut(b[:unix.IFNAMSIZ], []byte{0})
	return string(name)
}

// IfreqFlags are the flags in an Ifreq.
func IfreqFlags(b []byte) uint16 {
	return uint16(b[unix.IFNAMSIZ]) | uint16(b[unix.IFNAMSIZ+1])<<8
}

// TryAttach attaches the file to a device and returns the device's name.
func (f *File) TryAttach(name string, flags uint16) (string, error) {
	b := Ifreq(name, flags)
	err := Ioctl(f.FD, unix.TUNSETIFF, b)
	return IfreqName(b), err
}

// Attach is TryAttach that must succeed.
func (f *File) Attach(t testing.TB, name string, flags uint16) string {
	t.Helper()
	got, err := f.TryAttach(name, flags)
	if err != nil {
		t.Fatalf("TUNSETIFF %q flags %#x: %v", name, flags, err)
	}
	return got
}

// TryInfo asks for MYTUN_IOC_GET_INFO.
func (f *File) TryInfo() (info Info, err error) {
	b := make([]byte, InfoSize)
	if err = Ioctl(f.FD, IocGetInfo, b); err == nil {
		decode(b, &info)
	}
	return info, err
}

// Info is TryInfo that must succeed.
func (f *File) Info(t testing.TB) Info {
	t.Helper()
	info, err := f.TryInfo()
	if err != nil {
		t.Fatalf("MYTUN_IOC_GET_INFO: %v", err)
	}
	return info
}

// Stats asks for MYTUN_IOC_GET_STATS.
func (f *File) Stats(t testing.TB) (stats Stats) {
	t.Helper()
	b := make([]byte, StatsSize)
	if err := Ioctl(f.FD, IocGetStats, b); err != nil {
		t.Fatalf("MYTUN_IOC_GET_STATS: %v", err)
	}
	decode(b, &stats)
	return stats
}

// TrySetRings calls MYTUN_IOC_SET_RINGS.
func (f *File) TrySetRings(config RingConfig) error {
	return Ioctl(f.FD, IocSetRings, encode(&config))
}

// SetRings is TrySetRings that must succeed. Frames carry a hash.
func (f *File) SetRings(t testing.TB, rx, tx uint32) {
	t.Helper()
	if err := f.TrySetRings(RingConfig{RxSize: rx, TxSize: tx, Flags: RingsHash}); err != nil {
		t.Fatalf("MYTUN_IOC_SET_RINGS %d %d: %v", rx, tx, err)
	}
}

// TrySetEventfds calls MYTUN_IOC_SET_EVENTFDS.
func (f *File) TrySetEventfds(fds Eventfds) error {
	return Ioctl(f.FD, IocSetEventfds, encode(&fds))
}

// TrySetPoll calls MYTUN_IOC_SET_POLL.
func (f *File) TrySetPoll(usecs uint32) error {
	return Ioctl(f.FD, IocSetPoll, encode(usecs))
}

// SetPoll is TrySetPoll that must succeed.
func (f *File) SetPoll(t testing.TB, usecs uint32) {
	t.Helper()
	if err := f.TrySetPoll(usecs); err != nil {
		t.Fatalf("MYTUN_IOC_SET_POLL %d: %v", usecs, err)
	}
}

// TrySetQueue calls TUNSETQUEUE with IFF_DETACH_QUEUE or IFF_ATTACH_QUEUE.
func (f *File) TrySetQueue(flags uint16) error {
	return Ioctl(f.FD, unix.TUNSETQUEUE, Ifreq("", flags))
}

// SetQueue is TrySetQueue that must succeed.
func (f *File) SetQueue(t testing.TB, flags uint16) {
	t.Helper()
	if err := f.TrySetQueue(flags); err != nil {
		t.Fatalf("TUNSETQUEUE %#x: %v", flags, err)
	}
}

// SetPersist calls TUNSETPERSIST, which must succeed.
func (f *File) SetPersist(t testing.TB, persist bool) {
	t.Helper()
	var value uintptr
	if persist {
		value = 1
	}
	if err := IoctlValue(f.FD, unix.TUNSETPERSIST, value); err != nil {
		t.Fatalf("TUNSETPERSIST %v: %v", persist, err)
	}
}

// Events is what poll(2) says of the file now.
func (f *File) Events(t testing.TB) int16 {
	t.Helper()
	fds := []unix.PollFd{{Fd: int32(f.FD), Events: unix.POLLIN | unix.POLLOUT}}
	if _, err := Restart(func() (int, error) { return unix.Poll(fds, 0) }); err != nil {
		t.Fatalf("poll: %v", err)
	}
	return fds[0].Revents
}

// Fdinfo is the file's entry of /proc/self/fdinfo, by key.
func (f *File) Fdinfo(t testing.TB) map[string]string {
	t.Helper()
	text, err := os.ReadFile("/proc/self/fdinfo/" + itoa(f.FD))
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]string{}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, ":")
		fields[key] = strings.TrimSpace(value)
	}
	return fields
}

// TryMap maps a part of the file.
func (f *File) TryMap(offset uint64, length, prot, flags int) ([]byte, error) {
	return unix.Mmap(f.FD, int64(offset), length, prot, flags)
}

// Map maps a part of the file, shared, until the end of the test.
func (f *File) Map(t testing.TB, offset uint64, length uint64, prot int) []byte {
	t.Helper()
	b, err := f.TryMap(offset, int(length), prot, unix.MAP_SHARED)
	if err != nil {
		t.Fatalf("mmap of %#x bytes at %#x: %v", length, offset, err)
	}
	t.Cleanup(func() { unix.Munmap(b) })
	return b
}

// Eventfd is a new eventfd, closed at the end of the test.
func Eventfd(t testing.TB) int {
	t.Helper()
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		t.Fatalf("eventfd: %v", err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// Signal adds one to an eventfd.
func Signal(fd int) error {
	_, err := unix.Write(fd, encode(uint64(1)))
	return err
}

// Signalled reads an eventfd and tells whether it had been signalled.
func Signalled(fd int) bool {
	var b [8]byte
	n, _ := unix.Read(fd, b[:])
	return n == len(b)
}
