// SPDX-License-Identifier: MIT

//go:build linux

package device

import (
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"
)

// Coalesce is what "ethtool -c" shows of a mytun device.
type Coalesce struct{ RxUsecs, RxFrames, TxUsecs uint32 }

// Places of struct ethtool_coalesce, in words.
const (
	coalesceWords   = 23
	coalesceRxUsecs = 1
	coalesceRxMax   = 2
	coalesceTxUsecs = 5
	coalesceTxMax   = 6
)

// CoalesceOf is what "ethtool -c" shows.
func CoalesceOf(t testing.TB, name string) Coalesce {
	t.Helper()
	w := ethtoolWords(t, name, unix.ETHTOOL_GCOALESCE, coalesceWords-1)
	return Coalesce{w[coalesceRxUsecs-1], w[coalesceRxMax-1], w[coalesceTxUsecs-1]}
}

// TrySetCoalesce is "ethtool -C". A txFrames other than 0 is a setting that
// mytun does not have.
func TrySetCoalesce(t testing.TB, name string, c Coalesce, txFrames uint32) error {
	t.Helper()
	return Ethtool(t, name, coalesceCommand(unix.ETHTOOL_SCOALESCE, c, txFrames))
}

func coalesceCommand(command uint32, c Coalesce, txFrames uint32) []byte {
	words := make([]uint32, coalesceWords)
	words[0] = command
	words[coalesceRxUsecs], words[coalesceRxMax], words[coalesceTxUsecs] = c.RxUsecs, c.RxFrames, c.TxUsecs
	words[coalesceTxMax] = txFrames
	b := make([]byte, 4*coalesceWords)
	encodeWords(b, words...)
	return b
}

// SetCoalesce is TrySetCoalesce that must succeed.
func SetCoalesce(t testing.TB, name string, c Coalesce) {
	t.Helper()
	if err := TrySetCoalesce(t, name, c, 0); err != nil {
		t.Fatalf("ethtool -C %s %+v: %v", name, c, err)
	}
}

// perQueue is struct ethtool_per_queue_op for one queue, with its payload.
func perQueue(queue int, payload []byte) []byte {
	const mask = 8 // bytes before the mask of 4096 queues
	b := make([]byte, mask+4096/8, mask+4096/8+len(payload))
	encodeWords(b, unix.ETHTOOL_PERQUEUE, binary.NativeEndian.Uint32(payload))
	b[mask+queue/8] |= 1 << (queue % 8)
	return append(b, payload...)
}

// QueueCoalesceOf is what "ethtool -Q queue_mask ... --show-coalesce" shows.
func QueueCoalesceOf(t testing.TB, name string, queue int) (Coalesce, error) {
	t.Helper()
	b := perQueue(queue, coalesceCommand(unix.ETHTOOL_GCOALESCE, Coalesce{}, 0))
	err := Ethtool(t, name, b)
	w := make([]uint32, coalesceWords)
	decode(b[len(b)-4*coalesceWords:], w)
	return Coalesce{w[coalesceRxUsecs], w[coalesceRxMax], w[coalesceTxUsecs]}, err
}

// TrySetQueueCoalesce is "ethtool -Q queue_mask ... --coalesce".
func TrySetQueueCoalesce(t testing.TB, name string, queue int, c Coalesce) error {
	t.Helper()
	return Ethtool(t, name, perQueue(queue, coalesceCommand(unix.ETHTOOL_SCOALESCE, c, 0)))
}
