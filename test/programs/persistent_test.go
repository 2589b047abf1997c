// SPDX-License-Identifier: MIT

//go:build mytun_device

package programs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mytun/mytun/test/device"
)

// What tools do that make devices which stay, and what may go wrong with it. Those that are
// told of the device node are told of $NODE.
const (
	ipTuntap = `
ip tuntap add dev stays mode tun user 1000 group 2000
ip tuntap add dev stays mode tun
ip tuntap add dev stays mode tap
ip tuntap add dev lo mode tun
ip tuntap del dev stays mode tap
ip tuntap del dev stays mode tun
ip tuntap del dev stays mode tun
ip tuntap add dev stays mode tap one_queue pi vnet_hdr multi_queue
ip tuntap del dev stays mode tap
ip tuntap del dev stays mode tap multi_queue
ip tuntap add dev a-name-that-is-too-long mode tap
`
	tunctl = `
tunctl -f $NODE -t stays -u 1000 -g 2000
tunctl -f $NODE -t stays -b
tunctl -f $NODE -t lo
tunctl -f $NODE -d stays
tunctl -f $NODE -d stays
`
	openvpnTool = `
openvpn --mktun --dev stays --dev-type tun --dev-node $NODE --user nobody --group nogroup --suppress-timestamps
openvpn --rmtun --dev stays --dev-type tap --dev-node $NODE --suppress-timestamps
openvpn --rmtun --dev stays --dev-type tun --dev-node $NODE --suppress-timestamps
`
)

func TestTunctl(t *testing.T) {
	need(t, "tunctl")
	sameResults(t, tunctl, atNode)
}

func TestIPTuntap(t *testing.T) {
	need(t, "ip")
	t.Run("bind mount", func(t *testing.T) { sameResults(t, ipTuntap, atNode) })
	t.Run("symbolic link", func(t *testing.T) { sameResults(t, ipTuntap, atLink(t.TempDir())) })
	t.Run("list", ipTuntapLists)
}

// atLink is atNode with a symbolic link to the node, which is seen below dir.
func atLink(dir string) func(node string, words ...string) []string {
	const script = `mount --bind /dev/net "$0" && mount -t tmpfs tmpfs /dev/net && ln -s "$0/$1" ` + device.StockNode +
		` && mount -t sysfs sysfs /sys && shift && exec "$@"`
	return func(node string, words ...string) []string {
		return append([]string{"unshare", "--mount", "sh", "-c", script, dir, filepath.Base(node)}, words...)
	}
}

// each runs the commands on its standard input, tells of each how it ended, and which attributes the
// device has then.
const each = `while read -r command; do
	echo "$ $command"
	eval "$command" 2>&1 </dev/null
	echo "exit status $?"
	cd /sys/class/net/stays 2>/dev/null && grep "" tun_flags owner group
	cd /
done`

// sameResults runs commands, one a line, on each node. What they say and how they end must be the
// same, and what there is after each; the first makes a device.
func sameResults(t *testing.T, commands string, at func(node string, words ...string) []string) {
	t.Helper()
	commands = strings.TrimSpace(commands)
	device.LoadStockTun(t)
	device.Sandbox(t)
	var results [2][]string
	for i, node := range device.Nodes {
		cmd := command(at(node, "sh", "-c", each)...)
		cmd.Env = append(os.Environ(), "NODE="+node)
		cmd.Stdin = strings.NewReader(commands + "\n")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("commands for %s: %v\n%s", node, err, out)
		}
		results[i] = strings.Split(strings.ReplaceAll(string(out), node, "NODE"), "\n$ ")
	}
	if !strings.Contains(results[0][0], "exit status 0\ntun_flags:") {
		t.Errorf("stock tun made no device:\n%s", results[0][0])
	}
	if len(results[0]) != len(results[1]) {
		t.Fatalf("on %s\n%q\non %s\n%q", device.Nodes[0], results[0], device.Nodes[1], results[1])
	}
	for i := range results[0] {
		if results[0][i] != results[1][i] {
			t.Errorf("on %s\n%s\non %s\n%s", device.Nodes[0], results[0][i], device.Nodes[1], results[1][i])
		}
	}
}

// ipTuntapLists: it shows what is of the kind tun; mytun's devices are of a kind of their own.
func ipTuntapLists(t *testing.T) {
	device.LoadStockTun(t)
	device.Sandbox(t)
	const script = "ip tuntap add dev stays mode tun && ip tuntap list && ip tuntap del dev stays mode tun"
	for _, node := range device.Nodes {
		listed := run(t, atNode(node, "sh", "-c", script)...)
		if want := node == device.StockNode; strings.Contains(listed, "stays: tun persist") != want {
			t.Errorf("ip tuntap lists %q for a device of %s", listed, node)
		}
	}
}
