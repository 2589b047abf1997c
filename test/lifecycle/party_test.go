// SPDX-License-Identifier: MIT

//go:build mytun_device

package lifecycle

import (
	"bufio"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

const partyDevice = "myparty"

// A party is the process that has the device, in a process of its own so that it can be
// killed. It does what it is told, a line each, and answers each.
type party struct {
	pump
	undone
	duplicates []int // of the files' descriptors
}

// undone are a test's helpers' cleanups, to be done when a match ends.
type undone struct {
	testing.TB
	later []func()
}

func (u *undone) Cleanup(f func()) { u.later = append(u.later, f) }

func (u *undone) cleanUp() {
	for _, f := range slices.Backward(u.later) {
		f()
	}
	u.later = nil
}

// runParty is the child.
func runParty(t testing.TB) {
	signal.Ignore(unix.SIGCHLD) // nobody waits for copies
	p := &party{undone: undone{TB: t}}
	go p.run()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		fmt.Println(p.obey(lines.Text()))
	}
}

func (p *party) obey(what string) string {
	if queues, found := strings.CutPrefix(what, "open "); found {
		n, err := strconv.Atoi(queues)
		if err != nil {
			return err.Error()
		}
		p.open(n)
		return "ok"
	}
	switch what {
	case "traffic":
		p.waitMore(p)
	case "lose":
		p.lose()
	case "hand":
		return p.hand()
	case "duplicate":
		return p.duplicate()
	case "fork":
		pid, errno := device.Fork(0)
		if errno != 0 {
			return errno.Error()
		}
		return strconv.Itoa(pid)
	default:
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.change(what)
	}
	return "ok"
}

// open makes the device with all its queues.
func (p *party) open(queues int) {
	flags := uint16(device.TUN)
	if queues > 1 {
		flags |= device.Multi
	}
	var all []*lane
	for i := range queues {
		all = append(all, newLane(device.NewQueue(p, partyDevice, flags, minRing, minRing), i))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lanes = all
}

// lose waits until no queue has a device any more.
func (p *party) lose() {
	for _, n := range p.lanes {
		device.WaitFor(p, "the device's end", func() bool {
			if n.FD >= 0 {
				return device.Ioctl(n.FD, unix.TUNGETIFF, device.Ifreq("", 0)) == unix.EBADFD
			}
			return n.User == nil || n.State() == device.StateDetached
		})
	}
}

// hand gives all files to who started the process.
func (p *party) hand() string {
	for _, n := range p.lanes {
		if err := device.SendFD(device.ChildFile, n.FD); err != nil {
			return err.Error()
		}
	}
	return "ok"
}

// duplicate makes another descriptor of each file.
func (p *party) duplicate() string {
	for _, n := range p.lanes {
		fd, err := unix.FcntlInt(uintptr(n.FD), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return err.Error()
		}
		p.duplicates = append(p.duplicates, fd)
	}
	return "ok"
}

// change does one of the actions, between two frames.
func (p *party) change(what string) string {
	switch what {
	case "close":
		for _, n := range p.lanes {
			n.Close()
		}
	case "unmap":
		for _, n := range p.lanes {
			n.Unmap()
		}
	case "events":
		return each(p.lanes, func(n *lane) error {
			return n.TrySetEventfds(device.NoEventfds)
		})
	case "park":
		return p.setQueue(unix.IFF_DETACH_QUEUE)
	case "unpark":
		return p.setQueue(unix.IFF_ATTACH_QUEUE)
	case "detach":
		p.drop(1)
	case "close duplicates":
		for _, fd := range p.duplicates {
			unix.Close(fd)
		}
		p.duplicates = nil
	case "end":
		p.drop(len(p.lanes))
		p.cleanUp()
	default:
		return "what is " + what + "?"
	}
	return "ok"
}

// drop ends the last queues.
func (p *party) drop(count int) {
	left := len(p.lanes) - min(count, len(p.lanes))
	for _, n := range p.lanes[left:] {
		n.Close()
		n.Unmap()
	}
	p.lanes = p.lanes[:left]
}

// parkable is how many of the queues are parked: the first ones, as it is the last that end
// before the others.
const parkable = 2

// setQueue parks queues, or takes them back, and says how that went.
func (p *party) setQueue(flags uint16) string {
	return each(p.lanes[:min(parkable, len(p.lanes))], func(n *lane) error {
		err := n.TrySetQueue(flags)
		if err == nil {
			n.parked, n.settled = flags == unix.IFF_DETACH_QUEUE, false
		}
		return err
	})
}

// each calls f for all queues that have a file, and says what came of it.
func each(lanes []*lane, f func(*lane) error) string {
	var said []string
	for _, n := range lanes {
		if n.FD >= 0 {
			said = append(said, fmt.Sprint(f(n)))
		}
	}
	return strings.Join(said, ",")
}
