// SPDX-License-Identifier: MIT

//go:build mytun_device

package rights

import (
	"fmt"
	"os"
	"testing"

	"github.com/mytun/mytun/test/device"
)

const ownedDevice = "myowned"

// owner makes a device and does nothing with it.
func owner(t testing.TB) {
	device.NewLink(t, device.Config{Name: ownedDevice})
	fmt.Println("made")
	os.Stdin.Read(make([]byte, 1))
}

// TestFloodIntoAStoppedProcessTakesNoMemory: once the ring and the queue before
// it are full, many times as many frames change nothing.
func TestFloodIntoAStoppedProcessTakesNoMemory(t *testing.T) {
	device.Sandbox(t)
	child := device.StartChild(t, "owner", 0)
	child.ExpectLine(t, "made")
	child.Stop(t)
	const (
		filling = 4000
		flood   = 40000
		size    = 1000
		most    = 2000 // buffers; of the frames there are twenty times as many
		spare   = 16 << 20
	)
	l := device.LinkNamed(ownedDevice)
	conn := l.ListenUDP(t, false, 0)
	send := func(n int) {
		payload := make([]byte, size)
		for range n {
			if _, err := conn.WriteToUDPAddrPort(payload, l.PeerAddr(false, device.PeerPort)); err != nil {
				t.Fatal(err)
			}
		}
	}
	send(filling)
	device.WaitFor(t, "drops", func() bool { return device.Counters(t, l.Name).TxDropped > 0 })
	buffers, slab, dropped := device.Packets(t), device.Meminfo(t, "SUnreclaim"), device.Counters(t, l.Name).TxDropped
	send(flood)
	after := device.Packets(t)
	t.Logf("%d buffers and %d bytes of slabs, then %d and %d", buffers, slab, after, device.Meminfo(t, "SUnreclaim"))
	// a debug kernel keeps what was freed for a while, to find who uses it
	if after > buffers+most && !device.Slow() {
		t.Errorf("%d buffers, %d before %d frames", after, buffers, flood)
	}
	if now := device.Meminfo(t, "SUnreclaim"); now > slab+spare {
		t.Errorf("%d bytes of slabs, %d before %d frames", now, slab, flood)
	}
	if n := device.Counters(t, l.Name).TxDropped - dropped; n < flood*9/10 {
		t.Errorf("only %d of %d frames were dropped: where are the others?", n, flood)
	}
	child.Process.Kill()
	child.Wait()
	device.WaitGone(t, l.Name)
}
