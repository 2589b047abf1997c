// SPDX-License-Identifier: MIT

//go:build mytun_device

package offload

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/mytun/mytun/test/device"
	"golang.org/x/sys/unix"
)

// The highest bits of a hash choose among the CPUs of RPS.
var hashes = []uint32{0x10000000, 0xf0000000}

// needRPS skips where nothing can be spread. With PREEMPT_RT before 6.10 the
// kernel warns when RPS wakes an idle CPU, whatever device the frame is from.
func needRPS(t *testing.T) {
	t.Helper()
	if runtime.NumCPU() < 2 {
		t.Skip("one CPU: there is nothing to spread over")
	}
	if device.Realtime() && !device.KernelAtLeast(t, 6, 10) {
		t.Skip("RPS of PREEMPT_RT before 6.10 warns of itself (do_softirq_post_smp_call_flush)")
	}
}

// setQueue sets a value of the first receive queue of a device, as
// /sys/class/net/DEVICE/queues/rx-0/NAME. That shows the devices of the
// namespace that sysfs was mounted in.
func setQueue(t *testing.T, link, name, value string) {
	t.Helper()
	sys := t.TempDir()
	if err := unix.Mount("sysfs", sys, "sysfs", 0, ""); err != nil {
		t.Fatalf("mount sysfs: %v", err)
	}
	defer unix.Unmount(sys, unix.MNT_DETACH)
	file := filepath.Join(sys, "class/net", link, "queues/rx-0", name)
	if err := os.WriteFile(file, []byte(value), 0o600); err != nil {
		t.Fatal(err)
	}
}

// connected is a socket of the kernel's side that talks to one port of the
// process: only such a one remembers the CPU that it received on.
func connected(t *testing.T, l *device.Link) *net.UDPConn {
	t.Helper()
	conn, err := net.DialUDP("udp4",
		net.UDPAddrFromAddrPort(netip.AddrPortFrom(l.Host4, hostPort)),
		net.UDPAddrFromAddrPort(l.PeerAddr(false, peerPort)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// sendHashed sends a datagram with a flow hash of the process's choice.
func sendHashed(t *testing.T, l *device.Link, hash uint32, payload []byte) {
	t.Helper()
	frame := l.Frame(false, device.Datagram{SrcPort: peerPort, DstPort: hostPort, Payload: payload})
	h := device.Header{Length: uint32(len(frame)), Flags: device.FrameHash, Hash: hash}
	l.Queue().PutRaw(h, frame, device.Footprint(len(frame)))
	l.Queue().Publish()
}

// TestHashOfTheProcessSpreadsByRPS: frames with the same addresses and ports
// go to the CPU that the hash in their header says.
func TestHashOfTheProcessSpreadsByRPS(t *testing.T) {
	needRPS(t)
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	setQueue(t, l.Name, "rps_cpus", "3")
	conn := connected(t, l)
	for i := range 40 {
		want := i % 2
		payload := fmt.Appendf(nil, "frame %d", i)
		sendHashed(t, l, hashes[want], payload)
		device.Expect(t, conn, payload)
		if got := device.Option(t, conn, unix.SOL_SOCKET, unix.SO_INCOMING_CPU); got != want {
			t.Fatalf("hash %#x was received on CPU %d, want %d", hashes[want], got, want)
		}
	}
}

// TestFlowKeepsItsCPUWithoutAHash: the stack computes one, the same for all
// frames of a flow, and not the same for all flows.
func TestFlowKeepsItsCPUWithoutAHash(t *testing.T) {
	needRPS(t)
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	setQueue(t, l.Name, "rps_cpus", "3")
	cpus := map[int]int{}
	for flow := range 32 {
		cpus[flowCPU(t, l, 20000+flow)]++
	}
	t.Logf("flows by CPU: %v", cpus)
	if len(cpus) < 2 {
		t.Errorf("all flows went to one CPU: %v", cpus)
	}
}

// flowCPU sends frames of a flow and returns the CPU of all of them.
func flowCPU(t *testing.T, l *device.Link, port int) int {
	t.Helper()
	to := netip.AddrPortFrom(l.Host4, uint16(port))
	conn, err := net.DialUDP("udp4", net.UDPAddrFromAddrPort(to), net.UDPAddrFromAddrPort(l.PeerAddr(false, peerPort)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	cpu := -1
	for i := range 5 {
		payload := fmt.Appendf(nil, "frame %d", i)
		l.Queue().Send(t, l.Frame(false, device.Datagram{SrcPort: peerPort, DstPort: uint16(port), Payload: payload}))
		device.Expect(t, conn, payload)
		got := device.Option(t, conn, unix.SOL_SOCKET, unix.SO_INCOMING_CPU)
		if i > 0 && got != cpu {
			t.Fatalf("flow of port %d was received on CPU %d, then on %d", port, cpu, got)
		}
		cpu = got
	}
	return cpu
}

// TestReceiveFlowSteeringFollowsTheReceiver: with RFS, frames go to the CPU
// where their receiver last read, wherever RPS would have sent them.
func TestReceiveFlowSteeringFollowsTheReceiver(t *testing.T) {
	needRPS(t)
	setFlowEntries(t, "1024")
	device.Sandbox(t)
	l := device.NewLink(t, device.Config{})
	setQueue(t, l.Name, "rps_cpus", "3")
	setQueue(t, l.Name, "rps_flow_cnt", "1024")
	conn := connected(t, l)
	fd := descriptor(t, conn)
	for i := range 8 {
		cpu := i % 2
		pin(t, cpu)
		// the flow moves as soon as the other CPU has nothing more of it
		device.WaitFor(t, "the flow to follow", func() bool { return receivedOn(t, l, conn, fd) == cpu })
		for range 4 {
			if got := receivedOn(t, l, conn, fd); got != cpu {
				t.Fatalf("a frame was received on CPU %d, its receiver is on %d", got, cpu)
			}
		}
	}
}

// receivedOn sends a frame, reads it in this thread, and tells the CPU that it
// was received on.
func receivedOn(t *testing.T, l *device.Link, conn *net.UDPConn, fd int) int {
	t.Helper()
	payload := []byte("which CPU?")
	sendHashed(t, l, hashes[0], payload)
	b := make([]byte, 64)
	device.WaitFor(t, "the frame", func() bool {
		n, _, err := unix.Recvfrom(fd, b, unix.MSG_DONTWAIT)
		if err != nil && err != unix.EAGAIN {
			t.Fatalf("read: %v", err)
		}
		return err == nil && string(b[:n]) == string(payload)
	})
	return device.Option(t, conn, unix.SOL_SOCKET, unix.SO_INCOMING_CPU)
}

// setFlowEntries sets the size of the table of RFS, which all namespaces share
// and only the first one shows, until the end of the test.
func setFlowEntries(t *testing.T, value string) {
	t.Helper()
	const name = "net/core/rps_sock_flow_entries"
	runtime.LockOSThread()
	first := device.NamespaceOf(t, 1)
	defer first.Close()
	var old []byte
	device.Inside(t, first, func() {
		var err error
		if old, err = os.ReadFile("/proc/sys/" + name); err != nil {
			t.Fatal(err)
		}
		device.Sysctl(t, name, value)
	})
	t.Cleanup(func() {
		first := device.NamespaceOf(t, 1)
		defer first.Close()
		device.Inside(t, first, func() { device.Sysctl(t, name, string(old)) })
	})
}

// pin keeps the thread on a CPU, until the end of the test.
func pin(t *testing.T, cpu int) {
	t.Helper()
	var old unix.CPUSet
	if err := unix.SchedGetaffinity(0, &old); err != nil {
		t.Fatal(err)
	}
	device.Pin(t, 0, cpu)
	t.Cleanup(func() { unix.SchedSetaffinity(0, &old) })
}

// descriptor is a descriptor of the socket, for reads in the thread that makes
// them.
func descriptor(t *testing.T, conn *net.UDPConn) int {
	t.Helper()
	file, err := conn.File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return int(file.Fd())
}
