#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: test/soak/soak.sh
#
# Runs test/soak in a virtual machine. The last line of the output is the summary. Exit status 1 if a frame came changed, twice or
# out of order, if one is unaccounted for, if a side got stuck, if the module kept anything, or if the kernel complained.
#
#   SOAK_MINUTES   how long traffic runs (10)
#   SOAK_SEED      of all choices: what happens, and with which queues and rings (1)
#   KERNEL         as for test/vm/run.sh (6.12); not 6.1, which sends no super-packets to a device that leaves checksums to the kernel

set -u
TOP=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=scripts/common.sh
. "$TOP/scripts/common.sh"
KERNEL=${KERNEL:-6.12} MINUTES=${SOAK_MINUTES:-10} SEED=${SOAK_SEED:-1}
LOG=$TOP/build/soak.log
# For the machine's start and the longest wait in the end.
SLACK=180

# patience: how long something may take before it counts as stuck.
patience() {
	case $KERNEL in
	*-kasan | *-kcsan) echo 100s ;;
	*) echo 20s ;;
	esac
}

run() {
	"$TOP/test/vm/run.sh" --kernel "$KERNEL" --name soak --timeout $((MINUTES * 60 + SLACK)) \
		build/guest/soak -for "${MINUTES}m" -seed "$SEED" -patience "$(patience)"
}

main() {
	local status verdict=passed
	[[ $MINUTES =~ ^[1-9][0-9]*$ ]] || die "SOAK_MINUTES='$MINUTES' is not a number of minutes"
	[[ $SEED =~ ^[0-9]+$ ]] || die "SOAK_SEED='$SEED' is not a number"
	mkdir -p "$TOP/build"
	run 2>&1 | tee "$LOG" | grep --line-buffered -v '^summary: '
	status=${PIPESTATUS[0]}
	[ "$status" = 0 ] || verdict='FAILED, see above,'
	echo "soak: $verdict kernel $KERNEL: $(sed -n 's/^summary: //p' "$LOG")"
	return "$status"
}

main "$@"
