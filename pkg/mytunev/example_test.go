// SPDX-License-Identifier: MIT

package mytunev_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"log"
	"net"

	"github.com/mytun/mytun/pkg/mytunev"
)

// A program that answers pings to every address that is routed to its device.
func Example() {
	dev, err := mytunev.Open(mytunev.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer dev.Close()
	log.Printf("ip addr add 10.1.0.1/24 dev %s && ip link set %[1]s up && ping 10.1.0.2", dev.Name())
	log.Fatal(dev.Run(context.Background(), answer))
}

func answer(b *mytunev.Batch) error {
	for f := range b.Frames() {
		p := f.Data
		if len(p) < 28 || p[0] != 0x45 || p[9] != 1 || p[20] != 8 { // IPv4, ICMP, echo request
			continue
		}
		for i := range 4 { // from there to here: all sums stay what they are
			p[12+i], p[16+i] = p[16+i], p[12+i]
		}
		p[20] = 0 // echo reply: 0x0800 less, which the checksum has more
		sum := uint32(binary.BigEndian.Uint16(p[22:])) + 0x0800
		binary.BigEndian.PutUint16(p[22:], uint16(sum+sum>>16))
		if err := b.Send(p); err != nil {
			return err
		}
	}
	return nil
}

// Frames built in place and published together: one doorbell at most.
func ExampleQueue_SendBatch() {
	dev, err := mytunev.Open(mytunev.Config{Mode: mytunev.TAP})
	if err != nil {
		log.Fatal(err)
	}
	defer dev.Close()
	err = dev.Queues()[0].SendBatch(func(tx *mytunev.Tx) error {
		for i := range 1000 {
			if err := tx.WaitSpace(60); err != nil {
				return err
			}
			frame, err := tx.Reserve(60)
			if err != nil {
				return err
			}
			clear(frame)
			frame[59] = byte(i)
			if err := tx.Commit(len(frame)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
}

// A tunnel that encrypts each frame where it is in the ring, and sends it from there.
// Its packets are a counter of 8 bytes, then what AES-GCM makes of the frame.
func ExampleFrame_Extend() {
	const counterBytes, tagBytes, nonceBytes = 8, 16, 12
	key := make([]byte, 32)
	rand.Read(key) // a real tunnel agrees with its peer on one
	block, err := aes.NewCipher(key)
	if err != nil {
		log.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		log.Fatal(err)
	}
	peer, err := net.DialUDP("udp", nil, &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 4500})
	if err != nil {
		log.Fatal(err)
	}
	defer peer.Close()
	dev, err := mytunev.Open(mytunev.Config{Headroom: counterBytes, Tailroom: tagBytes})
	if err != nil {
		log.Fatal(err)
	}
	defer dev.Close()

	var counter uint64
	var nonce [nonceBytes]byte
	log.Fatal(dev.Run(context.Background(), func(b *mytunev.Batch) error {
		for f := range b.Frames() {
			counter++
			packet := f.Extend(counterBytes, tagBytes)
			header := packet[:counterBytes]
			binary.BigEndian.PutUint64(header, counter)
			copy(nonce[nonceBytes-counterBytes:], header)
			aead.Seal(header, nonce[:], f.Data, header)
			if _, err := peer.Write(packet); err != nil {
				log.Print(err) // the frame is lost, as on any wire
			}
		}
		return nil
	}))
}
