#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: test/package/guest.sh VERSION        in the virtual machine
#
# What DKMS has built is loaded and passes the suite abi; then the kernel is given reasons to refuse a module, and load.sh says what to do. The
# last ones can't be taken back: this machine is of no use afterwards.

# shellcheck disable=SC2317 # the checks are called through check
set -uo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/package/ktap.sh
. "$HERE/ktap.sh"
LOAD=$HERE/../../build/guest/load.sh
FILE=$(modinfo -F filename mytun)

# refused TEXT: load.sh fails with one line that says that.
refused() {
	says "^mytun: error: .*$1" "$LOAD" | tee /tmp/said
	[ "$(wc -l </tmp/said)" = 1 ]
}

version_is() {
	[ "$(cat /sys/module/mytun/version)" = "$1" ]
}

# loads_again: what load.sh is for.
loads_again() {
	"$LOAD"
	version_is "$1"
	"$LOAD"
}

# for_another_kernel: the same module with another kernel's name in it, of the same length. The kernel looks at what follows the name alone, if
# its symbols have versions; so it has to be of one processor, too.
for_another_kernel() {
	local release
	release=$(uname -r)
	cp "$FILE" /tmp/mytun.ko
	trap 'cp /tmp/mytun.ko "$FILE"' EXIT
	sed -i "s/vermagic=$release SMP/vermagic=9${release:1} UMP/" "$FILE"
	refused "built for '9${release:1}' and kernel $release runs here.*make install load"
}

# index: modprobe's, made anew. This machine has kmod under few of its names.
index() {
	(exec -a depmod kmod)
}

no_file() {
	mv "$FILE" /tmp/mytun.ko
	index
	trap 'mv /tmp/mytun.ko "$FILE" && index' EXIT
	refused "linux-headers-$(uname -r)"
}

not_root() {
	chmod 755 /
	says "try again with sudo" setpriv --reuid=65534 --regid=65534 --clear-groups "$LOAD"
}

unsigned() {
	echo Y >/sys/module/module/parameters/sig_enforce
	refused "Secure Boot refuses.*mokutil --import"
}

main() {
	local status=0
	"$HERE/../selftest.sh" abi. || status=1
	check "$(uname -r): version $1" version_is "$1"
	rmmod mytun
	check "$(uname -r): load.sh loads" loads_again "$1"
	rmmod mytun
	check "$(uname -r): load.sh: no module for this kernel" no_file
	check "$(uname -r): load.sh: built for another kernel" for_another_kernel
	check "$(uname -r): load.sh: not root" not_root
	check "$(uname -r): load.sh: Secure Boot" unsigned
	plan || status=1
	return "$status"
}

main "$@"
