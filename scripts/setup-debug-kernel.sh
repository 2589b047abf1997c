#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Usage: scripts/setup-debug-kernel.sh 6.12-kasan|6.12-kcsan
#        ARCH=arm64 scripts/setup-debug-kernel.sh 6.12-64k
#
# Builds a kernel that Debian does not have, with checkers or of another page size, from Debian's kernel source package into the cache
# directory, as an ordinary user, and prints the path of a file of shell variables: the same ones as scripts/setup-kernel.sh, which is what
# others call. What is built is tinyconfig with test/debug/base.config and the kind's own fragment on top.
#
# A build is kept for a version of the source package and a configuration: if either changes, it is built anew and the old one dropped.
# Without the package index, the newest build of the same configuration will do.

set -eu
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
TOP=$(cd "$(dirname "$0")/.." && pwd)
PACKAGE=linux-source-6.12
FRAGMENTS=()
# The kernel's name of the architecture, and the image that boots.
KBUILD=(ARCH=x86_64) IMAGE=arch/x86/boot/bzImage
[ "$ARCH" = amd64 ] || { KBUILD=(ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu-) && IMAGE=arch/arm64/boot/Image; }

# kbuild ARGS...: in the tree that one is in.
kbuild() {
	make "${KBUILD[@]}" "$@"
}

# source_version: of the package that scripts/setup-source.sh would unpack.
source_version() {
	dpkg-query -W -f '${db:Status-Abbrev}${Version}' "$PACKAGE" 2>/dev/null | sed -n 's/^ii //p' | grep . ||
		apt-cache show --no-all-versions "$PACKAGE" 2>/dev/null | sed -n 's/^Version: //p' | grep .
}

# digest: of the configuration.
digest() {
	cat "${FRAGMENTS[@]}" | sha256sum | cut -c 1-12
}

# asked: the lines of the fragments; of one name the last.
asked() {
	awk -F= '/^CONFIG_/ { line[$1] = $0 } END { for (name in line) print line[name] }' "${FRAGMENTS[@]}"
}

# check_config CONFIG: Kconfig drops what it cannot have without a word, and a debug kernel without its checker finds nothing.
check_config() {
	local line name wrong=''
	while read -r line; do
		name=${line%%=*}
		case $line in
		*=n) ! grep -q "^$name=" "$1" || wrong+=" $line" ;;
		*) grep -qxF "$line" "$1" || wrong+=" $line" ;;
		esac
	done < <(asked)
	[ -z "$wrong" ] || die "$PACKAGE does not take$wrong: test/debug/*.config must follow"
}

# configure SOURCE
configure() {
	cd "$1"
	kbuild -s tinyconfig >/dev/null
	scripts/kconfig/merge_config.sh -m .config "${FRAGMENTS[@]}" >/dev/null
	kbuild -s olddefconfig
	check_config .config
}

# progress: one line for every 200 objects of a build's output.
progress() {
	awk '/^  (CC|AS|LD|AR) / && ++n % 200 == 0 { printf ">> %d objects of about 2100\n", n >"/dev/stderr" }
		/^  (LD +vmlinux|BTF|OBJCOPY .*vmlinux.bin) *$/ { print ">> linking" >"/dev/stderr" }'
}

# compile SOURCE LOG
compile() {
	local status
	cd "$1"
	kbuild -j"$(nproc)" "$(basename "$IMAGE")" modules 2>&1 | tee "$2" | progress
	status=${PIPESTATUS[0]}
	[ "$status" = 0 ] || { grep -E 'error|Error|\*\*\*' "$2" | tail -n 20 >&2 && die "the kernel does not build: $2 tells why"; }
}

# collect SOURCE TO: what is left of the tree: the image, the modules' directory, and what external modules are built against.
collect() {
	local release
	cd "$1"
	release=$(kbuild -s kernelrelease)
	mkdir -p "$2/boot"
	cp "$IMAGE" "$2/boot/vmlinuz-$release"
	PATH=$PATH:/usr/sbin:/sbin kbuild -s INSTALL_MOD_PATH="$2" modules_install
	rm -f "$2/lib/modules/$release/build" "$2/lib/modules/$release/source"
	# The programs in there are to run here: where CC is a cross compiler, the script would build them for the other machine.
	# shellcheck disable=SC2016 # the dollars are make's
	kbuild -s run-command KBUILD_RUN_COMMAND='+CC="$(HOSTCC)" $(srctree)/scripts/package/install-extmod-build '"$2/build"
	cp .config "$2/config"
	echo "$release" >"$2/release"
}

# describe SERIES FINAL RELEASE: the variables, with the paths that hold after the rename.
describe() {
	cat <<-END
		KERNEL_SERIES='$1'
		KERNEL_RELEASE='$3'
		KERNEL_DIR='$2/build'
		KERNEL_IMAGE='$2/boot/vmlinuz-$3'
		KERNEL_MODULES='$2/lib/modules/$3'
	END
}

# build SERIES FINAL: everything happens in a directory beside the final one, which appears only when it is complete.
build() {
	local series=$1 final=$2 work=$2.new
	[ ! -e "$final/kernel.env" ] || return 0
	"$TOP/scripts/setup-packages.sh" "build$SUFFIX" debug
	rm -rf "$work"
	mkdir -p "$work/tree" "$work/out"
	"$TOP/scripts/setup-source.sh" --tree "$work/tree"
	say "kernel $series: building it (6 to 8 minutes on two cores, only once)"
	(configure "$work/tree")
	(compile "$work/tree" "$final.log")
	(collect "$work/tree" "$work/out")
	describe "$series" "$final" "$(cat "$work/out/release")" >"$work/out/kernel.env"
	find "$(dirname "$final")" -mindepth 1 -maxdepth 1 ! -path "$work" ! -path "$final.log" -exec rm -rf {} +
	mv "$work/out" "$final"
	rm -rf "$work"
	say "kernel $series: ready in $final"
}

# place DIR: where the build is or will be.
place() {
	local version digest built
	digest=$(digest)
	version=$(source_version) || {
		built=$(find "$1" -mindepth 1 -maxdepth 1 -name "*-$digest" 2>/dev/null | sort -V | tail -n 1)
		[ -z "$built" ] || { echo "$built" && return; }
		need_apt "$PACKAGE"
		apt_update
		version=$(source_version) || die "apt knows no $PACKAGE: it comes from Debian 12's main and security archives; check /etc/apt/sources.list*"
	}
	echo "$1/$version-$digest"
}

main() {
	local series=${1:-} final
	case $series$SUFFIX in
	6.12-kasan | 6.12-kcsan | 6.12-64k-arm64) ;;
	*) die "there is no kernel '$series' of $ARCH: use 6.12-kasan or 6.12-kcsan, or 6.12-64k with ARCH=arm64" ;;
	esac
	FRAGMENTS=("$TOP/test/debug/base.config" "$TOP/test/debug/${series#*-}.config")
	mkdir -p "$MYTUN_CACHE/debug/$series$SUFFIX"
	final=$(place "$MYTUN_CACHE/debug/$series$SUFFIX")
	[ -e "$final/kernel.env" ] || locked "$MYTUN_CACHE/debug/.lock-$series$SUFFIX" build "$series" "$final"
	echo "$final/kernel.env"
}

main "$@"
