#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Usage: load.sh
#
# Loads the module. If the kernel does not take it, one line says why and what to do, and the exit status is 1.

set -eu
PATH=$PATH:/usr/sbin:/sbin
RELEASE=$(uname -r)

# die TEXT...
die() {
	echo "mytun: error: $*" >&2
	exit 1
}

# explain TEXT: what modprobe said is the kernel's error number in words.
explain() {
	case $1 in
	*"not found in directory"*)
		die "kernel $RELEASE, which runs here, has no module mytun: it can be built for Linux 6.1 and newer, with the package linux-headers-$RELEASE." \
			"Install that, then 'sudo dkms autoinstall' if mytun came as a package, or 'sudo make install load'"
		;;
	*"Key was rejected"* | *"Required key not available"*)
		die "Secure Boot refuses the module, for it is not signed by a key that this machine knows: enrol DKMS's ('sudo mokutil --import" \
			"/var/lib/dkms/mok.pub', restart, confirm), see 'Secure Boot' in mytun's guide"
		;;
	*"Exec format error"* | *"Invalid module format"*)
		die "the module was built for '$(modinfo -F vermagic mytun | sed 's/ .*//')' and kernel $RELEASE runs here: build it anew with" \
			"'sudo make install load', or 'sudo dpkg-reconfigure mytun-dkms' if mytun came as a package"
		;;
	*"Operation not permitted"*)
		[ "$(id -u)" = 0 ] || die "only root may load a module: try again with sudo"
		die "the kernel lets nobody load this module ($(lockdown)): see 'Secure Boot' in mytun's guide"
		;;
	*) die "the module does not load: $1: 'sudo dmesg' may know more" ;;
	esac
}

# lockdown: what keeps root from it.
lockdown() {
	if grep -sq '\[none\]' /sys/kernel/security/lockdown; then
		echo "no capability CAP_SYS_MODULE, as in a container"
	else
		echo "lockdown: it must be signed"
	fi
}

# A module that was loaded before an update stays until its last user has gone.
renewed() {
	[ "$(cat /sys/module/mytun/srcversion)" = "$(modinfo -F srcversion mytun)" ] ||
		die "another build of the module is loaded than is installed: stop its users, then 'sudo modprobe -r mytun' and load again"
}

if said=$(LC_ALL=C modprobe mytun 2>&1); then
	renewed
else
	explain "$said"
fi
