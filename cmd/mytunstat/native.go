// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"encoding/binary"
	"unsafe"
)

// native is the byte order in which the kernel speaks.
var native = nativeOrder()

func nativeOrder() binary.ByteOrder {
	one := uint16(1)
	if *(*byte)(unsafe.Pointer(&one)) == 1 {
		return binary.LittleEndian
	}
	return binary.BigEndian
}

// cString is what is in front of the first zero.
func cString(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}
