// SPDX-License-Identifier: MIT

//go:build mytun_device

package readwrite

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/mytun/mytun/test/device"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// unlimited is the send buffer of a file that was never told another.
const unlimited = math.MaxInt32

func setSendBuffer(t *testing.T, f *device.File, bytes int) {
	t.Helper()
	if err := f.SetInt(unix.TUNSETSNDBUF, bytes); err != nil {
		t.Fatalf("TUNSETSNDBUF %d: %v", bytes, err)
	}
}

// checkUncharged waits until nothing is charged to the port's file: a frame goes into the
// smallest send buffer only then.
func checkUncharged(t *testing.T, p *device.Port) {
	t.Helper()
	p.SetBatch(t, 0)
	frame := up(p.Link, []byte("probe"))
	for _, bytes := range []int{1, 4096} {
		setSendBuffer(t, p.File, bytes)
		device.WaitFor(t, fmt.Sprintf("a frame to go into a send buffer of %d bytes, beside nothing", bytes), func() bool {
			_, err := unix.Write(p.FD, frame)
			return err == nil
		})
	}
	device.WaitFor(t, "poll to say that a write is possible", func() bool { return p.Events(t)&unix.POLLOUT != 0 })
}

// checkFreed closes the port's file and waits until its socket is gone, which is the
// last that its frames leave: the namespace has no more than so many others then.
func checkFreed(t *testing.T, p *device.Port, others int) {
	t.Helper()
	p.Close()
	device.WaitGone(t, p.Name)
	device.WaitFor(t, "the closed file to be freed", func() bool { return device.Sockets(t) == others })
}

// A chargedStream is frames of one flow that GRO merges, on their way to the stack.
type chargedStream struct {
	name    string
	config  device.Config
	size    int  // payload of a frame
	options int  // bytes of IPv6 options in front of it; none: IPv4
	program bool // frames meet an XDP program
	list    bool // merged as a list, and taken apart again behind a bridge
	single  bool // one frame a call
}

var chargedStreams = []chargedStream{
	{name: "TUN", size: 1000},
	{name: "TAP", config: device.Config{TAP: true}, size: 1000},
	{name: "TUN, in pages", size: 4000},
	{name: "TAP, in pages", config: device.Config{TAP: true}, size: 4000},
	{name: "TUN, options in pages", size: 100, options: 3904},
	{name: "TAP, options in pages", config: device.Config{TAP: true}, size: 100, options: 3904},
	{name: "TAP, with a program", config: device.Config{TAP: true}, size: 1000, program: true},
	{name: "TAP, with a program, nearly a page", config: device.Config{TAP: true}, size: 3300, program: true},
	{name: "TAP, with a program, in pages", config: device.Config{TAP: true}, size: 4000, program: true},
	{name: "TAP, as a list", config: device.Config{TAP: true}, size: 1000, list: true},
	{name: "TAP, as a list, with a program", config: device.Config{TAP: true}, size: 1000, list: true, program: true},
	{name: "TUN, IFF_NAPI", config: device.Config{Flags: unix.IFF_NAPI}, size: 1000, single: true},
	{name: "TAP, IFF_NAPI, with a program", config: device.Config{TAP: true, Flags: unix.IFF_NAPI}, size: 1000, program: true, single: true},
}

func (c chargedStream) newPort(t *testing.T) *device.Port {
	t.Helper()
	c.config.MTU = 9000
	c.config.NoAddresses = c.list
	p := device.NewPort(t, device.Node, c.config)
	if c.list {
		device.SetFeature(t, p.Name, "rx-gro-list", true)
		bridgeWithout(t, p.Name)
	}
	if c.program {
		device.PassAll(t, p.Name)
	}
	if !c.single {
		p.SetBatch(t, device.BatchWrite)
	}
	return p
}

// bridgeWithout makes a bridge of a device and of one without offloads, for which
// merged frames are taken apart again.
func bridgeWithout(t *testing.T, name string) {
	t.Helper()
	other := device.NewPort(t, device.Node, device.Config{TAP: true, NoAddresses: true, Name: "myplain", MTU: 9000})
	b := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "mybridge"}}
	if err := netlink.LinkAdd(b); err != nil {
		t.Fatalf("bridge: %v", err)
	}
	for _, port := range []string{name, other.Name} {
		if err := netlink.LinkSetMaster(device.LinkOf(t, port), b); err != nil {
			t.Fatalf("%s into the bridge: %v", port, err)
		}
	}
	device.Up(t, b.Name)
}

// frames are the next of the stream: of TCP, and of UDP where they become a list, to
// nobody whom the bridge knows.
func (c chargedStream) frames(p *device.Port, peer *device.TCPPeer, n int) (frames [][]byte) {
	for range n {
		if !c.list {
			frames = append(frames, withOptions(p.Link, peer.Segment(make([]byte, c.size)), c.options))
			continue
		}
		frame := p.Frame(false, device.Datagram{SrcPort: peerPort, DstPort: hostPort, Payload: make([]byte, c.size)})
		copy(frame, []byte{2, 0, 0, 0, 0, 9})
		frames = append(frames, frame)
	}
	return frames
}

// withOptions puts so many bytes of options behind the IPv6 header of a frame: for every
// hop, and for the destination what one header has no room for. They pad and no more.
func withOptions(l *device.Link, frame []byte, bytes int) []byte {
	const most = 256 * 8 // of one header
	if bytes == 0 {
		return frame
	}
	end := l.LinkHeader() + device.IPHeader(true)
	frame = slices.Insert(frame, end, make([]byte, bytes)...)
	ip := frame[l.LinkHeader():end]
	binary.BigEndian.PutUint16(ip[4:], uint16(len(frame)-end))
	next, kind := &ip[6], byte(unix.IPPROTO_HOPOPTS)
	transport := *next
	for options := frame[end : end+bytes]; len(options) > 0; kind = unix.IPPROTO_DSTOPTS {
		header := options[:min(most, len(options))]
		header[1] = byte(len(header)/8 - 1)
		*next, next = kind, &header[0]
		options = options[len(header):]
	}
	*next = transport
	return frame
}

// send writes frames, and none has to wait: what was written before has been received.
func (c chargedStream) send(t *testing.T, p *device.Port, frames [][]byte) {
	t.Helper()
	calls := frames
	if !c.single {
		var b []byte
		for _, frame := range frames {
			b = append(b, record(frame)...)
		}
		calls = [][]byte{b}
	}
	for _, b := range calls {
		if n, err := unix.Write(p.FD, b); n != len(b) {
			t.Fatalf("write of %d bytes: %d, %v", len(b), n, err)
		}
	}
}

// TestMergedFramesGiveTheirChargeBack: a stream of which GRO makes few packets, so long
// that what each frame kept of its charge would have filled the buffer many times.
func TestMergedFramesGiveTheirChargeBack(t *testing.T) {
	const overhead = 256           // of an skb, the least that a merged frame is charged
	buffer := 16 * device.PageSize // eight frames that have a page each, and their heads
	rounds := 4 * buffer / overhead / 16
	for _, c := range chargedStreams {
		t.Run(c.name, func(t *testing.T) {
			device.Sandbox(t)
			p := c.newPort(t)
			setSendBuffer(t, p.File, buffer)
			peer := &device.TCPPeer{Link: p.Link, IPv6: c.options > 0}
			trace := device.TraceReceived(t, p.Name)
			for range rounds {
				c.send(t, p, c.frames(p, peer, 8))
			}
			if n := trace.Events(t); !c.single && n > uint64(rounds)*8/2 {
				t.Errorf("%d frames came to the stack as %d packets: hardly any was merged", rounds*8, n)
			}
			checkUncharged(t, p)
			others := 0
			if c.list {
				others = 1 // the file of the bridge's other port
			}
			checkFreed(t, p, others)
		})
	}
}

// TestSendBufferChangesWithinACall: while the kernel waits for the second frame's
// bytes, another thread says that frames are no longer charged, or that they are.
func TestSendBufferChangesWithinACall(t *testing.T) {
	for _, c := range chargedStreams {
		if c.single || c.list {
			continue
		}
		for _, buffers := range [][2]int{{1 << 20, unlimited}, {unlimited, 1 << 20}} {
			t.Run(fmt.Sprintf("%s, from %d to %d", c.name, buffers[0], buffers[1]), func(t *testing.T) {
				device.Sandbox(t)
				p := c.newPort(t)
				setSendBuffer(t, p.File, buffers[0])
				changeWithin(t, c, p, buffers[1])
				checkUncharged(t, p)
				checkFreed(t, p, 0)
			})
		}
	}
}

// changeWithin writes frames with one call, and sets the send buffer when the first
// has been copied. The last bytes of the second, which are zeros, are late.
func changeWithin(t *testing.T, c chargedStream, p *device.Port, buffer int) {
	t.Helper()
	const late = 100
	peer := &device.TCPPeer{Link: p.Link, IPv6: c.options > 0}
	frames := c.frames(p, peer, 12)
	first, second := record(frames[0]), record(frames[1])
	end := device.FrameHeader + len(frames[1])
	stuck, reached, release := device.Stuck(t, 4096)
	rest := slices.Clone(second[end:])
	for _, frame := range frames[2:] {
		rest = append(rest, record(frame)...)
	}
	pieces := [][]byte{append(first, second[:end-late]...), stuck[:late], rest}
	p.SetBlocking(t, true)
	written, _ := start(func() (int, error) { return unix.Writev(p.FD, pieces) })
	reached()
	setSendBuffer(t, p.File, buffer)
	release()
	want := len(pieces[0]) + late + len(rest)
	if r := finish(t, written); r.n != want {
		t.Fatalf("write of %d bytes: %d, %v", want, r.n, r.err)
	}
	p.SetBlocking(t, false)
}

// TestSmallestSendBuffersWake: who waits for room in them, in write or in poll, is woken
// when all that was in flight is gone. Half of 1 to 3 bytes is less than what is used by
// nothing.
func TestSmallestSendBuffersWake(t *testing.T) {
	for bytes := 1; bytes <= 8; bytes++ {
		t.Run(fmt.Sprint(bytes), func(t *testing.T) {
			device.Sandbox(t)
			p := device.NewPort(t, device.Node, device.Config{TAP: true, NoAddresses: true})
			device.HoldFrames(t, p.Name)
			setSendBuffer(t, p.File, bytes)
			frame := up(p.Link, device.Pattern(1, 1000))
			fill(t, p, frame)
			polled := poll(t, p.File, unix.POLLOUT)
			p.SetBlocking(t, true)
			written := background(t, func() (int, error) { return unix.Write(p.FD, frame) })
			device.DropHeld(t)
			if r := finish(t, written); r.n != len(frame) {
				t.Errorf("write: %d, %v", r.n, r.err)
			}
			if r := finish(t, polled); r.n != unix.POLLOUT {
				t.Errorf("poll says %#x, %v when there was room", r.n, r.err)
			}
		})
	}
}

// TestFramesGivenBackAtOnceWake: a frame that is being given back has told of its room,
// but not come to the end of it, when another processor gives back the next. Who began
// to wait in between is woken all the same.
func TestFramesGivenBackAtOnceWake(t *testing.T) {
	for _, bytes := range []int{1, 4, 5} {
		t.Run(fmt.Sprint(bytes), func(t *testing.T) {
			device.Sandbox(t)
			p := device.NewPort(t, device.Node, device.Config{TAP: true, NoAddresses: true})
			device.HoldFrames(t, p.Name)
			setSendBuffer(t, p.File, bytes)
			stop := device.StopAtReturn(t, "mytun_write_space")
			unheld := p.Frame(true, device.Datagram{SrcPort: peerPort, DstPort: hostPort, Payload: []byte("to nobody")})
			first, _ := start(func() (int, error) { return unix.Write(p.FD, unheld) })
			stop.Wait(t)
			fill(t, p, up(p.Link, device.Pattern(1, 1000)))
			polled := poll(t, p.File, unix.POLLOUT)
			device.LetHeldGo(t)
			if r := finish(t, polled); r.n != unix.POLLOUT {
				t.Errorf("poll says %#x, %v when there was room", r.n, r.err)
			}
			stop.End(t)
			if r := finish(t, first); r.n != len(unheld) {
				t.Errorf("write: %d, %v", r.n, r.err)
			}
		})
	}
}

// fill writes a frame until there is no room in the send buffer.
func fill(t *testing.T, p *device.Port, frame []byte) {
	t.Helper()
	for range 100 {
		if _, err := unix.Write(p.FD, frame); err == unix.EAGAIN {
			return
		} else if err != nil {
			t.Fatalf("write: %v", err)
		}
	}
	t.Fatal("100 frames went into a small send buffer")
}
