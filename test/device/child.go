// SPDX-License-Identifier: MIT

//go:build linux

package device

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const childVariable = "MYTUN_TEST_CHILD"

// Main is for TestMain: it runs the tests, or, in a process that StartChild
// started, the function of that name.
func Main(m *testing.M, children map[string]func(testing.TB)) {
	name := os.Getenv(childVariable)
	if name == "" {
		os.Exit(m.Run())
	}
	children[name](childTB{})
	os.Exit(0)
}

// childTB lets a child use the helpers. A failure ends the process, and what
// would be cleaned up ends with it.
type childTB struct{ testing.TB }

func (childTB) Helper()        {}
func (childTB) Cleanup(func()) {}

func (childTB) Fatal(args ...any) {
	fmt.Println(args...)
	os.Exit(1)
}

func (t childTB) Fatalf(format string, args ...any) { t.Fatal(fmt.Sprintf(format, args...)) }
func (t childTB) Errorf(format string, args ...any) { t.Fatal(fmt.Sprintf(format, args...)) }

// Child is another process of the same test program.
type Child struct {
	*exec.Cmd
	Lines *bufio.Scanner // its standard output
	In    *os.File       // its standard input, the other end of a pipe
}

// ChildFile is the descriptor of the first file that StartChild handed on.
const ChildFile = 3

// StartChild starts a process that runs a function of Main's. Descriptors are
// handed on from ChildFile upwards. It has the thread's network namespace, and
// is killed at the end of the test.
func StartChild(t testing.TB, name string, uid int, fds ...int) *Child {
	t.Helper()
	attr := &syscall.SysProcAttr{}
	if uid != 0 {
		attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}
	}
	return StartChildAs(t, name, attr, fds...)
}

// StartChildAs is StartChild with other credentials, namespaces or cgroup.
func StartChildAs(t testing.TB, name string, attr *syscall.SysProcAttr, fds ...int) *Child {
	t.Helper()
	attr.Pdeathsig = syscall.SIGKILL
	cmd := command(t, name, attr, fds)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdin = read
	start(t, cmd)
	read.Close()
	t.Cleanup(func() {
		write.Close()
		cmd.Process.Kill()
		cmd.Wait()
	})
	return &Child{Cmd: cmd, Lines: bufio.NewScanner(out), In: write}
}

// Deputise starts a process in a child's place: it has the child's standard input and output,
// and lives on when the child ends. The child waits for it.
func Deputise(t testing.TB, name string, attr *syscall.SysProcAttr, fds ...int) *exec.Cmd {
	t.Helper()
	cmd := command(t, name, attr, fds)
	cmd.Stdin, cmd.Stdout = os.Stdin, os.Stdout
	start(t, cmd)
	return cmd
}

// command is a process of the same program, with duplicates of descriptors to hand on.
func command(t testing.TB, name string, attr *syscall.SysProcAttr, fds []int) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), childVariable+"="+name)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = attr
	for _, fd := range fds {
		duplicate, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		cmd.ExtraFiles = append(cmd.ExtraFiles, os.NewFile(uintptr(duplicate), "handed on"))
	}
	return cmd
}

// start starts it, and closes what it was handed.
func start(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	err := cmd.Start()
	for _, file := range cmd.ExtraFiles {
		file.Close()
	}
	if err != nil {
		t.Fatalf("start a child: %v", err)
	}
}

// Stop stops the child with a signal, and returns when it has stopped.
func (c *Child) Stop(t testing.TB) {
	t.Helper()
	if err := c.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	WaitFor(t, "the process to stop", func() bool { return isStopped(t, c.Process.Pid) })
}

// ExpectLine reads the next line of the child's output.
func (c *Child) ExpectLine(t testing.TB, want string) {
	t.Helper()
	if got := c.Line(t); got != want {
		t.Fatalf("child said %q, want %q", got, want)
	}
}

// Tell writes a line to the child's standard input.
func (c *Child) Tell(t testing.TB, line string) {
	t.Helper()
	if _, err := fmt.Fprintln(c.In, line); err != nil {
		t.Fatalf("tell a child %q: %v", line, err)
	}
}

// Line is the next line of the child's output.
func (c *Child) Line(t testing.TB) string {
	t.Helper()
	if !c.Lines.Scan() {
		t.Fatalf("child ended without a word: %v", c.Lines.Err())
	}
	return c.Lines.Text()
}

// SendFD sends a descriptor over a Unix socket, with SCM_RIGHTS.
func SendFD(socket, fd int) error {
	return unix.Sendmsg(socket, []byte{0}, unix.UnixRights(fd), nil, 0)
}

// ReceiveFD receives a descriptor that SendFD sent.
func ReceiveFD(socket int) (int, error) {
	data, control := make([]byte, 1), make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(socket, data, control, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return -1, err
	}
	messages, err := unix.ParseSocketControlMessage(control[:n])
	if err != nil || len(messages) != 1 {
		return -1, fmt.Errorf("control message: %d parts, %v", len(messages), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return -1, fmt.Errorf("descriptors: %v, %v", fds, err)
	}
	return fds[0], nil
}

// SocketPair is a pair of connected Unix sockets, closed at the end of the test.
func SocketPair(t testing.TB) [2]int {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		unix.Close(pair[0])
		unix.Close(pair[1])
	})
	return pair
}
