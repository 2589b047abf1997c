#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: test/vm/bench.sh [ARGS of mytun-bench...]
#
# The benchmark's part that runs where the module is loaded, as root: "make bench" runs it in virtual machines, and with HOST=1 on the
# machine itself. The rows go to standard output, each in a line that begins with "row: ".

set -eu
BENCH=$(cd "$(dirname "$0")/../.." && pwd)/build/guest/mytun-bench

die() {
	echo "bench.sh: error: $*" >&2
	exit 1
}

# Of a shell that became root, sbin may not be on PATH.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

# check: what else would fail later, and say less.
check() {
	local tool
	[ "$(id -u)" = 0 ] || die "it makes interfaces and namespaces, and so it needs root: try again with sudo"
	for tool in ip unshare modprobe; do
		command -v "$tool" >/dev/null || die "there is no command $tool: install iproute2, util-linux and kmod"
	done
	[ -x "$BENCH" ] || die "$BENCH is missing: 'make bench HOST=1' builds it"
}

# Only what is there: vhost_net may be built in, and whose module is missing says so.
load_modules() {
	local module
	for module in tun dummy veth pktgen vhost_net vxlan; do
		modprobe -q "$module" || echo "bench.sh: kernel $(uname -r) has no module $module (Ubuntu: linux-modules-extra-$(uname -r))" >&2
	done
}

# inside: in a network namespace where nobody but the benchmark sends anything. A machine may have no IPv6 at all.
inside() {
	local file
	ip link set lo up
	for file in /proc/sys/net/ipv6/conf/{default,all}/disable_ipv6; do
		[ ! -e "$file" ] || echo 1 >"$file"
	done
	exec "$BENCH" "$@"
}

if [ "${1:-}" = --inside ]; then
	shift
	inside "$@"
fi
check
load_modules
exec unshare --net --mount-proc --mount --fork --pid --kill-child "$0" --inside "$@"
