// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"errors"
	"flag"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParseFlags(t *testing.T) {
	for line, want := range map[string]options{
		"":                   {interval: time.Second},
		"-json":              {interval: time.Second, json: true},
		"mytun0 b":           {interval: time.Second, devices: []string{"mytun0", "b"}},
		"-w":                 {live: true, interval: time.Second},
		"-w 5":               {live: true, interval: 5 * time.Second},
		"--w 0.25":           {live: true, interval: 250 * time.Millisecond},
		"-w=500ms":           {live: true, interval: 500 * time.Millisecond},
		"-w mytun0":          {live: true, interval: time.Second, devices: []string{"mytun0"}},
		"-w 2s mytun0 -json": {live: true, interval: 2 * time.Second, json: true, devices: []string{"mytun0"}},
		"mytun0 -w 2":        {live: true, interval: 2 * time.Second, devices: []string{"mytun0"}},
		"-w -json":           {live: true, interval: time.Second, json: true},
		"-w -- 2":            {live: true, interval: time.Second, devices: []string{"2"}},
		"-w 1 2":             {live: true, interval: time.Second, devices: []string{"2"}},
		"a -- -w b":          {interval: time.Second, devices: []string{"a", "-w", "b"}},
		"-w 86400":           {live: true, interval: 24 * time.Hour},
	} {
		got, err := parseFlags(strings.Fields(line), io.Discard)
		if err != nil || !reflect.DeepEqual(*got, want) {
			t.Errorf("%q: %+v, %v, want %+v", line, got, err, want)
		}
	}
}

func TestParseFlagsRefuses(t *testing.T) {
	for line, want := range map[string]string{
		"-x":                       "-x",
		"-w=soon":                  "seconds",
		"-w 0":                     "100ms",
		"-w 0.09":                  "100ms",
		"-w -1":                    "100ms",
		"-w=NaN":                   "seconds",
		"-w 86401":                 "24h",
		"-w 1e300":                 "24h",
		"-w Inf":                   "24h",
		"a/b":                      `"a/b"`,
		"a-name-of-16-by-":         "no name",
		"mytun0 -y":                "-y",
		"-json=maybe":              "json",
		"mytun0 -w 5 -json -w=25h": "24h",
	} {
		_, err := parseFlags(strings.Fields(line), io.Discard)
		var usage *usageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "mytunstat -help") {
			t.Errorf("%q: %v, want a usage error with %q", line, err, want)
		}
	}
	if _, err := parseFlags([]string{""}, io.Discard); err == nil {
		t.Error("no error for an empty name")
	}
}

func TestHelp(t *testing.T) {
	var b strings.Builder
	if _, err := parseFlags([]string{"-w", "-help"}, &b); !errors.Is(err, flag.ErrHelp) || b.String() != help {
		t.Errorf("%v, %q", err, b.String())
	}
	for _, line := range strings.Split(help, "\n") {
		if len(line) > 90 {
			t.Errorf("too long for a terminal: %q", line)
		}
	}
}
