// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"errors"
	"strings"

	"golang.zx2c4.com/wireguard/device"
)

const usage = "usage: mytun-wireguard [-f|--foreground] INTERFACE-NAME\n       mytun-wireguard --version"

// errUsage is what parse returns for arguments that make no sense.
var errUsage = errors.New(usage)

// options are what the arguments and the environment ask for.
type options struct {
	name       string // of the interface
	foreground bool
	logLevel   int  // one of device.LogLevelSilent and its kin
	logs       bool // what is logged is to be seen from the background too
	version    bool // only this
}

// parse reads the arguments, without the program's name, and the environment.
func parse(args []string, getenv func(string) string) (o options, err error) {
	if len(args) == 1 && args[0] == "--version" {
		return options{version: true}, nil
	}
	o.foreground = getenv("WG_PROCESS_FOREGROUND") == "1"
	if len(args) == 2 && (args[0] == "-f" || args[0] == "--foreground") {
		o.foreground = true
		args = args[1:]
	}
	if len(args) != 1 || args[0] == "" || strings.HasPrefix(args[0], "-") {
		return o, errUsage
	}
	o.name = args[0]
	o.logLevel, o.logs = logLevel(getenv("LOG_LEVEL"))
	return o, nil
}

// logLevel understands what wireguard-go does. logs tells whether somebody wants to read on when
// the process is in the background.
func logLevel(value string) (level int, logs bool) {
	switch value {
	case "verbose", "debug":
		return device.LogLevelVerbose, true
	case "silent":
		return device.LogLevelSilent, false
	}
	return device.LogLevelError, value != ""
}
