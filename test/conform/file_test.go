// SPDX-License-Identifier: MIT

//go:build mytun_device

package conform

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

// file is an open node. Its name stands in front of the calls in the record.
type file struct {
	w    *world
	name string
	fd   int
}

// open opens the node. It is closed at the end of the scenario.
func (w *world) open(name string) *file {
	w.Helper()
	fd, err := unix.Open(w.node, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		w.Fatalf("open %s: %v", w.node, err)
	}
	f := &file{w, name, fd}
	w.files = append(w.files, f)
	return f
}

func (f *file) close() {
	if f.fd >= 0 {
		unix.Close(f.fd)
	}
	f.fd = -1
}

func (f *file) log(call, format string, args ...any) { f.w.log(f.name+" "+call, format, args...) }

// result is a return value or an error's name.
func result(n int, err error) string {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return unix.ErrnoName(errno)
	}
	return fmt.Sprint(n)
}

func outcome(err error) string { return result(0, err) }

// call makes an ioctl with a copy of arg, and records what the kernel has
// written there.
func (f *file) call(what string, request uint, arg []byte) []byte {
	answer := bytes.Clone(arg)
	n, err := device.IoctlResult(f.fd, request, answer)
	said := result(n, err)
	if !bytes.Equal(answer, arg) {
		said += fmt.Sprintf(", wrote %x", answer)
	}
	f.log(what, "%s", said)
	return answer
}

// value makes an ioctl with a number.
func (f *file) value(what string, request uint, arg uintptr) {
	f.log(fmt.Sprintf("%s %#x", what, arg), "%s", outcome(device.IoctlValue(f.fd, request, arg)))
}

// faults makes an ioctl with pointers to nothing.
func (f *file) faults(what string, request uint) {
	for _, address := range []uintptr{0, 0xfff, 1 << 46, 1 << 63, ^uintptr(0) - 3} {
		f.log(fmt.Sprintf("%s at %#x", what, address), "%s", outcome(device.IoctlValue(f.fd, request, address)))
	}
}

// attach calls TUNSETIFF.
func (f *file) attach(name string, flags uint16) {
	got := device.Ifreq(name, flags)
	err := device.Ioctl(f.fd, unix.TUNSETIFF, got)
	f.log(fmt.Sprintf("TUNSETIFF %q %s", name, flagNames(flags)), "%s, %q %#x",
		outcome(err), device.IfreqName(got), device.IfreqFlags(got))
}

// getiff calls TUNGETIFF on memory that is not zero.
func (f *file) getiff() {
	b := bytes.Repeat([]byte{0x55}, device.IfreqSize)
	err := device.Ioctl(f.fd, unix.TUNGETIFF, b)
	f.log("TUNGETIFF", "%s, %q %#x, rest %x", outcome(err), device.IfreqName(b), device.IfreqFlags(b), b[18:])
}

// setqueue calls TUNSETQUEUE.
func (f *file) setqueue(flags uint16) {
	f.call(fmt.Sprintf("TUNSETQUEUE %#x", flags), unix.TUNSETQUEUE, device.Ifreq("", flags))
}

func le32(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }

func le16(words ...uint16) (b []byte) {
	for _, v := range words {
		b = binary.NativeEndian.AppendUint16(b, v)
	}
	return b
}
