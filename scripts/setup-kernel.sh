#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Usage: scripts/setup-kernel.sh SERIES        (6.1, 6.12, 7.2 and whatever else Debian has; 6.1-rt; 6.12-kasan, 6.12-kcsan, 6.12-64k)
#
# Unpacks a Debian kernel and what is needed to build modules for it into the cache directory, as an ordinary user, and prints the
# path of a file of shell variables that names the parts:
#
#	KERNEL_SERIES   6.12                        KERNEL_RELEASE  what uname -r will say
#	KERNEL_DIR      the tree to build against   KERNEL_IMAGE    the vmlinuz to boot
#	KERNEL_MODULES  its lib/modules directory   KERNEL_TOOLS    for scripts/in-root.sh: with what to build, empty for this machine's own
#
# Nothing is installed: a test kernel has no business in /boot, and Debian's headers depend on the image. A kernel that is
# in the cache already is used as it is, without the network, even if Debian has a newer one; 'make distclean' drops it. 6.1 comes from Debian 12,
# 7.0 and later from Debian 13's backports, or from unstable before they are there. Kernels with a checker's name, or a page size, are built from
# source, by setup-debug-kernel.sh. With ARCH=arm64 it is the arm64 kernel, and what builds for it on this machine; of Debian 12 only.

set -eu
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
# shellcheck source=scripts/debian.sh
. "$(dirname "$0")/debian.sh"

# releases SERIES: the Debian releases that may have that kernel, the best first. This machine's own, where it has it, needs no other tools.
releases() {
	case $1 in
	6.1 | 6.1-rt) echo bookworm ;;
	6.12) if [ "$(codename)" = bookworm ]; then echo bookworm trixie; else echo trixie; fi ;;
	*) echo trixie sid ;;
	esac
}

flavour() {
	case $1 in
	*-rt) echo "rt-$ARCH" ;;
	*) echo "cloud-$ARCH" ;;
	esac
}

# newest SERIES: the newest kernel of that series, as uname -r says it, of which apt can give us both: headers come before their signed image.
newest() {
	local release
	apt-cache pkgnames "linux-headers-${1%-rt}" | sed -n "s/^linux-headers-\(${1%-rt}[-.+].*-$(flavour "$1")\|${1%-rt}-$(flavour "$1")\)\$/\1/p" |
		sort -Vr | while read -r release; do
		if known "linux-headers-$release" && known "linux-image-$release"; then
			echo "$release"
			break
		fi
	done
}

# depends_on PACKAGE PATTERN: its dependencies whose names match.
depends_on() {
	apt-cache depends --important "$1" | awk -v want="$2" '$1 ~ /Depends:$/ && $2 ~ want { print $2 }'
}

# parts RELEASE: the packages that hold image, headers, common headers and build tools. From 7.0 on the image's is empty, and depends on its parts.
parts() {
	local image=linux-image-$1 headers=linux-headers-$1
	! known "linux-binary-$1" || image="linux-binary-$1 linux-modules-$1 linux-base-$1"
	# shellcheck disable=SC2086 # words are meant
	printf '%s\n' $image "$headers"
	depends_on "$headers" '^linux-headers-.*-common(-rt)?$'
	# Its programs run here, whatever they build for.
	depends_on "$headers" '^linux-kbuild-.*$' | sed "s/:.*//${SUFFIX:+; s/\$/:amd64/}"
}

# tools RELEASE: what else the headers ask for: the compiler that the kernel was built with, before 6.12 by a package that stands for it, and what
# the kernel's own tools need.
tools() {
	local compiler
	depends_on "linux-headers-$1" '^gcc-'
	for compiler in $(depends_on "linux-headers-$1" '^linux-compiler-gcc-'); do
		depends_on "$compiler" '^gcc-'
	done
	depends_on "$(depends_on "linux-headers-$1" '^linux-kbuild-')" '^(pahole|lib)'
}

# download SERIES DIR: with a second try after refreshing an index that is absent or stale. Sets RELEASE, and FROM to Debian's release.
download() {
	local packages attempt
	for FROM in $(releases "$1"); do
		use_release "$FROM"
		for attempt in 1 2; do
			# of two versions of a package both would be unpacked
			rm -f "$2"/*.deb
			RELEASE=$(newest "$1")
			if [ -n "$RELEASE" ]; then
				mapfile -t packages < <(parts "$RELEASE")
				step "kernel $1: downloading ${packages[*]}" fetch_debs "$2" "${packages[@]}" && return
			fi
			[ "$attempt" = 2 ] || apt_update
		done
	done
	die "Debian's mirror has no kernel $1 any more, or not yet (looked for linux-headers-$1*-$(flavour "$1") in $(releases "$1"));" \
		"check the network, or choose another with KERNEL= or KERNELS="
}

# arrange ROOT: from 7.0 on the image lies with the modules.
arrange() {
	[ -e "$1/boot/vmlinuz-$RELEASE" ] || { mkdir -p "$1/boot" && mv "$1/lib/modules/$RELEASE/vmlinuz" "$1/boot/vmlinuz-$RELEASE"; }
}

# relocate ROOT: the flavour's Makefile names the common headers and its own directory by their installed paths, and the two links in
# lib/modules are absolute on 6.1. All must point into the cache, wherever that is, so they are made relative.
relocate() {
	local root=$1 link
	# shellcheck disable=SC2016 # the dollars are make's
	sed -i -E -e 's,^include /usr/src/,include $(dir $(lastword $(MAKEFILE_LIST)))../,' \
		-e 's,^KBUILD_OUTPUT *:?= */usr/src/(.*),KBUILD_OUTPUT := $(abspath $(dir $(lastword $(MAKEFILE_LIST)))../\1),' \
		"$root/usr/src/linux-headers-$RELEASE/Makefile"
	for link in build source; do
		rm -f "$root/lib/modules/$RELEASE/$link"
	done
	ln -s "../../../src/linux-headers-$RELEASE" "$root/lib/modules/$RELEASE/build"
}

# describe SERIES TOOLS FINAL: the variables, with the paths that hold after the rename.
describe() {
	cat <<-EOF
		KERNEL_SERIES='$1'
		KERNEL_RELEASE='$RELEASE'
		KERNEL_DIR='$3/usr/src/linux-headers-$RELEASE'
		KERNEL_IMAGE='$3/boot/vmlinuz-$RELEASE'
		KERNEL_MODULES='$3/lib/modules/$RELEASE'
		KERNEL_TOOLS='$2'
	EOF
}

# check ROOT: a package that is laid out differently should fail here and not in the middle of a build.
check() {
	local part
	for part in "boot/vmlinuz-$RELEASE" "lib/modules/$RELEASE/modules.dep" "usr/src/linux-headers-$RELEASE/Module.symvers" \
		"usr/src/linux-headers-$RELEASE/scripts/mod/modpost"; do
		[ -e "$1/$part" ] || die "the unpacked kernel has no $part: Debian's packages have changed, and scripts/setup-kernel.sh must follow"
	done
}

# build_tools: where the kernel's are, if they cannot be this machine's.
build_tools() {
	local packages
	[ "$FROM" != "$(codename)" ] || return 0
	[ "$ARCH" = amd64 ] || die "there is no cross compiler for a kernel of another Debian release than this machine's: choose 6.12 with KERNEL="
	mapfile -t packages < <(tools "$RELEASE")
	"$(dirname "$0")/setup-root.sh" "$FROM" make binutils kmod xz-utils "${packages[@]}"
}

# unpack SERIES FINAL: everything happens in a directory beside the final one, which appears only when it is complete.
unpack() {
	local series=$1 final=$2 work=$2.new tools
	[ ! -e "$final/kernel.env" ] || return 0
	need_apt "kernel headers for $series"
	"$(dirname "$0")/setup-packages.sh" "build$SUFFIX"
	rm -rf "$work"
	mkdir -p "$work/debs"
	download "$series" "$work/debs"
	step "kernel $series: unpacking" unpack_debs "$work/debs" "$work"
	rm -rf "$work/debs"
	arrange "$work"
	relocate "$work"
	PATH=$PATH:/usr/sbin:/sbin depmod -b "$work" "$RELEASE"
	check "$work"
	tools=$(build_tools)
	describe "$series" "$tools" "$final" >"$work/kernel.env"
	rm -rf "$final"
	mv "$work" "$final"
	say "kernel $series: ready in $final"
}

main() {
	local series=${1:-}
	case $series in
	6.12-*) exec "$(dirname "$0")/setup-debug-kernel.sh" "$series" ;;
	esac
	[[ $series =~ ^[0-9]+\.[0-9]+(-rt)?$ ]] || die "usage: scripts/setup-kernel.sh SERIES, such as 6.1, 6.12, 7.2, 6.1-rt, 6.12-kasan, 6.12-kcsan (not '$series')"
	locked "$MYTUN_CACHE/kernels/.lock-$series$SUFFIX" unpack "$series" "$MYTUN_CACHE/kernels/$series$SUFFIX"
	echo "$MYTUN_CACHE/kernels/$series$SUFFIX/kernel.env"
}

main "$@"
