#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: /mytun/source/test/host/prepare.sh        in a system that test/package/enter.sh has made
#
# Somebody's machine, up to the moment before the module is loaded: a user who may call sudo, with the sources, Go and what the programs are made of, so
# that nothing needs the network later. 'make install' builds the module for this system's kernel. /mytun/disk becomes the machine's disk, /mytun/kernel
# what it is booted with.

set -eu
HOME_DIR=/home/newcomer
RELEASE=$(basename "$(dirname "$(ls -d /lib/modules/*/build)")")

make_user() {
	useradd --create-home --shell /bin/bash newcomer
	echo 'newcomer ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/newcomer
	echo '127.0.0.1 localhost mytun' >/etc/hosts
	mv /mytun/go /usr/local/go
	cp -R /mytun/source "$HOME_DIR/mytun"
}

build() {
	export GOPROXY=file:///mytun/proxy GOFLAGS=-modcacherw
	cd "$HOME_DIR/mytun"
	make install KDIR="/lib/modules/$RELEASE/build"
	scripts/build-guest.sh --bench
	scripts/go.sh build -C bench -o ../build/bench-report ./cmd/bench-report
	# root has the same caches as the user: either of them may build
	cp -R /root/go /root/.cache "$HOME_DIR/"
	chown -R newcomer: "$HOME_DIR"
}

give_kernel() {
	local to=/mytun/kernel
	mkdir -p "$to/lib/modules"
	cp "/boot/vmlinuz-$RELEASE" "$to/vmlinuz"
	cp -R "/lib/modules/$RELEASE" "$to/lib/modules/"
	rm -f "$to/lib/modules/$RELEASE"/{build,source}
	find "$to/lib/modules/$RELEASE/updates" -name 'mytun.ko*' -delete
	cp "build/kmod-$RELEASE/mytun.ko" "$to/"
	echo "$RELEASE" >"$to/release"
	chmod -R a+rX "$to"
}

# make_disk: of what is on this file system and no other.
make_disk() {
	rm -rf /var/cache/apt/archives /usr/share/doc /usr/share/man /usr/share/locale
	mount --bind / /mnt
	truncate -s 4G /mytun/disk
	mke2fs -q -t ext4 -d /mnt /mytun/disk
}

make_user
build
give_kernel
make_disk
