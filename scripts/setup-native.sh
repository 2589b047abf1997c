#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Usage: scripts/setup-native.sh
#
# Builds the kernel of the native clock into the cache directory, as an ordinary user, and prints the path of a file of shell variables, the
# same ones as scripts/setup-kernel.sh: User-mode Linux with two processors, from Debian's linux-source-7.2, patched (scripts/native/uml.patch) so that
# kernel code in it can be timed. It is a process of this machine: what it executes, it executes natively, without KVM and without an emulator.
#
# A build is kept for a configuration and a patch, as long as they do not change, even if Debian has a newer source.

set -eu
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
TOP=$(cd "$(dirname "$0")/.." && pwd)
SERIES=7.2
CONFIG=$TOP/scripts/native/uml.config
PATCH=$TOP/scripts/native/uml.patch

# check_machine: what makes timing on it pointless, before minutes are spent.
check_machine() {
	[ "$(uname -m)" = x86_64 ] || die "the native clock is for x86_64, and this machine is $(uname -m): use make bench"
	[ "$(getconf _NPROCESSORS_ONLN)" -ge 2 ] || die "this machine has one CPU, and the native clock needs CPUs 0 and 1: use make bench"
	if ! grep -qw constant_tsc /proc/cpuinfo || ! grep -qw nonstop_tsc /proc/cpuinfo; then
		die "this machine's TSC is not invariant (constant_tsc and nonstop_tsc in /proc/cpuinfo): nothing can be timed with it; use make bench"
	fi
}

# kbuild ARGS...: in the tree that one is in.
kbuild() {
	make ARCH=um "$@"
}

# check_config: Kconfig drops what it cannot have without a word.
check_config() {
	local line wrong=''
	while read -r line; do
		case $line in
		*=n) ! grep -q "^${line%=n}=" .config || wrong+=" $line" ;;
		CONFIG_*) grep -qxF "$line" .config || wrong+=" $line" ;;
		esac
	done <"$CONFIG"
	[ -z "$wrong" ] || die "linux-source-$SERIES does not take$wrong: scripts/native/uml.config must follow"
}

# prepare TREE: its source, patched and configured.
prepare() {
	"$TOP/scripts/setup-source.sh" --tree "$1" "$SERIES"
	cd "$1"
	patch -s -p1 <"$PATCH" || die "scripts/native/uml.patch does not apply to linux-source-$SERIES: the package has changed, and the patch must follow"
	kbuild -s allnoconfig >/dev/null
	ARCH=um scripts/kconfig/merge_config.sh -m .config "$CONFIG" >/dev/null
	kbuild -s olddefconfig
	check_config
}

# compile TREE LOG
compile() {
	cd "$1"
	kbuild -j"$(nproc)" linux modules >"$2" 2>&1 && return
	grep -E 'error|Error|\*\*\*' "$2" | tail -n 20 >&2
	die "the kernel does not build: $2 tells why"
}

# collect TREE: what is left of it: the kernel, and what external modules are built against.
collect() {
	cd "$1"
	kbuild -s kernelrelease >release
	strip -o image linux
	find . -mindepth 1 -maxdepth 1 ! -name arch ! -name include ! -name scripts ! -name tools ! -name 'M*' ! -name Kbuild ! -name .config \
		! -name release ! -name image -exec rm -rf {} +
	find arch -mindepth 1 -maxdepth 1 ! -name um ! -name x86 -exec rm -rf {} +
	find tools -mindepth 1 -maxdepth 1 ! -name include ! -name scripts ! -name build ! -name objtool -exec rm -rf {} +
	find arch '(' -name '*.o' -o -name '*.a' ')' -delete
}

# describe DIR RELEASE: the variables, with the paths that hold after the rename.
describe() {
	cat <<-END
		KERNEL_SERIES='$SERIES-native'
		KERNEL_RELEASE='$2'
		KERNEL_DIR='$1'
		KERNEL_IMAGE='$1/image'
	END
}

# build FINAL: everything happens in a directory beside the final one, which appears only when it is complete.
build() {
	local final=$1 work=$1.new
	[ ! -e "$final/kernel.env" ] || return 0
	"$TOP/scripts/setup-packages.sh" build debug
	rm -rf "$work"
	mkdir -p "$work"
	(prepare "$work")
	step "building User-mode Linux $SERIES (5 to 9 minutes on two cores, only once)" compile "$work" "$final.log"
	(collect "$work")
	describe "$final" "$(cat "$work/release")" >"$work/kernel.env"
	find "$(dirname "$final")" -mindepth 1 -maxdepth 1 ! -name '.lock*' ! -path "$work" ! -path "$final.log" -exec rm -rf {} +
	mv "$work" "$final"
	say "the native clock's kernel: ready in $final"
}

main() {
	local final
	[ $# = 0 ] || die "usage: scripts/setup-native.sh (not '$*')"
	check_machine
	final=$MYTUN_CACHE/native/$SERIES-$(cat "$CONFIG" "$PATCH" | sha256sum | cut -c 1-12)
	[ -e "$final/kernel.env" ] || locked "$MYTUN_CACHE/native/.lock" build "$final"
	echo "$final/kernel.env"
}

main "$@"
