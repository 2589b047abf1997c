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
	*pump
	undone
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
	p := &party{newPump(), undone{TB: t}}
	go p.run()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var what string
		var queues int
		fmt.Sscan(lines.Text(), &what, &queues)
		fmt.Println(p.obey(what, queues))
	}
}

func (p *party) obey(what string, queues int) string {
	switch what {
	case "open":
		p.open(queues)
	case "traffic":
		p.waitMore(p)
	case "lose":
		p.lose()
	case "hand":
		return p.hand()
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
	var all []*device.Queue
	for range queues {
		all = append(all, device.NewQueue(p, partyDevice, flags, minRing, minRing))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queues = all
}

// lose waits until no queue has a device any more.
func (p *party) lose() {
	for _, q := range p.queues {
		device.WaitFor(p, "the device's end", func() bool {
			if q.FD >= 0 {
				return device.Ioctl(q.FD, unix.TUNGETIFF, device.Ifreq("", 0)) == unix.EBADFD
			}
			return q.User == nil || q.State() == device.StateDetached
		})
	}
}

// hand gives all files to who started the process.
func (p *party) hand() string {
	for _, q := range p.queues {
		if err := device.SendFD(device.ChildFile, q.FD); err != nil {
			return err.Error()
		}
	}
	return "ok"
}

// change does one of the actions, between two frames.
func (p *party) change(what string) string {
	switch what {
	case "close":
		for _, q := range p.queues {
			q.Close()
		}
	case "unmap":
		for _, q := range p.queues {
			q.Unmap()
		}
	case "events":
		return p.takeEvents()
	case "detach":
		p.drop(1)
	case "end":
		p.drop(len(p.queues))
		p.cleanUp()
	default:
		return "what is " + what + "?"
	}
	return "ok"
}

// drop ends the last queues.
func (p *party) drop(n int) {
	left := len(p.queues) - min(n, len(p.queues))
	for _, q := range p.queues[left:] {
		q.Close()
		q.Unmap()
	}
	p.queues = p.queues[:left]
}

// takeEvents takes the eventfds from all queues that have a file, and says how that went.
func (p *party) takeEvents() string {
	var said []string
	for _, q := range p.queues {
		if q.FD >= 0 {
			said = append(said, fmt.Sprint(q.TrySetEventfds(device.Eventfds{RxDoorbell: -1, TxDoorbell: -1, TxSpace: -1})))
		}
	}
	return strings.Join(said, ",")
}
