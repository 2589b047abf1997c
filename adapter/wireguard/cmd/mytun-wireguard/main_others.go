// SPDX-License-Identifier: MIT

//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "mytun-wireguard: mytun is a kernel module for Linux")
	os.Exit(1)
}
