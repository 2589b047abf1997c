// SPDX-License-Identifier: MIT

//go:build mytun_device

package conform

import (
	"encoding/binary"
	"fmt"
	"path"
	"slices"
	"syscall"
	"testing"

	"github.com/mytun/mytun/test/device"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Attributes of a tun device in RTM_NEWLINK, of linux/if_link.h.
const (
	iflaTunNumQueues         = 8
	iflaTunNumDisabledQueues = 9
)

// A listener hears what the kernel tells everybody of links.
type listener struct{ socket *nl.NetlinkSocket }

func listen(t *testing.T) *listener {
	t.Helper()
	s, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK)
	if err != nil {
		t.Fatalf("listen to links: %v", err)
	}
	t.Cleanup(s.Close)
	return &listener{s}
}

// queues is what was told last of a device's queues, in use and disabled; what is told
// of a change is told before the call that makes it returns.
func (l *listener) queues(t *testing.T, name string, before string) (last string) {
	t.Helper()
	last = before
	for b := make([]byte, 1<<16); ; {
		n, _, err := unix.Recvfrom(l.socket.GetFd(), b, unix.MSG_DONTWAIT)
		if err == unix.EAGAIN {
			return last
		}
		if err != nil {
			t.Fatalf("receive: %v", err)
		}
		messages, err := syscall.ParseNetlinkMessage(b[:n])
		if err != nil {
			t.Fatalf("messages: %v", err)
		}
		for _, m := range messages {
			if told, found := queuesTold(t, m.Data, name); m.Header.Type == unix.RTM_NEWLINK && found {
				last = told
			}
		}
	}
}

// queuesTold takes a message about a link apart.
func queuesTold(t *testing.T, message []byte, name string) (told string, found bool) {
	t.Helper()
	link := attributes(t, message[unix.SizeofIfInfomsg:])
	if got := link[unix.IFLA_IFNAME]; string(got) != name+"\x00" {
		return "", false
	}
	data := attributes(t, attributes(t, link[unix.IFLA_LINKINFO])[nl.IFLA_INFO_DATA])
	number := func(kind uint16) uint32 {
		if b := data[kind]; len(b) == 4 {
			return binary.NativeEndian.Uint32(b)
		}
		return 0
	}
	return fmt.Sprintf("%d in use, %d disabled", number(iflaTunNumQueues), number(iflaTunNumDisabledQueues)), true
}

func attributes(t *testing.T, b []byte) map[uint16][]byte {
	t.Helper()
	list, err := nl.ParseRouteAttr(b)
	if err != nil {
		t.Fatalf("attributes: %v", err)
	}
	of := map[uint16][]byte{}
	for _, a := range list {
		of[a.Attr.Type&^unix.NLA_F_NESTED] = a.Value
	}
	return of
}

// TestQueuesAreToldOf: who listens to links knows after each call how many queues a
// device has, of both drivers.
func TestQueuesAreToldOf(t *testing.T) {
	const name = "mytold"
	records := map[string][]string{}
	for _, node := range device.Nodes {
		t.Run(path.Base(node), func(t *testing.T) {
			device.Sandbox(t)
			l := listen(t)
			var files []*device.File
			attach := func() {
				f := device.OpenNode(t, node, 0)
				f.Attach(t, name, device.TAP|device.Multi)
				files = append(files, f)
			}
			last := "nothing"
			for _, step := range []struct {
				what string
				do   func()
			}{
				// of a device that is down nothing is told
				{"the first queue attaches", func() { attach(); device.Up(t, name) }},
				{"the second attaches", attach},
				{"the third attaches", attach},
				{"the fourth attaches", attach},
				{"the second is parked", func() { files[1].SetQueue(t, unix.IFF_DETACH_QUEUE) }},
				{"the second is taken back", func() { files[1].SetQueue(t, unix.IFF_ATTACH_QUEUE) }},
				{"the second leaves", func() { files[1].Close() }},
				{"the last leaves", func() { files[3].Close() }},
				{"the third is parked", func() { files[2].SetQueue(t, unix.IFF_DETACH_QUEUE) }},
				{"the third leaves, parked", func() { files[2].Close() }},
			} {
				step.do()
				last = l.queues(t, name, last)
				records[node] = append(records[node], step.what+": "+last)
			}
		})
	}
	if stock, mytun := records[device.StockNode], records[device.Node]; !slices.Equal(stock, mytun) {
		for i := range stock {
			if i >= len(mytun) || stock[i] != mytun[i] {
				t.Errorf("stock tun: %s; mytun: %v", stock[i], mytun[i:min(i+1, len(mytun))])
			}
		}
	}
}
