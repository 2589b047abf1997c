// SPDX-License-Identifier: MIT

//go:build linux

package device

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// StockNode is the device node of the kernel's own tun driver.
const StockNode = "/dev/net/tun"

// StockTun is a device of the kernel's own tun driver, with vnet headers, to
// compare with and to talk to.
type StockTun struct {
	*Link
	File *os.File // reads and writes are a VnetHeader and a packet
}

// NewStockTun makes a TUN device with one queue as Config says.
func NewStockTun(t testing.TB, c Config) *StockTun {
	t.Helper()
	c.setDefaults()
	LoadStockTun(t)
	fd, err := unix.Open(StockNode, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatalf("open %s: %v", StockNode, err)
	}
	b := Ifreq(c.Name, TUN|Vnet)
	if err := Ioctl(fd, unix.TUNSETIFF, b); err != nil {
		t.Fatalf("TUNSETIFF of stock tun: %v", err)
	}
	if err := Ioctl(fd, unix.TUNSETVNETHDRSZ, encode(int32(VnetSize))); err != nil {
		t.Fatalf("TUNSETVNETHDRSZ: %v", err)
	}
	l := c.link()
	l.Name = IfreqName(b)
	l.configure(t, c)
	file := os.NewFile(uintptr(fd), StockNode)
	t.Cleanup(func() { file.Close() })
	return &StockTun{Link: l, File: file}
}

// LoadStockTun makes sure that StockNode is there.
func LoadStockTun(t testing.TB) {
	t.Helper()
	if err := TryLoadStockTun(); err != nil {
		t.Fatal(err)
	}
}

// TryLoadStockTun is LoadStockTun for programs that are no test.
func TryLoadStockTun() error {
	if _, err := os.Stat(StockNode); err == nil {
		return nil
	}
	if out, err := exec.Command("modprobe", "tun").CombinedOutput(); err != nil {
		return fmt.Errorf("modprobe tun: %w: %s", err, out)
	}
	return nil
}

// TrySetOffload calls TUNSETOFFLOAD. Before Linux 6.2 UDP segmentation is
// EINVAL.
func (s *StockTun) TrySetOffload(t testing.TB, offloads uintptr) (err error) {
	t.Helper()
	raw, err := s.File.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var result error
	err = raw.Control(func(fd uintptr) { result = IoctlValue(int(fd), unix.TUNSETOFFLOAD, offloads) })
	if err != nil {
		t.Fatal(err)
	}
	return result
}
