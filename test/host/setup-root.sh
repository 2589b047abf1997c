#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: test/host/setup-root.sh
#
# Makes a Debian 12 as somebody has it who builds mytun there: its kernel 6.12 with headers, and what scripts/setup-packages.sh would install. Prints
# the path of the archive that holds it, in the cache directory. As an ordinary user whom the machine lets make user namespaces, or as root.

set -eu
TOP=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=scripts/common.sh
. "$TOP/scripts/common.sh"
# shellcheck source=scripts/debian.sh
. "$TOP/scripts/debian.sh"
RELEASE=bookworm
PACKAGES=(linux-image-6.12-cloud-amd64 linux-headers-6.12-cloud-amd64
	make gcc gcc-12 libc6-dev libelf1 libssl3 kmod xz-utils pahole ca-certificates
	e2fsprogs iproute2 iputils-ping procps sudo util-linux)

# make_root FINAL: the archive appears when it is complete.
make_root() {
	local final=$1 log=$1.log list
	[ ! -e "$final" ] || return 0
	list=$(sources "$RELEASE")
	say "a Debian of release $RELEASE to measure in: downloading and installing (2 minutes, only once)"
	# INITRD=No: the virtual machine has an initial RAM disk of its own.
	if ! INITRD=No TMPDIR=$MYTUN_CACHE/roots mmdebstrap --variant=minbase --format=tar --aptopt='APT::Install-Recommends "false"' \
		--include="$(IFS=, && echo "${PACKAGES[*]}")" "$RELEASE" "$final.new" - <<<"$list" >"$log" 2>&1; then
		tail -n 30 "$log" >&2
		die "the system of Debian's $RELEASE could not be made: mmdebstrap's words are above and in $log"
	fi
	mv "$final.new" "$final"
	rm -f "$log"
}

main() {
	local final
	final=$MYTUN_CACHE/roots/host-$RELEASE-$(echo "${PACKAGES[@]}" | sha256sum | cut -c 1-8).tar
	"$TOP/scripts/setup-packages.sh" package
	mkdir -p "$MYTUN_CACHE/roots"
	locked "$MYTUN_CACHE/roots/.lock-host" make_root "$final"
	echo "$final"
}

main
