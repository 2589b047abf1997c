#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Usage: scripts/build-deb.sh [SOURCE [OUT]]
#
# Builds the Debian packages mytun-dkms, mytun-dev and mytun-tools of the tree SOURCE (this one) into the directory OUT (build/deb), as an ordinary user, and
# prints their paths. Debian's tools write beside the sources and between them, so they work on a copy.

set -eu
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
TOP=$(cd "$(dirname "$0")/.." && pwd)

# build SOURCE OUT: OUT is as it was until everything has been built.
build() {
	local source=$1 out=$2 work=$2.new
	rm -rf "$work"
	mkdir -p "$work/source" "$out"
	tar -C "$source" --exclude=./build --exclude=./.git -c . | tar -C "$work/source" -x
	if ! (cd "$work/source" && dpkg-buildpackage -b -us -uc) >"$work/log" 2>&1; then
		cat "$work/log" >&2
		die "the packages do not build: the words of Debian's tools are above"
	fi
	rm -rf "${out:?}"/* "$work/source"
	mv "$work"/* "$out"
	rmdir "$work"
}

main() {
	local source=${1:-$TOP} out=${2:-$TOP/build/deb}
	have dpkg-buildpackage || need_apt dpkg-dev debhelper dh-dkms golang-go
	"$TOP/scripts/setup-packages.sh" deb
	mkdir -p "$(dirname "$out")"
	locked "$(dirname "$out")/.lock-$(basename "$out")" build "$source" "$out"
	ls "$out"/*.deb
}

main "$@"
