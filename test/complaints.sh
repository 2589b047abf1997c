#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: test/complaints.sh [LOG...]
#
# Prints the lines of a kernel's log (standard input by default) that must not be there: those that match a pattern of test/complaints.
# KCSAN alone reports what a stock kernel does all the time, its tolerated data races: of its reports those count that have the module on
# one of their stacks, up to where an interrupt came in, and are not of hrtimer_wakeup: who sleeps on a timer, as the module's thread does,
# looks without a lock whether it has fired. "VM_FAULT_OOM leaked out" is no leak but a page fault that found no memory, which
# test/faults brings about.

awk '
	/BUG: KCSAN/ { title = /hrtimer_wakeup/ ? "" : $0; next }
	/(read|write).* to 0x/ { interrupted = 0 }
	/ asm_(sysvec|common_interrupt)/ { interrupted = 1 }
	title != "" && !interrupted && /\[mytun\]/ { print title; title = "" }
	/==========$/ { title = "" }
	{ print }' "$@" | grep -E -f "$(dirname "$0")/complaints"
