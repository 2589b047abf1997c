// SPDX-License-Identifier: MIT

package mytunev

import (
	"fmt"
	"time"
)

// Values that stand in for the zero values of a Config.
const (
	defaultPath = "/dev/net/mytun"
	defaultRing = 1 << 20
)

// maxQueues bounds Config.Queues; the module has its own, lower limit.
const maxQueues = 4096

// maxPoll is the longest poll window that the module takes.
const maxPoll = 100 * time.Millisecond

// maxRoom is the most of Config.Headroom, and of Config.Tailroom, that the module takes.
const maxRoom = 256

// A Mode is the kind of network device.
type Mode int

// The kinds of network device.
const (
	TUN Mode = iota // frames are IPv4 and IPv6 packets
	TAP             // frames are Ethernet frames
)

// String returns "TUN", "TAP" or a number.
func (m Mode) String() string {
	switch m {
	case TUN:
		return "TUN"
	case TAP:
		return "TAP"
	}
	return fmt.Sprintf("Mode(%d)", int(m))
}

// A Config says what Open is to open. The zero value is good: a new TUN device
// with one queue, 1 MiB of ring in each direction, and a name of the kernel's
// choice.
type Config struct {
	// Name is the name of the network device, at most 15 bytes. It is created
	// if there is none of that name. A template such as "vpn%d" makes the
	// kernel choose a free number; "" means "mytun%d", or "mytap%d" for TAP.
	Name string

	// Mode is TUN or TAP.
	Mode Mode

	// Queues is the number of queues, 0 meaning 1. The kernel spreads flows
	// over them: the frames of one flow come through one queue, in order, for
	// as long as the program sends those that it has for it from one queue.
	Queues int

	// RxRing and TxRing are the sizes in bytes of each queue's rings: powers
	// of two from 128 KiB to 64 MiB, 0 meaning 1 MiB. The memory is charged
	// to the memory cgroup of the caller.
	RxRing, TxRing int

	// Headroom and Tailroom are bytes, at most 256, of ring in front of and behind each
	// frame that comes, for Frame.Extend: a tunnel encrypts a frame where it is, with
	// its headers in front and its tag behind, and sends it from there. WireGuard needs 16
	// and 16, or 31 behind if it pads frames to a multiple of 16; VXLAN needs 50 in front.
	// It takes a module that knows them; with an older one Open fails with
	// ErrNotSupported.
	Headroom, Tailroom int

	// Poll is how long the kernel goes on watching the rings after the last
	// frame before it sleeps: 0 leaves the module's default, a negative value
	// turns polling off. The longest is 100 ms; the unit is a microsecond.
	Poll time.Duration

	// Offload is the work that the kernel leaves to the process, and the
	// process to the kernel. The zero value means none: every frame, in either
	// direction, is one that could go onto a wire. As the MTU it is the
	// device's, not the queue's: on a persistent device, who opens it last
	// decides.
	Offload Offload

	// FlowHash has each frame come with the hash of its flow (Frame.Hash), for
	// programs that spread flows over goroutines, or hand a hash on with
	// SendFrame. Over stock tun no frame has one. To compute it the kernel looks at each frame's headers.
	FlowHash bool

	// Backpressure makes the device hold up its senders while the rx ring is
	// full, instead of dropping their frames. A process that stops receiving
	// then stops whoever sends to the device. It is the device's, as Offload.
	// Stock tun knows it from Linux 7.3 on: Open fails where it is not to be had.
	Backpressure bool

	// WakeBytes is how much must have come into the rx ring, headers, room and all,
	// before Run and Read are woken when they sleep beside an empty one: fewer
	// wake-ups for a program that has time. At most half of RxRing; 0 means that
	// the next frame wakes them. The kernel wakes them in any case when frames
	// have waited for its holding time (ethtool -C rx-usecs, 200 us by default).
	WakeBytes int

	// BusyPoll is how long Run and Read go on looking at an empty rx ring
	// before they sleep, at most 100 ms; 0, the default, means not at all. A
	// frame that comes meanwhile saves the kernel a signal and the process a
	// wake-up, some 20 us, which is a good value to begin with. Looking takes
	// a CPU, and one of GOMAXPROCS: with no more than two CPUs, or with more
	// queues than CPUs to spare, it takes it from the kernel's thread that
	// fills the ring, and makes everything slower. With one CPU it is not done.
	BusyPoll time.Duration

	// LockThreads makes every Run keep the thread that it is on for itself, as
	// runtime.LockOSThread does, until it returns. No other goroutine then
	// delays a Handler; a Handler that waits for other goroutines waits longer.
	LockThreads bool

	// CPUs are the numbers of the CPUs to run on, in the kernel's list format, as
	// in "0-3,8"; "" means any. Run of the queue with index i keeps its thread, as
	// with LockThreads, on the i-th of them, beginning anew when there are no
	// more, and gives it its former CPUs back when it returns. Run fails if the
	// process may not use that CPU. Read and those who send are where the
	// scheduler puts them.
	CPUs string

	// Exclusive makes Open fail with EBUSY if the device exists already.
	Exclusive bool

	// Backend is what is to be at the kernel's end: mytun, stock tun, or, and that is
	// the zero value, mytun where it is and stock tun where it is not. The environment
	// variable MYTUN_BACKEND, auto, mytun or tun, takes its place in all of a
	// process; another value makes Open fail. Device.Backend tells what was chosen.
	Backend Backend

	// Path is the device node, "" meaning /dev/net/mytun. With BackendTun it is that of
	// stock tun, "" meaning /dev/net/tun. If the environment chooses another backend
	// than Backend, that has its default node.
	Path string
}

// withDefaults returns c with its zero values replaced, or says what is wrong.
func (c Config) withDefaults() (Config, error) {
	if c.Queues == 0 {
		c.Queues = 1
	}
	if c.RxRing == 0 {
		c.RxRing = defaultRing
	}
	if c.TxRing == 0 {
		c.TxRing = defaultRing
	}
	return c, c.validate()
}

func (c Config) validate() error {
	switch {
	case c.Mode != TUN && c.Mode != TAP:
		return fmt.Errorf("mytunev: Config.Mode is %d, neither TUN nor TAP", int(c.Mode))
	case !c.Backend.known():
		return fmt.Errorf("mytunev: Config.Backend is %v, none of auto, mytun and tun", c.Backend)
	case c.Queues < 1 || c.Queues > maxQueues:
		return fmt.Errorf("mytunev: Config.Queues is %d, not in 1..%d", c.Queues, maxQueues)
	case !isRingSize(c.RxRing):
		return fmt.Errorf("mytunev: Config.RxRing is %d, not a power of two (from 128 KiB to 64 MiB)", c.RxRing)
	case !isRingSize(c.TxRing):
		return fmt.Errorf("mytunev: Config.TxRing is %d, not a power of two (from 128 KiB to 64 MiB)", c.TxRing)
	case c.Headroom < 0 || c.Headroom > maxRoom:
		return fmt.Errorf("mytunev: Config.Headroom is %d, not in 0..%d", c.Headroom, maxRoom)
	case c.Tailroom < 0 || c.Tailroom > maxRoom:
		return fmt.Errorf("mytunev: Config.Tailroom is %d, not in 0..%d", c.Tailroom, maxRoom)
	case c.WakeBytes < 0 || c.WakeBytes > c.RxRing/2:
		return fmt.Errorf("mytunev: Config.WakeBytes is %d, not in 0..%d, half of RxRing", c.WakeBytes, c.RxRing/2)
	case c.Poll > maxPoll:
		return fmt.Errorf("mytunev: Config.Poll is %v, longer than %v", c.Poll, maxPoll)
	}
	if err := c.validateLoop(); err != nil {
		return err
	}
	return c.Offload.validate()
}

// ahead is how far past an empty ring the kernel may fill it before it rings: it
// does when the producer has moved past that place.
func (c Config) ahead() uint32 {
	return uint32(max(c.WakeBytes-1, 0)) &^ (frameAlign - 1)
}

func isRingSize(n int) bool {
	return n > 0 && n <= maxRing && n&(n-1) == 0
}

// pollMicroseconds is what MYTUN_IOC_SET_POLL takes, if it is to be called.
func (c Config) pollMicroseconds() (us uint32, set bool) {
	if c.Poll < 0 {
		return 0, true
	}
	return uint32((c.Poll + time.Microsecond - 1) / time.Microsecond), c.Poll > 0
}
