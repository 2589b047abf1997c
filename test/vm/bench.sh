#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: test/vm/bench.sh [ARGS of mytun-bench...]
#
# The benchmark's part that runs where the module is loaded, as root: "make bench" runs it in virtual machines, and with HOST=1 on the
# machine itself. The rows go to standard output, each in a line that begins with "row: ".

set -eu
BENCH=$(cd "$(dirname "$0")/../.." && pwd)/build/guest/mytun-bench

# Only what is there: vhost_net may be built in, and a contestant whose module is missing says so.
load_modules() {
	local module
	for module in tun dummy veth pktgen vhost_net vxlan; do
		modprobe -q "$module" || echo "bench.sh: there is no module $module" >&2
	done
}

# inside: in a network namespace where nobody but the benchmark sends anything.
inside() {
	ip link set lo up
	sysctl -q net.ipv6.conf.default.disable_ipv6=1 net.ipv6.conf.all.disable_ipv6=1
	exec "$BENCH" "$@"
}

if [ "${1:-}" = --inside ]; then
	shift
	inside "$@"
fi
load_modules
exec unshare --net --mount-proc --mount --fork --pid --kill-child "$0" --inside "$@"
