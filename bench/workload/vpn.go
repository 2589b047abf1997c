// SPDX-License-Identifier: MIT

//go:build linux

package workload

import (
	"crypto/ecdh"
	"encoding/hex"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"time"

	"github.com/mytun/mytun/bench/peer"
	"github.com/mytun/mytun/bench/result"
	"github.com/vishvananda/netlink"
)

// What carries the VPN, and the VPN's interfaces: the MTU is wireguard-go's own.
const (
	wireName     = "wire0"
	wireNearAddr = "10.87.0.1"
	wireFarAddr  = "10.87.0.2"

	vpnName = "vpn0"
	vpnMTU  = 1420
	vpnPort = "51820"

	// vpnQueue is how many packets the queue in front of an interface holds, and a burst has.
	vpnQueue = 2048
)

// A vpn is a WireGuard tunnel between two network namespaces that a wire joins, with wireguard-go at each end, a process each.
type vpn struct {
	near, far *namespace
	ends      []*helper
}

// newVPN makes a tunnel over the devices of that contestant, and returns once it carries packets.
func newVPN(p peer.Peer) (v *vpn, err error) {
	if _, found := vpnBackends[p.Name]; !found && p.Name != result.PeerWireGuard {
		return nil, peer.ErrUnable
	}
	v = &vpn{}
	defer func() {
		if err != nil {
			err = errors.Join(err, v.close())
		}
	}()
	if v.near, err = newNamespace(); err != nil {
		return v, err
	}
	if v.far, err = newNamespace(); err != nil {
		return v, err
	}
	if err := v.joinByWire(); err != nil {
		return v, err
	}
	keys, err := vpnKeys()
	if err != nil {
		return v, err
	}
	if err := v.addEnd(p, v.near, keys[0], keys[1], nearAddr, wireFarAddr); err != nil {
		return v, err
	}
	if err := v.addEnd(p, v.far, keys[1], keys[0], farAddr, wireNearAddr); err != nil {
		return v, err
	}
	return v, v.greet()
}

// joinByWire puts a veth pair between the two.
func (v *vpn) joinByWire() error {
	err := netlink.LinkAdd(&netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: wireName, Namespace: netlink.NsFd(v.near.handle)},
		PeerName:  wireName, PeerNamespace: netlink.NsFd(v.far.handle),
	})
	if err != nil {
		return fmt.Errorf("make a veth pair: %w (modprobe veth)", err)
	}
	return errors.Join(
		v.near.do(func() error { return bringUp(wireName, wireNearAddr+"/24", 0) }),
		v.far.do(func() error { return bringUp(wireName, wireFarAddr+"/24", 0) }))
}

// vpnKeys are the same in each run: nobody else ever sees what they encrypt.
func vpnKeys() (keys [2]*ecdh.PrivateKey, err error) {
	for i := range keys {
		secret := make([]byte, 32)
		secret[0], secret[31] = byte(8*(i+1)), 64
		if keys[i], err = ecdh.X25519().NewPrivateKey(secret); err != nil {
			return keys, err
		}
	}
	return keys, nil
}

// addEnd starts wireguard-go in a namespace and tells it all that wg and ip would.
func (v *vpn) addEnd(p peer.Peer, n *namespace, own, other *ecdh.PrivateKey, address, endpoint string) error {
	end, err := startHelper(n, "vpn-end", p.Name)
	if err != nil {
		return err
	}
	v.ends = append(v.ends, end)
	_, err = end.ask("set",
		"private_key="+hex.EncodeToString(own.Bytes()), "listen_port="+vpnPort,
		"public_key="+hex.EncodeToString(other.PublicKey().Bytes()), "endpoint="+endpoint+":"+vpnPort, "allowed_ip=0.0.0.0/0")
	if err != nil {
		return err
	}
	return n.do(func() error { return bringUp(vpnName, address+"/24", vpnQueue) })
}

// greet has the two ends shake hands: what is sent meanwhile would be lost.
func (v *vpn) greet() error {
	return v.near.do(func() error {
		text, err := exec.Command("ping", "-n", "-c", "1", "-W", "60", farAddr).CombinedOutput()
		if err != nil {
			return fmt.Errorf("no packet comes through the VPN: ping: %w: %s", err, tail(text))
		}
		return nil
	})
}

func (v *vpn) close() error {
	var errs []error
	for _, end := range v.ends {
		errs = append(errs, end.close())
	}
	for _, n := range []*namespace{v.near, v.far} {
		if n != nil {
			errs = append(errs, n.close())
		}
	}
	return errors.Join(errs...)
}

// sum is what the ends answer to a word, together.
func (v *vpn) sum(word string) (sum int, err error) {
	for _, end := range v.ends {
		n, err := end.count(word)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// usage is Env.usage, where the process's time is that of both ends.
func (v *vpn) usage(e *Env) (Usage, error) {
	u, err := e.usage()
	if err != nil {
		return u, err
	}
	cpu, err := v.sum("cpu")
	u.Process = time.Duration(cpu)
	return u, err
}

// calls counts the system calls of both ends while f runs.
func (v *vpn) calls(f func() error) (int, error) {
	before, err := v.sum("calls")
	if err != nil {
		return 0, err
	}
	if err := f(); err != nil {
		return 0, err
	}
	after, err := v.sum("calls")
	return after - before, err
}

// samples are a contestant's figures: packets is how many arrived between two readings, and callsEach how many system calls the ends made for one;
// base is what the cipher takes of it.
func (v *vpn) samples(e *Env, p peer.Peer, u Usage, packets, size int, callsEach, base float64) []Sample {
	s := e.costs(p.Name, u, packets, size, base)
	s = append(s, Sample{p.Name, result.MetricSyscalls, "1/packet", callsEach})
	if e.Clock == result.Icount {
		return s
	}
	perSecond := func(d time.Duration) float64 { return float64(packets) / d.Seconds() }
	return append(s,
		Sample{p.Name, result.MetricCPUPackets, "packets/s", perSecond(u.CPUs)},
		Sample{p.Name, result.MetricProcessPackets, "packets/s", perSecond(u.Process)})
}

// ping is the round trip on an idle machine.
func (v *vpn) ping(p peer.Peer) ([]Sample, error) {
	var text []byte
	err := v.near.do(func() (err error) {
		text, err = exec.Command("ping", "-n", "-c", strconv.Itoa(pings), "-i", pingInterval, farAddr).CombinedOutput()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ping: %w: %s", err, tail(text))
	}
	return pingSamples(p, text)
}
