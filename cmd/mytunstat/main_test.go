// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// makeSys makes a /sys with these modules.
func makeSys(t *testing.T, modules ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, module := range append(modules, "another") {
		if err := os.MkdirAll(filepath.Join(root, "module", module), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestCheck(t *testing.T) {
	lo, ours, stock, bridge := link{name: "lo"}, mytunLink(4, "a"), link{name: "tun0", kind: "tun"}, link{name: "br", kind: "bridge"}
	loaded := makeSys(t, moduleName)
	for _, test := range []struct {
		name   string
		sys    string
		links  []link
		wanted []string
		want   string
	}{
		{"all is well", loaded, []link{lo, ours}, nil, ""},
		{"named", loaded, []link{lo, ours}, []string{"a"}, ""},
		{"no device yet", loaded, []link{lo}, nil, ""},
		{"no module", makeSys(t), []link{lo}, nil, "sudo modprobe mytun"},
		{"no module, named", makeSys(t), []link{lo}, []string{"a"}, "sudo modprobe mytun"},
		{"a /sys that tells nothing", t.TempDir(), []link{lo}, nil, ""},
		{"the device tells better than /sys", makeSys(t), []link{lo, ours}, nil, ""},
		{"not there", loaded, []link{lo, ours}, []string{"a", "b"}, "ip netns exec NAMESPACE mytunstat b"},
		{"stock tun", loaded, []link{lo, stock}, []string{"tun0"}, "kernel's own tun"},
		{"another's", loaded, []link{bridge}, []string{"br"}, "br is no mytun device"},
		{"loopback", loaded, []link{lo}, []string{"lo"}, "lo is no mytun device"},
	} {
		s := fakeSystem("", test.links...)
		s.sys = test.sys
		switch err := s.check(test.wanted); {
		case test.want == "" && err != nil:
			t.Errorf("%s: %v", test.name, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}

// reports keeps what it is to show, and fails after the last.
type reports struct {
	shown []*report
	most  int
}

var errEnough = errors.New("enough")

func (r *reports) show(one *report) error {
	if r.shown = append(r.shown, one); len(r.shown) == r.most {
		return errEnough
	}
	return nil
}

// TestWatch: once is one report, live is one a tick, each since the last; devices that have
// gone are no end.
func TestWatch(t *testing.T) {
	now, links := start, []link{mytunLink(4, "a")}
	s := fakeSystem(makeProc(t, 1))
	s.links = func() ([]link, error) { return links, nil }
	s.now = func() time.Time { now = now.Add(time.Second); return now }
	ticks := make(chan time.Time, 3)
	ticks <- start
	once := &reports{most: 2}
	if err := watch(s, &options{}, ticks, once); err != nil || len(once.shown) != 1 || once.shown[0].Seconds != 1 {
		t.Fatalf("once: %v, %+v", err, once.shown)
	}
	taken := 0
	s.now = func() time.Time {
		if taken++; taken == 2 {
			links = nil
		}
		now = now.Add(time.Second)
		return now
	}
	for i := 0; i < 3; i++ {
		ticks <- start
	}
	live := &reports{most: 3}
	if err := watch(s, &options{live: true}, ticks, live); err != errEnough {
		t.Fatal(err)
	}
	if live.shown[0].Devices[0].Rates == nil || len(live.shown[1].Gone) != 1 || len(live.shown[2].Gone) != 0 || live.shown[2].Seconds != 1 {
		t.Errorf("live: %+v %+v %+v", live.shown[0], live.shown[1], live.shown[2])
	}
}

func TestNewShower(t *testing.T) {
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, ok := newShower(&options{live: true}, file).(*timed); !ok {
		t.Error("live into a file is not timed")
	}
	if _, ok := newShower(&options{}, file).(plain); !ok {
		t.Error("once is not plain")
	}
	if _, ok := newShower(&options{live: true, json: true}, file).(jsonLines); !ok {
		t.Error("-json is not JSON")
	}
	ptmx, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	defer ptmx.Close()
	if _, ok := newShower(&options{live: true}, ptmx).(*screen); !ok {
		t.Error("live on a terminal is no screen")
	}
}

func TestExitStatus(t *testing.T) {
	for want, err := range map[int]error{0: flag.ErrHelp, 1: errEnough, 2: &usageError{"x"}} {
		if got := exitStatus(err); got != want {
			t.Errorf("%v: %d, want %d", err, got, want)
		}
	}
	if exitStatus(nil) != 0 {
		t.Error("success is a failure")
	}
}
