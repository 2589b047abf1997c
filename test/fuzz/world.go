// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/mytun/mytun/test/device"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Descriptors of slots have fixed numbers, which the Go runtime never gets:
// a thread that uses one while another closes it hits nothing else.
const (
	firstFile  = 100
	firstEvent = 110
	stashFile  = 118 // and the one after it: a pair of sockets
)

// The arena is where mappings go: a room for each region of each file. What is
// not mapped there is reserved, for the same reason. It is far below where the
// kernel puts mappings that ask for no address: what a remap leaves free, until
// it is reserved again, the Go runtime does not get either.
const (
	roomSize   = 128 << 20
	arenaSize  = files * 4 * roomSize
	arenaPlace = 4 << 30
)

// Regions, in the order of their names.
const (
	kernelPage = iota
	userPage
	rxData
	txData
)

// world is what the operations of a program work on, of all its threads at
// once: they race on purpose. Its own fields are atomic or never change.
type world struct {
	arena    []byte
	geometry device.Info // of any queue with rings; sizes are those of the smallest
	limit    unix.Rlimit
	tell     bool // what became of each operation

	// of each file, as far as is known
	flags [files]atomic.Uint32    // that it was attached with
	vnet  [files]atomic.Uint32    // bytes of the virtio_net_hdr before a frame
	size  [files][2]atomic.Uint32 // of the rings, rx and tx; a power of two

	children atomic.Pointer[[]int]

	otherOnce sync.Once
	other     netns.NsHandle // see elsewhere
}

// newWorld reserves the arena. The geometry is what askGeometry said.
func newWorld(geometry device.Info) (*world, error) {
	w := &world{geometry: geometry}
	var err error
	if w.arena, err = newArena(); err != nil {
		return nil, err
	}
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &w.limit); err != nil {
		return nil, err
	}
	return w, w.reset()
}

// askGeometry makes a device for as long as it takes to ask the kernel where
// everything is.
func askGeometry() (device.Info, error) {
	fd, err := unix.Open(device.Node, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return device.Info{}, err
	}
	f := &device.File{FD: fd}
	defer f.Close()
	if _, err := f.TryAttach("fz0", device.TUN); err != nil {
		return device.Info{}, fmt.Errorf("TUNSETIFF: %w", err)
	}
	config := device.RingConfig{RxSize: device.RingSizeMin, TxSize: device.RingSizeMin}
	if err := f.TrySetRings(config); err != nil {
		return device.Info{}, fmt.Errorf("MYTUN_IOC_SET_RINGS: %w", err)
	}
	return f.TryInfo()
}

// reset closes and unmaps all that a program left. No thread runs any more.
func (w *world) reset() error {
	for fd := firstFile; fd <= stashFile+1; fd++ {
		unix.Close(fd)
	}
	w.killChildren()
	for i := range files {
		w.flags[i].Store(device.TUN)
		w.vnet[i].Store(vnetSize)
		w.setSize(uint64(i), device.RingSizeMin, device.RingSizeMin)
	}
	unix.Setrlimit(unix.RLIMIT_NOFILE, &w.limit)
	return w.reserve(w.arena)
}

// reserve takes whatever is mapped there away, without giving the addresses
// back: to the kernel it is an munmap.
func (w *world) reserve(part []byte) error {
	return device.MapFixed(part, -1, 0, len(part), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
}

func (w *world) isTAP(file uint64) bool { return w.flags[file].Load()&unix.IFF_TAP != 0 }

// setSize keeps the sizes of a file's rings. A direction without one is written
// as if it had the smallest.
func (w *world) setSize(file uint64, rx, tx uint32) {
	w.size[file][0].Store(max(rx, device.RingSizeMin))
	w.size[file][1].Store(max(tx, device.RingSizeMin))
}

// room is where a region of a file is mapped, if it is.
func (w *world) room(file, region uint64) []byte {
	at := (file*4 + region) * roomSize
	return w.arena[at : at+roomSize : at+roomSize]
}

// regionOf is a region's offset for mmap and how many bytes it has.
func (w *world) regionOf(file, region uint64) (offset, length uint64) {
	g := &w.geometry
	switch region {
	case kernelPage:
		return g.KernelPageOffset, uint64(g.PageLength)
	case userPage:
		return g.UserPageOffset, uint64(g.PageLength)
	case rxData:
		return g.Rx.DataOffset, 2 * uint64(w.size[file][0].Load())
	default:
		return g.Tx.DataOffset, 2 * uint64(w.size[file][1].Load())
	}
}

// words are the four words that a process writes, in the order of userWords,
// and the peer's index that each of them follows.
func (w *world) words(file uint64) (own, peer [4]*uint32) {
	g, user, kernel := &w.geometry, w.room(file, userPage), w.room(file, kernelPage)
	own = [4]*uint32{
		word(user, g.Rx.Consumer), word(user, g.Rx.NeedWakeup), word(user, g.Tx.Producer), word(user, g.Tx.NeedSpace),
	}
	rx, tx := word(kernel, g.Rx.Producer), word(kernel, g.Tx.Consumer)
	return own, [4]*uint32{rx, rx, tx, tx}
}

// file is the descriptor of a slot, which may be closed.
func fileOf(slot uint64) *device.File { return &device.File{FD: firstFile + int(slot)} }

func eventOf(slot uint64) int { return firstEvent + int(slot) }

// place moves a new descriptor to a slot's number.
func place(fd int, err error, at int) error {
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Dup3(fd, at, unix.O_CLOEXEC)
}

func encode(v any) []byte {
	b, err := binary.Append(nil, binary.NativeEndian, v)
	if err != nil {
		panic(err)
	}
	return b
}
