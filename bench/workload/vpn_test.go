// SPDX-License-Identifier: MIT

//go:build linux

package workload

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/mytun/mytun/bench/peer"
	"github.com/mytun/mytun/bench/result"
	"golang.org/x/crypto/chacha20poly1305"
)

// A countedFile is a counter that a test moves.
type countedFile struct {
	t     *testing.T
	file  *os.File
	value int
}

func newCountedFile(t *testing.T) *countedFile {
	file, err := os.Create(filepath.Join(t.TempDir(), "snmp"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	f := &countedFile{t: t, file: file}
	f.add(0)
	return f
}

// add writes as many bytes each time, over those that are there: a reader finds one value or the other.
func (f *countedFile) add(n int) {
	f.value += n
	if _, err := f.file.WriteAt(fmt.Appendf(nil, "Udp: InDatagrams RcvbufErrors\nUdp: 1 %08d\n", f.value), 0); err != nil {
		f.t.Error(err)
	}
}

func (f *countedFile) watch() *watch {
	file, err := os.Open(f.file.Name())
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { file.Close() })
	return &watch{file: file, counter: overrun, stall: 30 * time.Millisecond}
}

// TestWatchExpect: what has arrived is waited for, and what is lost is not waited for for ever.
func TestWatchExpect(t *testing.T) {
	f := newCountedFile(t)
	w := f.watch()
	w.stall = time.Minute
	late := func() error {
		f.add(3)
		time.AfterFunc(20*time.Millisecond, func() { f.add(2) })
		return nil
	}
	if n, err := w.expect(5, late); n != 5 || err != nil {
		t.Errorf("%d, %v, want 5", n, err)
	}
	w.stall = time.Millisecond
	if n, err := w.expect(5, func() error { f.add(4); return nil }); n != 4 || err != nil {
		t.Errorf("%d, %v, want 4", n, err)
	}
	w.stall = 0 // as if it had not run for longer than that since it sent
	if n, err := w.expect(5, func() error { f.add(4); return nil }); n != 4 || err != nil {
		t.Errorf("%d, %v, want the 4 that came meanwhile", n, err)
	}
	if _, err := w.expect(5, func() error { return os.ErrClosed }); !errors.Is(err, os.ErrClosed) {
		t.Errorf("%v for a sender that fails", err)
	}
	w.file.Close()
	if _, err := w.expect(5, func() error { return nil }); err == nil {
		t.Error("no error without a counter")
	}
}

// TestBurster: arrivals and losses are those of all bursts, of which there is one at least.
func TestBurster(t *testing.T) {
	f := newCountedFile(t)
	each := []int{vpnQueue, vpnQueue - 7, vpnQueue}
	sent := 0
	b := &burster{watch: f.watch(), send: func() error {
		f.add(each[sent%len(each)])
		sent++
		return nil
	}}
	if n, err := b.load(0); n != vpnQueue || b.lost != 0 || err != nil {
		t.Errorf("%d, %d lost, %v", n, b.lost, err)
	}
	n, err := b.load(100 * time.Millisecond)
	if err != nil || sent < 2 || n+b.lost != (sent-1)*vpnQueue || b.lost%7 != 0 || b.lost == 0 {
		t.Errorf("%d arrived and %d lost of %d bursts, %v", n, b.lost, sent, err)
	}
	each = []int{0}
	if n, err := b.load(0); err == nil {
		t.Errorf("%d arrived where nothing was sent", n)
	}
}

// TestVPNKeys: two, the same ones each time, that agree with each other.
func TestVPNKeys(t *testing.T) {
	keys, err := vpnKeys()
	if err != nil {
		t.Fatal(err)
	}
	again, _ := vpnKeys()
	if keys[0].Equal(keys[1]) || !keys[0].Equal(again[0]) || !keys[1].Equal(again[1]) {
		t.Error("the keys are not two, or not the same ones again")
	}
	one, err1 := keys[0].ECDH(keys[1].PublicKey())
	two, err2 := keys[1].ECDH(keys[0].PublicKey())
	if err := errors.Join(err1, err2); err != nil || !bytes.Equal(one, two) {
		t.Errorf("they do not agree: %v", err)
	}
}

// TestVPNOfOthers: a contestant that is neither has no VPN, and nothing is made for it.
func TestVPNOfOthers(t *testing.T) {
	for _, w := range vpnsOfAll() {
		if _, err := w.Run(&Env{Clock: result.Icount}, peer.Peer{Name: result.PeerTun}, w.Sizes[0], 0); !errors.Is(err, peer.ErrUnable) {
			t.Errorf("%s over stock tun by the adapter: %v", w.Name, err)
		}
	}
	for _, w := range vpns {
		if _, err := w.Run(&Env{Clock: result.Wall}, peer.Peer{Name: result.PeerVhost}, w.Sizes[0], 0); !errors.Is(err, peer.ErrUnable) {
			t.Errorf("%s: %v", w.Name, err)
		}
	}
}

// TestVPNsByName: who asks for one gets it by either clock; those of all are for the one that counts instructions.
func TestVPNsByName(t *testing.T) {
	for _, v := range vpns {
		w, err := ByName(v.Name)
		if err != nil || w.Name != v.Name || !w.Has(result.Wall) {
			t.Errorf("%s: %q, %v", v.Name, w.Name, err)
		}
		i := slices.IndexFunc(All(), func(w Workload) bool { return w.Name == v.Name })
		if among := i >= 0; among != (v.Base != nil) || among && All()[i].Has(result.Wall) {
			t.Errorf("%s is of all: %v", v.Name, among)
		}
	}
}

// TestVPNSamples: figures for a CPU second are those of the CPUs' time and of the processes'.
func TestVPNSamples(t *testing.T) {
	v, p := &vpn{}, peer.Peer{Name: result.PeerMytun}
	u := Usage{Wall: 2 * time.Second, Process: 500 * time.Millisecond, CPUs: 4 * time.Second}
	figures := map[string]float64{}
	for _, s := range v.samples(&Env{Clock: result.Wall}, p, u, 1000, 1400, 0.5, 0) {
		figures[s.Metric] = s.Value
	}
	for metric, want := range map[string]float64{
		result.MetricPackets: 500, result.MetricCPUPackets: 250, result.MetricProcessPackets: 2000, result.MetricSyscalls: 0.5,
	} {
		if figures[metric] != want {
			t.Errorf("%s: %v, want %v", metric, figures[metric], want)
		}
	}
	figures = map[string]float64{}
	for _, s := range v.samples(&Env{Clock: result.Icount}, p, u, 1000, 1400, 0.5, 1e6) {
		figures[s.Metric] = s.Value
	}
	if figures[result.MetricNetInstructions] != 3e6 || figures[result.MetricInstructions] != 4e6 {
		t.Errorf("%v", figures)
	}
}

// TestVPNEndRefuses: words that it does not know, and contestants that it is not.
func TestVPNEndRefuses(t *testing.T) {
	e := &vpnEnd{}
	for _, words := range [][]string{nil, {"set"}, {"cpu", "now"}, {"calls", "all"}, {"profile"}, {"nonsense"}} {
		if answer, err := e.act(words); err == nil {
			t.Errorf("%q: %q", words, answer)
		}
	}
	if answer, err := e.act([]string{"cpu"}); err != nil || answer == "0" {
		t.Errorf("cpu: %q, %v", answer, err)
	}
	for _, args := range [][]string{nil, {"nobody"}, {result.PeerMytun, result.PeerTun}} {
		if _, err := startVPNEnd(args); err == nil {
			t.Errorf("%q is an end", args)
		}
	}
}

// TestCrossCipher: a packet comes out as it went in, and a cipher that changes it is found out.
func TestCrossCipher(t *testing.T) {
	cipher, err := chacha20poly1305.New(make([]byte, chacha20poly1305.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{1, 16, 200, 1400} {
		if err := crossCipher(cipher.Seal, cipher.Open, size, 300); err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	forged := func(dst, nonce, ciphertext, data []byte) ([]byte, error) {
		ciphertext[0]++
		return cipher.Open(dst, nonce, ciphertext, data)
	}
	if err := crossCipher(cipher.Seal, forged, 200, 1); err == nil {
		t.Error("a forged packet is none")
	}
	if base, s, err := cipherCost(&Env{Clock: result.Wall}, 1400); base != 0 || len(s) != 1 || s[0].Value <= 0 || err != nil {
		t.Errorf("%v, %v, %v", base, s, err)
	}
}
