// SPDX-License-Identifier: MIT

package tunbpf

import (
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// Results of a filter.
const (
	drop = 0
	keep = -1 // as many bytes as there are
)

// Where things are on the stack: a key, and the first bytes of a header.
const (
	stackKey   = -24
	stackFirst = -28
	keyAddress = 4 // in the key
)

// assemblePrefix assembles, in C:
//
//	if (!is_ip())
//		return keep;
//	struct bpf_lpm_trie_key key = { .prefixlen = 8 * bytes };
//	if (bpf_skb_load_bytes(skb, offset + at, &key.data, bytes))
//		return drop;
//	return (bpf_map_lookup_elem(&prefixes, &key) != NULL) == (policy == Allow) ? keep : drop;
func assemblePrefix(c PrefixConfig, v4, v6 *ebpf.Map) *assembler {
	at4, at6 := int32(16), int32(24)
	if c.Match == Source {
		at4, at6 = 12, 8
	}
	onList, offList := "drop", "keep"
	if c.Policy == Allow {
		onList, offList = offList, onList
	}
	a := &assembler{}
	a.begin()
	a.findIP(c.Mode, stackFirst, places{ipv4: "ipv4", ipv6: "ipv6", other: "keep", short: "drop"})
	a.mark("ipv4")
	a.address(4, at4, 4)
	a.lookUp(v4, stackKey)
	a.add(asm.Ja.Label("verdict"))
	a.mark("ipv6")
	a.address(6, at6, 16)
	a.lookUp(v6, stackKey)
	a.mark("verdict")
	a.add(
		asm.JNE.Imm(asm.R0, 0, onList),
		asm.Ja.Label(offList),
	)
	a.mark("keep")
	a.end(keep)
	a.mark("drop")
	a.end(drop)
	return a
}

// address makes a key of an address in the header at regOffset. The key's first half
// comes last: without CAP_PERFMON, older verifiers keep helpers from writing next to
// what a program stored.
func (a *assembler) address(version, at, bytes int32) {
	a.load(0, stackFirst, 1, "drop")
	a.version(asm.R1, stackFirst)
	a.add(asm.JNE.Imm(asm.R1, version, "drop"))
	a.load(at, stackKey+keyAddress, bytes, "drop")
	a.add(asm.StoreImm(asm.RFP, stackKey, int64(8*bytes), asm.Word))
}
