#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Usage: scripts/setup-source.sh
#        scripts/setup-source.sh --tree DIR
#
# Takes checkpatch.pl and its two word lists out of Debian's kernel source package into the cache directory, and prints the path
# of the script. The package is 140 MB and the three files are not, so only these are kept. With --tree the whole source goes into the
# empty directory DIR instead.

set -eu
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"

PACKAGE=linux-source-6.12
MEMBERS="checkpatch.pl spelling.txt const_structs.checkpatch"

# try_download DIR
try_download() {
	step "downloading $PACKAGE (140 MB)" fetch_debs "$1" "$PACKAGE"
}

# tarball DIR: the source archive's path: the installed one, or else one downloaded into DIR.
tarball() {
	local name=usr/src/$PACKAGE.tar.xz
	if [ -e "/$name" ]; then
		echo "/$name"
		return
	fi
	need_apt "$PACKAGE"
	known "$PACKAGE" || apt_update
	try_download "$1" || { apt_update && try_download "$1"; } || die "could not download $PACKAGE: apt's words are above"
	dpkg -x "$1"/$PACKAGE*.deb "$1"
	echo "$1/$name"
}

# extract_members ARCHIVE DIR
extract_members() {
	local member
	# --occurrence stops tar at the last member asked for, instead of at the archive's end.
	for member in $MEMBERS; do printf '%s\n' "$PACKAGE/scripts/$member"; done |
		tar -xJf "$1" -C "$2" --strip-components=2 --occurrence=1 -T - ||
		die "$1 does not hold scripts/{${MEMBERS// /,}}: the package has changed, and scripts/setup-source.sh must follow"
}

extract() {
	local final=$1 work=$1.new archive
	[ ! -e "$final/checkpatch.pl" ] || return 0
	rm -rf "$work"
	mkdir -p "$work"
	archive=$(tarball "$work")
	step "extracting checkpatch.pl from $archive (up to a minute)" extract_members "$archive" "$work"
	rm -rf "${work:?}/usr" "$work"/*.deb "$final"
	mv "$work" "$final"
}

# unpack_tree DIR
unpack_tree() {
	local archive
	archive=$(tarball "$1")
	step "unpacking $archive (a minute at most)" tar -xJf "$archive" -C "$1" --strip-components=1
	rm -rf "${1:?}/usr/src" "$1"/*.deb
}

main() {
	if [ "${1:-}" = --tree ]; then
		unpack_tree "${2:?usage: scripts/setup-source.sh --tree DIR}"
		return
	fi
	locked "$MYTUN_CACHE/.lock-checkpatch" extract "$MYTUN_CACHE/checkpatch"
	echo "$MYTUN_CACHE/checkpatch/checkpatch.pl"
}

main "$@"
