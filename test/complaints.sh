#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: test/complaints.sh [LOG...]
#
# Prints the lines of a kernel's log (standard input by default) that must not be there: those that match a pattern of test/complaints.
# KCSAN alone reports what a stock kernel does all the time, its tolerated data races: of its reports those count that have the module on
# one of their stacks, up to where an interrupt or a test's probe came in, and are not of what is the kernel's own word: whether a timer has
# fired (hrtimer_wakeup), for which the module's thread looks without a lock, and an eventfd's count and epoll's list, at which epoll so looks
# while the module signals. "VM_FAULT_OOM leaked out" is no leak but a page fault that found no memory, which
# test/faults brings about. A device of stock tun's that our tests call stock0 may select a queue that has gone: when a queue goes, stock tun
# forgets the flows of the index after it and keeps its own (__tun_detach in drivers/net/tun.c).

awk '
	/ stock[0-9]+ selects TX queue/ { next }
	/BUG: KCSAN/ { title = /hrtimer_wakeup|eventfd_poll|do_epoll_wait/ ? "" : $0; next }
	/(read|write).* to 0x/ { interrupted = 0 }
	/ asm_(sysvec|common_interrupt)| arch_rethook_trampoline/ { interrupted = 1 }
	title != "" && !interrupted && /\[mytun\]/ { print title; title = "" }
	/==========$/ { title = "" }
	{ print }' "$@" | grep -E -f "$(dirname "$0")/complaints"
