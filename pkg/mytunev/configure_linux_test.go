// SPDX-License-Identifier: MIT

package mytunev

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestSupported(t *testing.T) {
	const old = featureTxVNet
	for _, c := range []struct {
		config   Config
		features uint64
		want     string // "" for no error
	}{
		{Config{}, 0, ""},
		{Config{Offload: OffloadTx}, old, ""},
		{Config{Offload: OffloadTx}, 0, "Config.Offload"},
		{Config{Offload: OffloadTSO4}, old, "Config.Offload TSO4"},
		{Config{Offload: OffloadTSO4}, old | featureOffload, ""},
		{Config{Backpressure: true}, old | featureOffload, "Config.Backpressure"},
		{Config{Offload: OffloadTSO4 | OffloadUDPTunnel}, old | featureOffload, "Config.Offload TSO4|UDPTunnel"},
		{Config{Offload: OffloadTSO4 | OffloadUDPTunnel}, old | featureOffload | featureUDPTunnel, ""},
		{Config{Backpressure: true}, featureBackpressure, ""},
		{Config{WakeBytes: 1}, old | featureOffload, "Config.WakeBytes"},
		{Config{WakeBytes: 1}, featureRxHold, ""},
		{Config{Headroom: 1}, featureRxHold | featureRingsHash, "Config.Headroom"},
		{Config{Tailroom: 1}, featureRxHold | featureRingsHash, "Config.Tailroom"},
		{Config{Headroom: 1, Tailroom: 1}, featureRxRoom, ""},
	} {
		err := c.config.supported(c.features)
		if c.want == "" && err != nil || c.want != "" &&
			(!errors.Is(err, ErrNotSupported) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v, features %#x: %v, want %q in ErrNotSupported", c.config, c.features, err, c.want)
		}
	}
}

// TestConfigureErrors has each of the settings refused: by a file that is none of
// mytun's.
func TestConfigureErrors(t *testing.T) {
	fd, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for want, c := range map[string]struct {
		config   Config
		features uint64
	}{
		"Config.Offload is TSO4": {Config{Offload: OffloadTSO4}, featureTxVNet | featureOffload},
		"back-pressure of mytun": {Config{}, featureBackpressure},
		"poll window of mytun":   {Config{Poll: 1}, 0},
	} {
		err := c.config.configure(fd, c.features, "mytun7")
		if !errors.Is(err, unix.ENOTTY) || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want ENOTTY with %q", c.config, err, want)
		}
	}
	err = Config{Backpressure: true}.check(0, "mytun7")
	if !errors.Is(err, ErrNotSupported) || !strings.Contains(err.Error(), "mytun7") || !strings.Contains(err.Error(), "newer module") {
		t.Errorf("%v, want ErrNotSupported, on what, and what to do", err)
	}
	if err := (Config{Backpressure: true}).check(featureBackpressure, "mytun7"); err != nil {
		t.Errorf("%v, want nothing wrong", err)
	}
	if err := (Config{Offload: OffloadTx}).configure(fd, featureTxVNet, "mytun7"); err != nil {
		t.Errorf("%v, want nothing to do", err)
	}
}
