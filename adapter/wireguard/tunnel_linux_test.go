// SPDX-License-Identifier: MIT

package wireguard

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/mytun/mytun/pkg/mytunev"
	"github.com/mytun/mytun/pkg/mytuntest"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
)

// An end is one of a tunnel's.
type end struct {
	dev    *device.Device
	kernel *mytuntest.Kernel
	key    *ecdh.PrivateKey
	port   int
}

func newEnd(t *testing.T) *end {
	t.Helper()
	d, k := newPair(t, mytunev.Config{Offload: mytunev.AllOffloads})
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	e := &end{dev: device.NewDevice(d, conn.NewDefaultBind(), device.NewLogger(device.LogLevelError, "")), kernel: k, key: key}
	t.Cleanup(e.dev.Close)
	e.set(t, "private_key=%s\nlisten_port=0\n", hex.EncodeToString(key.Bytes()))
	if err := e.dev.Up(); err != nil {
		t.Fatal(err)
	}
	text, err := e.dev.IpcGet()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range bytes.Split([]byte(text), []byte("\n")) {
		fmt.Sscanf(string(line), "listen_port=%d", &e.port)
	}
	return e
}

func (e *end) set(t *testing.T, format string, args ...any) {
	t.Helper()
	if err := e.dev.IpcSet(fmt.Sprintf(format, args...)); err != nil {
		t.Fatal(err)
	}
}

// reaches makes o the peer that everything goes to.
func (e *end) reaches(t *testing.T, o *end) {
	e.set(t, "public_key=%s\nendpoint=127.0.0.1:%d\nallowed_ip=0.0.0.0/0\n", hex.EncodeToString(o.key.PublicKey().Bytes()), o.port)
}

// TestTunnel: wireguard-go at both ends, and between them a datagram that says hello and then super-packets, which
// arrive complete, in whatever pieces.
func TestTunnel(t *testing.T) {
	a, b := newEnd(t), newEnd(t)
	a.reaches(t, b)
	b.reaches(t, a)
	if err := a.kernel.Send(0, datagram([]byte("hello"))); err != nil {
		t.Fatal(err)
	}
	if p := receive(t, b.kernel); string(p.Data[headers:]) != "hello" {
		t.Fatalf("%q", p.Data)
	}
	const rounds, segments, size = 20, 30, 1000
	for i := range rounds {
		var all []byte
		for s := range segments {
			all = append(all, pattern(i*segments+s, size)...)
		}
		if err := a.kernel.SendVNet(0, unsummed(all), vnet(size)); err != nil {
			t.Fatal(err)
		}
		var got []byte
		for len(got) < len(all) {
			got = append(got, receive(t, b.kernel).Data[headers:]...)
		}
		if !bytes.Equal(got, all) {
			t.Fatalf("round %d: other bytes", i)
		}
	}
}
