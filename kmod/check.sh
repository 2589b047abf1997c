#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Usage: check.sh KDIR tree      is it a kernel build tree?
#        check.sh KDIR before    before a build: is there all that it takes?
#        check.sh KDIR failed    after one: why might it have failed?
#
# Says in one line what is wrong with building the module in the kernel build tree KDIR, and what to do, and fails. CC, if not empty, is the
# compiler that Kbuild was told, LLVM as for Kbuild.

set -eu
KDIR=$1

# die TEXT...
die() {
	echo "mytun: error: $*" >&2
	exit 1
}

# compiler: the one that Kbuild takes. Debian's trees name it in a file of their own, for gcc may be another one.
compiler() {
	if [ -n "${CC:-}" ]; then
		echo "$CC"
	elif [ -e "$KDIR/.kernelvariables" ]; then
		# shellcheck disable=SC2016 # the dollar is make's
		printf 'include %s/.kernelvariables\ncompiler:\n\t@echo $(CC)\n' "$KDIR" | MAKEFLAGS='' make -s -f - compiler
	else
		[ -z "${LLVM:-}" ] && echo gcc || echo clang
	fi
}

# package COMPILER: the one that has it. A name may begin with the machine that it compiles for.
package() {
	echo "${1##*/}" | sed 's/^.*-gcc/gcc/'
}

# release: what uname will say.
release() {
	sed -n 's/^#define UTS_RELEASE "\(.*\)"/\1/p' "$KDIR/include/generated/utsrelease.h"
}

# configured NAME: what the kernel's configuration says of it.
configured() {
	sed -n "s/^$1=\"*\([^\"]*\)\"*\$/\1/p" "$KDIR/include/config/auto.conf"
}

# older VERSION THAN: as version numbers.
older() {
	[ "$1" != "$2" ] && printf '%s\n' "$1" "$2" | sort -V -C
}

tree() {
	[ -e "$KDIR/Makefile" ] || die "there is no kernel build tree at $KDIR: install the package linux-headers-$(uname -r) (Debian, Ubuntu)" \
		"or kernel-devel (Fedora), or give KDIR="
}

before() {
	tree
	! older "$(release)" 6.1 || die "mytun needs Linux 6.1 or newer, and $KDIR belongs to $(release): start a newer kernel, or give its KDIR="
	cc=$(compiler)
	command -v "${cc%% *}" >/dev/null || die "the compiler ${cc%% *} is not installed, by which modules for kernel $(release) are built:" \
		"install the package $(package "${cc%% *}"), or give CC="
	[ "$(configured CONFIG_CC_IS_CLANG)" != y ] || [ -n "${LLVM:-}" ] ||
		die "kernel $(release) was built by '$(configured CONFIG_CC_VERSION_TEXT)', and $cc is no clang: install clang and lld, and give LLVM=1"
}

failed() {
	cc=$(compiler)
	die "the module does not build for kernel $(release): the reason is above. If $cc does not know an option," \
		"give CC= the kernel's own compiler, '$(configured CONFIG_CC_VERSION_TEXT)'; if mytun's code is at fault, the kernel is" \
		"newer than this version: take a newer mytun"
}

"$2"
