// SPDX-License-Identifier: MIT

//go:build mytun_device

package steering

import (
	"errors"
	"os"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/mytun/mytun/pkg/mytunev"
	"github.com/mytun/mytun/pkg/tunbpf"
	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

// A trace is the numbers of a program and its maps: what is left of them in the
// kernel can be told after all handles are closed.
type trace struct {
	t       testing.TB
	program ebpf.ProgramID
	maps    []ebpf.MapID
}

func traceOf(t testing.TB, p *ebpf.Program) trace {
	t.Helper()
	info, err := p.Info()
	must(t, err)
	id, ok := info.ID()
	if !ok {
		t.Fatal("the kernel tells no number of the program")
	}
	maps, _ := info.MapIDs()
	return trace{t, id, maps}
}

// exists tells whether the program and all of its maps are there; gone, whether none
// of them is.
func (tr trace) exists() bool { return tr.count() == 1+len(tr.maps) }
func (tr trace) gone() bool   { return tr.count() == 0 }

func (tr trace) count() (n int) {
	tr.t.Helper()
	p, err := ebpf.NewProgramFromID(tr.program)
	n += tr.closed(p, err)
	for _, id := range tr.maps {
		m, err := ebpf.NewMapFromID(id)
		n += tr.closed(m, err)
	}
	return n
}

// closed closes a handle, and returns 1 if there was something to be handled.
func (tr trace) closed(handle interface{ Close() error }, err error) int {
	tr.t.Helper()
	switch {
	case err == nil:
		handle.Close()
		return 1
	case errors.Is(err, os.ErrNotExist):
		return 0
	}
	tr.t.Fatalf("look at what is left: %v", err)
	return 0
}

// attachBoth attaches ready programs, and closes all handles of them.
func attachBoth(t testing.TB, d *mytunev.Device) (all []trace) {
	t.Helper()
	s, err := tunbpf.NewCPUSteering()
	must(t, err)
	for cpu := range s.CPUs() {
		must(t, s.Set(cpu, 1))
	}
	must(t, d.AttachSteering(s.Program()))
	f, err := tunbpf.NewPrefixFilter(tunbpf.PrefixConfig{Mode: d.Mode()})
	must(t, err)
	must(t, f.Add(prefixes("10.1.0.0/16")...))
	must(t, d.AttachFilter(f.Program()))
	all = []trace{traceOf(t, s.Program()), traceOf(t, f.Program())}
	if len(all[0].maps) != 1 || len(all[1].maps) != 2 {
		t.Fatalf("programs with %d and %d maps", len(all[0].maps), len(all[1].maps))
	}
	must(t, s.Close())
	must(t, f.Close())
	return all
}

// checkBoth sends what both of attachBoth's programs have a say in.
func checkBoth(r *rig) {
	r.t.Helper()
	_, before := r.settled()
	r.send(r.packet(hostOf("10.1.2.3:7"), addrPort("10.1.2.3:7")))
	if _, now := r.settled(); now != before+1 {
		r.t.Error("the filter is gone")
	}
	for i := range 8 {
		if got := r.queueOf(flowPacket(r, i)); got != 1 {
			r.t.Errorf("steering is gone: a frame came by queue %d", got)
		}
	}
}

func waitGone(t testing.TB, all []trace) {
	t.Helper()
	for _, tr := range all {
		device.WaitFor(t, "a program and its maps to go", tr.gone)
	}
}

// testProgramsOutliveTheirHandles, and go with the device, whatever ends it.
func testProgramsOutliveTheirHandles(t *testing.T) {
	for name, end := range map[string]func(r *rig){
		"close": func(r *rig) { r.close() },
		"queue after queue": func(r *rig) {
			r.end()
			for _, q := range r.Queues() {
				must(r.t, q.Close())
			}
		},
		"delete":    func(r *rig) { device.Delete(r.t, r.Name()) },
		"namespace": func(r *rig) { device.Sandbox(r.t) },
		"detach": func(r *rig) {
			must(r.t, r.DetachSteering())
			must(r.t, r.DetachFilter())
		},
		"replace": func(r *rig) {
			must(r.t, r.AttachSteering(returns(r.t, 0)))
			must(r.t, r.AttachFilter(returns(r.t, -1)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			device.Sandbox(t)
			r := newRig(t, mytunev.Config{Queues: 2})
			all := attachBoth(t, r.Device)
			checkBoth(r)
			for _, tr := range all {
				if !tr.exists() {
					t.Error("something of an attached program is gone")
				}
			}
			end(r)
			if name == "namespace" {
				r.close() // the queues are what holds the old one
			}
			waitGone(t, all)
		})
	}
}

// testDeviceThatIsGone says so.
func testDeviceThatIsGone(t *testing.T) {
	device.Sandbox(t)
	r := newRig(t, mytunev.Config{Queues: 2})
	device.Delete(t, r.Name())
	p := returns(t, 0)
	for _, err := range []error{r.AttachSteering(p), r.DetachSteering(), r.AttachFilter(p), r.DetachFilter()} {
		if err != mytunev.ErrDetached {
			t.Errorf("%v, want ErrDetached", err)
		}
	}
}

func setPersist(t testing.TB, d *mytunev.Device, on int) {
	t.Helper()
	raw, err := d.SyscallConn()
	must(t, err)
	must(t, raw.Control(func(fd uintptr) { err = unix.IoctlSetInt(int(fd), unix.TUNSETPERSIST, on) }))
	must(t, err)
}

// testPersistentDeviceKeepsItsPrograms from one process to the next, until they are
// detached or it goes.
func testPersistentDeviceKeepsItsPrograms(t *testing.T) {
	device.Sandbox(t)
	c := mytunev.Config{Name: "kept0", Queues: 2}
	r := newRig(t, c)
	all := attachBoth(t, r.Device)
	setPersist(t, r.Device, 1)
	r.close()
	for _, tr := range all {
		if !tr.exists() {
			t.Error("something of a persistent device's program is gone")
		}
	}

	r = newRig(t, c)
	checkBoth(r)
	must(t, r.DetachSteering())
	waitGone(t, all[:1])
	setPersist(t, r.Device, 0)
	r.close()
	waitGone(t, all)
}

// testProgramsComeAndGoUnderTraffic: frames meet one program or none, and none of
// them is lost.
func testProgramsComeAndGoUnderTraffic(t *testing.T) {
	device.Sandbox(t)
	r := newRig(t, mytunev.Config{Queues: 3})
	programs := []*ebpf.Program{returns(t, 1), returns(t, 2)}
	keep := returns(t, -1)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			err := errors.Join(r.AttachSteering(programs[i%2]), r.AttachFilter(keep), r.DetachFilter())
			if i%3 == 0 {
				err = errors.Join(err, r.DetachSteering())
			}
			if err != nil {
				t.Error(err)
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	for more := within(t, "frames by three queues"); more() && (r.sent < 2000 || len(queuesOf(r.came())) < 3); {
		r.send(flowPacket(r, r.sent%64))
		r.room()
	}
	close(stop)
	<-stopped
	if _, dropped := r.settled(); dropped != 0 {
		t.Errorf("%d frames were dropped", dropped)
	}
}
