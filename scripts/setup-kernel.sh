#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Usage: scripts/setup-kernel.sh 6.12|6.1|6.1-rt|6.12-kasan|6.12-kcsan
#
# Unpacks a Debian kernel and what is needed to build modules for it into the cache directory, as an ordinary user, and prints the
# path of a file of shell variables that names the parts:
#
#	KERNEL_SERIES   6.12                        KERNEL_RELEASE  what uname -r will say
#	KERNEL_DIR      the tree to build against   KERNEL_IMAGE    the vmlinuz to boot
#	KERNEL_MODULES  its lib/modules directory
#
# Nothing is installed: a test kernel has no business in /boot, and Debian's 6.12 headers depend on the image. A kernel that is
# in the cache already is used as it is, without the network, even if Debian has a newer one; 'make distclean' drops it. The kernels with
# a checker's name are built from source, by setup-debug-kernel.sh.

set -eu
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"

# image_meta SERIES, headers_meta SERIES: Debian's names for "the present kernel of that series".
image_meta() {
	case $1 in
	6.1) echo linux-image-cloud-amd64 ;;
	6.1-rt) echo linux-image-rt-amd64 ;;
	*) echo "linux-image-$1-cloud-amd64" ;;
	esac
}

headers_meta() {
	case $1 in
	6.1) echo linux-headers-cloud-amd64 ;;
	6.1-rt) echo linux-headers-rt-amd64 ;;
	*) echo "linux-headers-$1-cloud-amd64" ;;
	esac
}

# depends_on PACKAGE PATTERN: the package's first dependency whose name matches.
depends_on() {
	apt-cache depends --important "$1" | awk -v want="$2" '$1 ~ /Depends:$/ && $2 ~ want { print $2; exit }'
}

# resolve SERIES: the four packages that hold image, headers, common headers and build tools of the present kernel.
resolve() {
	local image headers
	image=$(depends_on "$(image_meta "$1")" '^linux-image-[0-9]')
	headers=$(depends_on "$(headers_meta "$1")" '^linux-headers-[0-9]')
	[ -n "$image" ] && [ -n "$headers" ] || return 1
	case $image in
	"linux-image-${1%-rt}."*) ;;
	*) die "$(image_meta "$1") is $image here, not a ${1%-rt} kernel: this set-up is written for Debian 12" ;;
	esac
	echo "$image $headers" "$(depends_on "$headers" '^linux-headers-.*-common(-rt)?$')" "$(depends_on "$headers" '^linux-kbuild-')"
}

# download SERIES DIR: resolve and fetch, with a second try after refreshing an index that is absent or stale.
download() {
	local packages attempt
	for attempt in 1 2; do
		if known "$(image_meta "$1")" && packages=$(resolve "$1"); then
			read -ra packages <<<"$packages"
			say "kernel $1: downloading ${packages[*]}"
			fetch_debs "$2" "${packages[@]}" && return
			cat "$2/fetch.log" >&2
		fi
		[ "$attempt" = 2 ] || apt_update
	done
	die "no kernel $1 could be fetched: $(image_meta "$1") and $(headers_meta "$1") come from Debian 12's main and security archives;" \
		"check the network and /etc/apt/sources.list*"
}

# relocate ROOT: the flavour's Makefile is one line that includes the common one by its installed path, and the two links in
# lib/modules are absolute on 6.1. Both must point into the cache, wherever that is, so they are made relative.
relocate() {
	local root=$1 makefile release link
	for makefile in "$root"/usr/src/linux-headers-*-{cloud,rt}-amd64/Makefile; do
		[ -e "$makefile" ] || continue
		# shellcheck disable=SC2016 # the dollars are make's
		sed -i 's|^include /usr/src/|include $(dir $(lastword $(MAKEFILE_LIST)))../|' "$makefile"
	done
	release=$(basename "$root"/lib/modules/*)
	for link in build source; do
		rm -f "$root/lib/modules/$release/$link"
	done
	ln -s "../../../usr/src/linux-headers-$release" "$root/lib/modules/$release/build"
}

# describe SERIES ROOT FINAL: the variables, with the paths that hold after the rename.
describe() {
	local release
	release=$(basename "$2"/lib/modules/*)
	cat <<-EOF
		KERNEL_SERIES='$1'
		KERNEL_RELEASE='$release'
		KERNEL_DIR='$3/usr/src/linux-headers-$release'
		KERNEL_IMAGE='$3/boot/vmlinuz-$release'
		KERNEL_MODULES='$3/lib/modules/$release'
	EOF
}

# check ROOT: a package that is laid out differently should fail here and not in the middle of a build.
check() {
	local part
	for part in "$1"/boot/vmlinuz-* "$1"/lib/modules/*/modules.dep "$1"/usr/src/linux-headers-*-amd64/Module.symvers \
		"$1"/usr/src/linux-headers-*-amd64/scripts/mod/modpost; do
		[ -e "$part" ] || die "the unpacked kernel has no $part: Debian's packages have changed, and scripts/setup-kernel.sh must follow"
	done
}

# unpack SERIES FINAL: everything happens in a directory beside the final one, which appears only when it is complete.
unpack() {
	local series=$1 final=$2 work=$2.new deb
	[ ! -e "$final/kernel.env" ] || return 0
	need_apt "kernel headers for $series"
	"$(dirname "$0")/setup-packages.sh" build
	rm -rf "$work"
	mkdir -p "$work/debs"
	download "$series" "$work/debs"
	for deb in "$work"/debs/*.deb; do
		say "kernel $series: unpacking $(basename "$deb")"
		dpkg -x "$deb" "$work"
	done
	rm -rf "$work/debs"
	relocate "$work"
	PATH=$PATH:/usr/sbin:/sbin depmod -b "$work" "$(basename "$work"/lib/modules/*)"
	check "$work"
	describe "$series" "$work" "$final" >"$work/kernel.env"
	rm -rf "$final"
	mv "$work" "$final"
	say "kernel $series: ready in $final"
}

main() {
	local series=${1:-}
	case $series in
	6.12 | 6.1 | 6.1-rt) ;;
	6.12-*) exec "$(dirname "$0")/setup-debug-kernel.sh" "$series" ;;
	*) die "usage: scripts/setup-kernel.sh 6.12|6.1|6.1-rt|6.12-kasan|6.12-kcsan (not '$series')" ;;
	esac
	locked "$MYTUN_CACHE/kernels/.lock-$series" unpack "$series" "$MYTUN_CACHE/kernels/$series"
	echo "$MYTUN_CACHE/kernels/$series/kernel.env"
}

main "$@"
