// SPDX-License-Identifier: MIT

package mytunev

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"testing"
)

// newAEAD is a cipher with a tag of 16 bytes and a nonce of 12.
func newAEAD(t testing.TB) cipher.AEAD {
	block, err := aes.NewCipher(make([]byte, 16))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	return aead
}

// TestSealInPlace: what a tunnel does, through a ring that is filled several times.
// Sealed packets come back as the frames that went in, and no frame allocates.
func TestSealInPlace(t *testing.T) {
	const frames, header = 4000, 16
	aead := newAEAD(t)
	q, k := newFakeWithRoom(t, header, uint32(aead.Overhead()))
	nonce := make([]byte, aead.NonceSize())
	next := 0
	var opened []byte
	wait := start(t.Context(), q, func(b *Batch) error {
		for f := range b.Frames() {
			want := pattern(1+next%3000, byte(next))
			packet := f.Extend(header, aead.Overhead())
			sealed := aead.Seal(packet[:header], nonce, f.Data, nil)
			if &sealed[0] != &packet[0] || len(sealed) != len(packet) {
				t.Fatalf("frame %d is sealed elsewhere", next)
			}
			var err error
			if opened, err = aead.Open(opened[:0], nonce, packet[header:], nil); err != nil || !bytes.Equal(opened, want) {
				t.Fatalf("frame %d: %d bytes, %v, want %d", next, len(opened), err, len(want))
			}
			if next++; next == frames {
				return errStop
			}
		}
		return nil
	})
	for i := range frames {
		k.send(pattern(1+i%3000, byte(i)))
	}
	if err := wait(); err != errStop {
		t.Error(err)
	}
}

func TestExtendAllocatesNothing(t *testing.T) {
	aead := newAEAD(t)
	c := roomyConsumer(1<<17, 0, 16, 16)
	nonce := make([]byte, aead.NonceSize())
	payload := pattern(1400, 1)
	n := testing.AllocsPerRun(1000, func() {
		putRoomy(c, payload)
		c.poll()
		var f Frame
		if ok, err := c.peek(&f); !ok || err != nil {
			t.Fatal(ok, err)
		}
		aead.Seal(f.Extend(16, 16)[:16], nonce, f.Data, nil)
		c.release()
	})
	if n != 0 {
		t.Errorf("%v allocations a frame", n)
	}
}

// TestRoomWithTheRest: SendFrame, Read and the metadata of frames with room.
func TestRoomWithTheRest(t *testing.T) {
	q, k := newFakeWithRoom(t, 50, 31)
	payload := pattern(1000, 9)
	ctx, cancel := context.WithCancel(t.Context())
	wait := start(ctx, q, func(b *Batch) error {
		for f := range b.Frames() {
			clear(f.Extend(50, 0)[:50])
			if f.VNet() != (VNetHeader{}) || f.NeedsChecksum() || f.Hash != 77 {
				t.Errorf("%+v, hash %d", f.VNet(), f.Hash)
			}
			if err := b.SendFrame(f); err != nil {
				return err
			}
		}
		return nil
	})
	k.put(payload, 77)
	k.show()
	if got := k.receive(1); len(got) != 1 || !bytes.Equal(got[0], payload) {
		t.Error("the frame did not come back")
	}
	cancel()
	wait()
	k.send(payload)
	p := make([]byte, 2000)
	if n, err := q.Read(p); err != nil || !bytes.Equal(p[:n], payload) {
		t.Errorf("Read: %d bytes, %v", n, err)
	}
}
