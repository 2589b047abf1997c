// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"errors"
	"strings"
	"testing"

	"golang.zx2c4.com/wireguard/device"
)

// environment is a getenv over pairs such as "LOG_LEVEL=debug".
func environment(pairs ...string) func(string) string {
	return func(name string) string {
		for _, pair := range pairs {
			if value, ok := strings.CutPrefix(pair, name+"="); ok {
				return value
			}
		}
		return ""
	}
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		args, env string // words
		want      options
	}{
		{"wg0", "", options{name: "wg0", logLevel: device.LogLevelError}},
		{"-f wg0", "", options{name: "wg0", foreground: true, logLevel: device.LogLevelError}},
		{"--foreground wg%d", "", options{name: "wg%d", foreground: true, logLevel: device.LogLevelError}},
		{"wg0", "WG_PROCESS_FOREGROUND=1", options{name: "wg0", foreground: true, logLevel: device.LogLevelError}},
		{"wg0", "WG_PROCESS_FOREGROUND=0", options{name: "wg0", logLevel: device.LogLevelError}},
		{"wg0", "LOG_LEVEL=verbose", options{name: "wg0", logLevel: device.LogLevelVerbose, logs: true}},
		{"wg0", "LOG_LEVEL=debug", options{name: "wg0", logLevel: device.LogLevelVerbose, logs: true}},
		{"wg0", "LOG_LEVEL=error", options{name: "wg0", logLevel: device.LogLevelError, logs: true}},
		{"wg0", "LOG_LEVEL=silent", options{name: "wg0", logLevel: device.LogLevelSilent}},
		{"--version", "LOG_LEVEL=debug", options{version: true}},
	} {
		got, err := parse(strings.Fields(c.args), environment(strings.Fields(c.env)...))
		if err != nil || got != c.want {
			t.Errorf("%q with %q: %+v, %v, want %+v", c.args, c.env, got, err, c.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, args := range [][]string{nil, {""}, {"-f"}, {"--foreground"}, {"-f", "-f"}, {"-x", "wg0"}, {"wg0", "wg1"}, {"-f", "wg0", "wg1"},
		{"--version", "wg0"}, {"--help"}, {"-f", ""}} {
		if o, err := parse(args, environment()); !errors.Is(err, errUsage) {
			t.Errorf("%q: %+v, %v", args, o, err)
		}
	}
}
