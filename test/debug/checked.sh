#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: test/debug/checked.sh [ARGS of test/selftest.sh...]
#        test/debug/checked.sh --fault NAME
#
# Runs where a debug kernel does, as root: the selftests up to the first complaint, then what the kernel's checkers have found by the end.
# With --fault, one of the planted faults instead of the selftests: the checks have to find it. Output is KTAP, one document for
# the selftests and one for the checks; the exit status is 1 if anything failed.

set -u
HERE=$(cd "$(dirname "$0")/.." && pwd)
KMEMLEAK=/sys/kernel/debug/kmemleak
LOCKDEP=/proc/lockdep_stats
KCSAN=/sys/kernel/debug/kcsan
# kmemleak holds no object for lost before it is this old, in seconds.
LEAK_AGE=5
# What bounds the longest tests, scaled to a kernel that is ten times as slow: rounds of the wake-up tests, and pings of the demo's flood.
export MYTUN_CYCLES=${MYTUN_CYCLES:-4000} ECHOES=${ECHOES:-1000}
# Whatever has a limit may take so many times as long as on a stock kernel.
export MYTUN_SLOW=5
NUMBER=0 FAILED=0

# check NAME FUNCTION FILE: one line of KTAP. The function prints what is wrong. Which checkers a kernel has is known by their files.
check() {
	local said
	NUMBER=$((NUMBER + 1))
	if [ ! -e "$3" ]; then
		echo "ok $NUMBER $1 # SKIP this kernel has no $3"
	elif said=$("$2" 2>&1) && [ -z "$said" ]; then
		echo "ok $NUMBER $1"
	else
		echo "not ok $NUMBER $1"
		head -n 60 <<<"$said" | sed 's/^/#   /'
		FAILED=$((FAILED + 1))
	fi
}

complaints() {
	dmesg | "$HERE/complaints.sh" || true
}

# lockdep_is_off: after its first report it looks at nothing any more, and any other report turns it off too.
lockdep_is_off() {
	grep -q '^ *debug_locks: *1$' "$LOCKDEP" || echo "lockdep has been off: $(grep debug_locks "$LOCKDEP")"
}

# leaks: twice, because an object may be too young the first time, or its address be left in a register or on a stack.
leaks() {
	echo scan >"$KMEMLEAK"
	sleep $((LEAK_AGE + 1))
	echo scan >"$KMEMLEAK"
	cat "$KMEMLEAK"
}

# leaks_unloaded: what only the module's own variables still point to is lost with them.
leaks_unloaded() {
	modprobe -r mytun && leaks
	modprobe mytun && chmod 666 /dev/net/mytun
}

# kcsan_is_off: a KCSAN that has watched nothing finds nothing.
kcsan_is_off() {
	awk '$1 == "enabled:" && $2 == 1 { on = 1 } $1 == "setup_watchpoints:" && $2 > 0 { watched = 1 } END { exit !(on && watched) }' "$KCSAN" ||
		cat "$KCSAN"
}

main() {
	[ ! -e "$KMEMLEAK" ] || echo clear >"$KMEMLEAK"
	if [ "${1:-}" = --fault ]; then
		echo "$2" >/sys/module/mytun/parameters/planted_fault || FAILED=1
	else
		"$HERE/selftest.sh" -x "$@" || FAILED=1
	fi
	printf 'KTAP version 1\n1..5\n'
	check "nothing leaked" leaks "$KMEMLEAK"
	check "nothing leaked when the module is unloaded" leaks_unloaded "$KMEMLEAK"
	check "lockdep is still on" lockdep_is_off "$LOCKDEP"
	check "KCSAN has been on" kcsan_is_off "$KCSAN"
	check "no complaint in the kernel's log" complaints /dev/kmsg
	[ "$FAILED" = 0 ]
}

main "$@"
