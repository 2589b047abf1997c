#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Usage: scripts/setup-programs.sh
#
# Unpacks the programs that test/programs and test/cases run in the virtual machine into the cache directory, with the libraries that this machine lacks, and
# prints the path of that directory. Nothing is installed: half of them are daemons, which a package starts, and whose users it adds.

set -eu
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
# shellcheck source=scripts/debian.sh
. "$(dirname "$0")/debian.sh"

PACKAGES="libvdeplug2|libvdeplug2t64 openssh-client openssh-server openvpn socat tinc uml-utilities vde-switch vdeplug wireguard-go wireguard-tools"
CACHED=$MYTUN_CACHE/programs

# up_to_date: the list that was unpacked is the one above, on this release, whose libraries the programs use.
up_to_date() {
	[ "$(cat "$CACHED/packages" 2>/dev/null)" = "$PACKAGES, $(codename)" ]
}

# with_dependencies: those packages, and what apt would install along with them on this machine.
with_dependencies() {
	local simulated package packages=()
	for package in $PACKAGES; do
		packages+=("$(choose "$package")")
	done
	simulated=$(apt-get -q -s install --no-install-recommends "${packages[@]}" 2>&1) || { echo "$simulated" >&2 && return 1; }
	{ printf '%s\n' "${packages[@]}" && awk '$1 == "Inst" { print $2 }' <<<"$simulated"; } | sort -u
}

# download DIR: with a second try after refreshing an index that is absent or stale.
download() {
	local packages attempt
	for attempt in 1 2; do
		rm -f "$1"/*.deb
		if packages=$(with_dependencies); then
			read -ra packages <<<"${packages//$'\n'/ }"
			step "programs to test with: downloading ${packages[*]}" fetch_debs "$1" "${packages[@]}" && return
		fi
		[ "$attempt" = 2 ] || apt_update
	done
	die "the programs for test/programs could not be fetched: $PACKAGES come from Debian's main archive; check the network and /etc/apt/sources.list*"
}

# unpack: complete in a directory beside the final one, or not there at all.
unpack() {
	local work=$CACHED.new deb
	! up_to_date || return 0
	need_apt "$PACKAGES"
	rm -rf "$work"
	mkdir -p "$work/debs"
	download "$work/debs"
	for deb in "$work"/debs/*.deb; do
		dpkg -x "$deb" "$work"
	done
	rm -rf "$work/debs"
	echo "$PACKAGES, $(codename)" >"$work/packages"
	rm -rf "$CACHED"
	mv "$work" "$CACHED"
	say "programs: ready in $CACHED"
}

main() {
	up_to_date || locked "$MYTUN_CACHE/.lock-programs" unpack
	echo "$CACHED"
}

main "$@"
