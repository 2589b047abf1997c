// SPDX-License-Identifier: MIT

//go:build linux

package workload

import (
	"fmt"
	"os"
	"runtime/pprof"
	"strconv"
	"strings"

	mytunwireguard "github.com/mytun/mytun/adapter/wireguard"
	"github.com/mytun/mytun/bench/result"
	"github.com/mytun/mytun/internal/syscount"
	"github.com/mytun/mytun/pkg/mytunev"
	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun"
)

// A vpnEnd is the helper that is an end of a VPN: wireguard-go as it is, over one device or the other.
type vpnEnd struct {
	device *device.Device
	calls  *syscount.Counter // nil until somebody asks
}

// startVPNEnd makes the device in the namespace of the process.
func startVPNEnd(args []string) (act, error) {
	if len(args) != 1 {
		return nil, fmt.Errorf("vpn-end takes the name of a contestant, not %q", args)
	}
	opened, err := openVPNDevice(args[0])
	if err != nil {
		return nil, err
	}
	logger := device.NewLogger(device.LogLevelError, "vpn-end over "+args[0]+": ")
	logger.Errorf = func(format string, args ...any) { fmt.Fprintf(os.Stderr, "vpn-end: "+format+"\n", args...) }
	e := &vpnEnd{device: device.NewDevice(opened, conn.NewDefaultBind(), logger)}
	return e.act, nil
}

// vpnBackends are the contestants that have a VPN through the adapter, and what is to be below it. Over stock tun, which it reads until there is
// nothing more, it shows what wireguard-go's own device could do.
var vpnBackends = map[string]mytunev.Backend{result.PeerMytun: mytunev.BackendMytun, result.PeerTun: mytunev.BackendTun}

// openVPNDevice opens what wireguard-go's own command does, or the adapter's.
func openVPNDevice(name string) (tun.Device, error) {
	if name == result.PeerWireGuard {
		return tun.CreateTUN(vpnName, vpnMTU)
	}
	backend, found := vpnBackends[name]
	if !found {
		return nil, fmt.Errorf("there is no VPN over %q", name)
	}
	if err := os.Setenv("MYTUN_BACKEND", backend.String()); err != nil {
		return nil, err
	}
	return mytunwireguard.CreateTUN(vpnName, vpnMTU)
}

// act takes the words set with lines of WireGuard's protocol, cpu (nanoseconds so far), calls (system calls since it was first asked), and profile
// with a file, which is complete when calls are asked for.
func (e *vpnEnd) act(command []string) (string, error) {
	switch {
	case len(command) > 1 && command[0] == "set":
		return "", e.device.IpcSet(strings.Join(command[1:], "\n") + "\n")
	case len(command) == 1 && command[0] == "cpu":
		used, err := clock(unix.CLOCK_PROCESS_CPUTIME_ID)
		return strconv.FormatInt(used.Nanoseconds(), 10), err
	case len(command) == 1 && command[0] == "calls":
		return e.countCalls()
	case len(command) == 2 && command[0] == "profile":
		file, err := os.Create(command[1])
		if err != nil {
			return "", err
		}
		return "", pprof.StartCPUProfile(file)
	}
	return "", fmt.Errorf("vpn-end takes set, cpu, calls or profile, not %q", command)
}

// countCalls answers 0 at first.
func (e *vpnEnd) countCalls() (string, error) {
	if e.calls == nil {
		pprof.StopCPUProfile()
		counter, err := syscount.Open()
		if err != nil {
			return "", err
		}
		e.calls = counter
		return "0", counter.Start()
	}
	counts, err := e.calls.Counts()
	if err != nil {
		return "", err
	}
	sum := uint64(0)
	for call, n := range counts {
		if call.Number != unix.SYS_BPF {
			sum += n
		}
	}
	return strconv.FormatUint(sum, 10), nil
}
