// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	segment     = 1200     // of the flow whose socket sends super-packets
	socketBytes = 32 << 20 // more than window frames of any size take

	// Flows of frames that are no traffic: see fences and marks.
	fenceFlow = flows
	markFlow  = flows + 1
)

// An end is the host's end of one flow: a socket for both directions.
type end struct {
	*ledger
	flow  int
	conn  *net.UDPConn
	host  netip.AddrPort
	peer  netip.AddrPort
	check sequence
	marks atomic.Uint64 // the newest mark that came
	fresh atomic.Bool   // the next frame is the first of a life
}

func newEnd(l *ledger, flow int) (*end, error) {
	host := netip.AddrPortFrom(netip.AddrFrom4(hostAddress.As4()), uint16(hostPorts+flow))
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(host))
	if err != nil {
		return nil, err
	}
	e := &end{ledger: l, flow: flow, conn: conn, host: host}
	e.peer = netip.AddrPortFrom(netip.AddrFrom4(peerAddress.As4()), uint16(peerPorts+flow))
	err = e.option(unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, socketBytes)
	if flow == flows-1 {
		err = errors.Join(err, e.option(unix.SOL_UDP, unix.UDP_SEGMENT, segment))
	}
	return e, err
}

func (e *end) option(level, name, value int) error {
	raw, err := e.conn.SyscallConn()
	if err != nil {
		return err
	}
	var result error
	err = raw.Control(func(fd uintptr) { result = unix.SetsockoptInt(int(fd), level, name, value) })
	return errors.Join(err, result)
}

// receive checks what comes, until the socket is closed.
func (e *end) receive() error {
	buf := make([]byte, 1<<16)
	for {
		n, from, err := e.conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		l, err := readLabel(buf[:n])
		if err == nil {
			err = e.received(l, n, from)
		}
		if err != nil {
			return fmt.Errorf("from the process, flow %d: %w", e.flow, err)
		}
	}
}

func (e *end) received(l label, size int, from netip.AddrPort) error {
	switch {
	case l.flow == markFlow:
		e.marks.Store(l.seq)
		return nil
	case l.life != e.life.Load():
		e.late.Add(1)
		return nil
	case int(l.flow) != e.flow || from != e.peer:
		return fmt.Errorf("%+v of %v", l, from)
	}
	if e.fresh.Swap(false) {
		e.check = sequence{}
	}
	if err := e.check.add(l.seq); err != nil {
		return err
	}
	e.up[e.flow].bytes.Add(uint64(size))
	e.up[e.flow].received.Add(1)
	return nil
}

// say sends a frame that is no traffic, if there is room for it.
func (e *end) say(l label, to netip.AddrPort) error {
	p := make([]byte, labelSize)
	l.write(p)
	raw, err := e.conn.SyscallConn()
	if err != nil {
		return err
	}
	var result error
	err = raw.Control(func(fd uintptr) {
		result = unix.Sendto(int(fd), p, unix.MSG_DONTWAIT, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())})
	})
	if result == unix.EAGAIN {
		result = nil
	}
	return errors.Join(err, result)
}

// send is the flow's traffic to the process, which back-pressure holds up.
func (e *end) send(seed uint64, stop <-chan struct{}) error {
	r := rand.New(rand.NewPCG(seed, uint64(e.flow)))
	buf := make([]byte, 40*segment)
	for {
		select {
		case <-stop:
			return nil
		default:
		}
		if !e.brake.mayGo(e.flow) {
			time.Sleep(time.Millisecond)
			continue
		}
		if err := e.sendOne(r, buf); err != nil {
			return fmt.Errorf("to the process, flow %d: %w", e.flow, err)
		}
	}
}

// sendOne sends a datagram, or as many as make a super-packet.
func (e *end) sendOne(r *rand.Rand, buf []byte) error {
	size, count := sizeOf(r), 1
	if e.flow == flows-1 {
		size, count = segment, 1+r.IntN(len(buf)/segment)
	}
	w := &e.down[e.flow]
	for i := range count {
		label{uint32(e.flow), e.life.Load(), w.sent.Load() + uint64(i)}.write(buf[i*size : (i+1)*size])
	}
	w.sent.Add(uint64(count))
	e.brake.state[e.flow].Store(sending)
	_, err := e.conn.WriteToUDPAddrPort(buf[:size*count], e.peer)
	return err
}
