// SPDX-License-Identifier: MIT

package mytunev

import (
	"cmp"
	"fmt"
)

// A Backend is what is at the kernel's end of a Device.
type Backend int

// The backends. The API of a Device is the same over both; what differs is its cost,
// and what docs/guide.md lists in one table.
const (
	// BackendAuto is mytun where its device node is there and can be opened, and
	// stock tun elsewhere. A network device of stock tun's that exists already, by
	// the name of Config.Name, is opened as what it is. What stock tun cannot do and
	// Config asks for is an error as it is with BackendTun: nothing is silently lost.
	// If Config.Path names mytun's node, nothing else is tried.
	BackendAuto Backend = iota

	// BackendMytun is the module: rings that the process shares with the kernel.
	BackendMytun

	// BackendTun is the kernel's own tun driver: one system call a frame. The rings are
	// in the process's own memory, and the goroutines that receive and send move the
	// frames between them and the device, many after one wake-up.
	BackendTun
)

var backendNames = [...]string{"auto", "mytun", "tun"}

// String returns "auto", "mytun", "tun" or a number.
func (b Backend) String() string {
	if !b.known() {
		return fmt.Sprintf("Backend(%d)", int(b))
	}
	return backendNames[b]
}

func (b Backend) known() bool { return b >= 0 && int(b) < len(backendNames) }

// backendVariable is the environment variable that takes the place of Config.Backend
// in all of a process.
const backendVariable = "MYTUN_BACKEND"

// tunPath is the node of stock tun.
const tunPath = "/dev/net/tun"

// A route says which backends are to be tried, and at which nodes.
type route struct {
	backend            Backend
	by                 string // what chose the backend, for people
	mytunNode, tunNode string
	onlyMytun          bool // though backend is BackendAuto
}

// route tells what c, and the value of the environment variable if it is not empty,
// lead to.
func (c Config) route(variable string) (route, error) {
	r := route{backend: c.Backend, by: fmt.Sprintf("Config.Backend is %v", c.Backend), mytunNode: defaultPath, tunNode: tunPath}
	if variable != "" {
		b, err := parseBackend(variable)
		if err != nil {
			return r, err
		}
		r.backend, r.by = b, backendVariable+" is "+variable
	}
	// A Path is a node of the backend that the program had in mind.
	if c.Backend == BackendTun {
		r.tunNode = cmp.Or(c.Path, r.tunNode)
	} else {
		r.mytunNode = cmp.Or(c.Path, r.mytunNode)
		r.onlyMytun = c.Path != ""
	}
	return r, nil
}

func parseBackend(value string) (Backend, error) {
	for b, name := range backendNames {
		if value == name {
			return Backend(b), nil
		}
	}
	return 0, fmt.Errorf("mytunev: the environment variable %s is %q (set it to auto, mytun or tun, or unset it)", backendVariable, value)
}

// Backend tells what is at the kernel's end of d, BackendMytun or BackendTun, and in why
// what made Open choose it: for stock tun, what keeps mytun from being used. why is for
// people, as in a log.
func (d *Device) Backend() (b Backend, why string) { return d.backend, d.why }
