// SPDX-License-Identifier: MIT

//go:build linux

package device

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// Ethtool gives a command to a device of the thread's namespace.
func Ethtool(t testing.TB, name string, command []byte) error {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	return ethtoolIoctl(fd, name, command)
}

// ethtoolWords gives a command whose answer is words, and returns those.
func ethtoolWords(t testing.TB, name string, command uint32, words int) []uint32 {
	t.Helper()
	b := make([]byte, 4*(1+words))
	binary.NativeEndian.PutUint32(b, command)
	if err := Ethtool(t, name, b); err != nil {
		t.Fatalf("ethtool command %#x: %v", command, err)
	}
	answer := make([]uint32, 1+words)
	decode(b, answer)
	return answer[1:]
}

func cString(b []byte) string {
	s, _, _ := bytes.Cut(b, []byte{0})
	return string(s)
}

// Driver is what "ethtool -i" shows, and how many counters there are.
type Driver struct {
	Name, Version, Bus string
	Counters           uint32
}

// DriverOf asks for ETHTOOL_GDRVINFO.
func DriverOf(t testing.TB, name string) Driver {
	t.Helper()
	b := make([]byte, 196) // struct ethtool_drvinfo
	binary.NativeEndian.PutUint32(b, unix.ETHTOOL_GDRVINFO)
	if err := Ethtool(t, name, b); err != nil {
		t.Fatalf("ethtool -i: %v", err)
	}
	return Driver{cString(b[4:36]), cString(b[36:68]), cString(b[100:132]), binary.NativeEndian.Uint32(b[180:])}
}

// ChannelsOf is what "ethtool -l" shows: the most combined channels, and how
// many there are.
func ChannelsOf(t testing.TB, name string) (most, count uint32) {
	t.Helper()
	w := ethtoolWords(t, name, unix.ETHTOOL_GCHANNELS, 8)
	return w[3], w[7]
}

// RingsOf is what "ethtool -g" shows.
func RingsOf(t testing.TB, name string) (rxMax, txMax, rx, tx uint32) {
	t.Helper()
	w := ethtoolWords(t, name, unix.ETHTOOL_GRINGPARAM, 8)
	return w[0], w[3], w[4], w[7]
}

// StatisticsOf is what "ethtool -S" shows, in its order.
func StatisticsOf(t testing.TB, name string) (names []string, values map[string]uint64) {
	t.Helper()
	n := int(DriverOf(t, name).Counters)
	names = ethtoolStrings(t, name, stringSetStats, n)
	stats := make([]byte, 8+8*n)
	encodeWords(stats, unix.ETHTOOL_GSTATS, uint32(n))
	if err := Ethtool(t, name, stats); err != nil {
		t.Fatalf("ethtool -S: %v", err)
	}
	values = map[string]uint64{}
	for i, s := range names {
		values[s] = binary.NativeEndian.Uint64(stats[8+8*i:])
	}
	return names, values
}

// PrivateFlagsOf is what "ethtool --show-priv-flags" shows: the names of all, and which bits are set.
func PrivateFlagsOf(t testing.TB, name string) (names []string, set uint32) {
	t.Helper()
	return ethtoolSet(t, name, stringSetPrivate), ethtoolWords(t, name, unix.ETHTOOL_GPFLAGS, 1)[0]
}

// SetPrivateFlags is "ethtool --set-priv-flags", of all at once.
func SetPrivateFlags(t testing.TB, name string, set uint32) {
	t.Helper()
	b := make([]byte, 8)
	encodeWords(b, unix.ETHTOOL_SPFLAGS, set)
	if err := Ethtool(t, name, b); err != nil {
		t.Fatalf("ethtool --set-priv-flags %#x: %v", set, err)
	}
}

// Sets of strings of ETHTOOL_GSTRINGS.
const (
	stringSetStats    = 1
	stringSetPrivate  = 2
	stringSetFeatures = 4
)

// ethtoolStrings asks for the n strings of a set.
func ethtoolStrings(t testing.TB, name string, set uint32, n int) []string {
	t.Helper()
	const length = 32
	b := make([]byte, 12+n*length)
	encodeWords(b, unix.ETHTOOL_GSTRINGS, set, uint32(n))
	if err := Ethtool(t, name, b); err != nil {
		t.Fatalf("ethtool, strings of set %d: %v", set, err)
	}
	strings := make([]string, n)
	for i := range strings {
		strings[i] = cString(b[12+i*length:][:length])
	}
	return strings
}

// ethtoolSet asks how many strings a set has, and for all of them.
func ethtoolSet(t testing.TB, name string, set uint32) []string {
	t.Helper()
	b := make([]byte, 20) // struct ethtool_sset_info and one length
	encodeWords(b, unix.ETHTOOL_GSSET_INFO, 0, 1<<set)
	if err := Ethtool(t, name, b); err != nil {
		t.Fatalf("ethtool, number of strings of set %d: %v", set, err)
	}
	return ethtoolStrings(t, name, set, int(binary.NativeEndian.Uint32(b[16:])))
}

// FeatureNames are the kernel's names of features, by bit.
func FeatureNames(t testing.TB, name string) []string {
	t.Helper()
	return ethtoolSet(t, name, stringSetFeatures)
}

// FeaturesOf is what "ethtool -k" shows as on, by the kernel's own names, such
// as tx-tcp-segmentation.
func FeaturesOf(t testing.TB, name string) map[string]bool {
	t.Helper()
	names := FeatureNames(t, name)
	blocks := (len(names) + 31) / 32
	b := make([]byte, 8+16*blocks)
	encodeWords(b, unix.ETHTOOL_GFEATURES, uint32(blocks))
	if err := Ethtool(t, name, b); err != nil {
		t.Fatalf("ethtool -k: %v", err)
	}
	on := map[string]bool{}
	for i, feature := range names {
		const active = 8 // of struct ethtool_get_features_block
		if binary.NativeEndian.Uint32(b[8+16*(i/32)+active:])>>(i%32)&1 != 0 {
			on[feature] = true
		}
	}
	return on
}

// SetFeature is "ethtool -K" of one feature, by the kernel's own name.
func SetFeature(t testing.TB, name, feature string, on bool) {
	t.Helper()
	names := FeatureNames(t, name)
	bit := slices.Index(names, feature)
	if bit < 0 {
		t.Fatalf("the kernel has no feature %q", feature)
	}
	blocks := (len(names) + 31) / 32
	b := make([]byte, 8+8*blocks)
	encodeWords(b, unix.ETHTOOL_SFEATURES, uint32(blocks))
	mask := uint32(1) << (bit % 32)
	encodeWords(b[8+8*(bit/32):], mask)
	if on {
		encodeWords(b[12+8*(bit/32):], mask)
	}
	if err := Ethtool(t, name, b); err != nil {
		t.Fatalf("ethtool -K %s %v: %v", feature, on, err)
	}
}

func encodeWords(b []byte, words ...uint32) {
	for i, w := range words {
		binary.NativeEndian.PutUint32(b[4*i:], w)
	}
}
