// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"testing"

	"github.com/mytun/mytun/adapter/wireguard"
	"github.com/mytun/mytun/pkg/mytunev"
	"github.com/mytun/mytun/pkg/mytuntest"

	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun"
)

// A tunnel is a carry over a device in memory, with a socket in a directory of the test's.
type tunnel struct {
	dev    tun.Device
	kernel *mytuntest.Kernel
	socket net.Listener
	cancel context.CancelFunc
	ready  chan struct{}
	ended  chan error
}

func newTunnel(t *testing.T, ready error) *tunnel {
	t.Helper()
	socket, err := net.Listen("unix", filepath.Join(t.TempDir(), "wg.sock"))
	if err != nil {
		t.Fatal(err)
	}
	return newTunnelAt(t, socket, ready)
}

// newTunnelAt makes one that is configured by socket.
func newTunnelAt(t *testing.T, socket net.Listener, ready error) *tunnel {
	t.Helper()
	dev, kernel, err := mytuntest.New(mytunev.Config{Offload: mytunev.AllOffloads})
	if err != nil {
		t.Fatal(err)
	}
	opened, err := wireguard.New(dev)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	x := &tunnel{opened, kernel, socket, cancel, make(chan struct{}), make(chan error, 1)}
	go func() {
		x.ended <- carry(ctx, opened, socket, device.NewLogger(device.LogLevelSilent, ""), func() error {
			close(x.ready)
			return ready
		})
	}()
	<-x.ready
	return x
}

// ask speaks WireGuard's configuration protocol, a line or more, and returns the answer without its last, empty line.
func (x *tunnel) ask(t *testing.T, request string) (lines []string) {
	t.Helper()
	connection, err := net.Dial("unix", x.socket.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if _, err := fmt.Fprint(connection, request, "\n"); err != nil {
		t.Fatal(err)
	}
	for s := bufio.NewScanner(connection); s.Scan() && s.Text() != ""; {
		lines = append(lines, s.Text())
	}
	return lines
}

// check that all is gone that carry owned.
func (x *tunnel) check(t *testing.T, want error) {
	t.Helper()
	if err := <-x.ended; !errors.Is(err, want) {
		t.Errorf("it ended with %v, want %v", err, want)
	}
	if _, err := net.Dial("unix", x.socket.Addr().String()); err == nil {
		t.Error("the socket still answers")
	}
	bufs, sizes := [][]byte{make([]byte, 2000)}, make([]int, 1)
	if n, err := x.dev.Read(bufs, sizes, 0); !errors.Is(err, os.ErrClosed) {
		t.Errorf("the device is still open: %d, %v", n, err)
	}
}

// TestConfiguration: what is set through the socket is there for the next who asks.
func TestConfiguration(t *testing.T) {
	x := newTunnel(t, nil)
	key := strings.Repeat("4f", 32)
	if got := x.ask(t, "set=1\nprivate_key="+key+"\n"); len(got) != 1 || got[0] != "errno=0" {
		t.Fatalf("%q", got)
	}
	got := x.ask(t, "get=1\n")
	if !strings.HasPrefix(got[0], "private_key=") || got[len(got)-1] != "errno=0" {
		t.Errorf("%q", got)
	}
	if got := x.ask(t, "set=1\nno_such=thing\n"); len(got) != 1 || got[0] == "errno=0" {
		t.Errorf("%q to nonsense", got)
	}
	x.cancel()
	x.check(t, nil)
}

// ends are what ends a carry without an error.
var ends = map[string]func(x *tunnel){
	"signal":  func(x *tunnel) { x.cancel() },
	"device":  func(x *tunnel) { x.dev.Close() },
	"deleted": func(x *tunnel) { x.kernel.Delete() },
	"socket":  func(x *tunnel) { x.socket.Close() },
}

// TestEnds: by a signal, with the device, with the socket, and if nobody waits for it.
func TestEnds(t *testing.T) {
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			x := newTunnel(t, nil)
			end(x)
			x.check(t, nil)
		})
	}
	t.Run("unwanted", func(t *testing.T) { newTunnel(t, io.ErrClosedPipe).check(t, io.ErrClosedPipe) })
}

// A pipeListener is a socket whose clients know what was read of what they have written.
type pipeListener struct {
	connections chan net.Conn
	closed      chan struct{}
	once        sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.connections:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Addr() net.Addr { return nil }

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// TestEndsAmidARequest: a client that does not end its request does not keep the interface, whatever ends that.
func TestEndsAmidARequest(t *testing.T) {
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			client, server := net.Pipe()
			defer client.Close()
			socket := &pipeListener{connections: make(chan net.Conn, 1), closed: make(chan struct{})}
			socket.connections <- server
			x := newTunnelAt(t, socket, nil)
			for _, line := range []string{"set=1\n", "listen_port=0\n"} { // the second is read by who holds the device's lock
				if _, err := io.WriteString(client, line); err != nil {
					t.Fatal(err)
				}
			}
			end(x)
			if err := <-x.ended; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestServeFails: a device that can't be had is the error, and nothing is told.
func TestServeFails(t *testing.T) {
	t.Setenv("MYTUN_BACKEND", "nonsense")
	checkServe(t, inherited{}, "MYTUN_BACKEND")
}

// TestServeRefuses a file that is no device's.
func TestServeRefuses(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	checkServe(t, inherited{tun: null}, os.DevNull)
}

// checkServe wants serve to fail with an error that has a word in it, and to tell nobody that it is ready.
func checkServe(t *testing.T, files inherited, word string) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	err = serve(t.Context(), options{name: "wg0"}, files, &waiter{w})
	if err == nil || !strings.Contains(err.Error(), word) {
		t.Errorf("%v", err)
	}
	w.Close()
	if told, _ := io.ReadAll(r); !bytes.Equal(told, nil) {
		t.Errorf("it told %q", told)
	}
}

// TestListenRefuses what is no socket, and a socket that wg would not find.
func TestListenRefuses(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	socket, err := net.Listen("unix", filepath.Join(t.TempDir(), "elsewhere.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	elsewhere, err := socket.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []*os.File{null, elsewhere} {
		listener, err := listen("no-such-tunnel", file)
		if err == nil || !strings.Contains(err.Error(), "no-such-tunnel") {
			t.Errorf("%s: %v, %v", file.Name(), listener, err)
		}
		if err := file.Close(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s is open still: %v", file.Name(), err)
		}
	}
}

// TestOver: a reader of the log learns what carries the packets, and why.
func TestOver(t *testing.T) {
	for want, b := range map[string]mytunev.Backend{
		"over mytun: it is there":                mytunev.BackendMytun,
		"over the kernel's own tun: it is there": mytunev.BackendTun,
	} {
		if text := over(b, "it is there"); text != want {
			t.Errorf("%q, want %q", text, want)
		}
	}
}

func TestVersion(t *testing.T) {
	info := &debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}}
	if text := version(info, true); text != "mytun-wireguard v1.2.3" {
		t.Errorf("%q", text)
	}
	info.Deps = []*debug.Module{{Path: "golang.zx2c4.com/wireguard", Version: "v0.0.1"}}
	if text := version(info, true); text != "mytun-wireguard v1.2.3, with wireguard-go v0.0.1" {
		t.Errorf("%q", text)
	}
	if text := version(nil, false); !strings.Contains(text, "without information") {
		t.Errorf("%q", text)
	}
}
