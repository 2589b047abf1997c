// SPDX-License-Identifier: MIT

//go:build mytun_device

package mytunev

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/mytun/mytun/internal/watchdog"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// A watcher is a WatchLink under way.
type watcher struct {
	t      *testing.T
	states chan Link
	result chan error
}

func watch(t *testing.T, d *Device) *watcher {
	w := &watcher{t: t, states: make(chan Link, 100), result: make(chan error, 1)}
	go func() {
		w.result <- d.WatchLink(t.Context(), func(l Link) error { w.states <- l; return nil })
	}()
	return w
}

// want takes the next state, which has to be that.
func (w *watcher) want(what string, want Link) {
	w.t.Helper()
	select {
	case got := <-w.states:
		if got != want {
			w.t.Errorf("%s: %+v, want %+v", what, got, want)
		}
	case <-time.After(watchdog.Bound):
		w.t.Errorf("%s: nothing is told", what)
	}
}

// end wants that nothing more is told but this, states of a device that is down apart: one that goes
// is set down before.
func (w *watcher) end(want error) {
	w.t.Helper()
	select {
	case err := <-w.result:
		if !errors.Is(err, want) {
			w.t.Errorf("%v, want %v", err, want)
		}
	case <-time.After(watchdog.Bound):
		w.t.Errorf("not ended, want %v", want)
	}
	for len(w.states) > 0 {
		if l := <-w.states; l.Up {
			w.t.Errorf("%+v is told at the end", l)
		}
	}
}

func linkOf(t *testing.T, d *Device) (netlink.Link, Link) {
	t.Helper()
	link, err := netlink.LinkByName(d.Name())
	if err != nil {
		t.Fatal(err)
	}
	return link, Link{Name: d.Name(), Index: link.Attrs().Index, MTU: link.Attrs().MTU}
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func TestModuleLink(t *testing.T) { onBoth(t, testDeviceLink) }

// testDeviceLink: each change of the device is told, and none of others, down to its end.
func testDeviceLink(t *testing.T) {
	d, other := openDevice(t, Config{Name: "told0"}), openDevice(t, Config{Name: "other0"})
	link, state := linkOf(t, d)
	otherLink, _ := linkOf(t, other)
	w := watch(t, d)
	w.want("at first", state)
	must(t, netlink.LinkSetUp(otherLink), netlink.LinkSetMTU(otherLink, 1300), netlink.LinkSetUp(link))
	state.Up = true
	w.want("up", state)
	must(t, d.SetMTU(1280))
	state.MTU = 1280
	w.want("another MTU", state)
	must(t, netlink.LinkSetDown(link))
	state.Up = false
	w.want("down", state)
	must(t, netlink.LinkDel(otherLink), netlink.LinkSetName(link, "told1")) // of one that is up it takes Linux 6.2
	state.Name = "told1"
	w.want("renamed", state)
	if name := d.Name(); name != "told1" {
		t.Errorf("the name is %s", name)
	}
	second := watch(t, d)
	second.want("to one who comes later", state)
	must(t, netlink.LinkDel(link))
	w.end(ErrDetached)
	second.end(ErrDetached)
	if err := d.WatchLink(t.Context(), func(Link) error { return nil }); err != ErrDetached {
		t.Errorf("%v, want ErrDetached", err)
	}
	if name := d.Name(); name != "told1" {
		t.Errorf("the name of what is gone is %s", name)
	}
}

// TestModuleLinkClose: Close ends a watch.
func TestModuleLinkClose(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		d := openDevice(t, Config{})
		_, state := linkOf(t, d)
		w := watch(t, d)
		w.want("at first", state)
		before := countFDs(t)
		must(t, d.Close())
		w.end(ErrClosed)
		until(t, "the descriptors of the queue and the socket to be closed", func() bool { return countFDs(t) < before-1 })
	})
}

// TestModuleLinkOverrun: a program that was told of too much at once is told of the last state.
func TestModuleLinkOverrun(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		const changes = 1000 // of which a socket has room for some 200
		d := openDevice(t, Config{})
		link, state := linkOf(t, d)
		told := 0
		var last Link
		err := d.WatchLink(t.Context(), func(l Link) error {
			if told++; told == 1 {
				for i := range changes {
					must(t, netlink.LinkSetMTU(link, 2000+i))
				}
			}
			if last = l; l.MTU == 2000+changes-1 {
				return errStop
			}
			return nil
		})
		state.MTU = 2000 + changes - 1
		t.Logf("%d states of %d", told, changes)
		if err != errStop || last != state || told > changes/2 {
			t.Errorf("%v, %+v, %d states: want few, and %+v at last", err, last, told, state)
		}
	})
}

// TestModuleLinkBridge: a device that leaves a bridge is not gone.
func TestModuleLinkBridge(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "bridge0"}}
		if err := netlink.LinkAdd(bridge); err != nil {
			t.Skipf("no bridges here: %v", err)
		}
		t.Cleanup(func() { netlink.LinkDel(bridge) })
		d := openDevice(t, Config{Mode: TAP})
		link, state := linkOf(t, d)
		w := watch(t, d)
		w.want("at first", state)
		must(t, netlink.LinkSetMaster(link, bridge), netlink.LinkSetNoMaster(link), d.SetMTU(1300))
		state.MTU = 1300
		w.want("after the bridge", state)
	})
}

// TestModuleLinkMoved: of a device in another network namespace nothing is told.
func TestModuleLinkMoved(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		d := openDevice(t, Config{})
		link, state := linkOf(t, d)
		w := watch(t, d)
		w.want("at first", state)
		there := otherNamespace(t)
		must(t, netlink.LinkSetNsFd(link, int(there)))
		w.end(ErrNotSupported)
		if err := d.WatchLink(t.Context(), func(Link) error { return nil }); !errors.Is(err, ErrNotSupported) || !strings.Contains(err.Error(), d.Name()) {
			t.Errorf("%v, want ErrNotSupported of the device", err)
		}
	})
}

// TestModuleLinkNamesake: another device that has the name here is not taken for the one that has it
// elsewhere.
func TestModuleLinkNamesake(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		d := openDevice(t, Config{Name: "same0"})
		link, _ := linkOf(t, d)
		must(t, netlink.LinkSetNsFd(link, int(otherNamespace(t))))
		namesake := openDevice(t, Config{Name: "same0"})
		for name, use := range map[string]func(*Device) error{
			"WatchLink": watchOnce,
			"Index":     deviceUses["Device.Index"], "MTU": deviceUses["Device.MTU"], "SetMTU": deviceUses["Device.SetMTU"],
		} {
			if err := use(d); !errors.Is(err, ErrNotSupported) {
				t.Errorf("%s: %v, want ErrNotSupported", name, err)
			}
		}
		if mtu, err := namesake.MTU(); mtu != 1500 || err != nil {
			t.Errorf("the namesake's MTU is %d, %v", mtu, err)
		}
		if err := namesake.WatchLink(t.Context(), takeLink); err != errStop {
			t.Errorf("%v of the namesake", err)
		}
	})
}

// otherNamespace makes a network namespace that nobody is in.
func otherNamespace(t *testing.T) netns.NsHandle {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	here, err := netns.Get()
	must(t, err)
	defer here.Close()
	there, err := netns.New()
	must(t, err)
	t.Cleanup(func() { there.Close() })
	must(t, netns.Set(here))
	return there
}

// TestModuleLinkElsewhere: what is begun on a thread of the device's namespace hears of it from a goroutine of another.
func TestModuleLinkElsewhere(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		var (
			link  netlink.Link
			state Link
			begun *LinkWatch
			there = otherNamespace(t)
		)
		within := func(f func()) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			here, err := netns.Get()
			must(t, err, netns.Set(there))
			defer here.Close()
			defer netns.Set(here)
			f()
		}
		within(func() {
			d := openDevice(t, Config{})
			link, state = linkOf(t, d)
			var err error
			begun, err = d.NewLinkWatch()
			must(t, err)
		})
		w := &watcher{t: t, states: make(chan Link, 100), result: make(chan error, 1)}
		go func() { w.result <- begun.Run(t.Context(), func(l Link) error { w.states <- l; return nil }) }()
		w.want("at first", state)
		within(func() { must(t, netlink.LinkSetUp(link)) })
		state.Up = true
		w.want("up", state)
		within(func() { must(t, netlink.LinkDel(link)) })
		w.end(ErrDetached)
	})
}
