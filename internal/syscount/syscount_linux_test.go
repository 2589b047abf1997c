// SPDX-License-Identifier: MIT

package syscount

import (
	"errors"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// open returns a Counter, or skips the test where eBPF is not allowed.
func open(t *testing.T) *Counter {
	t.Helper()
	c, err := Open()
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.ENOSYS) {
		t.Skipf("no right to load eBPF programs: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func counts(t *testing.T, c *Counter) Counts {
	t.Helper()
	n, err := c.Counts()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// eventFD returns a descriptor that always takes a write of 8 bytes.
func eventFD(t *testing.T) int {
	t.Helper()
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func write(fd int) { unix.Write(fd, []byte{1, 0, 0, 0, 0, 0, 0, 0}) }

func read(fd int) { unix.Read(fd, make([]byte, 8)) }

func TestNothingBeforeStart(t *testing.T) {
	c := open(t)
	write(eventFD(t))
	if n := counts(t, c); len(n) != 0 {
		t.Errorf("counted %v before Start", n)
	}
}

func TestByFD(t *testing.T) {
	if firstArgument < 0 {
		t.Skip("calls are not told apart by file descriptor on this architecture")
	}
	c := open(t)
	a, b := eventFD(t), eventFD(t)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		write(a)
	}
	write(b)
	read(b)
	n := counts(t, c)
	for call, want := range map[Call]uint64{
		{unix.SYS_WRITE, a}: 100,
		{unix.SYS_WRITE, b}: 1,
		{unix.SYS_READ, a}:  0,
		{unix.SYS_READ, b}:  1,
	} {
		if n[call] != want {
			t.Errorf("%s on %d: counted %d, made %d", call.Name(), call.FD, n[call], want)
		}
	}
}

func TestThreads(t *testing.T) {
	const threads, calls = 8, 1000
	c := open(t)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range threads {
		wg.Go(func() {
			for range calls {
				unix.Getpgid(0)
			}
		})
	}
	wg.Wait()
	if n := counts(t, c)[Call{unix.SYS_GETPGID, NoFD}]; n != threads*calls {
		t.Errorf("counted %d, made %d", n, threads*calls)
	}
	if lost, err := c.Lost(); lost != 0 || err != nil {
		t.Errorf("lost %d, %v", lost, err)
	}
}

func TestManyDescriptors(t *testing.T) {
	if firstArgument < 0 {
		t.Skip("calls are not told apart by file descriptor on this architecture")
	}
	c := open(t)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	const beyond = 100
	for fd := range maxCalls + beyond {
		unix.Write(1<<20+fd, nil) // EBADF, counted all the same
	}
	if lost, err := c.Lost(); lost < beyond || err != nil {
		t.Errorf("lost %d, %v, want at least %d", lost, err, beyond)
	}
}

func TestSub(t *testing.T) {
	a, b, c := Call{1, 2}, Call{1, 3}, Call{4, NoFD}
	d := Counts{a: 5, b: 7, c: 9}.Sub(Counts{a: 5, b: 3})
	if len(d) != 2 || d[b] != 4 || d[c] != 9 {
		t.Errorf("got %v", d)
	}
}

func TestNames(t *testing.T) {
	for _, test := range []struct {
		number      int
		name        string
		read, write bool
	}{
		{unix.SYS_READ, "read", true, false},
		{unix.SYS_RECVMSG, "recvmsg", true, false},
		{unix.SYS_WRITE, "write", false, true},
		{unix.SYS_FUTEX, "futex", false, false},
		{1 << 20, "syscall 1048576", false, false},
	} {
		c := Call{test.number, NoFD}
		if c.Name() != test.name || c.IsRead() != test.read || c.IsWrite() != test.write {
			t.Errorf("%d: got %q, read %v, write %v", test.number, c.Name(), c.IsRead(), c.IsWrite())
		}
	}
	for _, number := range callsByFD {
		if _, ok := names[number]; !ok {
			t.Errorf("call %d has no name", number)
		}
	}
}
