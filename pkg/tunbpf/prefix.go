// SPDX-License-Identifier: MIT

package tunbpf

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/mytun/mytun/pkg/mytunev"
)

// defaultMax stands in for the zero value of PrefixConfig.Max.
const defaultMax = 1 << 16

// An Address says which of a packet's two addresses counts. The stack sends to a
// device, so the destination is on the process's side.
type Address int

// The addresses of a packet.
const (
	Destination Address = iota
	Source
)

// A Policy says what a list of prefixes is for.
type Policy int

// What a list is for.
const (
	Deny  Policy = iota // packets whose address is on the list are dropped
	Allow               // packets whose address is not on the list are dropped
)

// A PrefixConfig says what NewPrefixFilter makes. The zero value drops, on a TUN
// device, what is sent to an address on the list.
type PrefixConfig struct {
	// Mode is the device's, as [mytunev.Device.Mode] tells it: where a frame's
	// IP header is.
	Mode mytunev.Mode

	// Match is the address that is looked up, the outermost of a tunnel's packet.
	Match Address

	// Policy is what the list is for.
	Policy Policy

	// Max is how many prefixes of either family the list can hold, 0 meaning
	// 65536. Memory is taken only for those that are there.
	Max int
}

func (c PrefixConfig) validate() error {
	switch {
	case c.Match != Destination && c.Match != Source:
		return fmt.Errorf("tunbpf: PrefixConfig.Match is %d, neither Destination nor Source", c.Match)
	case c.Policy != Deny && c.Policy != Allow:
		return fmt.Errorf("tunbpf: PrefixConfig.Policy is %d, neither Deny nor Allow", c.Policy)
	case c.Max < 0 || int64(c.Max) > 1<<31:
		return fmt.Errorf("tunbpf: PrefixConfig.Max is %d, not in 0..2^31", c.Max)
	}
	return checkMode(c.Mode)
}

// A PrefixFilter drops packets by a list of IP prefixes, of any lengths, which may
// overlap. It is about IPv4 and IPv6, behind up to two VLAN tags: other frames,
// such as ARP's, pass. An IP packet that is too short to have an address, or whose
// version is not what its Ethernet header says, is dropped under either policy. An
// Allow list for a TAP device with IPv6 needs the multicast groups of neighbour
// discovery (ff02::/16) as well.
//
// Its methods are safe for concurrent use. What Add and Remove do holds for frames
// that are sent after they returned; frames that are sent meanwhile may meet some of
// the prefixes and not others.
type PrefixFilter struct {
	program *ebpf.Program
	max     int
	guard   guard     // of the maps; keeps changes and walks apart
	v4, v6  *ebpf.Map // of prefix to nothing that counts
}

// NewPrefixFilter loads the program, with an empty list.
func NewPrefixFilter(c PrefixConfig) (*PrefixFilter, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	f := &PrefixFilter{max: cmp.Or(c.Max, defaultMax)}
	if err := f.load(c); err != nil {
		f.release()
		return nil, err
	}
	f.guard.open = true
	return f, nil
}

func (f *PrefixFilter) load(c PrefixConfig) (err error) {
	if f.v4, err = newTrie("tun_prefixes4", keySize4, f.max); err != nil {
		return err
	}
	if f.v6, err = newTrie("tun_prefixes6", keySize6, f.max); err != nil {
		return err
	}
	f.program, err = assemblePrefix(c, f.v4, f.v6).program("tun_prefix")
	return err
}

// Program is what AttachFilter takes. It is closed by Close; of the zero value it is
// nil.
func (f *PrefixFilter) Program() *ebpf.Program {
	if f == nil {
		return nil
	}
	return f.program
}

// Add puts prefixes on the list; those that are there already stay. If one is not
// valid, none is added: one with bits set beyond its length (see
// [netip.Prefix.Masked]), or an IPv4 prefix in the form of an IPv6 one. If there is
// no room for all, the error wraps syscall.ENOSPC and tells how many were added:
// those of IPv4 first, and either family's in their order.
func (f *PrefixFilter) Add(prefixes ...netip.Prefix) error {
	v4, v6, err := sortOut(prefixes)
	if err != nil {
		return err
	}
	if err := f.enter(); err != nil {
		return err
	}
	defer f.guard.leave()
	added, err := addAll(f.v4, v4)
	if err == nil {
		var more int
		more, err = addAll(f.v6, v6)
		added += more
	}
	if err != nil {
		return fmt.Errorf("tunbpf: %d of %d prefixes added: %w (the list has room for %d of either family: PrefixConfig.Max)",
			added, len(prefixes), err, f.max)
	}
	return nil
}

// Remove takes prefixes off the list. One that is not there is an error that wraps
// ebpf.ErrKeyNotExist and names it; those after it may still be on the list, and
// those before it, of the same family, are not.
func (f *PrefixFilter) Remove(prefixes ...netip.Prefix) error {
	v4, v6, err := sortOut(prefixes)
	if err != nil {
		return err
	}
	if err := f.enter(); err != nil {
		return err
	}
	defer f.guard.leave()
	return errors.Join(removeAll(f.v4, v4), removeAll(f.v6, v6))
}

// Prefixes returns the list: IPv4 first, then by address, then by length.
func (f *PrefixFilter) Prefixes() ([]netip.Prefix, error) {
	if err := f.enter(); err != nil {
		return nil, err
	}
	defer f.guard.leave()
	all, err := walk[key4](f.v4)
	if err != nil {
		return nil, err
	}
	more, err := walk[key6](f.v6)
	if err != nil {
		return nil, err
	}
	all = append(all, more...)
	slices.SortFunc(all, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	return all, nil
}

// Close frees the program and the list, unless a device still has the program. The
// other methods then fail with an error that wraps [os.ErrClosed]; a second Close
// does nothing.
func (f *PrefixFilter) Close() error {
	if f.enter() != nil {
		return nil
	}
	defer f.guard.leave()
	f.guard.open = false
	return f.release()
}

func (f *PrefixFilter) release() error {
	return errors.Join(f.program.Close(), f.v4.Close(), f.v6.Close())
}

// enter allows for nil.
func (f *PrefixFilter) enter() error {
	if f == nil {
		return errClosed
	}
	return f.guard.enter()
}

// sortOut makes keys of prefixes, or says which of them is not valid.
func sortOut(prefixes []netip.Prefix) (v4 []key4, v6 []key6, err error) {
	for _, p := range prefixes {
		switch {
		case !p.IsValid():
			return nil, nil, errors.New("tunbpf: invalid prefix (the zero netip.Prefix, or one with a length that its address cannot have)")
		case p.Addr().Is4In6():
			return nil, nil, fmt.Errorf("tunbpf: prefix %v is IPv4 in the form of IPv6: use netip.Addr.Unmap", p)
		case p != p.Masked():
			return nil, nil, fmt.Errorf("tunbpf: prefix %v has bits beyond its length: %v is meant, or another length", p, p.Masked())
		case p.Addr().Is4():
			v4 = append(v4, key4{uint32(p.Bits()), p.Addr().As4()})
		default:
			v6 = append(v6, key6{uint32(p.Bits()), p.Addr().As16()})
		}
	}
	return v4, v6, nil
}
