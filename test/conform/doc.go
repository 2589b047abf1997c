// SPDX-License-Identifier: MIT

// Package conform makes the same calls on /dev/net/tun and on /dev/net/mytun, in
// one boot, and compares what they answer: values, errors, bytes.
//
// A scenario is a sequence of calls on fresh descriptors in a fresh network
// namespace. It runs once with each node and leaves a record, one line a call.
// The two records must be equal, but for the differences that are known and
// listed, with the reason in docs/compatibility.md.
//
// TestRandomCalls makes scenarios up: see fuzz.sh.
package conform
