// SPDX-License-Identifier: MIT

//go:build linux

package device

import (
	"bytes"
	"encoding/binary"
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

// Driver is what "ethtool -i" shows.
type Driver struct{ Name, Version, Bus string }

// DriverOf asks for ETHTOOL_GDRVINFO.
func DriverOf(t testing.TB, name string) Driver {
	t.Helper()
	b := make([]byte, 196) // struct ethtool_drvinfo
	binary.NativeEndian.PutUint32(b, unix.ETHTOOL_GDRVINFO)
	if err := Ethtool(t, name, b); err != nil {
		t.Fatalf("ethtool -i: %v", err)
	}
	return Driver{cString(b[4:36]), cString(b[36:68]), cString(b[100:132])}
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
	const nameLength, setStats = 32, 1
	n := int(ethtoolDriverStats(t, name))
	strings := make([]byte, 12+n*nameLength)
	encodeWords(strings, unix.ETHTOOL_GSTRINGS, setStats, uint32(n))
	if err := Ethtool(t, name, strings); err != nil {
		t.Fatalf("ethtool -S, names: %v", err)
	}
	stats := make([]byte, 8+8*n)
	encodeWords(stats, unix.ETHTOOL_GSTATS, uint32(n))
	if err := Ethtool(t, name, stats); err != nil {
		t.Fatalf("ethtool -S: %v", err)
	}
	values = map[string]uint64{}
	for i := range n {
		s := cString(strings[12+i*nameLength:][:nameLength])
		names = append(names, s)
		values[s] = binary.NativeEndian.Uint64(stats[8+8*i:])
	}
	return names, values
}

// ethtoolDriverStats is the field n_stats of struct ethtool_drvinfo.
func ethtoolDriverStats(t testing.TB, name string) uint32 {
	t.Helper()
	b := make([]byte, 196)
	binary.NativeEndian.PutUint32(b, unix.ETHTOOL_GDRVINFO)
	if err := Ethtool(t, name, b); err != nil {
		t.Fatalf("ethtool -i: %v", err)
	}
	return binary.NativeEndian.Uint32(b[180:])
}

func encodeWords(b []byte, words ...uint32) {
	for i, w := range words {
		binary.NativeEndian.PutUint32(b[4*i:], w)
	}
}
