#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Usage: scripts/bench.sh [--quick] [ARGS of mytun-bench...]
#
# Runs the benchmark. Instructions a packet come from a machine with one emulated processor whose clock counts them.
# With --quick only the rows that change with the data path: a look at a change takes a minute or two.
# KERNEL (6.12) is the kernel to measure on.

set -eu
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
TOP=$(cd "$(dirname "$0")/.." && pwd)
KERNEL=${KERNEL:-6.12}

# vm NAME OPTION...: without the tests' run-time checkers, which would be measured too.
vm() {
	local name=$1
	shift
	"$TOP/test/vm/run.sh" --kernel "$KERNEL" --name "$name" --fast "$@"
}

quick() {
	vm "bench-icount-$KERNEL" --icount --timeout 600 test/vm/bench.sh -clock icount -rounds 2 -peers tun,mytun "$@"
}

main() {
	"$TOP/scripts/build-guest.sh" --bench
	case ${1:-} in
	--quick) shift && quick "$@" ;;
	*) die "usage: scripts/bench.sh --quick [ARGS of mytun-bench...]" ;;
	esac
}

main "$@"
