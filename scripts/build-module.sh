#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Usage: scripts/build-module.sh [--fresh] [--planted|--cover] SERIES
#
# Builds kmod/ with W=1 for a kernel that scripts/setup-kernel.sh knows into build/kmod-<series>/ and prints the path of mytun.ko. The compiler's output is shown if
# it complains of anything. With --fresh everything is compiled anew and any warning is a failure: an incremental build would hide the
# warnings of the files that it does not compile. With --planted the module has the faults of kmod/mytun_planted.c, with --cover it
# keeps a record of what has run (kmod/mytun_cover.c), each in a directory of its own.

set -eu
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
TOP=$(cd "$(dirname "$0")/.." && pwd)

# run_make OUT LOG: the build itself, its whole output in a log.
run_make() {
	# shellcheck disable=SC2153 # KERNEL_DIR comes from the kernel's own file
	"$TOP/scripts/in-root.sh" "${KERNEL_TOOLS:-}" make -C "$TOP/kmod" -j"$(nproc)" KDIR="$KERNEL_DIR" OUT="$1" W=1 ${VARIABLE:+"$VARIABLE=y"} "${CROSS[@]}" modules >"$2" 2>&1
}

# loud LOG: true if the compiler, the linker or modpost had anything to say.
loud() {
	grep -qE 'warning|WARNING|error|ERROR' "$1"
}

build() {
	local fresh=$1 series=$2 out=$3 log=$3.log
	[ -z "$fresh" ] || rm -rf "$out"
	mkdir -p "$out"
	if ! run_make "$out" "$log"; then
		cat "$log" >&2
		die "the module does not build for kernel $series ($KERNEL_RELEASE): the compiler's words are above and in ${log#"$TOP"/}"
	fi
	if loud "$log"; then
		cat "$log" >&2
		[ -z "$fresh" ] || die "the module builds for kernel $series with warnings"
	fi
}

main() {
	local fresh='' variant='' series out
	VARIABLE='' CROSS=(ARCH=x86)
	[ "$ARCH" = amd64 ] || CROSS=(ARCH="$ARCH" CROSS_COMPILE=aarch64-linux-gnu-)
	[ "${1:-}" != --fresh ] || { fresh=yes && shift; }
	case ${1:-} in
	--planted) variant=-planted VARIABLE=MYTUN_PLANT && shift ;;
	--cover) variant=-cover VARIABLE=MYTUN_COVER && shift ;;
	esac
	series=${1:?usage: scripts/build-module.sh [--fresh] [--planted|--cover] SERIES}
	out=$TOP/build/kmod-$series$variant$SUFFIX
	"$TOP/scripts/setup-packages.sh" "build$SUFFIX"
	kernel_env=$("$TOP/scripts/setup-kernel.sh" "$series")
	# shellcheck source=/dev/null
	. "$kernel_env"
	locked "$TOP/build/.lock-$(basename "$out")" build "$fresh" "$series" "$out"
	echo "$out/mytun.ko"
}

main "$@"
