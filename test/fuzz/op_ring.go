// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"encoding/binary"
	"math/rand/v2"
	"sync/atomic"

	"github.com/mytun/mytun/test/device"
)

// What a process writes into the rings. The mappings may not be there: then the
// operation faults, which is its thread's to survive.

// word stores a value.
func (w *world) word(_ *thread, a []uint64) error {
	own, _ := w.words(a[0])
	atomic.StoreUint32(own[a[1]], uint32(a[2]))
	return nil
}

// follow stores a value that is so far from the kernel's index.
func (w *world) follow(_ *thread, a []uint64) error {
	own, peer := w.words(a[0])
	atomic.StoreUint32(own[a[1]], atomic.LoadUint32(peer[a[1]])+uint32(a[2]))
	return nil
}

// put writes a frame where the producer is and publishes it. Whether there is
// room is for the kernel to see.
func (w *world) put(file uint64, h []byte, payload []byte) {
	own, _ := w.words(file)
	producer, size := atomic.LoadUint32(own[2]), w.size[file][1].Load()
	at := w.room(file, txData)[producer&^(device.FrameAlign-1)&(size-1):]
	copy(at, h)
	copy(at[device.FrameHeader:], payload)
	atomic.StoreUint32(own[2], producer+device.Footprint(len(payload)))
}

// announce rings the tx doorbell, if the kernel asked for it.
func (w *world) announce(file uint64, before uint32) error {
	own, _ := w.words(file)
	asked := atomic.LoadUint32(word(w.room(file, kernelPage), w.geometry.Tx.NeedWakeup))
	if !device.Passed(asked, atomic.LoadUint32(own[2]), before) {
		return nil
	}
	return device.Signal(eventOf(2*file + 1))
}

// push sends frames that are as they should be, to find out what the stack does
// with them.
func (w *world) push(_ *thread, a []uint64) error {
	f := w.packet(a[0], packets[a[1]], claims[a[2]], int(a[3]))
	h := f.Header()
	own, _ := w.words(a[0])
	before := atomic.LoadUint32(own[2])
	for range a[4] {
		w.put(a[0], encode(&h), f.Data)
	}
	return w.announce(a[0], before)
}

// frame sends one frame with any header.
func (w *world) frame(_ *thread, a []uint64) error {
	payload := w.packet(a[0], packets[a[1]], "plain", int(a[2])).Data
	h := device.Header{
		Length: uint32(len(payload)) + uint32(a[3]), Flags: uint32(a[4]), Hash: uint32(a[5]),
		Vnet: device.VnetHeader{
			Flags: uint8(a[5]), GSOType: uint8(a[6]), HdrLen: uint16(a[7]),
			GSOSize: uint16(a[8]), CsumStart: uint16(a[9]), CsumOffset: uint16(a[10]),
		},
	}
	own, _ := w.words(a[0])
	before := atomic.LoadUint32(own[2])
	w.put(a[0], encode(&h), payload)
	return w.announce(a[0], before)
}

// pull takes frames out of the rx ring, as long as their lengths make sense, and
// asks for a wake-up.
func (w *world) pull(_ *thread, a []uint64) error {
	own, peer := w.words(a[0])
	size := w.size[a[0]][0].Load()
	consumer := atomic.LoadUint32(own[0])
	for range a[1] {
		if atomic.LoadUint32(peer[0]) == consumer {
			break
		}
		length := binary.NativeEndian.Uint32(w.room(a[0], rxData)[consumer&^(device.FrameAlign-1)&(size-1):])
		consumer += device.Footprint(int(min(length, device.FrameMax)))
	}
	atomic.StoreUint32(own[1], consumer)
	atomic.StoreUint32(own[0], consumer)
	return device.Signal(eventOf(2*a[0] + 1))
}

// junk writes random words to random places.
func (w *world) junk(_ *thread, a []uint64) error {
	_, length := w.regionOf(a[0], a[1])
	random, words := rand.New(rand.NewPCG(a[2], 1)), uint32(min(length, roomSize)/4)
	for range a[3] {
		atomic.StoreUint32(word(w.room(a[0], a[1]), 4*random.Uint32N(words)), random.Uint32()>>random.IntN(32))
	}
	return nil
}

// flip changes words again and again while other threads, and the kernel, read
// them. Most values are right ones: a ring that is broken is not read any more.
func (w *world) flip(_ *thread, a []uint64) error {
	random := rand.New(rand.NewPCG(a[2], 2))
	one := [...]func(*rand.Rand, uint64){w.flipHeader, w.flipWord, w.flipPayload, w.flipProducer, w.flipConsumer}[a[1]]
	for range a[3] {
		one(random, a[0])
	}
	return nil
}

// frameAt is a place in the tx ring where a frame may begin.
func (w *world) frameAt(random *rand.Rand, file uint64) []byte {
	frames := w.size[file][1].Load() / device.FrameAlign
	return w.room(file, txData)[random.Uint32N(min(frames, 64))*device.FrameAlign:]
}

func (w *world) flipHeader(random *rand.Rand, file uint64) {
	lengths := [...]uint32{32, 32, 96, 60, 20, 0, 1500, 1 << 31}
	at := w.frameAt(random, file)
	atomic.StoreUint32(word(at, 0), lengths[random.IntN(len(lengths))])
	tunnel, offsets := 0, uint32(0)
	if random.IntN(4) == 0 {
		tunnel, offsets = 1+random.IntN(3), uint32(random.IntN(64)|random.IntN(128)<<16)
	}
	atomic.StoreUint32(word(at, 12), uint32(random.IntN(2)|(random.IntN(6)|tunnel<<5)<<8))
	atomic.StoreUint32(word(at, 16), uint32(random.IntN(64)|random.IntN(64)<<16))
	atomic.StoreUint32(word(at, 24), offsets)
}

func (w *world) flipWord(random *rand.Rand, file uint64) {
	own, _ := w.words(file)
	atomic.StoreUint32(own[1+2*random.IntN(2)], random.Uint32())
}

func (w *world) flipPayload(random *rand.Rand, file uint64) {
	at := w.frameAt(random, file)
	at[device.FrameHeader] = byte(4+2*random.IntN(2))<<4 | byte(random.IntN(16))
	at[device.FrameHeader+9] = [...]byte{6, 17, 4, 1, 47}[random.IntN(5)]
}

func (w *world) flipProducer(random *rand.Rand, file uint64) {
	own, peer := w.words(file)
	atomic.StoreUint32(own[2], atomic.LoadUint32(peer[2])+random.Uint32N(8)*device.FrameAlign)
}

func (w *world) flipConsumer(random *rand.Rand, file uint64) {
	own, peer := w.words(file)
	atomic.StoreUint32(own[0], atomic.LoadUint32(peer[0])-random.Uint32N(8)*device.FrameAlign)
}
