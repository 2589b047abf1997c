#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Usage: scripts/bench-native.sh [ARGS of mytun-native...]
#
# Nanoseconds a packet on this machine's own processor, as an ordinary user: mytun, stock tun and vhost-net in a User-mode Linux with two
# processors, which are CPUs 0 and 1 of this machine. bench/native/README.md says what the figures are good for. The rows are in build/bench-native.json.
#
#   KMOD=DIR       the module's sources, kmod/ of any working tree, instead of this one's
#   AGAINST=DIR    another's: both builds take turns in one boot, as "mytun A" (KMOD) and "mytun B", without the others
#
# Useful arguments: -rows 'rx*:64,tx:64' (the names: -list), -cpus 2, -rounds 12

set -eu
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
TOP=$(cd "$(dirname "$0")/.." && pwd)
OUT=$TOP/build/native
ROWS=$TOP/build/bench-native.json

# build_module KMOD OUT: for the native clock's kernel, with the Makefile that lies there.
build_module() {
	local from
	[ -e "$1/Kbuild" ] || die "$1 has no Kbuild: give the kmod directory of a working tree"
	# Other sources may be older than the objects of these.
	from="$(cd "$1" && pwd) $KERNEL_DIR"
	[ "$(cat "$2/.from" 2>/dev/null)" = "$from" ] || rm -rf "$2"
	mkdir -p "$2"
	echo "$from" >"$2/.from"
	make -C "$1" -j"$(nproc)" KDIR="$KERNEL_DIR" OUT="$2" ARCH=um modules >"$2.log" 2>&1 && return
	cat "$2.log" >&2
	die "the module in $1 does not build for User-mode Linux $KERNEL_RELEASE: the compiler's words are above and in ${2#"$TOP"/}.log"
}

build_programs() {
	"$TOP/scripts/setup-go.sh" >/dev/null
	cd "$TOP/bench"
	CGO_ENABLED=0 "$TOP/scripts/go.sh" build -o "$OUT/mytun-native" ./cmd/mytun-native || die "bench/cmd/mytun-native does not build"
	"$TOP/scripts/go.sh" build -o "$TOP/build/bench-report" ./cmd/bench-report || die "bench/cmd/bench-report does not build"
}

# measure ARGS...
measure() {
	"$OUT/mytun-native" -image "$KERNEL_IMAGE" -release "$KERNEL_RELEASE" -root "$OUT/root" -console "$OUT/console.log" -json "$ROWS" \
		-module "$OUT/kmod/mytun.ko" "${BOTH[@]}" "$@"
	[[ " $* " == *" -list "* ]] || "$TOP/build/bench-report" table "$ROWS"
}

main() {
	local env
	env=$("$TOP/scripts/setup-native.sh")
	# shellcheck source=/dev/null
	. "$env"
	mkdir -p "$OUT/root"
	step "building the module for User-mode Linux $KERNEL_RELEASE" build_module "${KMOD:-$TOP/kmod}" "$OUT/kmod"
	BOTH=()
	if [ -n "${AGAINST:-}" ]; then
		step "building the module in $AGAINST" build_module "$AGAINST" "$OUT/kmod-against"
		BOTH=(-against "$OUT/kmod-against/mytun.ko" -peers=false)
	fi
	step "" build_programs
	# Two at a time would be each other's load.
	locked "$MYTUN_CACHE/native/.lock-run" measure "$@"
}

main "$@"
