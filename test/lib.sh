# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# For the shell cases in test/cases/: every case is a function test_<name>, run under 'set -euo pipefail' in a process and a network
# namespace of its own, where lo is up. What it prints is shown if it fails. The first command that fails fails the test.
#
# Nothing here sleeps in the hope that something will have happened: wait_for waits for a state, and fails at its deadline.

# The directory test/, wherever the project is.
TEST_HOME=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# Where the test programs are: built by the project's Makefile, or wherever the caller says.
MYTUN_TEST_BIN=${MYTUN_TEST_BIN:-${TEST_HOME%/*}/build/guest}

# skip REASON: ends the test; it counts as skipped. A feature that the kernel does have is no reason.
skip() {
	echo "SKIP: $*"
	exit 4
}

# fail TEXT: ends the test; it counts as failed.
fail() {
	echo "FAIL: $*"
	exit 1
}

# need COMMAND...: skips the test if a tool is missing, and names it.
need() {
	local tool
	for tool; do
		command -v "$tool" >/dev/null || skip "$tool is not installed"
	done
}

# need_program NAME: the path of one of the project's own programs. Its absence is a fault of the build, not a reason to skip.
need_program() {
	[ -x "$MYTUN_TEST_BIN/$1" ] || fail "$MYTUN_TEST_BIN/$1 is missing: run scripts/build-guest.sh" >&2
	echo "$MYTUN_TEST_BIN/$1"
}

# wait_for SECONDS COMMAND...: runs the command until it succeeds; fails, naming it, if the deadline passes first. On a kernel that is
# MYTUN_SLOW times as slow as a stock one it comes so much later.
wait_for() {
	local deadline=$((SECONDS + $1 * ${MYTUN_SLOW:-1}))
	shift
	until "$@" >/dev/null 2>&1; do
		if [ "$SECONDS" -gt "$deadline" ]; then
			echo "timed out waiting for: $*" >&2
			return 1
		fi
		sleep 0.05
	done
}

# not COMMAND...: true if the command fails; for wait_for and for assertions ('!' is exempt from set -e).
not() {
	if "$@"; then
		echo "should have failed: $*" >&2
		return 1
	fi
}

# equal WHAT WANT GOT: an assertion that says what differs.
equal() {
	[ "$2" = "$3" ] || fail "$1: want '$2', got '$3'"
}

# link_is_up NAME, link_exists NAME, address_ready NAME: states of an interface, for wait_for. An IPv6 address is of no use
# until duplicate address detection is over.
link_exists() {
	ip link show dev "$1"
}

link_is_up() {
	ip link show dev "$1" up | grep -q LOWER_UP
}

address_ready() {
	[ -z "$(ip -6 address show dev "$1" tentative)" ]
}

# process_sleeps PID: true once the process waits for something, as a program does that has finished its set-up.
process_sleeps() {
	[[ $(ps -o state= -p "$1") == S* ]]
}

# log_says FILE PATTERN: true once a background program has written such a line.
log_says() {
	grep -qE "$2" "$1"
}

# ns_add NAME: a further network namespace with lo up. It goes away with the test; nobody outside sees it.
ns_add() {
	ip netns add "$1"
	ip -n "$1" link set dev lo up
}

# ns_run NAME COMMAND...: a command inside it.
ns_run() {
	local name=$1
	shift
	ip netns exec "$name" "$@"
}

# ethtool_counter DEVICE NAME: the value of a counter of ethtool -S.
ethtool_counter() {
	ethtool -S "$1" | awk -v name="$2:" '$1 == name { print $2; found = 1 } END { exit !found }'
}

# module_refcount: how many files, mappings and devices hold the module.
module_refcount() {
	echo "$(</sys/module/mytun/refcnt)"
}

# queue_threads: the module's kernel threads, by number and name.
queue_threads() {
	pgrep -l '^mytun/' || true
}

# remount_sys: sysfs shows the network devices of the namespace that it was mounted in, so a fresh namespace needs a fresh one,
# and what was mounted on the old one with it. The caller has a mount namespace of its own. 'ip netns add' leaves names behind in
# /run/netns, which must not be seen by the next test.
remount_sys() {
	umount --recursive --lazy /sys
	[ -d /run/netns ] || mkdir /run/netns
	mount --all --fstab "$TEST_HOME/sandbox.fstab"
}
