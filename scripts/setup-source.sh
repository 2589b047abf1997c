#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Usage: scripts/setup-source.sh checkpatch|memory-model
#        scripts/setup-source.sh --tree DIR [SERIES]
#
# Takes a few files out of Debian's kernel source package into a directory of the cache, and prints its path: checkpatch.pl and its two
# word lists, or the kernel's memory model for herd7. The package is 140 MB and the files are not, so only these are kept. With --tree the
# whole source of that series (6.12) goes into the empty directory DIR instead. Like kernels (scripts/setup-kernel.sh), series from 7.0 on come
# from Debian 13's backports, or from unstable before they are there.

set -eu
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
# shellcheck source=scripts/debian.sh
. "$(dirname "$0")/debian.sh"

PACKAGE=linux-source-6.12

# members NAME: the files of the source.
members() {
	case $1 in
	checkpatch) printf 'scripts/%s\n' checkpatch.pl spelling.txt const_structs.checkpatch ;;
	memory-model) printf 'tools/memory-model/%s\n' linux-kernel.{bell,cat,cfg,def} lock.cat ;;
	*) die "usage: scripts/setup-source.sh checkpatch|memory-model (not '$1')" ;;
	esac
}

# try_download DIR
try_download() {
	step "downloading $PACKAGE (140 to 170 MB)" fetch_debs "$1" "$PACKAGE"
}

# use_own_or RELEASE: which apt is asked; "own" is this machine's.
use_own_or() {
	[ "$1" = own ] || use_release "$1"
	known "$PACKAGE" || apt_update
	known "$PACKAGE"
}

# download DIR: from the first release that has it.
download() {
	local release releases=own
	[ "$PACKAGE" = linux-source-6.12 ] || releases="trixie sid"
	for release in $releases; do
		use_own_or "$release" || continue
		try_download "$1" || { apt_update && try_download "$1"; } || die "could not download $PACKAGE: apt's words are above"
		return
	done
	die "no $PACKAGE in Debian's mirror (looked in: $releases): check the network and /etc/apt/sources.list*"
}

# tarball DIR: the source archive's path: the installed one, or else one downloaded into DIR.
tarball() {
	local name=usr/src/$PACKAGE.tar.xz
	if [ -e "/$name" ]; then
		echo "/$name"
		return
	fi
	need_apt "$PACKAGE"
	download "$1"
	dpkg -x "$1"/"$PACKAGE"*.deb "$1"
	echo "$1/$name"
}

# extract_members ARCHIVE DIR NAME
extract_members() {
	# --occurrence stops tar at the last member asked for, instead of at the archive's end.
	members "$3" | sed "s,^,$PACKAGE/," | tar -xJf "$1" -C "$2" --transform 's,.*/,,' --occurrence=1 -T - ||
		die "$1 does not hold all of: $(members "$3" | tr '\n' ' '). The package has changed, and scripts/setup-source.sh must follow"
}

# extract FINAL NAME
extract() {
	local final=$1 work=$1.new archive
	[ ! -e "$final" ] || return 0
	rm -rf "$work"
	mkdir -p "$work"
	archive=$(tarball "$work")
	step "extracting $2 from $archive (up to a minute)" extract_members "$archive" "$work" "$2"
	rm -rf "${work:?}/usr" "$work"/*.deb
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
		PACKAGE=linux-source-${3:-6.12}
		unpack_tree "${2:?usage: scripts/setup-source.sh --tree DIR [SERIES]}"
		return
	fi
	members "${1:-}" >/dev/null
	locked "$MYTUN_CACHE/.lock-$1" extract "$MYTUN_CACHE/$1" "$1"
	echo "$MYTUN_CACHE/$1"
}

main "$@"
