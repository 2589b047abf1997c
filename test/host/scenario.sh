#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: /home/newcomer/mytun/test/host/scenario.sh        in the system that guest.sh has entered
#
# The user calls 'make bench HOST=1', on a machine that has everything and on one that lacks something, each time with few rows: the machine is emulated.
# The last check can't be taken back: this kernel is of no use afterwards.

# shellcheck disable=SC2317 # the checks are called through check
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
# shellcheck source=test/package/ktap.sh
. test/package/ktap.sh
RELEASE=$(uname -r)
ROWS=build/bench.json

# user COMMAND: as somebody types it in his own shell.
user() {
	su newcomer -c "$1"
}

# without FILE COMMAND...: while the file is not there, and modprobe does not know of it.
without() {
	local file=$1 status=0
	shift
	mv "$file" /tmp/hidden
	depmod
	"$@" || status=$?
	mv /tmp/hidden "$file"
	depmod
	return "$status"
}

# ko NAME: the module's file.
ko() {
	modinfo -F filename "$1"
}

# has PEER WORKLOAD, lacks PEER WORKLOAD: a row of them.
has() {
	grep -A 5 "\"workload\": *\"$2\"" "$ROWS" | grep -q "\"peer\": *\"$1\"" || fail "there is no row of $1, $2: $(cat "$ROWS")"
}

lacks() {
	! (has "$1" "$2") >/dev/null || fail "there is a row of $1, $2"
}

# all_is_the_users: what root has built stands in nobody's way.
all_is_the_users() {
	local others
	others=$(find . ! -user newcomer)
	[ -z "$others" ] || fail "not the user's any more: $others"
}

no_root() {
	without /usr/bin/sudo says "needs root, and there is no sudo here: run 'make bench HOST=1' as root" user "make bench HOST=1"
	says "needs root: try again with sudo" user test/vm/bench.sh
}

no_module() {
	without "$(ko mytun)" says "kernel $RELEASE, which runs here, has no module mytun.*linux-headers-$RELEASE.*make install load" user "sudo make bench HOST=1"
}

# by_sudo: the module is there and not loaded, which 'make bench' does.
by_sudo() {
	rm -f "$ROWS"
	user "sudo make bench HOST=1 WORKLOADS=rx:64,tx:64 PEERS=tun,vhost-net,mytun ROUNDS=1"
	for peer in tun vhost-net mytun; do
		has "$peer" rx
		has "$peer" tx
	done
	has generator rx
	grep -q '"system calls"' "$ROWS" || fail "no system calls were counted"
	all_is_the_users
}

by_user() {
	rm -f "$ROWS"
	user "make bench HOST=1 WORKLOADS=tx:64 PEERS=mytun ROUNDS=1"
	has mytun tx
	all_is_the_users
}

# bench ARGS: as root, with its words kept.
bench() {
	rm -f "$ROWS"
	make bench HOST=1 ROUNDS=1 "$@" 2>&1 | tee /tmp/said
}

no_vhost() {
	modprobe -r vhost_net
	without "$(ko vhost_net)" bench WORKLOADS=tx:64 PEERS=vhost-net,mytun
	grep "no module vhost_net" /tmp/said
	grep "no vhost-net, which is left out: .*modprobe vhost_net" /tmp/said
	has mytun tx
	lacks vhost-net tx
}

no_pktgen() {
	modprobe -r pktgen
	without "$(ko pktgen)" bench WORKLOADS=rx:64,tx:64 PEERS=mytun
	grep "rx is left out.*modprobe pktgen" /tmp/said
	has mytun tx
	lacks mytun rx
}

unknown_workload() {
	says 'there is no workload "rxx"' make bench HOST=1 WORKLOADS=rxx
}

no_tracing() {
	mount -t securityfs securityfs /sys/kernel/security
	echo confidentiality >/sys/kernel/security/lockdown
	bench WORKLOADS=tx:64 PEERS=mytun
	grep "system calls and doorbells are not counted.*lockdown=confidentiality" /tmp/said
	has mytun tx
}

main() {
	echo "KTAP version 1"
	check "make bench HOST=1: no root" no_root
	check "make bench HOST=1: no module for this kernel" no_module
	check "sudo make bench HOST=1" by_sudo
	check "make bench HOST=1 of a user" by_user
	check "make bench HOST=1: no vhost-net" no_vhost
	check "make bench HOST=1: no pktgen" no_pktgen
	check "make bench HOST=1: no such workload" unknown_workload
	check "make bench HOST=1: calls can't be counted" no_tracing
	plan
}

main
