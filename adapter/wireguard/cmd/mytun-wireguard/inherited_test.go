// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// copies is what a child of the tests does with the files that it gets.
func copies() error {
	files, err := findFiles()
	if err != nil {
		return err
	}
	_, err = io.Copy(files.socket, files.tun)
	return errors.Join(err, files.socket.Close())
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Close()
		w.Close()
	})
	return r, w
}

// TestFilesReachTheBackground: the process there has both files, by whatever numbers.
func TestFilesReachTheBackground(t *testing.T) {
	t.Setenv(actVariable, "copies")
	t.Setenv(socketVariable, "0") // of this process, and no more that of the child
	tunFile, far := pipe(t)
	answers, socket := pipe(t)
	if _, err := far.WriteString("from the device"); err != nil {
		t.Fatal(err)
	}
	far.Close()
	child, err := itself(options{name: "wg0"}, inherited{tunFile, socket})
	if err != nil {
		t.Fatal(err)
	}
	if err := background(child); err != nil {
		t.Fatal(err)
	}
	socket.Close()
	if got, err := io.ReadAll(answers); string(got) != "from the device" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// TestNoFilesForTheBackground: a child gets none that are not there.
func TestNoFilesForTheBackground(t *testing.T) {
	child, err := itself(options{name: "wg0"}, inherited{})
	if err != nil {
		t.Fatal(err)
	}
	if len(child.ExtraFiles) != 0 || child.Env != nil {
		t.Errorf("%v, %q", child.ExtraFiles, child.Env)
	}
}

// TestFindFiles: a file is found by its number, and other programs do not get it.
func TestFindFiles(t *testing.T) {
	if files, err := findFiles(); files != (inherited{}) || err != nil {
		t.Errorf("%+v, %v without any", files, err)
	}
	r, w := pipe(t)
	fd, err := unix.Dup(int(r.Fd())) // without close-on-exec, as an inherited file is
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(tunVariable, strconv.Itoa(fd))
	files, err := findFiles()
	if err != nil || files.tun == nil || files.socket != nil {
		t.Fatalf("%+v, %v", files, err)
	}
	defer files.tun.Close()
	if err := exec.Command("test", "!", "-e", "/proc/self/fd/"+strconv.Itoa(fd)).Run(); err != nil {
		t.Errorf("another program has the file: %v", err)
	}
	w.WriteString("x")
	w.Close()
	if got, err := io.ReadAll(files.tun); string(got) != "x" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// TestFindFilesFails: nonsense is refused, and named.
func TestFindFilesFails(t *testing.T) {
	for _, variable := range []string{tunVariable, socketVariable} {
		for _, value := range []string{"x", "-1", "99999999999", "2147483647"} {
			t.Run(variable+"="+value, func(t *testing.T) {
				t.Setenv(variable, value)
				if _, err := findFiles(); err == nil || !strings.Contains(err.Error(), variable) {
					t.Errorf("%v", err)
				}
			})
		}
	}
}
