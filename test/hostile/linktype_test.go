// SPDX-License-Identifier: MIT

//go:build mytun_device

package hostile

import (
	"bytes"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/mytun/mytun/test/device"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// harmless are the kinds of hardware of linux/if_arp.h that a device may be of: no part of the kernel takes devices of these for its
// own, to read or write what only its own have.
var harmless = []int{
	0,                  // NETROM
	1,                  // ETHER
	3,                  // AX25
	6,                  // IEEE802
	256, 257, 258, 259, // SLIP, CSLIP, SLIP6, CSLIP6
	270,          // ROSE
	271,          // X25
	pointToPoint, // PPP
	513,          // HDLC
	516,          // LAPB
	518,          // RAWHDLC
	519,          // RAWIP
	768, 769,     // TUNNEL, TUNNEL6
	772,           // LOOPBACK
	774,           // FDDI
	776,           // SIT
	778,           // IPGRE
	780,           // HIPPI
	801, 802, 803, // IEEE80211, IEEE80211_PRISM, IEEE80211_RADIOTAP
	805,      // IEEE802154_MONITOR
	820, 821, // PHONET, PHONET_PIPE
	823,    // IP6GRE
	824,    // NETLINK
	826,    // VSOCKMON
	noType, // NONE
	0xffff, // VOID
}

const (
	pointToPoint = 512    // ARPHRD_PPP: on a TAP device, appletalk calls what need not be there
	noType       = 0xfffe // ARPHRD_NONE
)

// foreign are kinds that some part of the kernel knows by nothing else.
var foreign = []int{
	19,  // ATM: clip reads what its devices have behind each neighbour
	32,  // INFINIBAND: ipoib takes a pointer out of the parent's private memory
	280, // CAN: isotp unregisters what could not be registered
	773, // LOCALTLK: appletalk calls ndo_do_ioctl, which need not be there
	804, // IEEE802154: its sockets look at ieee802154_ptr
	822, // CAIF: a function pointer is written into private memory as a device appears
	825, // 6LOWPAN: private memory is its own
}

const allTypes = 1 << 16

// TestLinkTypesOfOthersAreRefused: of all 65,536.
func TestLinkTypesOfOthersAreRefused(t *testing.T) {
	for _, tap := range []bool{false, true} {
		device.Sandbox(t)
		f := device.Open(t)
		flags := uint16(device.TUN)
		if tap {
			flags = device.TAP
		}
		f.Attach(t, "mytest%d", flags)
		var taken []int
		for kind := range allTypes {
			switch err := setType(f, kind); {
			case err == nil:
				taken = append(taken, kind)
			case !errors.Is(err, unix.EINVAL):
				t.Errorf("TUNSETLINK %d: %v", kind, err)
			}
		}
		for _, kind := range foreign {
			if slices.Contains(taken, kind) {
				t.Errorf("kind %d, which belongs to others, is taken", kind)
			}
		}
		want := harmless
		if tap {
			want = slices.DeleteFunc(slices.Clone(harmless), func(kind int) bool { return kind == pointToPoint })
		}
		if !slices.Equal(taken, want) {
			t.Errorf("%d kinds are taken, not the %d that are known to be harmless", len(taken), len(want))
		}
		f.Close()
	}
}

func setType(f *device.File, kind int) error {
	return device.IoctlValue(f.FD, unix.TUNSETLINK, uintptr(kind))
}

// TestDeviceOfEachTypeAppearsElsewhere: moved to another namespace and back, a device is shown to
// everybody who waits for devices to appear. It still carries frames then.
func TestDeviceOfEachTypeAppearsElsewhere(t *testing.T) {
	here := device.Sandbox(t)
	there := device.NewNamespace(t)
	l := device.NewLink(t, device.Config{})
	for _, kind := range slices.Concat(foreign, harmless) {
		device.Down(t, l.Name)
		if err := setType(l.Queue().File, kind); err != nil && !errors.Is(err, unix.EINVAL) {
			t.Fatalf("TUNSETLINK %d: %v", kind, err)
		}
		device.Move(t, l.Name, there)
		device.Inside(t, there, func() { device.Move(t, l.Name, here) })
		if err := setType(l.Queue().File, noType); err != nil {
			t.Fatal(err)
		}
		device.Up(t, l.Name)
		device.AddAddress(t, l.Name, l.Host4.String()+"/24")
		l.Exchange(t, false, 1, 1000)
	}
}

// TestAddressOfEachLengthIsSetAnew: what is compared with the device's address is as long as that of its type, and an ioctl has
// room for 14 bytes. What is read behind them a kernel with KASAN tells.
func TestAddressOfEachLengthIsSetAnew(t *testing.T) {
	device.Sandbox(t)
	f := device.Open(t)
	f.Attach(t, "mytest%d", device.TAP)
	for _, kind := range harmless {
		if err := setType(f, kind); err != nil {
			if kind == pointToPoint {
				continue
			}
			t.Fatalf("TUNSETLINK %d: %v", kind, err)
		}
		request := device.Ifreq("", 0)
		if err := device.Ioctl(f.FD, unix.SIOCGIFHWADDR, request); err != nil {
			t.Fatalf("SIOCGIFHWADDR, type %d: %v", kind, err)
		}
		if err := device.Ioctl(f.FD, unix.SIOCSIFHWADDR, request); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			t.Errorf("SIOCSIFHWADDR of the address that a device of type %d has: %v", kind, err)
		}
	}
}

// Types whose addresses are shorter and longer than Ethernet's.
const (
	ethernet    = 1   // ARPHRD_ETHER: 6 bytes
	tunnelOfIP  = 768 // ARPHRD_TUNNEL: 4
	tunnelOfIP6 = 769 // ARPHRD_TUNNEL6: 16
)

// newTypedTAP makes a TAP device with the Ethernet address given.
func newTypedTAP(t *testing.T, address ...byte) (*device.File, string) {
	t.Helper()
	device.Sandbox(t)
	f := device.Open(t)
	name := f.Attach(t, "mytest%d", device.TAP)
	if err := netlink.LinkSetHardwareAddr(device.LinkOf(t, name), address); err != nil {
		t.Fatal(err)
	}
	return f, name
}

func mustSetType(t *testing.T, f *device.File, kind int) {
	t.Helper()
	if err := setType(f, kind); err != nil {
		t.Fatalf("TUNSETLINK %d: %v", kind, err)
	}
}

// TestShorterAddressIsAllThatIsSet: of an address that is shorter than Ethernet's, rtnetlink hands on as many bytes, and has behind
// them whatever was in its memory.
func TestShorterAddressIsAllThatIsSet(t *testing.T) {
	f, name := newTypedTAP(t, 2, 1, 2, 3, 4, 5)
	mustSetType(t, f, tunnelOfIP)
	if err := netlink.LinkSetHardwareAddr(device.LinkOf(t, name), []byte{2, 9, 8, 7}); err != nil {
		t.Fatal(err)
	}
	mustSetType(t, f, ethernet)
	if got, want := device.LinkOf(t, name).Attrs().HardwareAddr, []byte{2, 9, 8, 7, 4, 5}; !bytes.Equal(got, want) {
		t.Errorf("the address is %v, not %v", got, net.HardwareAddr(want))
	}
}

// TestMulticastAddressesGoWithTheirLength: the kernel keeps as many bytes of each as its device's addresses have then, and shows as many as
// they have now.
func TestMulticastAddressesGoWithTheirLength(t *testing.T) {
	f, name := newTypedTAP(t, 2, 1, 2, 3, 4, 5)
	for _, c := range []struct {
		kind int
		want int
	}{{ethernet, 1}, {774, 1}, {tunnelOfIP6, 0}, {ethernet, 0}} { // FDDI's are as long as Ethernet's
		mustSetType(t, f, c.kind)
		if c.want == 1 {
			addMulticast(t, name)
		}
		if got := multicastAddresses(t, name); len(got) != c.want {
			t.Errorf("as type %d the device has %d multicast addresses, not %d: %q", c.kind, len(got), c.want, got)
		}
	}
}

// addMulticast adds the same address each time.
func addMulticast(t *testing.T, name string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	request := device.Ifreq(name, 0)
	copy(request[unix.IFNAMSIZ+2:], []byte{1, 0, 0x5e, 0, 0, 9})
	if err := device.Ioctl(fd, unix.SIOCADDMULTI, request); err != nil {
		t.Fatalf("SIOCADDMULTI: %v", err)
	}
}

// multicastAddresses are the lines that the kernel shows of what a device has of addMulticast: protocols have addresses of their own.
func multicastAddresses(t *testing.T, name string) (lines []string) {
	t.Helper()
	all, err := os.ReadFile("/proc/thread-self/net/dev_mcast")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(all)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[1] == name && strings.HasPrefix(fields[len(fields)-1], "01005e000009") {
			lines = append(lines, line)
		}
	}
	return lines
}
