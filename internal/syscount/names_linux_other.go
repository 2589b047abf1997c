// SPDX-License-Identifier: MIT

//go:build linux && !amd64

package syscount

// waitCalls are the calls by file descriptor that only some architectures have.
var waitCalls []int

// archNames are the names of calls that only some architectures have.
var archNames map[int]string
