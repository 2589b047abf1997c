// SPDX-License-Identifier: MIT

//go:build linux && amd64

package guest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"time"
	"unsafe"

	"github.com/mytun/mytun/bench/native"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

const (
	pktgenDir = "/proc/net/pktgen/"
	pgctrl    = pktgenDir + "pgctrl"

	nearAddr = "10.88.0.1"
	farAddr  = "10.88.0.2"
	farMAC   = "02:00:00:00:00:02"
	port     = 9 // discard

	// The helpers.
	measureHelper = "measure"
	pktgenHelper  = "pktgen"
	superHelper   = "super"
)

func pktgenCommand(file, command string) error {
	if err := os.WriteFile(file, []byte(command+"\n"), 0); err != nil {
		return fmt.Errorf("pktgen: %q to %s: %w", command, file, err)
	}
	return nil
}

func generatorThread(cpu int) string { return "kpktgend_" + strconv.Itoa(cpu) }

// A generator is the kernel's, on one CPU or several.
type generator struct {
	cpus   int
	helper *exec.Cmd // who waits for its end
}

// startGenerator makes CPUs 0 to cpus-1 send packets of that size to an Ethernet interface, all to its first queue or each to its own.
func startGenerator(device string, size, cpus int, spread bool) (*generator, error) {
	link, err := netlink.LinkByName(device)
	if err != nil {
		return nil, fmt.Errorf("generator for %s: %w", device, err)
	}
	for cpu := range cpus {
		queue := 0
		if spread {
			queue = cpu
		}
		if err := addGenerator(link, cpu, queue, size); err != nil {
			return nil, err
		}
	}
	g := &generator{cpus: cpus}
	g.helper, err = startHelper(pktgenHelper, 0)
	return g, err
}

func addGenerator(link netlink.Link, cpu, queue, size int) error {
	thread, name := pktgenDir+generatorThread(cpu), fmt.Sprintf("%s@%d", link.Attrs().Name, cpu)
	for _, command := range []string{"rem_device_all", "add_device " + name} {
		if err := pktgenCommand(thread, command); err != nil {
			return err
		}
	}
	source := strconv.Itoa(port + cpu)
	for _, command := range []string{
		"pkt_size " + strconv.Itoa(size), "clone_skb 0", "delay 0", "count 0", "dst " + farAddr, "src_min " + nearAddr, "src_max " + nearAddr,
		"dst_mac " + farMAC, "src_mac " + link.Attrs().HardwareAddr.String(), "udp_dst_min 9", "udp_dst_max 9", "udp_src_min " + source,
		"udp_src_max " + source, fmt.Sprintf("queue_map_min %d", queue), fmt.Sprintf("queue_map_max %d", queue),
	} {
		if err := pktgenCommand(pktgenDir+name, command); err != nil {
			return err
		}
	}
	return nil
}

// threads are those that send.
func (g *generator) threads() ([]int, error) {
	var ids []int
	for cpu := range g.cpus {
		more, err := threads(generatorThread(cpu))
		if err != nil {
			return nil, err
		}
		ids = append(ids, more...)
	}
	return ids, nil
}

// stop says so until it is heard: the helper may not have started them yet.
func (g *generator) stop() error {
	ended := make(chan error, 1)
	go func() { ended <- g.helper.Wait() }()
	err := pktgenCommand(pgctrl, "stop")
	for over := false; !over && err == nil; {
		select {
		case err = <-ended:
			over = true
		case <-time.After(50 * time.Millisecond):
			err = pktgenCommand(pgctrl, "stop")
		}
	}
	for cpu := range g.cpus {
		err = errors.Join(err, pktgenCommand(pktgenDir+generatorThread(cpu), "rem_device_all"))
	}
	return err
}

// sendSuper is the helper that sends super-packets through the interface until it is killed.
func sendSuper() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_SEGMENT, native.SuperSegment); err != nil {
		return fmt.Errorf("set segments: %w", err)
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte(net.ParseIP(farAddr).To4())}); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	data := make([]byte, native.SuperSegments*native.SuperSegment)
	for {
		// An interface with a full queue has no buffers; that is no reason to end.
		unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&data[0])), uintptr(len(data)), 0, 0, 0)
	}
}

// fullSocket has no room for a datagram: each goes the stack's whole way and is dropped there, so that its work is short and always the same.
func fullSocket() (*net.UDPConn, error) {
	s, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(nearAddr), Port: port})
	if err != nil {
		return nil, err
	}
	const least = 2048
	if err := s.SetReadBuffer(least); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	c, err := net.DialUDP("udp4", nil, s.LocalAddr().(*net.UDPAddr))
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	defer c.Close()
	for range 8 {
		c.Write(make([]byte, least)) // those that it has no room for are lost
	}
	return s, nil
}

// datagram is a packet to the full socket, of that size, without a checksum of UDP's. A super-packet has the pseudo-header's sum, as the kernel
// wants it.
func datagram(size int, super bool) []byte {
	packet := make([]byte, size)
	from, to := tcpip.AddrFrom4Slice(net.ParseIP(farAddr).To4()), tcpip.AddrFrom4Slice(net.ParseIP(nearAddr).To4())
	ip := header.IPv4(packet)
	ip.Encode(&header.IPv4Fields{TotalLength: uint16(size), TTL: 64, Protocol: uint8(header.UDPProtocolNumber), SrcAddr: from, DstAddr: to})
	ip.SetChecksum(^ip.CalculateChecksum())
	udp := header.UDP(ip.Payload())
	udp.Encode(&header.UDPFields{SrcPort: port, DstPort: port, Length: uint16(len(udp))})
	if super {
		udp.SetChecksum(header.PseudoHeaderChecksum(header.UDPProtocolNumber, from, to, uint16(len(udp))))
	}
	return packet
}
