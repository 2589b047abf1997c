// SPDX-License-Identifier: MIT

package tunbpf

import (
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf"
)

// The flag without which there is no such map: memory as it is needed.
const noPrealloc = 1

// A key4 and a key6 are struct bpf_lpm_trie_key with an address.
type key4 struct {
	Bits    uint32
	Address [4]byte
}

type key6 struct {
	Bits    uint32
	Address [16]byte
}

// Sizes of the keys.
const (
	keySize4 = 8
	keySize6 = 20
)

type key interface {
	key4 | key6
	prefix() netip.Prefix
}

func (k key4) prefix() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4(k.Address), int(k.Bits))
}

func (k key6) prefix() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom16(k.Address), int(k.Bits))
}

func newTrie(name string, keySize, max int) (*ebpf.Map, error) {
	m, err := ebpf.NewMap(&ebpf.MapSpec{
		Name: name, Type: ebpf.LPMTrie, KeySize: uint32(keySize), ValueSize: 1,
		MaxEntries: uint32(max), Flags: noPrealloc,
	})
	if err != nil {
		return nil, loadError("make the map "+name, err)
	}
	return m, nil
}

// addAll returns how many keys it added.
func addAll[K key](m *ebpf.Map, keys []K) (int, error) {
	if len(keys) == 0 {
		return 0, nil
	}
	return m.BatchUpdate(keys, make([]uint8, len(keys)), nil)
}

func removeAll[K key](m *ebpf.Map, keys []K) error {
	if len(keys) == 0 {
		return nil
	}
	n, err := m.BatchDelete(keys, nil)
	if err != nil && n < len(keys) {
		return fmt.Errorf("tunbpf: remove prefix %v: %w (%d before it were removed)", keys[n].prefix(), err, n)
	}
	return err
}

func walk[K key](m *ebpf.Map) ([]netip.Prefix, error) {
	var all []netip.Prefix
	var k K
	var value uint8
	entries := m.Iterate()
	for entries.Next(&k, &value) {
		all = append(all, k.prefix())
	}
	if err := entries.Err(); err != nil {
		return nil, fmt.Errorf("tunbpf: list prefixes: %w", err)
	}
	return all, nil
}
