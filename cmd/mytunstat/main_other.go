// SPDX-License-Identifier: MIT

//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "mytunstat: mytun is a Linux kernel module: run this on Linux")
	os.Exit(1)
}
