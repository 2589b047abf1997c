// SPDX-License-Identifier: MIT

package mytunev

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
)

// header makes what the header of a tx frame should be.
func header(length int, m metadata) []byte {
	h := make([]byte, frameHeader)
	binary.NativeEndian.PutUint32(h, uint32(length))
	binary.NativeEndian.PutUint32(h[4:], m.flags)
	binary.NativeEndian.PutUint32(h[8:], m.hash)
	copy(h[12:], m.vnet[:])
	return h
}

// TestMetadata sends by each way of giving a frame metadata.
func TestMetadata(t *testing.T) {
	v := VNetHeader{Flags: VNetNeedsChecksum, GSOType: GSOTCPv6, HdrLen: 60, GSOSize: 1440, CsumStart: 40, CsumOffset: 16}
	var raw [vnetSize]byte
	encodeVNet(&raw, v)
	payload := pattern(3000, 1)
	commit := func(f func(tx *Tx) error) func(*Tx) error {
		return func(tx *Tx) error {
			slot, err := tx.Reserve(len(payload))
			if err != nil {
				return err
			}
			copy(slot, payload)
			return f(tx)
		}
	}
	for name, c := range map[string]struct {
		send func(tx *Tx) error
		want metadata
	}{
		"Commit":     {commit(func(tx *Tx) error { return tx.Commit(3000) }), metadata{}},
		"CommitVNet": {commit(func(tx *Tx) error { return tx.CommitVNet(3000, v) }), vnetMetadata(v)},
		"CommitHash": {commit(func(tx *Tx) error { return tx.CommitHash(3000, v, 0xFEEDBEEF) }), metadata{raw, 1, 0xFEEDBEEF}},
		"Send":       {func(tx *Tx) error { return tx.Send(payload) }, metadata{}},
		"SendVNet":   {func(tx *Tx) error { return tx.SendVNet(payload, v) }, vnetMetadata(v)},
		"SendHash":   {func(tx *Tx) error { return tx.SendHash(payload, v, 0xFEEDBEEF) }, metadata{raw, 1, 0xFEEDBEEF}},
		"SendFrame": {func(tx *Tx) error {
			f := frameWith(v)
			f.Data, f.Hash, f.HashValid = payload, 5, true
			return tx.SendFrame(f)
		}, metadata{raw, 1, 5}},
		"SendFrame, no hash": {func(tx *Tx) error {
			return tx.SendFrame(Frame{Data: payload, Hash: 5})
		}, metadata{}},
	} {
		t.Run(name, func(t *testing.T) {
			q, k := newFake(t)
			if err := q.SendBatch(c.send); err != nil {
				t.Fatal(err)
			}
			got := k.receive(1)
			if len(got) != 1 || !bytes.Equal(got[0], payload) || !bytes.Equal(k.txHeader, header(3000, c.want)) {
				t.Errorf("%d frames, the last with header\n%x, want\n%x", len(got), k.txHeader, header(3000, c.want))
			}
		})
	}
}

func TestQueueSendHash(t *testing.T) {
	q, k := newFake(t)
	if err := q.SendHash(pattern(100, 1), VNetHeader{}, 9); err != nil {
		t.Fatal(err)
	}
	if k.receive(1); !bytes.Equal(k.txHeader, header(100, metadata{flags: 1, hash: 9})) {
		t.Errorf("header %x", k.txHeader)
	}
}

func TestQueueSendVNet(t *testing.T) {
	q, k := newFake(t)
	v := VNetHeader{Flags: VNetNeedsChecksum, CsumStart: 20, CsumOffset: 6}
	if err := q.SendVNet(pattern(100, 1), v); err != nil {
		t.Fatal(err)
	}
	if k.receive(1); !bytes.Equal(k.txHeader, header(100, vnetMetadata(v))) {
		t.Errorf("header %x", k.txHeader)
	}
	q.port.vnet = false
	if err := q.SendVNet(pattern(100, 1), v); !errors.Is(err, ErrNotSupported) {
		t.Errorf("without Config.Offload: %v, want ErrNotSupported", err)
	}
	if k.take() != nil {
		t.Error("a frame was sent all the same")
	}
}

// TestHashIsAHint: a module that takes no hashes is given none.
func TestHashIsAHint(t *testing.T) {
	q, k := newFake(t)
	q.port.hash = false
	if err := q.SendBatch(func(tx *Tx) error { return tx.SendFrame(Frame{Data: pattern(9, 1), Hash: 5, HashValid: true}) }); err != nil {
		t.Fatal(err)
	}
	if k.receive(1); !bytes.Equal(k.txHeader, header(9, metadata{})) {
		t.Errorf("header %x", k.txHeader)
	}
}

func TestCommitHashWithoutReserve(t *testing.T) {
	q, _ := newFake(t)
	if err := q.SendBatch(func(tx *Tx) error { return tx.CommitHash(1, VNetHeader{}, 1) }); err != errNoReservation {
		t.Errorf("%v, want %v", err, errNoReservation)
	}
}
