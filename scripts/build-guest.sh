#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Usage: scripts/build-guest.sh [--bench]
#
# Builds what runs in the virtual machine (or, with sudo test/selftest.sh, on a real host) into build/guest/: the commands under cmd/, test/ and adapter/,
# one test binary for each Go package under test/, and for each of pkg/ and adapter/ with tests of a device, the examples in C and what loads the module; with --bench only the benchmark's program, which is a Go module of its own. All static,
# so that they need nothing from the guest.

set -eu
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
TOP=$(cd "$(dirname "$0")/.." && pwd)
# The tests under test/ need the device: the tag keeps them out of 'go test ./...' on a host that has none.
TAGS=mytun_device

# packages_with PATTERN DIR: the directories below DIR that hold a file of that name.
packages_with() {
	find "$TOP/$2" -name "$1" -printf '%h\n' 2>/dev/null | sort -u
}

# device_tests: the packages under test/ whose tests need the device; the others are tested on the host.
device_tests() {
	grep -rlE --include='*_test.go' "^//go:build .*\b$TAGS\b" "$TOP/test" | xargs -n 1 dirname | sort -u
}

build_all() {
	local out=$TOP/build/guest$SUFFIX dir go=$TOP/scripts/go.sh
	mkdir -p "$out"
	cd "$TOP"
	for dir in $(packages_with main.go cmd) $(packages_with main.go test) $(packages_with main.go adapter); do
		# -C: a command may be a module of its own
		"$go" build -C "$dir" -o "$out/$(basename "$dir")" . || die "${dir#"$TOP"/} does not build"
	done
	# A test that has been removed must not live on as a binary.
	find "$out" -name '*.test' | while read -r test; do
		for dir in test pkg adapter; do
			[ ! -d "$TOP/$dir/$(basename "$test" .test)" ] || continue 2
		done
		rm -f "$test"
	done
	for dir in $(device_tests) $(packages_with 'module_*_test.go' pkg) $(packages_with 'module_*_test.go' adapter); do
		# -C: an adapter is a module of its own
		"$go" test -C "$dir" -c -tags "$TAGS" -o "$out/$(basename "$dir").test" . || die "the tests in ${dir#"$TOP"/} do not build"
	done
	build_examples
	cp "$TOP/kmod/load.sh" "$out/"
}

# build_examples: as people would build them, with the header from here instead of an installed one.
build_examples() {
	local file
	for file in "$TOP"/docs/examples/*.c; do
		"$CC" -O2 -Wall -Wextra -Werror -static -I "$TOP/kmod/uapi" -o "$TOP/build/guest$SUFFIX/$(basename "$file" .c)" "$file" ||
			die "${file#"$TOP"/} does not build"
	done
}

build_bench() {
	mkdir -p "$TOP/build/guest$SUFFIX"
	cd "$TOP/bench"
	"$TOP/scripts/go.sh" build -o "$TOP/build/guest$SUFFIX/mytun-bench" ./cmd/mytun-bench || die "bench/cmd/mytun-bench does not build"
}

# A first build downloads and compiles the dependencies, which takes a minute; later ones are not worth a word.
main() {
	local what=build_all text=''
	[ "${1:-}" != --bench ] || what=build_bench
	[ -d "$TOP/build/guest$SUFFIX" ] || text="building the Go programs for the guest (a minute or two the first time)"
	CC=gcc
	[ "$ARCH" = amd64 ] || CC=aarch64-linux-gnu-gcc
	"$TOP/scripts/setup-go.sh" >/dev/null
	# The benchmark's program is Go alone, and is built on other distributions than Debian, too.
	[ "$what" = build_bench ] || "$TOP/scripts/setup-packages.sh" "build$SUFFIX"
	export CGO_ENABLED=0 GOARCH="$ARCH"
	locked "$TOP/build/.lock-guest$SUFFIX" step "$text" "$what"
}

main "$@"
