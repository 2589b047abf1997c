// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	"github.com/mytun/mytun/adapter/wireguard"
	"github.com/mytun/mytun/pkg/mytunev"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/ipc"
	"golang.zx2c4.com/wireguard/tun"
)

// serve makes the interface and its socket, of what is in files if it is, tells w, and carries packets until ctx is done or
// somebody removes one of the two.
func serve(ctx context.Context, o options, files inherited, w *waiter) error {
	opened, err := open(o.name, files.tun)
	if err != nil {
		return err
	}
	name, err := opened.Name() // o.name may be a pattern, or not the inherited file's
	if err != nil {
		return errors.Join(err, opened.Close())
	}
	listener, err := listen(name, files.socket)
	if err != nil {
		return errors.Join(err, opened.Close())
	}
	return carry(ctx, opened, listener, device.NewLogger(o.logLevel, "("+name+") "), func() error {
		if o.logLevel != device.LogLevelSilent {
			fmt.Fprintf(os.Stderr, "mytun-wireguard: %s is ready, %s\n", name, over(opened.(*wireguard.Device).Backend()))
		}
		return w.tell(o.logs)
	})
}

// open makes the interface, by a file if there is one.
func open(name string, file *os.File) (tun.Device, error) {
	if file == nil {
		return wireguard.CreateTUN(name, device.DefaultMTU)
	}
	return wireguard.CreateTUNFromFile(file, device.DefaultMTU)
}

// listen makes the socket by which wg finds the interface of that name, or takes the one that file is.
func listen(name string, file *os.File) (net.Listener, error) {
	if file == nil {
		var err error
		if file, err = ipc.UAPIOpen(name); err != nil {
			return nil, fmt.Errorf("the configuration socket of %s: %w", name, err)
		}
	}
	defer file.Close()
	listener, err := ipc.UAPIListen(name, file)
	if err != nil {
		return nil, fmt.Errorf("listen at the configuration socket of %s: %w", name, err)
	}
	return listener, nil
}

// over says what carries the packets, and why.
func over(b mytunev.Backend, why string) string {
	if b == mytunev.BackendTun {
		return "over the kernel's own tun: " + why
	}
	return fmt.Sprintf("over %v: %s", b, why)
}

// carry is a WireGuard interface from here on: it owns opened and listener. It calls ready once
// the socket answers, and ends without an error when ctx is done, or the interface or the
// socket goes.
func carry(ctx context.Context, opened tun.Device, listener net.Listener, logger *device.Logger, ready func() error) error {
	watched := &watchedTUN{Device: opened, gone: make(chan struct{})}
	d := device.NewDevice(watched, conn.NewDefaultBind(), logger)
	defer d.Close()
	defer listener.Close()
	requests, end := context.WithCancel(context.Background())
	defer end() // before d.Close, which waits for them
	closed := make(chan error, 1)
	go func() { closed <- answer(requests, listener, d) }()
	if err := ready(); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		logger.Verbosef("A signal: shutting down")
	case err := <-closed:
		logger.Verbosef("The configuration socket is gone: shutting down (%v)", err)
	case <-watched.gone:
		logger.Verbosef("The interface is gone: shutting down")
	}
	return nil
}

// A watchedTUN tells that its device is gone as soon as wireguard-go has heard of it: that tells only once it is closed, for which it
// waits for a client that is amid a request.
type watchedTUN struct {
	tun.Device
	gone chan struct{}
	once sync.Once
}

// Read implements tun.Device.
func (w *watchedTUN) Read(bufs [][]byte, sizes []int, offset int) (int, error) {
	n, err := w.Device.Read(bufs, sizes, offset)
	if err != nil {
		w.once.Do(func() { close(w.gone) })
	}
	return n, err
}

// answer serves each connection by itself, until there are no more. Those that are left end with ctx.
func answer(ctx context.Context, listener net.Listener, d *device.Device) error {
	for {
		connection, err := listener.Accept()
		if err != nil {
			return err
		}
		stop := context.AfterFunc(ctx, func() { connection.Close() })
		go func() {
			defer stop()
			d.IpcHandle(connection)
		}()
	}
}
