#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Usage: scripts/bench.sh [--quick | --host | --vpn] [ARGS of mytun-bench...]
#
# Runs the benchmark and shows its table. Instructions a packet come from a machine with one emulated processor whose clock counts them; rates
# and latencies from one with two processors and real time. The rows are in build/bench.json.
#
#   --quick    only the instructions of the rows that change with the data path, and a ping through a VPN; the rows are in build/bench-quick.json
#   --vpn      WireGuard through wireguard-go, over stock tun and over mytun, by both clocks; the rows are in build/demo-vpn.json
#   --host     on this machine itself, with root's rights (sudo, where it is needed): real time alone. What the machine has not is left out
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
	vm "$log" --icount --timeout 1500 test/vm/bench.sh -clock icount "$@"
}

# show FILE TABLE: the rows as a table of that kind.
show() {
	"$TOP/scripts/go.sh" build -C "$TOP/bench" -o "$TOP/build/bench-report" ./cmd/bench-report
	"$TOP/build/bench-report" "$2" "$1"
}

# finish FILE [TABLE]: collects the rows and shows them.
finish() {
	"$PROGRAM" -collect -json "$1" "${LOGS[@]}"
	show "$1" "${2:-table}"
}

quick() {
	icount bench-quick -rounds 2 -peers tun,mytun -workloads rx:64,rx-udp:64,tx:64,forward-udp,vpn-ping "$@"
	finish "$TOP/build/bench-quick.json"
}

# TCP depends on time, and instructions say nothing of it.
vpn() {
	icount demo-vpn-icount -rounds 1 -peers wireguard,mytun -workloads vpn-udp,vpn-vxlan,vpn-ping "$@"
	vm demo-vpn-wall --timeout 600 test/vm/bench.sh -clock wall -rounds 1 -peers wireguard,mytun \
		-workloads vpn-tcp-1,vpn-tcp-8,vpn-udp,vpn-vxlan,vpn-ping "$@"
	finish "$TOP/build/demo-vpn.json" vpn-table
}

whole() {
	icount bench-icount -rounds 2 "$@"
	vm bench-wall --timeout 1200 test/vm/bench.sh -clock wall "$@"
	finish "$TOP/build/bench.json"
}

# ready_host: the module, before anything is built. load.sh knows what to do if the kernel has none, or does not take it.
ready_host() {
	[ "$(id -u)" = 0 ] || have sudo || die "measuring on this machine needs root, and there is no sudo here: run 'make bench HOST=1' as root"
	ask_password
	[ -e /dev/net/mytun ] || as_root "$TOP/kmod/load.sh" || exit 1
	# Who has become root to call this shall be able to build again as the one that he was.
	[ "$(id -u)" != 0 ] || trap give_back EXIT
}

# give_back: what root has made in build/, to whom the sources belong.
give_back() {
	local owner
	owner=$(stat -c %u:%g "$TOP")
	[ "$owner" = 0:0 ] || find "$TOP/build" -user 0 -exec chown -h "$owner" {} +
}

host() {
	LOGS=("$TOP/build/bench-host.log")
	as_root "$TOP/test/vm/bench.sh" -clock wall -spare "$@" >"${LOGS[0]}" || die "the benchmark did not end: the line above says why"
	finish "$TOP/build/bench.json"
}

main() {
	local how=whole
	case ${1:-} in
	--quick | --host | --vpn) how=${1#--} && shift ;;
	esac
	[ "$how" != host ] || ready_host
	"$TOP/scripts/build-guest.sh" --bench
	LOGS=()
	"$how" "$@"
}

main "$@"
