// SPDX-License-Identifier: MIT

//go:build mytun_device

package conform

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/mytun/mytun/test/device"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// sysfs records attributes of a device below /sys/class/net. The mount is of
// the namespace that the test program started in, so a new one is made.
func (w *world) sysfs(prefix, name string, attributes ...string) {
	w.Helper()
	root := w.mountSysfs()
	for _, a := range attributes {
		w.log(prefix+"sysfs "+a, "%s", readAttribute(root+"/class/net/"+name+"/"+a))
	}
}

func readAttribute(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return outcome(errors.Unwrap(err))
	}
	return strings.TrimSpace(string(text))
}

// mountSysfs shows the thread's namespace until the end of the scenario.
func (w *world) mountSysfs() string {
	w.Helper()
	if w.sys == "" {
		w.sys = w.TempDir()
		if err := unix.Mount("sysfs", w.sys, "sysfs", 0, ""); err != nil {
			w.Fatalf("mount sysfs: %v", err)
		}
	}
	return w.sys
}

// shown are the attributes of RTM_GETLINK that are recorded.
var shown = []struct {
	name string
	kind uint16
}{
	{"mtu", unix.IFLA_MTU}, {"qdisc", unix.IFLA_QDISC}, {"weight", unix.IFLA_WEIGHT},
	{"linkmode", unix.IFLA_LINKMODE}, {"txqlen", unix.IFLA_TXQLEN}, {"group", unix.IFLA_GROUP},
	{"promiscuity", unix.IFLA_PROMISCUITY}, {"tx queues", unix.IFLA_NUM_TX_QUEUES}, {"rx queues", unix.IFLA_NUM_RX_QUEUES},
	{"carrier", unix.IFLA_CARRIER}, {"gso size", unix.IFLA_GSO_MAX_SIZE}, {"gso segs", unix.IFLA_GSO_MAX_SEGS},
	{"min mtu", unix.IFLA_MIN_MTU}, {"max mtu", unix.IFLA_MAX_MTU}, {"broadcast", unix.IFLA_BROADCAST},
}

// look records what "ip -d link" shows, IFLA_TUN_* included. It leaves out
// IFF_RUNNING: the kernel brings that up to date some time after the carrier, which
// is recorded too.
func (w *world) look(name string) {
	w.Helper()
	header, attributes, err := getLink(name)
	if err != nil {
		w.log("link "+name, "%s", outcome(err))
		return
	}
	w.log("link type", "%d", binary.NativeEndian.Uint16(header[2:]))
	w.log("link flags", "%#x", binary.NativeEndian.Uint32(header[8:])&^unix.IFF_RUNNING)
	w.log("link address", "%d bytes", len(attributes[unix.IFLA_ADDRESS]))
	for _, s := range shown {
		w.log("link "+s.name, "%x", attributes[s.kind])
	}
	w.lookInfo(attributes[unix.IFLA_LINKINFO])
	w.sysfs("", name, "tun_flags", "owner", "group", "type", "addr_len")
}

// lookInfo records the kind and the driver's own attributes, each on a line.
func (w *world) lookInfo(info []byte) {
	w.Helper()
	parts := split(w, info)
	w.log("link kind", "%s", strings.TrimRight(string(parts[unix.IFLA_INFO_KIND]), "\x00"))
	var own []string
	for kind, value := range split(w, parts[unix.IFLA_INFO_DATA]) {
		own = append(own, fmt.Sprintf("%d=%x", kind, value))
	}
	slices.Sort(own)
	w.log("link IFLA_TUN", "%s", strings.Join(own, " "))
}

func split(w *world, b []byte) map[uint16][]byte {
	w.Helper()
	attributes, err := nl.ParseRouteAttr(b)
	if err != nil {
		w.Fatalf("netlink attributes %x: %v", b, err)
	}
	parts := map[uint16][]byte{}
	for _, a := range attributes {
		parts[a.Attr.Type] = a.Value
	}
	return parts
}

// getLink asks for RTM_GETLINK: struct ifinfomsg and the attributes.
func getLink(name string) ([]byte, map[uint16][]byte, error) {
	request := nl.NewNetlinkRequest(unix.RTM_GETLINK, 0)
	request.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	request.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)))
	messages, err := request.Execute(unix.NETLINK_ROUTE, 0)
	if err != nil {
		return nil, nil, err
	}
	m := messages[0]
	attributes, err := nl.ParseRouteAttr(m[unix.SizeofIfInfomsg:])
	if err != nil {
		return nil, nil, err
	}
	parts := map[uint16][]byte{}
	for _, a := range attributes {
		parts[a.Attr.Type] = a.Value
	}
	return m[:unix.SizeofIfInfomsg], parts, nil
}

// ethtool records the answer to a command of words, in words.
func (w *world) ethtool(what, name string, size int, command ...uint32) {
	w.Helper()
	b := make([]byte, size)
	for i, word := range command {
		binary.NativeEndian.PutUint32(b[4*i:], word)
	}
	err := device.Ethtool(w, name, b)
	w.log("ethtool "+what, "%s, %x", outcome(err), b)
}

// features records whether each feature that the kernel has is on.
func (w *world) features(name string) {
	w.Helper()
	on := device.FeaturesOf(w, name)
	for _, feature := range device.FeatureNames(w, name) {
		w.log("ethtool -k "+feature, "%v", on[feature])
	}
}

func writeFile(path, text string) error {
	return errors.Unwrap(os.WriteFile(path, []byte(text), 0))
}
