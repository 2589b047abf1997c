// SPDX-License-Identifier: MIT

//go:build linux

package workload

import (
	"fmt"

	"github.com/mytun/mytun/bench/result"
	"golang.org/x/crypto/chacha20poly1305"
)

// cipherPeer is the peer of rows that tell what WireGuard's cipher costs alone.
const cipherPeer = "cipher"

// cipherCost is what it takes to encrypt a packet of that size and to decrypt it again, as wireguard-go does: no contestant can do without. By a clock that
// counts instructions it is the base of the others' figures.
func cipherCost(e *Env, size int) (base float64, s []Sample, err error) {
	const packets = 4096
	cipher, err := chacha20poly1305.New(make([]byte, chacha20poly1305.KeySize))
	if err != nil {
		return 0, nil, err
	}
	if err := crossCipher(cipher.Seal, cipher.Open, size, 16); err != nil { // what is done once
		return 0, nil, err
	}
	from, err := e.usage()
	if err != nil {
		return 0, nil, err
	}
	if err := crossCipher(cipher.Seal, cipher.Open, size, packets); err != nil {
		return 0, nil, err
	}
	to, err := e.usage()
	if err != nil {
		return 0, nil, err
	}
	each := float64(to.Sub(from).Process.Nanoseconds()) / packets
	if e.Clock == result.Icount {
		return each, []Sample{{cipherPeer, result.MetricInstructions, "instr/packet", each}}, nil
	}
	return 0, []Sample{{cipherPeer, result.MetricProcessCPU, "ns/packet", each}}, nil
}

// crossCipher encrypts and decrypts a packet so many times, padded to 16 bytes as WireGuard does.
func crossCipher(seal func(dst, nonce, plaintext, data []byte) []byte, open func(dst, nonce, ciphertext, data []byte) ([]byte, error),
	size, times int) error {
	packet := make([]byte, (size+15)&^15, size+15+chacha20poly1305.Overhead)
	nonce := make([]byte, chacha20poly1305.NonceSize)
	for i := range times {
		nonce[4], nonce[5] = byte(i), byte(i>>8)
		sealed := seal(packet[:0], nonce, packet, nil)
		opened, err := open(sealed[:0], nonce, sealed, nil)
		if err != nil || len(opened) != len(packet) {
			return fmt.Errorf("a packet of %d bytes is %d after the cipher: %w", len(packet), len(opened), err)
		}
	}
	return nil
}
