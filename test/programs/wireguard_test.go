// SPDX-License-Identifier: MIT

//go:build mytun_device

package programs

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/mytun/mytun/test/device"
)

// TestWireguardGo: the test does what wg and ip do.
func TestWireguardGo(t *testing.T) {
	need(t, "wireguard-go")
	tunnel{
		fixed:   true,
		command: func(e *end) []string { return []string{"wireguard-go", "--foreground", e.name} },
		join:    exchangeKeys,
	}.onBoth(t)
}

// exchangeKeys makes each end the other's peer.
func exchangeKeys(t *testing.T, ends [2]*end) {
	var keys [2]*ecdh.PrivateKey
	for i := range keys {
		var err error
		if keys[i], err = ecdh.X25519().GenerateKey(rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	for i, e := range ends {
		tellWireguard(t, e, fmt.Sprintf("private_key=%s\nlisten_port=5000\npublic_key=%s\nendpoint=%v:5000\nallowed_ip=%v/32\nallowed_ip=%v/128\n",
			hex.EncodeToString(keys[i].Bytes()), hex.EncodeToString(keys[1-i].PublicKey().Bytes()),
			e.peer.wire, e.peer.inner4, e.peer.inner6))
	}
}

// tellWireguard gives lines of configuration to the socket of wireguard-go.
func tellWireguard(t *testing.T, e *end, lines string) {
	t.Helper()
	var conn net.Conn
	e.waitFor(t, "a socket for its configuration", func() (ok bool) {
		var err error
		conn, err = net.Dial("unix", "/var/run/wireguard/"+e.name+".sock")
		return err == nil
	})
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(device.Deadline))
	if _, err := fmt.Fprintf(conn, "set=1\n%s\n", lines); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 100)
	n, err := conn.Read(answer)
	if err != nil && err != io.EOF {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(answer[:n]), "errno=0\n") {
		t.Fatalf("wireguard-go answered %q", answer[:n])
	}
}
