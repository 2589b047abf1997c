// SPDX-License-Identifier: MIT

//go:build mytun_device

package mytunev

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/mytun/mytun/internal/watchdog"

	"github.com/vishvananda/netlink"
)

// What is said of a device has to be true over both backends: each of these tests runs
// once over mytun and once over stock tun, as a subtest that is named so.
func onBoth(t *testing.T, test func(t *testing.T)) {
	for _, b := range []Backend{BackendMytun, BackendTun} {
		t.Run(b.String(), func(t *testing.T) {
			if b == BackendTun {
				loadTun(t)
			}
			t.Setenv(backendVariable, b.String())
			test(t)
		})
	}
}

// loadTun has the kernel's tun driver here, a module where it is not built in.
func loadTun(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(tunPath); err == nil {
		return
	}
	if out, err := exec.Command("modprobe", "tun").CombinedOutput(); err != nil {
		t.Fatalf("modprobe tun: %v: %s", err, out)
	}
}

// onTun reports whether Open chooses stock tun.
func onTun() bool { return os.Getenv(backendVariable) == BackendTun.String() }

func TestModuleEcho(t *testing.T) { onBoth(t, testDeviceEcho) }

func TestModuleFlowHash(t *testing.T) { onBoth(t, testDeviceFlowHash) }

func TestModuleReadWrite(t *testing.T) { onBoth(t, testDeviceReadWrite) }

func TestModuleReadBatch(t *testing.T) { onBoth(t, testDeviceReadBatch) }

func TestModuleInterface(t *testing.T) { onBoth(t, testDeviceInterface) }

func TestModuleRoom(t *testing.T) { onBoth(t, testDeviceRoom) }

func TestModuleSetOffload(t *testing.T) { onBoth(t, testDeviceSetOffload) }

func TestModuleFlood(t *testing.T) { onBoth(t, testDeviceFlood) }

func TestModuleDetached(t *testing.T) { onBoth(t, testDeviceDetached) }

func TestModuleOpenErrors(t *testing.T) { onBoth(t, testDeviceOpenErrors) }

func TestModuleNames(t *testing.T) { onBoth(t, testDeviceNames) }

func TestModuleNoRights(t *testing.T) { onBoth(t, testDeviceNoRights) }

func TestModuleCloseUnderTraffic(t *testing.T) { onBoth(t, testDeviceCloseUnderTraffic) }

// TestModuleCloseFromAnywhere: the device is gone when Run has returned, wherever a Handler has
// closed it from, and its name is free.
func TestModuleCloseFromAnywhere(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		for name, closing := range closings {
			d := openDevice(t, Config{Name: "anywhere0", Exclusive: true})
			setUp(t, d)
			wait := start(t.Context(), d, func(b *Batch) error {
				_, err := b.Reserve(100)
				closing(t, b.Queue())
				return err
			})
			// where this fails the Handler has had a frame of the kernel's own, and the device is gone
			if c, err := net.Dial("udp", "10.9.0.2:7"); err == nil {
				c.Write([]byte{1})
				c.Close()
			}
			if err := wait(); err != ErrClosed {
				t.Errorf("%s: %v, want ErrClosed", name, err)
			}
			if exists("anywhere0") {
				t.Errorf("%s: the device is still there", name)
			}
		}
	})
}

func TestModuleLeakedDevice(t *testing.T) { onBoth(t, testDeviceLeakedDevice) }

func TestModuleTAP(t *testing.T) { onBoth(t, testDeviceTAP) }

func TestModuleTAPSends(t *testing.T) { onBoth(t, testDeviceTAPSends) }

func TestModuleStream(t *testing.T) { onBoth(t, testDeviceStream) }

func TestModuleQueues(t *testing.T) { onBoth(t, testDeviceQueues) }

func TestModulePersistent(t *testing.T) { onBoth(t, testDevicePersistent) }

func TestModuleOwner(t *testing.T) { onBoth(t, testDeviceOwner) }

func TestModuleTunnel(t *testing.T) { onBoth(t, testDeviceTunnel) }

func TestModuleOfAnotherKind(t *testing.T) { onBoth(t, testDeviceOfAnotherKind) }

// TestModuleBackend: which one is chosen by itself, by Config and by what exists.
func TestModuleBackend(t *testing.T) {
	loadTun(t)
	is := func(d *Device, want Backend) {
		t.Helper()
		b, why := d.Backend()
		t.Logf("%v: %s", b, why)
		if b != want || why == "" {
			t.Errorf("%v, because %q; want %v", b, why, want)
		}
	}
	is(openDevice(t, Config{}), BackendMytun)
	is(openDevice(t, Config{Backend: BackendTun}), BackendTun)
	kept := &netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: "kept7"}, Mode: netlink.TUNTAP_MODE_TUN}
	if err := netlink.LinkAdd(kept); err != nil {
		t.Fatal(err)
	}
	defer netlink.LinkDel(kept)
	for _, f := range kept.Fds {
		f.Close()
	}
	is(openDevice(t, Config{Name: "kept7"}), BackendTun)
	for _, c := range []Config{{Name: "kept7", Backend: BackendMytun}, {Backend: BackendTun, Path: "/dev/net/none"}} {
		if d, err := Open(c); err == nil {
			t.Errorf("%+v: opened", c)
			d.Close()
		}
	}
}

// TestModuleTunDown: frames for a device that is down are counted, and end nothing.
func TestModuleTunDown(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		d := openDevice(t, Config{Offload: OffloadTx})
		packet := append([]byte{0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 9, 0, 2, 10, 9, 0, 1}, make([]byte, 8)...)
		for range 2 {
			if err := d.Send(packet); err != nil {
				t.Error(err)
			}
		}
		down := func() bool { s, err := d.Stats(); return err != nil || s.TxDroppedDown == 2 }
		until(t, "two frames counted", down)
		setUp(t, d)
		if err := d.Queues()[0].SendBatch(func(tx *Tx) error {
			return errors.Join(tx.Send(packet), tx.Send([]byte{0x15, 0}), tx.SendVNet(packet, VNetHeader{GSOType: 0x13, GSOSize: 1}), tx.Send(packet))
		}); err != nil {
			t.Error(err)
		}
		until(t, "two frames sent and two refused", func() bool {
			s, err := d.Stats()
			return err != nil || s.TxFrames == 2 && s.TxRefusedVNet == 1 && s.TxRefusedProtocol == 1
		})
	})
}

// TestModuleTunBurst: what waits in the kernel is drained after one wake-up.
func TestModuleTunBurst(t *testing.T) {
	loadTun(t)
	const burst = 200
	d := openDevice(t, Config{Backend: BackendTun})
	exec.Command("sysctl", "-qw", "net.ipv6.conf."+d.Name()+".disable_ipv6=1").Run()
	setUp(t, d)
	q := d.Queues()[0]
	frames := 0
	done := make(chan struct{})
	wait := start(t.Context(), d, func(b *Batch) error {
		for f := range b.Frames() {
			if isUDP(f.Data) {
				if frames++; frames == burst {
					close(done)
				}
			}
		}
		return nil
	})
	asleep(&q.framesGate)
	takeTurn(t, &q.rxTurn)
	before := q.counters.snapshot()
	c, err := net.Dial("udp", "10.9.0.2:7")
	if err != nil {
		t.Fatal(err)
	}
	for range burst {
		if _, err := c.Write(make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
	}
	c.Close()
	q.rxTurn.release()
	select {
	case <-done:
	case <-time.After(watchdog.Bound):
		t.Fatalf("%d frames of %d", frames, burst)
	}
	s := q.counters.snapshot()
	t.Logf("%d frames: %d returns of epoll_wait, %d batches", burst, s.Wakeups-before.Wakeups, s.Batches-before.Batches)
	if s.Wakeups-before.Wakeups > 1 {
		t.Errorf("%d returns of epoll_wait, want 1", s.Wakeups-before.Wakeups)
	}
	d.Close()
	wait()
}
