#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: test/complaints.sh [LOG...]
#
# Prints the lines of a kernel's log (standard input by default) that must not be there: those that match a pattern of test/complaints.
# KCSAN alone reports what a stock kernel does all the time, its tolerated data races: of its reports those count that have the module on
# one of their stacks. "VM_FAULT_OOM leaked out" is no leak but a page fault that found no memory, which test/faults brings about.

awk '
	/BUG: KCSAN/ { title = $0; next }
	title != "" && /\[mytun\]/ { print title; title = "" }
	/==========$/ { title = "" }
	{ print }' "$@" | grep -E -f "$(dirname "$0")/complaints"
