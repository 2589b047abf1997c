#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Usage: scripts/dist.sh
#
# Packs what is committed at HEAD into build/dist/mytun-VERSION.tar.gz, with its checksum beside it, and prints the archive's path. The same commit gives
# the same bytes.

set -eu
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
TOP=$(cd "$(dirname "$0")/.." && pwd)

main() {
	local version name out=$TOP/build/dist
	git -C "$TOP" rev-parse -q --verify HEAD >/dev/null || die "$TOP is no git checkout, and an archive is made of a commit"
	version=$("$TOP/scripts/version.sh" HEAD)
	name=mytun-$version
	mkdir -p "$out"
	# gzip would put the time into its header.
	git -C "$TOP" -c tar.umask=0022 archive --format=tar --prefix="$name/" HEAD | gzip -9n >"$out/$name.tar.gz.new"
	mv "$out/$name.tar.gz.new" "$out/$name.tar.gz"
	(cd "$out" && sha256sum "$name.tar.gz" >"$name.tar.gz.sha256")
	echo "$out/$name.tar.gz"
}

main
