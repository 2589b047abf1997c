// SPDX-License-Identifier: MIT

//go:build mytun_device

package readwrite

import (
	"net"
	"net/netip"
	"testing"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

const flowQueues = 4

// A conversation is a flow between a socket and the process.
type conversation struct {
	*device.Port
	files []*device.File // the device's queues
	conn  *net.UDPConn
	ipv6  bool
	port  int
}

// newQueues makes a device with several queues that are read and written.
func newQueues(t *testing.T, node string, tap bool) (*device.Port, []*device.File) {
	t.Helper()
	p := device.NewPort(t, node, device.Config{TAP: tap, IPv6: true, Queues: flowQueues})
	files := []*device.File{p.File}
	for range flowQueues - 1 {
		f := device.OpenNode(t, node, unix.O_NONBLOCK)
		f.Attach(t, p.Name, p.Flags)
		files = append(files, f)
	}
	return p, files
}

// send writes a frame of the flow to a queue, and waits until it has arrived.
func (c *conversation) send(t *testing.T, queue int) {
	t.Helper()
	payload := device.Pattern(uint64(c.port), 64)
	frame := c.Frame(c.ipv6, device.Datagram{SrcPort: peerPort, DstPort: uint16(c.port), Payload: payload})
	if n, err := unix.Write(c.files[queue].FD, frame); n != len(frame) {
		t.Fatalf("write of %d bytes: %d, %v", len(frame), n, err)
	}
	device.Expect(t, c.conn, payload)
}

// answer has the socket send, and tells which queue the frame came to.
func (c *conversation) answer(t *testing.T) int {
	t.Helper()
	to := netip.AddrPortFrom(c.Peer(c.ipv6), peerPort)
	if _, err := c.conn.WriteToUDPAddrPort([]byte("answer"), to); err != nil {
		t.Fatal(err)
	}
	for queue, f := range c.files {
		if c.has(t, f) {
			return queue
		}
	}
	t.Fatalf("no queue got the answer of port %d", c.port)
	return -1
}

// has takes what waits in a queue, and tells whether the flow is there. The
// kernel sends packets of its own besides.
func (c *conversation) has(t *testing.T, f *device.File) (found bool) {
	t.Helper()
	b := make([]byte, 2048)
	for {
		n, err := unix.Read(f.FD, b)
		if err == unix.EAGAIN {
			return found
		}
		if err != nil {
			t.Fatalf("read: %v", err)
		}
		if d, ok := c.Parse(b[:n]); ok && int(d.SrcPort) == c.port {
			found = true
		}
	}
}

// TestFlowComesBackOnTheQueueThatSentIt: until the process sends the flow from
// another one.
func TestFlowComesBackOnTheQueueThatSentIt(t *testing.T) {
	onBoth(t, func(t *testing.T, node string) {
		for i, tap := range []bool{false, true} {
			p, files := newQueues(t, node, tap)
			for flow := range 16 {
				c := conversation{Port: p, files: files, ipv6: flow%2 == 1, port: 20000 + 100*i + flow}
				c.conn = p.ListenUDP(t, c.ipv6, c.port)
				for _, queue := range []int{flow % flowQueues, (flow + 1) % flowQueues, (flow + 3) % flowQueues} {
					c.send(t, queue)
					for range 2 {
						if got := c.answer(t); got != queue {
							t.Errorf("tap=%v ipv6=%v: sent from queue %d, answered on %d", tap, c.ipv6, queue, got)
						}
					}
				}
			}
			// stock tun remembers flows of a queue that has left, and the kernel
			// complains of where they go
			device.Down(t, p.Name)
			for _, f := range files {
				f.Close()
			}
		}
	})
}

// TestFlowsOfAQueueThatEndsGoElsewhere: to all that are left, by their hash, and
// the next queue in its place does not inherit them.
// Stock tun sends them all to the first, and the next in its place inherits them.
func TestFlowsOfAQueueThatEndsGoElsewhere(t *testing.T) {
	device.Sandbox(t)
	p, files := newQueues(t, device.Node, false)
	last := flowQueues - 1
	var flows []*conversation
	for flow := range 64 {
		c := &conversation{Port: p, files: files, port: 20000 + flow}
		c.conn = p.ListenUDP(t, false, c.port)
		flows = append(flows, c)
	}
	check := func(what string, want func(counts []int) bool) {
		t.Helper()
		counts := make([]int, flowQueues)
		for _, c := range flows {
			c.files = files
			counts[c.answer(t)]++
		}
		if !want(counts) {
			t.Errorf("%s: answers a queue %v", what, counts)
		}
	}
	for _, c := range flows {
		c.send(t, last)
	}
	check("sent from the last queue", func(n []int) bool { return n[last] == len(flows) })

	files[last].SetQueue(t, unix.IFF_DETACH_QUEUE)
	check("the last queue is parked", func(n []int) bool { return n[0] > 0 && n[1] > 0 && n[2] > 0 && n[last] == 0 })
	files[last].SetQueue(t, unix.IFF_ATTACH_QUEUE)
	check("it is back", func(n []int) bool { return n[last] == len(flows) })

	files[last].Close()
	files = files[:last]
	check("it has left", func(n []int) bool { return n[0] > 0 && n[1] > 0 && n[2] > 0 })
	files = append(files, device.OpenNode(t, device.Node, unix.O_NONBLOCK))
	files[last].Attach(t, p.Name, p.Flags)
	check("another is in its place", func(n []int) bool { return n[0] > 0 && n[1] > 0 && n[2] > 0 && n[last] > 0 })
}

// TestMoreFlowsThanAreRemembered: those sent last come back where they should.
func TestMoreFlowsThanAreRemembered(t *testing.T) {
	device.Sandbox(t)
	p, files := newQueues(t, device.Node, false)
	last := flowQueues - 1
	c := conversation{Port: p, files: files, port: hostPort}
	c.conn = p.ListenUDP(t, false, c.port)
	for source := range uint16(10000) { // a table has 8,192 places
		frame := c.Frame(false, device.Datagram{SrcPort: 10000 + source, DstPort: hostPort + 1, Payload: []byte("flood")})
		if _, err := unix.Write(files[source%flowQueues].FD, frame); err != nil {
			t.Fatal(err)
		}
		if source%1000 == 0 {
			c.has(t, files[source%flowQueues]) // errors of the closed port
		}
	}
	for queue := range flowQueues {
		c.send(t, queue)
		if got := c.answer(t); got != queue {
			t.Errorf("after a flood of flows: sent from queue %d, answered on %d", queue, got)
		}
	}
	c.send(t, last)
	if got := c.answer(t); got != last {
		t.Errorf("sent from the last queue, answered on %d", got)
	}
}

// TestParkedQueueSteersNothing: what it sends says nothing of where to answer. Not
// on stock tun, whose receive queues are fewer by the one that is parked: of a
// frame that still comes by it RPS complains in the kernel's log.
func TestParkedQueueSteersNothing(t *testing.T) {
	device.Sandbox(t)
	p, files := newQueues(t, device.Node, false)
	c := conversation{Port: p, files: files, port: hostPort}
	c.conn = p.ListenUDP(t, false, c.port)
	other := flowQueues - 1
	for queue := range other {
		c.send(t, queue)
		files[other].SetQueue(t, unix.IFF_DETACH_QUEUE)
		c.send(t, other)
		if got := c.answer(t); got != queue {
			t.Errorf("sent from queue %d, answered on %d", queue, got)
		}
		files[other].SetQueue(t, unix.IFF_ATTACH_QUEUE)
	}
}
