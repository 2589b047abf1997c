// SPDX-License-Identifier: MIT

//go:build mytun_device

package conform

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/mytun/mytun/test/device"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// randomCall is a kind of call: how its arguments are drawn, and what it does.
type randomCall struct {
	name   string
	weight int
	args   []argument
	run    func(p *play, a []int)
}

type argument func(*rand.Rand) int

// play is what a sequence is played with: some descriptors, two names.
type play struct {
	*world
	set   uint16
	files []*file
}

const filesOfPlay = 3

var namesOfPlay = []string{"conf", "conf1"}

func newPlay(w *world, set uint16) *play {
	p := &play{world: w, set: set}
	for i := range filesOfPlay {
		p.files = append(p.files, &file{w, fmt.Sprint("f", i), -1})
	}
	w.files = append(w.files, p.files...)
	return p
}

// pick draws one of some numbers.
func pick(numbers ...int) argument {
	return func(r *rand.Rand) int { return numbers[r.IntN(len(numbers))] }
}

// below draws a number, low ones more often: calls are to meet.
func below(limit int) argument {
	return func(r *rand.Rand) int { return r.IntN(r.IntN(limit) + 1) }
}

var (
	anyFile = below(filesOfPlay)
	anyName = below(len(namesOfPlay))
	edges   = pick(0, 1, 2, 3, 10, 12, 20, 100, 1000, 65535, 65536, 1<<31-1, 1<<31, -1, -2)
	lengths = pick(0, 1, 3, 13, 14, 15, 20, 34, 60, 100, 1000, 1514, 4096)
)

// randomSet is the kind of the device that a sequence is about.
func randomSet(r *rand.Rand) uint16 {
	set := [...]uint16{unix.IFF_TUN, unix.IFF_TAP}[r.IntN(2)]
	for _, flag := range []uint16{
		unix.IFF_NO_PI, unix.IFF_VNET_HDR, unix.IFF_NAPI, device.NoCarrier, unix.IFF_ONE_QUEUE, unix.IFF_MULTI_QUEUE,
	} {
		if r.IntN(3) == 0 {
			set |= flag
		}
	}
	return set
}

// anyChange is what a TUNSETIFF asks for otherwise than the sequence's set. That
// has or has not many queues: see canSend.
func anyChange(r *rand.Rand) int {
	if r.IntN(4) != 0 {
		return 0
	}
	return int(flags[r.IntN(len(flags))].bit &^ unix.IFF_MULTI_QUEUE)
}

// canSend tells whether what the kernel sends to a device comes on the same queue
// of both: with many, its hash decides, which is not the same.
func canSend(set uint16) bool { return set&unix.IFF_MULTI_QUEUE == 0 }

// intCommands take the address of an int, or answer at it; numberCommands take
// a number.
var (
	intCommands = []struct {
		name    string
		request uint
	}{
		{"TUNGETSNDBUF", unix.TUNGETSNDBUF}, {"TUNSETSNDBUF", unix.TUNSETSNDBUF},
		{"TUNGETVNETHDRSZ", unix.TUNGETVNETHDRSZ}, {"TUNSETVNETHDRSZ", unix.TUNSETVNETHDRSZ},
		{"TUNGETVNETLE", unix.TUNGETVNETLE}, {"TUNSETVNETLE", unix.TUNSETVNETLE},
		{"TUNGETVNETBE", unix.TUNGETVNETBE}, {"TUNSETVNETBE", unix.TUNSETVNETBE},
		{"TUNSETCARRIER", unix.TUNSETCARRIER}, {"TUNGETFEATURES", unix.TUNGETFEATURES},
		{"TUNSETIFINDEX", unix.TUNSETIFINDEX},
	}
	numberCommands = []struct {
		name    string
		request uint
	}{
		{"TUNSETPERSIST", unix.TUNSETPERSIST}, {"TUNSETOWNER", unix.TUNSETOWNER}, {"TUNSETGROUP", unix.TUNSETGROUP},
		{"TUNSETLINK", unix.TUNSETLINK}, {"TUNSETNOCSUM", unix.TUNSETNOCSUM}, {"TUNSETDEBUG", unix.TUNSETDEBUG},
		{"TUNSETOFFLOAD", unix.TUNSETOFFLOAD}, {"TUNDETACHFILTER", unix.TUNDETACHFILTER},
	}
)

var randomCalls = []randomCall{
	{"open", 3, []argument{anyFile}, (*play).reopen},
	{"close", 2, []argument{anyFile}, func(p *play, a []int) { p.files[a[0]].close() }},
	{"dup", 1, []argument{anyFile, anyFile}, (*play).dup},
	{"attach", 4, []argument{anyFile, anyName, anyChange}, (*play).attach},
	{"getiff", 3, []argument{anyFile}, func(p *play, a []int) { p.files[a[0]].getiff() }},
	{"int", 8, []argument{anyFile, below(len(intCommands)), edges}, (*play).intCommand},
	{"number", 6, []argument{anyFile, below(len(numberCommands)), edges}, (*play).numberCommand},
	{"nowhere", 2, []argument{anyFile, below(len(intCommands))}, (*play).nowhere},
	{"setqueue", 2, []argument{anyFile, pick(unix.IFF_ATTACH_QUEUE, unix.IFF_DETACH_QUEUE, unix.IFF_DETACH_QUEUE, 0, 0x600, 1)},
		func(p *play, a []int) { p.files[a[0]].setqueue(uint16(a[1])) }},
	{"filter", 2, []argument{anyFile, pick(0, 14, 60, 1<<16)}, (*play).filter},
	{"txfilter", 2, []argument{anyFile, pick(0, 1), below(12)}, (*play).txfilter},
	{"program", 2, []argument{anyFile, below(2), pick(-1, 0, 20, 1<<16)}, (*play).program},
	{"hardware address", 1, []argument{anyFile, pick(1, 1, 0, 0xfffe), below(4)}, (*play).hardwareAddress},

	{"read", 6, []argument{anyFile, lengths, pick(0, 1, 4096), pick(0, 0, 8, 1, 0x20, 0x80)}, (*play).readSome},
	{"drain", 3, []argument{anyFile}, (*play).drain},
	{"write", 8, []argument{anyFile, lengths, pick(0, 0, 0, 1, 4), pick(0, 0, 0, 8, 1, 0x20, 0x80), pick(1, 2), pick(-1, -1, -1, 0, 1, 2, 3, 4, 5, 6, 8, 10, 14)}, (*play).writeSome},
	{"send", 8, []argument{anyName, lengths, pick(1, 1, 3, 50)}, (*play).send},
	{"poll", 5, []argument{anyFile}, func(p *play, a []int) { p.files[a[0]].events("") }},
	{"fcntl", 1, []argument{anyFile, pick(0, unix.O_ASYNC)}, (*play).fcntl},

	{"up", 3, []argument{anyName}, (*play).setUp},
	{"down", 2, []argument{anyName}, (*play).setDown},
	{"mtu", 2, []argument{anyName, pick(0, 67, 68, 500, 1500, 9000, 65521, 65535, 65536)}, (*play).setMTU},
	{"txqueuelen", 2, []argument{anyName, pick(0, 1, 5, 100, 500)}, (*play).setTxQueueLen},
	{"rename", 1, []argument{anyName, anyName}, (*play).rename},
	{"delete", 1, []argument{anyName}, (*play).delete},
	{"look", 3, []argument{anyName}, (*play).lookAt},
}

func callNamed(name string) *randomCall {
	return &randomCalls[slices.IndexFunc(randomCalls, func(c randomCall) bool { return c.name == name })]
}

func drawCall(r *rand.Rand) *randomCall {
	sum := 0
	for _, c := range randomCalls {
		sum += c.weight
	}
	left := r.IntN(sum)
	for i := range randomCalls {
		if left -= randomCalls[i].weight; left < 0 {
			return &randomCalls[i]
		}
	}
	panic("weights do not add up")
}

func (p *play) reopen(a []int) {
	f := p.files[a[0]]
	f.close()
	fd, err := unix.Open(p.node, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	f.fd = fd
	f.log("open", "%s", outcome(err))
}

func (p *play) dup(a []int) {
	from, to := p.files[a[0]], p.files[a[1]]
	if from == to {
		return
	}
	to.close()
	fd, err := unix.FcntlInt(uintptr(from.fd), unix.F_DUPFD_CLOEXEC, 0)
	to.fd = fd
	to.log("is a copy of "+from.name, "%s", outcome(err))
}

// attach makes what is random of a device the same for both, and what they are
// known to begin with otherwise.
func (p *play) attach(a []int) {
	p.files[a[0]].attach(namesOfPlay[a[1]], p.set^uint16(a[2]))
	if link, err := netlink.LinkByName(namesOfPlay[a[1]]); err == nil {
		netlink.LinkSetTxQLen(link, 500)
		netlink.LinkSetHardwareAddr(link, net.HardwareAddr(mac(1)))
	}
}

func (p *play) intCommand(a []int) {
	c := intCommands[a[1]]
	p.files[a[0]].call(fmt.Sprintf("%s %d", c.name, a[2]), c.request, le32(uint32(a[2])))
}

func (p *play) numberCommand(a []int) {
	c := numberCommands[a[1]]
	p.files[a[0]].value(c.name, c.request, uintptr(uint32(a[2])))
}

func (p *play) nowhere(a []int) {
	c := intCommands[a[1]]
	p.files[a[0]].value(c.name, c.request, 0)
}

func (p *play) filter(a []int) {
	f := p.files[a[0]]
	accept := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: uint32(a[1])}
	f.call(fmt.Sprintf("TUNATTACHFILTER returns %d", a[1]), unix.TUNATTACHFILTER, program(p.world, accept))
}

func (p *play) txfilter(a []int) {
	list := addresses(multi, 1, byte(a[2]))
	p.files[a[0]].call(fmt.Sprintf("TUNSETTXFILTER flags %d, %d addresses", a[1], len(list)),
		unix.TUNSETTXFILTER, txfilter(uint16(a[1]), uint16(len(list)), list...))
}

func (p *play) program(a []int) {
	name, request := "TUNSETFILTEREBPF", uint(unix.TUNSETFILTEREBPF)
	if a[1] == 1 {
		name, request = "TUNSETSTEERINGEBPF", unix.TUNSETSTEERINGEBPF
	}
	fd := le32(1<<32 - 1)
	if a[2] >= 0 {
		loaded := p.load(ebpf.SocketFilter, int32(a[2]))
		defer loaded.Close()
		fd = le32(uint32(loaded.FD()))
	}
	p.files[a[0]].program(fmt.Sprintf("%s, returns %d", name, a[2]), request, fd)
}

func (p *play) hardwareAddress(a []int) {
	f := p.files[a[0]]
	f.call(fmt.Sprintf("SIOCSIFHWADDR type %d, %d", a[1], a[2]), unix.SIOCSIFHWADDR, hwaddr(uint16(a[1]), mac(byte(a[2]))...))
	f.call("SIOCGIFHWADDR", unix.SIOCGIFHWADDR, hwaddr(0))
}

// readSome reads in two parts, with flags of preadv2.
func (p *play) readSome(a []int) {
	f := p.files[a[0]]
	vector := [][]byte{bytes.Repeat([]byte{0x55}, a[1]), bytes.Repeat([]byte{0x55}, a[2])}
	n, err := unix.Preadv2(f.fd, vector, -1, a[3])
	f.log(fmt.Sprintf("read %d and %d, flags %#x", a[1], a[2], a[3]), "%s, %x",
		result(n, err), bytes.TrimRight(bytes.Join(vector, nil), "\x55"))
}

// drain reads all that waits, and counts it.
func (p *play) drain(a []int) {
	f, frames, bytes := p.files[a[0]], 0, 0
	b := make([]byte, 1<<16)
	n, err := unix.Read(f.fd, b)
	for ; err == nil && n > 0; n, err = unix.Read(f.fd, b) {
		frames, bytes = frames+1, bytes+n
	}
	f.log("read all", "%d, %d bytes, then %s", frames, bytes, result(n, err))
}

// writeSome writes a frame of the sequence's kind, cut short or not, in parts,
// perhaps with another byte in one place.
func (p *play) writeSome(a []int) {
	f := p.files[a[0]]
	b := append(prefix(p.set, 8), frame(p.set, max(a[1], 20))...)
	b = b[:len(b)-min(a[2], len(b))]
	if at := a[5]; at >= 0 && at < len(b) {
		b[at] ^= 1
	}
	each := len(b) / a[4]
	vector := [][]byte{b[:each], b[each:]}
	n, err := unix.Pwritev2(f.fd, vector, -1, a[3])
	f.log(fmt.Sprintf("write %d in %d, flags %#x, byte %d", len(b), a[4], a[3], a[5]), "%s", result(n, err))
}

// send lets the kernel send to a device, once it is as up as it will be.
func (p *play) send(a []int) {
	name := namesOfPlay[a[0]]
	p.settle(name)
	link, err := netlink.LinkByName(name)
	if err != nil {
		p.log("send to "+name, "%s", "no link")
		return
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		p.Fatal(err)
	}
	defer unix.Close(fd)
	to := &unix.SockaddrLinklayer{Ifindex: link.Attrs().Index, Protocol: 0x0008}
	for range a[2] {
		err = unix.Sendto(fd, frame(p.set, max(a[1], 20)), unix.MSG_DONTWAIT, to)
	}
	p.log(fmt.Sprintf("send %d times %d to %s", a[2], a[1], name), "%s", outcome(err))
}

// settle waits until a worker of the kernel has done what follows from a change
// of the carrier.
func (p *play) settle(name string) {
	p.Helper()
	device.WaitFor(p, "what follows from the carrier", func() bool {
		header, attributes, err := getLink(name)
		if err != nil || header[8]&unix.IFF_UP == 0 {
			return true
		}
		carrier, state := attributes[unix.IFLA_CARRIER], attributes[unix.IFLA_OPERSTATE]
		isDown := state[0] == netlink.OperDown || state[0] == netlink.OperLowerLayerDown
		return (carrier[0] == 0) == isDown
	})
}

func (p *play) fcntl(a []int) {
	f := p.files[a[0]]
	_, err := unix.FcntlInt(uintptr(f.fd), unix.F_SETFL, unix.O_NONBLOCK|a[1])
	flags, err2 := unix.FcntlInt(uintptr(f.fd), unix.F_GETFL, 0)
	f.log(fmt.Sprintf("fcntl %#x", a[1]), "%s, %#x, %s", outcome(err), flags, outcome(err2))
}

// change does something to a link, which may not be there.
func (p *play) change(what string, name int, f func(netlink.Link) error) {
	link, err := netlink.LinkByName(namesOfPlay[name])
	if err != nil {
		p.log(what+" "+namesOfPlay[name], "no link")
		return
	}
	p.log(what+" "+namesOfPlay[name], "%s", outcome(f(link)))
}

func (p *play) setUp(a []int)   { p.change("up", a[0], netlink.LinkSetUp) }
func (p *play) setDown(a []int) { p.change("down", a[0], netlink.LinkSetDown) }
func (p *play) delete(a []int)  { p.change("delete", a[0], netlink.LinkDel) }

func (p *play) setMTU(a []int) {
	p.change(fmt.Sprintf("mtu %d", a[1]), a[0], func(l netlink.Link) error { return netlink.LinkSetMTU(l, a[1]) })
}

func (p *play) setTxQueueLen(a []int) {
	p.change(fmt.Sprintf("txqueuelen %d", a[1]), a[0], func(l netlink.Link) error { return netlink.LinkSetTxQLen(l, a[1]) })
}

func (p *play) rename(a []int) {
	p.change("rename to "+namesOfPlay[a[1]]+":", a[0], func(l netlink.Link) error { return netlink.LinkSetName(l, namesOfPlay[a[1]]) })
}

func (p *play) lookAt(a []int) {
	name := namesOfPlay[a[0]]
	p.settle(name)
	if !device.LinkExists(name) {
		p.log("look at "+name, "no link")
		return
	}
	p.look(name)
	p.counters(name)
}
