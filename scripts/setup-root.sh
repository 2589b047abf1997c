#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Usage: scripts/setup-root.sh RELEASE PACKAGE...
#
# Unpacks packages of a Debian release, and all that they depend on, into the cache directory, as an ordinary user, and prints the path. What a
# kernel of another release wants to be built with is there, and is run by scripts/in-root.sh: this machine's own compiler may be too old, or
# too new. Nothing is configured, for a compiler needs no more than its files. A later call with other packages adds them.
# With ARCH=arm64 it is what an arm64 virtual machine is filled with, and nothing of it can run here.

set -eu
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
# shellcheck source=scripts/debian.sh
. "$(dirname "$0")/debian.sh"

# has ROOT PACKAGE...: all of them were asked for before.
has() {
	local root=$1 package
	shift
	for package; do
		grep -sqxF "$package" "$root/packages" || return 1
	done
}

# download DIR PACKAGE...: with a second try after refreshing an index that is absent or stale.
download() {
	local dir=$1 attempt
	shift
	mkdir -p "$dir/partial"
	for attempt in 1 2; do
		# of two versions of a package both would be unpacked
		rm -f "$dir"/*.deb
		! step "tools of Debian's release $RELEASE$SUFFIX: downloading (100 MB, only once)" \
			apt-get -q -y -o Dir::Cache::archives="$dir" --download-only --no-install-recommends install "?essential?architecture($ARCH)" "$@" || return 0
		[ "$attempt" = 2 ] || apt_update
	done
	die "the tools of Debian's release $RELEASE could not be fetched ($*): apt's words are above; check the network"
}

# unpack ROOT PACKAGE...: the list of what was asked for is written last.
unpack() {
	local root=$1
	shift
	! has "$root" "$@" || return 0
	use_release "$RELEASE"
	rm -rf "$root.debs"
	mkdir -p "$root.debs"
	download "$root.debs" "$@"
	step "tools of Debian's release $RELEASE$SUFFIX: unpacking" unpack_debs "$root.debs" "$root"
	# Which awk it is the package would choose when it is configured.
	[ -e "$root/usr/bin/awk" ] || ln -s mawk "$root/usr/bin/awk"
	rm -rf "$root.debs"
	printf '%s\n' "$@" >>"$root/packages"
}

main() {
	[ $# -ge 2 ] || die "usage: scripts/setup-root.sh RELEASE PACKAGE..."
	RELEASE=$1
	shift
	root=$MYTUN_CACHE/roots/$RELEASE$SUFFIX
	"$(dirname "$0")/setup-packages.sh" root
	has "$root" "$@" || locked "$MYTUN_CACHE/roots/.lock-$RELEASE$SUFFIX" unpack "$root" "$@"
	echo "$root"
}

main "$@"
