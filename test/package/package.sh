#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: test/package/package.sh [RELEASE...]        (bookworm trixie)
#
# The packages, from the archive of the sources to a device that works: built, checked by lintian, installed in clean systems of Debian's releases
# (scenario.sh), and each module that DKMS has built there booted (guest.sh). KTAP, some minutes a release.

# shellcheck disable=SC2317 # the checks are called through check
set -eu
TOP=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=scripts/common.sh
. "$TOP/scripts/common.sh"
HERE=$TOP/test/package
# shellcheck source=test/package/ktap.sh
. "$HERE/ktap.sh"
WORK=$TOP/build/package

# sources DIR: this tree, as a clean checkout would have it.
sources() {
	mkdir -p "$1"
	tar -C "$TOP" --exclude=./build --exclude=./.git -c . | tar -C "$1" -x
}

# version_before DIR: a tree of a version that has never been: the one before this, with a file that has gone since.
version_before() {
	sources "$1"
	sed -i 's/^PACKAGE_VERSION=.*/PACKAGE_VERSION="0.1.0"/' "$1/kmod/dkms.conf"
	sed -i '1s/(.*)/(0.1.0)/' "$1/debian/changelog"
	echo '/* not in the next version */' >"$1/kmod/mytun_gone.h"
}

build_packages() {
	say "package: building this version and the one before"
	"$TOP/scripts/build-deb.sh" "$TOP" "$WORK/now" >/dev/null
	version_before "$WORK/source-before"
	"$TOP/scripts/build-deb.sh" "$WORK/source-before" "$WORK/before" >/dev/null
}

# reproducible: the archive of a commit is the same whenever it is made, its checksum is right, and it has what it takes to build packages.
reproducible() {
	local archive first
	archive=$("$TOP/scripts/dist.sh")
	first=$(sha256sum <"$archive")
	(cd "$(dirname "$archive")" && sha256sum -c "$(basename "$archive").sha256")
	(umask 077 && TZ=Pacific/Apia "$TOP/scripts/dist.sh")
	[ "$(sha256sum <"$archive")" = "$first" ] || fail "another archive of the same commit"
	rm -rf "$WORK/dist"
	mkdir -p "$WORK/dist"
	tar -C "$WORK/dist" -xzf "$archive"
	"$WORK/dist/$(basename "$archive" .tar.gz)/scripts/build-deb.sh"
}

checked_here() {
	check "lintian" lintian --fail-on error,warning --allow-root "$WORK"/now/*.changes
	! git -C "$TOP" rev-parse -q --verify HEAD >/dev/null || check "make dist" reproducible
	plan || STATUS=1
}

# describe KERNEL DIR: the kernel's parts, as scripts/setup-kernel.sh names them.
describe() {
	cat <<-EOF
		KERNEL_RELEASE='$1'
		KERNEL_IMAGE='$2/vmlinuz'
		KERNEL_MODULES='$2/lib/modules/$1'
	EOF
}

# boot DIR KERNEL: with the module as it lies where DKMS put it.
boot() {
	local dir=$1 kernel=$2 module
	describe "$kernel" "$dir" >"$dir/kernel.env"
	module=$(find "$dir/lib/modules" -name 'mytun.ko*')
	[ "${module%.xz}" = "$module" ] || { xz -d "$module" && module=${module%.xz}; }
	"$TOP/test/vm/run.sh" --kernel "$kernel" --kernel-files "$dir/kernel.env" --module "$module" --name "package-$kernel" test/package/guest.sh "$("$TOP/scripts/version.sh")" || STATUS=1
}

# try_release RELEASE
try_release() {
	local archive shared=$WORK/$1 kernel
	archive=$("$HERE/setup-root.sh" "$1")
	rm -rf "$shared"
	mkdir -p "$shared"
	cp -R "$WORK/now" "$WORK/before" "$HERE" "$shared/"
	sources "$shared/source"
	"$HERE/enter.sh" "$archive" "$shared" /mytun/package/scenario.sh || STATUS=1
	for kernel in "$shared"/kernels/*; do
		boot "$kernel" "${kernel##*/}"
	done
}

main() {
	local release
	STATUS=0
	[ $# -gt 0 ] || set -- bookworm trixie
	"$TOP/scripts/setup-packages.sh" package
	rm -rf "$WORK"
	build_packages
	checked_here
	for release; do
		try_release "$release"
	done
	exit "$STATUS"
}

main "$@"
