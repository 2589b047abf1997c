#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: test/host/host.sh
#
# 'make bench HOST=1', as somebody calls it on a machine of his own: a whole Debian 12 with the sources in somebody's home (prepare.sh fills it), booted
# from a disk; there it is called by sudo and without, and on a machine that lacks what it needs (scenario.sh). KTAP, 10 to 15 minutes.

set -eu
TOP=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=scripts/common.sh
. "$TOP/scripts/common.sh"
WORK=$TOP/build/host

# share: what prepare.sh takes: the tree as a clean checkout would have it, Go as go.dev has it, and what the Go programs are made of.
share() {
	local go=$TOP/scripts/go.sh
	rm -rf "$WORK"
	mkdir -p "$WORK/source" "$WORK/go" "$WORK/proxy"
	tar -C "$TOP" --exclude=./build --exclude=./.git -c . | tar -C "$WORK/source" -x
	tar -C "$("$go" env GOROOT)" --exclude=./test --exclude=./api --exclude=./doc -c . | tar -C "$WORK/go" -x
	(cd "$TOP/bench" && "$go" mod download)
	tar -C "$("$go" env GOMODCACHE)/cache/download" --exclude=./golang.org/toolchain -c . | tar -C "$WORK/proxy" -x
}

# make_disk ARCHIVE
make_disk() {
	"$TOP/test/package/enter.sh" "$1" "$WORK" /mytun/source/test/host/prepare.sh
}

# describe RELEASE: the kernel's parts, as scripts/setup-kernel.sh names them.
describe() {
	cat <<-EOF
		KERNEL_RELEASE='$1'
		KERNEL_IMAGE='$WORK/kernel/vmlinuz'
		KERNEL_MODULES='$WORK/kernel/lib/modules/$1'
	EOF
}

main() {
	local archive release
	"$TOP/scripts/setup-packages.sh" build vm package
	archive=$("$TOP/test/host/setup-root.sh")
	share
	step "building and installing mytun in a Debian of its own (1 to 2 minutes)" make_disk "$archive"
	release=$(cat "$WORK/kernel/release")
	describe "$release" >"$WORK/kernel.env"
	"$TOP/test/vm/run.sh" --kernel "$release" --kernel-files "$WORK/kernel.env" --module "$WORK/kernel/mytun.ko" --no-build --fast --mem 2G \
		--disk "$WORK/disk" --timeout 1800 --name host test/host/guest.sh
}

main
