#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Usage: scripts/setup-qemu.sh
#
# Prints the path of an emulator that can be trusted. QEMU before 8.1 can run a stale translation of kernel code that another processor has
# just patched, as happens whenever a static key changes: the guest then dies of an int3 that is there no more, or hits it for ever. Debian
# 12 has 7.2, and a good one among its backports, which is unpacked into the cache directory, beside the libraries of the installed one: nothing
# on the machine is upgraded for a test's sake. Without backports the old one must do, and a line says what to expect of it.

set -eu
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
# shellcheck source=scripts/debian.sh
. "$(dirname "$0")/debian.sh"

EMULATOR=qemu-system-x86_64 ENOUGH=8.1 PACKAGES=(qemu-system-x86 qemu-system-data seabios)
CACHED=$MYTUN_CACHE/qemu$SUFFIX
[ "$ARCH" = amd64 ] || EMULATOR=qemu-system-aarch64 PACKAGES=(qemu-system-arm qemu-system-data)

# is_enough COMMAND: true if it starts, and is of that version or a later one.
is_enough() {
	local version
	version=$("$1" --version 2>/dev/null | sed -n 's/^QEMU emulator version \([0-9.]*\).*/\1/p')
	[ -n "$version" ] && printf '%s\n' "$ENOUGH" "$version" | sort -VC
}

# download DIR: the .deb files into DIR/debs, from the backports of the release that this machine runs.
download() {
	local archive
	[ -n "$(mirror Debian)" ] || apt_update
	archive=$(mirror Debian)
	[ -n "$archive" ] || { echo "apt has no source of Debian itself, and so no mirror to ask for backports" && return 1; }
	use_sources backports "deb $archive $(codename)-backports main"
	mkdir -p "$1/debs"
	apt-get -q update && fetch_debs "$1/debs" "${PACKAGES[@]}"
}

# unpack WORK: complete in WORK, or not there at all. QEMU finds its firmware relative to itself.
unpack() {
	local work=$1 deb
	rm -rf "$work"
	mkdir -p "$work"
	step "this machine's QEMU is older than $ENOUGH and can break a kernel: downloading one from Debian's backports" download "$work" || return 1
	for deb in "$work"/debs/*.deb; do
		dpkg -x "$deb" "$work/root" || return 1
	done
	is_enough "$work/root/usr/bin/$EMULATOR" || { "$work/root/usr/bin/$EMULATOR" --version >&2 || true; return 1; }
	rm -rf "$CACHED"
	mv "$work/root" "$CACHED"
	rm -rf "$work"
	say "QEMU: ready in $CACHED"
}

fetch() {
	is_enough "$CACHED/usr/bin/$EMULATOR" || unpack "$CACHED.new"
}

main() {
	local installed
	"$(dirname "$0")/setup-packages.sh" "vm$SUFFIX"
	installed=$(command -v "$EMULATOR")
	if is_enough "$installed"; then
		echo "$installed"
	elif locked "$MYTUN_CACHE/.lock-qemu$SUFFIX" fetch; then
		echo "$CACHED/usr/bin/$EMULATOR"
	else
		say "no QEMU from backports, see above: $installed may lock the guest up, about once in ten whole runs"
		echo "$installed"
	fi
}

main "$@"
