#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: test/package/enter.sh ARCHIVE SHARED COMMAND...
#
# Unpacks the system in ARCHIVE into memory and runs a command in it as that system's root, with the directory SHARED at /mytun. Whatever the command
# does to the system is gone afterwards. As an ordinary user in a user namespace, or as root; in neither case may it load a module.

set -eu
TOP=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=scripts/common.sh
. "$TOP/scripts/common.sh"

# inside: in namespaces of our own.
inside() {
	local archive=$1 shared=$2 root
	shift 2
	root=$shared/root
	mkdir -p "$root"
	mount -t tmpfs -o mode=755 system "$root"
	tar -C "$root" --numeric-owner --exclude='./dev/*' -xf "$archive"
	mkdir -p "$root/mytun"
	mount --bind "$shared" "$root/mytun"
	mount --rbind /dev "$root/dev"
	mount -t proc proc "$root/proc"
	exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive INITRD=No \
		setpriv --bounding-set=-sys_module --inh-caps=-sys_module chroot "$root" "$@" </dev/null
}

main() {
	local user=() status=0
	if [ "$1" = --inside ]; then
		shift
		inside "$@"
	fi
	[ $# -ge 3 ] || die "usage: test/package/enter.sh ARCHIVE SHARED COMMAND..."
	[ "$(id -u)" = 0 ] || user=(--map-root-user --map-auto --setuid 0 --setgid 0)
	unshare "${user[@]}" --mount true 2>/dev/null || die "this machine does not let $(id -un) make user namespaces with a range of users of its own, in which packages are" \
		"installed: '$(unshare "${user[@]}" --mount true 2>&1)'. See /etc/subuid and sysctl kernel.unprivileged_userns_clone, or be root"
	unshare "${user[@]}" --mount --pid --fork --kill-child -- "$0" --inside "$@" &
	# It ignores the signals that end everything else, and takes its child along.
	trap 'kill -KILL $!' EXIT
	trap 'exit 130' INT TERM
	wait $! || status=$?
	trap - EXIT
	exit "$status"
}

main "$@"
