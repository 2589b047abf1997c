#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Usage: scripts/bench.sh [--quick | --host] [ARGS of mytun-bench...]
#
# Runs the benchmark and shows its table. Instructions a packet come from a machine with one emulated processor whose clock counts them; rates
# and latencies from one with two processors and real time. The rows are in build/bench.json.
#
#   --quick    only the instructions of the rows that change with the data path; the rows are in build/bench-quick.json
#   --host     on this machine itself, as root, with the module loaded: real time alone
#
# KERNEL (6.12) is the kernel to measure on.

set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
TOP=$(cd "$(dirname "$0")/.." && pwd)
KERNEL=${KERNEL:-6.12}
PROGRAM=$TOP/build/guest/mytun-bench

# vm LOG OPTION...: without the tests' run-time checkers, which would be measured too. The rows are in the console's log.
vm() {
	local log=$1
	shift
	LOGS+=("$TOP/build/vm/$log-$KERNEL.console.log")
	"$TOP/test/vm/run.sh" --kernel "$KERNEL" --name "$log-$KERNEL" --fast "$@" | grep --line-buffered -v '^row'
}

# icount LOG ARGS...
icount() {
	local log=$1
	shift
	vm "$log" --icount --timeout 1200 test/vm/bench.sh -clock icount "$@"
}

# show FILE: the rows as a table.
show() {
	"$TOP/scripts/go.sh" build -C "$TOP/bench" -o "$TOP/build/bench-report" ./cmd/bench-report
	"$TOP/build/bench-report" table "$1"
}

# finish FILE: collects the rows and shows them.
finish() {
	"$PROGRAM" -collect -json "$1" "${LOGS[@]}"
	show "$1"
}

quick() {
	icount bench-quick -rounds 2 -peers tun,mytun -workloads rx:64,rx-udp:64,tx:64,forward-udp "$@"
	finish "$TOP/build/bench-quick.json"
}

whole() {
	icount bench-icount -rounds 2 "$@"
	vm bench-wall --timeout 1200 test/vm/bench.sh -clock wall "$@"
	finish "$TOP/build/bench.json"
}

host() {
	[ -e /dev/net/mytun ] || die "there is no /dev/net/mytun: 'make install load' first"
	"$TOP/test/vm/bench.sh" -clock wall -json "$TOP/build/bench.json" "$@"
	show "$TOP/build/bench.json"
}

main() {
	local how=whole
	case ${1:-} in
	--quick | --host) how=${1#--} && shift ;;
	esac
	"$TOP/scripts/build-guest.sh" --bench
	LOGS=()
	"$how" "$@"
}

main "$@"
