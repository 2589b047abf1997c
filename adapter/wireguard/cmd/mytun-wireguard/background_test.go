// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// actVariable makes the test's binary play the process in the background.
const actVariable = "MYTUN_WIREGUARD_TEST_ACT"

func TestMain(m *testing.M) {
	if act := os.Getenv(actVariable); act != "" {
		os.Exit(exitStatus(play(act)))
	}
	os.Exit(m.Run())
}

// play does what a child of the tests is there for.
func play(act string) error {
	w, err := findWaiter()
	if err != nil {
		return err
	}
	switch act {
	case "fails":
		return errors.New("no device today")
	case "dies":
		return errors.Join(unix.Kill(os.Getpid(), unix.SIGKILL))
	case "ends":
		return nil
	case "waits": // until nobody waits for it any more
		io.Copy(io.Discard, os.Stdin)
		return w.tell(false)
	case "copies":
		return errors.Join(copies(), w.tell(false))
	}
	fmt.Println("before")
	err = w.tell(act == "logs")
	fmt.Println("after")
	fmt.Println("session", session(0) == os.Getpid())
	return err
}

func session(pid int) int {
	id, err := unix.Getsid(pid)
	if err != nil {
		panic(err)
	}
	return id
}

// child is the test's binary in the part of act.
func child(act string) *exec.Cmd {
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), actVariable+"="+act)
	return c
}

// said returns what processes write to standard output and error while f runs, and after it: until the last has
// ended or let go of it.
func said(t *testing.T, f func()) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	out, errs := os.Stdout, os.Stderr
	os.Stdout, os.Stderr = w, w
	f()
	os.Stdout, os.Stderr = out, errs
	w.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestBackground: who starts a process waits until it is ready, and hears it until then, or for as long as there is a log.
func TestBackground(t *testing.T) {
	for act, want := range map[string]string{"quiet": "before\n", "logs": "before\nafter\nsession true\n"} {
		got := said(t, func() {
			if err := background(child(act)); err != nil {
				t.Errorf("%s: %v", act, err)
			}
		})
		if got != want {
			t.Errorf("%s: %q, want %q", act, got, want)
		}
	}
}

// TestBackgroundFails: what a child says of its failure is said once, and what it cannot say itself is said for it.
func TestBackgroundFails(t *testing.T) {
	for act, want := range map[string]string{
		"fails": "mytun-wireguard: no device today\n",
		"dies":  "mytun-wireguard: the process in the background ended before it was ready (signal: killed)\n",
		"ends":  "mytun-wireguard: the process in the background ended before it was ready (exit status 0)\n",
	} {
		var status int
		got := said(t, func() { status = exitStatus(background(child(act))) })
		if got != want || status != 1 {
			t.Errorf("%s: status %d, %q, want 1 and %q", act, status, got, want)
		}
	}
	if err := background(exec.Command("/nonexistent/program")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a program that is not there: %v", err)
	}
}

// TestNobodyWaits: a child whose starter has gone has nothing to live for.
func TestNobodyWaits(t *testing.T) {
	ready, tell, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c := child("waits")
	c.ExtraFiles = []*os.File{tell}
	c.Env = append(c.Env, readyVariable+"=3")
	stdin, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	tell.Close()
	ready.Close()
	stdin.Close()
	if err := c.Wait(); c.ProcessState.ExitCode() != 1 {
		t.Errorf("it ended with %v", err)
	}
}

// TestFindWaiter: without one there is nothing to tell, and nonsense is refused.
func TestFindWaiter(t *testing.T) {
	w, err := findWaiter()
	if w != nil || err != nil {
		t.Errorf("%v, %v without a waiter", w, err)
	}
	if err := w.tell(false); err != nil {
		t.Errorf("telling nobody: %v", err)
	}
	for _, value := range []string{"", "x", "0", "2", "-1", "99999999999"} {
		t.Setenv(readyVariable, value)
		if _, err := findWaiter(); err == nil || !strings.Contains(err.Error(), readyVariable) {
			t.Errorf("%q: %v", value, err)
		}
	}
}

func TestExitStatus(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		said   string
	}{
		{nil, 0, ""},
		{errSaid, 1, ""},
		{errUsage, 2, usage + "\n"},
		{os.ErrClosed, 1, "mytun-wireguard: file already closed\n"},
	} {
		var status int
		if got := said(t, func() { status = exitStatus(c.err) }); status != c.status || got != c.said {
			t.Errorf("%v: %d, %q", c.err, status, got)
		}
	}
}
