# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# Ring memory belongs to the memory cgroup of who asked for it.

GROUP=/sys/fs/cgroup/mytun-selftest
LARGEST=$((64 << 20))

# in_group LIMIT COMMAND...: runs it in a memory cgroup with this limit, which is gone afterwards; its status is the command's.
in_group() {
	local limit=$1 status=0
	shift
	echo +memory >/sys/fs/cgroup/cgroup.subtree_control
	mkdir "$GROUP"
	echo "$limit" >"$GROUP/memory.max"
	# shellcheck disable=SC2016 # the inner shell's arguments are meant
	bash -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$GROUP" "$@" || status=$?
	wait_for 60 rmdir "$GROUP"
	return "$status"
}

# Rings above the limit are refused, in words, and nobody is killed for them.
test_limit_is_obeyed() {
	local said
	if said=$(in_group 64M "$(need_program demo)" -quiet -ring "$LARGEST" -duration 1s 2>&1); then
		fail "rings of 128 MiB in a group of 64 MiB: $said"
	fi
	[[ $said == *memory* ]] || fail "the message does not tell: $said"
}

# charged: true once the group holds as much as both rings take.
charged() {
	[ "$(cat "$GROUP/memory.current" || echo 0)" -gt $((2 * LARGEST)) ]
}

# Rings below the limit count.
test_rings_are_charged() {
	in_group 512M "$(need_program demo)" -quiet -ring "$LARGEST" -duration 10m &
	wait_for 60 charged
	echo 1 >"$GROUP/cgroup.kill"
	wait "$!" || true
}
