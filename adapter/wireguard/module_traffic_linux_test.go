// SPDX-License-Identifier: MIT

//go:build mytun_device

package wireguard_test

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/mytun/mytun/test/device"
)

// traffic is a stream each way between two namespaces, as fast as it goes, until the end of the test.
type traffic struct {
	received [2]atomic.Int64 // bytes, by each side
	running  sync.WaitGroup
}

// newTraffic begins it, between the thread's namespace and an end.
func newTraffic(t *testing.T, to *end) *traffic {
	t.Helper()
	f := &traffic{}
	a, b := device.DialTCP(t, to.ns, to.inner4)
	for i, conn := range []*net.TCPConn{a, b} {
		f.running.Go(func() { f.send(conn) })
		f.running.Go(func() { f.receive(conn, &f.received[i]) })
	}
	t.Cleanup(func() {
		for _, conn := range []*net.TCPConn{a, b} {
			conn.SetLinger(0) // there may be nobody who could take what was not sent
			conn.Close()
		}
		f.running.Wait()
	})
	return f
}

func (f *traffic) send(conn *net.TCPConn) {
	for p := device.Pattern(1, 64<<10); ; {
		if _, err := conn.Write(p); err != nil {
			return
		}
	}
}

func (f *traffic) receive(conn *net.TCPConn, received *atomic.Int64) {
	for p := make([]byte, 64<<10); ; {
		n, err := conn.Read(p)
		if err != nil {
			return
		}
		received.Add(int64(n))
	}
}

// wait waits until so many bytes have come on each side.
func (f *traffic) wait(t *testing.T, count int64) {
	t.Helper()
	device.WaitFor(t, "traffic", func() bool { return f.received[0].Load() >= count && f.received[1].Load() >= count })
}
