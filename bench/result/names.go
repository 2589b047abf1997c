// SPDX-License-Identifier: MIT

package result

import "strings"

// The peers, in the order that a table has them; the last three are in none.
const (
	PeerTun       = "tun"       // stock tun, read and write
	PeerNAPI      = "tun-napi"  // stock tun with IFF_NAPI
	PeerWireGuard = "wireguard" // stock tun through golang.zx2c4.com/wireguard/tun
	PeerVhost     = "vhost-net" // vhost-net on a stock tap
	PeerMytun     = "mytun"
	PeerMytunRW   = "mytun-rw" // mytun without rings, read and write as stock tun; on demand
	PeerMytunA    = "mytun A"  // two builds of mytun's module, which the native clock compares
	PeerMytunB    = "mytun B"
)

// Peers returns the peers in the order that a table has them.
func Peers() []string {
	return []string{PeerTun, PeerNAPI, PeerWireGuard, PeerVhost, PeerMytun}
}

// The workloads that targets are set for. There may be others.
const (
	WorkloadRx          = "rx"            // packets towards the program
	WorkloadTx          = "tx"            // packets from the program
	WorkloadForwardUDP  = "forward-udp"   // UDP without GSO, through a program with two interfaces
	WorkloadForwardTCP1 = "forward-tcp-1" // one TCP flow through the same
	WorkloadForwardTCP8 = "forward-tcp-8" // eight TCP flows
	WorkloadOverlayUDP  = "overlay-udp"   // forward-udp in VXLAN: both ends of a tunnel have the program between them
	WorkloadOverlayTCP  = "overlay-tcp-1" // one TCP flow the same way
	WorkloadPing        = "ping"          // on an idle machine
	WorkloadPingLoad    = "ping-load"     // beside other traffic
	WorkloadHandOff     = "hand-off"      // ping through another goroutine; the number of Ps follows
	WorkloadOverload    = "overload"      // twice the rate that the program can take
)

// The workloads of a VPN: wireguard-go at both ends, each in a process of its own, over PeerWireGuard and over PeerMytun. Over PeerTun, on
// demand, it is the adapter for mytun on stock tun.
const (
	WorkloadVPNTCP1  = "vpn-tcp-1"
	WorkloadVPNTCP8  = "vpn-tcp-8"
	WorkloadVPNUDP   = "vpn-udp"   // without GSO
	WorkloadVPNVXLAN = "vpn-vxlan" // small datagrams in a VXLAN tunnel over the VPN
	WorkloadVPNPing  = "vpn-ping"
)

// The metrics, with the unit that each is to be in. "net" is what remains after the generator's own cost, measured in the same run, is subtracted.
const (
	MetricInstructions    = "instructions"             // instr/packet
	MetricNetInstructions = "net instructions"         // instr/packet
	MetricPackets         = "packets"                  // packets/s
	MetricThroughput      = "throughput"               // Gb/s
	MetricProcessCPU      = "process CPU"              // ns/packet
	MetricAllCPU          = "all CPUs"                 // ns/packet
	MetricProcessPackets  = "packets a process second" // packets/s
	MetricCPUPackets      = "packets a CPU second"     // packets/s, of all CPUs together
	MetricSyscalls        = "system calls"             // 1/packet, whatever their number
	MetricReadWrite       = "read and write"           // 1/packet, calls that move packets: read, write and their kin
	MetricDoorbells       = "doorbells"                // 1/packet, both directions
	MetricLost            = "lost"                     // packets, lost inside the device
	MetricRTTP50          = "RTT p50"                  // us
	MetricRTTP99          = "RTT p99"                  // us
)

// The metrics of the native clock beside MetricProcessCPU and MetricDoorbells.
const (
	MetricTime      = "time"         // ns/packet, from one to the next, whoever spends it
	MetricTimeFree  = "calls free"   // ns/packet, as if the system call that each packet is cost nothing to enter and to leave
	MetricTimeHost  = "host's calls" // ns/packet, as if it cost what it costs outside of User-mode Linux
	MetricThreadCPU = "thread CPU"   // ns/packet, of the device's kernel threads
	MetricSenderCPU = "sender CPU"   // ns/packet, of the generators
	MetricDropped   = "dropped"      // %, of the packets that were offered
	MetricCall      = "system call"  // ns
)

// HigherIsBetter tells the direction of a unit: rates ("packets/s", "Gb/s") are better when higher, costs, times and losses when lower.
func HigherIsBetter(unit string) bool {
	return strings.HasSuffix(unit, "/s")
}
