#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Usage: scripts/setup-packages.sh GROUP...     (groups: build build-arm64 debug vm vm-arm64 lint ring root deb package go)
#
# Installs the Debian packages that a group of targets needs. It says what is missing and why, asks apt for exactly that, and is
# silent and instant when everything is there. Nothing here installs a kernel: kernels are unpacked into a cache directory
# by setup-kernel.sh instead.

set -eu
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"

# The packages of a group, and what the group is for. Of NAME|NAME either will do: releases call the same thing differently.
group_packages() {
	case $1 in
	build) echo "make gcc gcc-12 libc6-dev libelf1|libelf1t64 libssl3|libssl3t64 kmod xz-utils pahole ca-certificates" ;;
	build-arm64) echo "$(group_packages build) gcc-aarch64-linux-gnu gcc-12-aarch64-linux-gnu libc6-dev-arm64-cross" ;;
	debug) echo "flex bison bc libelf-dev patch" ;;
	vm) echo "qemu-system-x86 busybox-static cpio kmod xz-utils bash coreutils util-linux procps grep sed mawk findutils" \
		"iproute2 iputils-ping ethtool iperf3" ;;
	vm-arm64) echo "$(group_packages vm) qemu-system-arm binutils" ;;
	lint) echo "sparse shellcheck perl xz-utils" ;;
	ring) echo "gcc libc6-dev make" ;;
	root) echo "bubblewrap" ;;
	deb) echo "build-essential dpkg-dev debhelper dh-dkms golang-go" ;;
	package) echo "mmdebstrap uidmap util-linux lintian" ;;
	go) echo "golang-go ca-certificates" ;;
	*) die "unknown package group '$1': use build, build-arm64, debug, vm, vm-arm64, lint, ring, root, deb, package or go" ;;
	esac
}

group_purpose() {
	case $1 in
	build) echo "to build the kernel module" ;;
	build-arm64) echo "to build the kernel module and the examples for arm64" ;;
	debug) echo "to build the debug kernels" ;;
	vm) echo "to run the virtual machine and to fill it with tools" ;;
	vm-arm64) echo "to run an arm64 virtual machine" ;;
	lint) echo "to check the sources" ;;
	ring) echo "to test the ring under the sanitizers" ;;
	root) echo "to run the build tools of another Debian release" ;;
	deb) echo "to build Debian packages" ;;
	package) echo "to check and install Debian packages in systems of their own" ;;
	go) echo "to build the Go programs" ;;
	esac
}

installed() {
	[ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null)" = "ii " ]
}

# any_installed NAME|NAME...
any_installed() {
	local name
	for name in ${1//|/ }; do
		! installed "$name" || return 0
	done
	return 1
}

# missing_in GROUP: the packages of that group that are not installed.
missing_in() {
	local package
	for package in $(group_packages "$1"); do
		any_installed "$package" || echo "$package"
	done
}

# refresh_index PACKAGE...: if one of them is not in it.
refresh_index() {
	local package
	for package; do
		known "$(choose "$package")" || { apt_update || true; break; }
	done
}

# Another apt, such as a fresh machine's own, may be at work.
install_packages() {
	as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -q -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 --no-install-recommends "$@" ||
		die "apt-get could not install: $*. Its messages are above"
}

# install_missing GROUP...: of two at a time the second finds nothing missing any more. An index that is older than the mirror is refreshed.
install_missing() {
	local group package missing=() wanted=() purposes=() chosen=()
	for group; do
		mapfile -t missing < <(missing_in "$group")
		[ ${#missing[@]} -gt 0 ] || continue
		wanted+=("${missing[@]}")
		purposes+=("$(group_purpose "$group")")
	done
	[ ${#wanted[@]} -gt 0 ] || return 0
	refresh_index "${wanted[@]}"
	for package in "${wanted[@]}"; do
		chosen+=("$(choose "$package")")
	done
	ask_password
	step "installing ${chosen[*]} ${purposes[*]}" install_packages "${chosen[@]}" && return
	apt_update
	step "installing ${chosen[*]} ${purposes[*]}" install_packages "${chosen[@]}"
}

main() {
	local group lacking=''
	# Who looks at another release (debian.sh) gets what this machine needs from its own all the same: from the other, libc would come along.
	unset APT_CONFIG
	[ $# -gt 0 ] || die "usage: scripts/setup-packages.sh GROUP... (build build-arm64 debug vm vm-arm64 lint ring root deb package go)"
	for group; do
		group_packages "$group" >/dev/null
		have dpkg-query || need_apt "$(group_packages "$group")"
		lacking+=$(missing_in "$group")
	done
	[ -z "$lacking" ] || locked "$MYTUN_CACHE/.lock-packages" install_missing "$@"
}

main "$@"
