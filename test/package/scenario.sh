#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: /mytun/package/scenario.sh        in a small system that test/package/enter.sh has made
#
# Installs the packages, upgrades, removes and purges them as people do, and builds from the archive of the sources, with one line of KTAP for
# each thing that must be so. /mytun has the packages in before/ and now/, and the sources in source/; what is to be booted goes to /mytun/kernels/RELEASE.

# shellcheck disable=SC2317 # the checks are called through check
set -uo pipefail
# shellcheck source=test/package/ktap.sh
. "$(dirname "$0")/ktap.sh"
MODULES=/lib/modules

apt() {
	apt-get -q -y --allow-downgrades "$@"
}

# status: what DKMS knows of mytun, one line a kernel.
status() {
	dkms status mytun
}

# kernels: those that have headers, oldest first.
kernels() {
	local build
	for build in "$MODULES"/*/build; do
		basename "$(dirname "$build")"
	done | sort -V
}

# has_module KERNEL VERSION: one that depmod knows, of that version, for that kernel, signed with DKMS's key.
has_module() {
	local vermagic
	status | grep -F "mytun/$2, $1, " | grep ': installed' || fail "dkms status: $(status)"
	[ "$(modinfo -k "$1" -F version mytun)" = "$2" ] || fail "another version: $(modinfo -k "$1" mytun)"
	vermagic=$(modinfo -k "$1" -F vermagic mytun)
	[ "${vermagic%% *}" = "$1" ] || fail "for another kernel: $vermagic"
	modinfo -k "$1" -F signer mytun | grep DKMS || fail "not signed: $(modinfo -k "$1" mytun)"
	[ "$(find "$MODULES/$1/" -name 'mytun.ko*' | wc -l)" = 1 ] || fail "$(find "$MODULES/$1/" -name 'mytun.ko*')"
}

# all_have_module VERSION
all_have_module() {
	local kernel
	for kernel in $(kernels); do
		has_module "$kernel" "$1"
	done
}

# listing: of everything that a package, DKMS or 'make install' may have made. What apt, DKMS and ldconfig keep for themselves is not mytun's.
listing() {
	find /boot /etc /opt /usr /var/lib /lib/modules/ -xdev ! -path '/var/lib/apt/*' ! -path '/var/lib/dpkg/*' |
		grep -vE '^/var/lib/(dkms(/mok\.(key|pub)|/dkms_dbversion)?|pam|python.*)$|^/etc/ld.so.cache$|__pycache__' | sort
}

# install_first: on a system that has no DKMS yet. The version before has a file that this one has no more.
install_first() {
	apt install openssl /mytun/before/mytun-dkms_*.deb
	all_have_module "$OLD"
	ls "/usr/src/mytun-$OLD/mytun_gone.h"
}

upgrade() {
	local file
	apt install /mytun/now/mytun-dkms_*.deb /mytun/now/mytun-dev_*.deb /mytun/now/mytun-tools_*.deb
	all_have_module "$VERSION"
	[ "$(status | wc -l)" = "$(kernels | wc -l)" ] || fail "$(status)"
	for file in "/usr/src/mytun-$OLD" "/var/lib/dkms/mytun/$OLD"; do
		[ ! -e "$file" ] || fail "left behind: $file"
	done
}

files_are_there() {
	ls /usr/lib/udev/rules.d/60-mytun.rules /usr/lib/modules-load.d/mytun.conf /usr/share/man/man4/mytun.4.gz /usr/include/linux/mytun.h /usr/bin/mytunstat \
		/usr/share/man/man8/mytunstat.8.gz
}

example_compiles() {
	apt install libc6-dev
	# Debian's headers bring a compiler, by that name.
	"$(compgen -G '/usr/bin/x86_64-linux-gnu-gcc-[0-9]*' | head -n 1)" -Wall -Wextra -Werror -O2 -o /tmp/answer-pings /usr/share/doc/mytun-dev/examples/answer-pings.c
	rm /tmp/answer-pings
}

# tool_runs: as far as it can where there is no module, and no /sys to say so.
tool_runs() {
	mytunstat | grep "^no mytun device to show in this network namespace"
	says "no network device nowhere" mytunstat nowhere
	mytunstat -help | grep usage
}

# removed: nothing is left. The packages have no configuration files that would need to be purged.
removed() {
	apt remove mytun-dkms mytun-dev mytun-tools
	! dpkg -l 'mytun*' | grep '^[a-z][^n]' || fail "dpkg has not forgotten"
	[ -z "$(status)" ] || fail "dkms status: $(status)"
	[ -z "$(find /usr /etc /lib/modules/ /var/lib/dkms /boot -name '*mytun*')" ] || fail "left: $(find /usr /etc /lib/modules/ /var/lib/dkms -name '*mytun*')"
	! grep -l mytun "$MODULES"/*/modules.dep || fail "depmod still knows the module"
}

purged() {
	apt purge --autoremove -o APT::AutoRemove::RecommendsImportant=false -o APT::AutoRemove::SuggestsImportant=false dkms libc6-dev openssl
	diff /tmp/before <(listing) || fail "the system is not what it was"
}

# kernel_arrives: DKMS builds for a kernel that is installed after mytun.
kernel_arrives() {
	local packages
	read -ra packages </later-kernel
	apt install "${packages[@]}"
	[ "$(kernels | wc -l)" = 2 ] || fail "kernels: $(kernels)"
	all_have_module "$VERSION"
}

# old_kernel RELEASE: a kernel with headers, as far as DKMS looks before it builds.
old_kernel() {
	mkdir -p "$MODULES/$1/build/include/generated"
	touch "$MODULES/$1/build/Makefile"
	echo "#define UTS_RELEASE \"$1\"" >"$MODULES/$1/build/include/generated/utsrelease.h"
}

# skips RELEASE: DKMS leaves such a kernel out, with the reason. That of Debian 12 calls it a failure all the same, if the kernel comes after the module.
skips() {
	local why="^mytun: no module for kernel $1: mytun needs Linux 6.1 or newer"
	# shellcheck disable=SC2064 # now is meant
	trap "rm -r '${MODULES:?}/$1'" EXIT
	old_kernel "$1"
	says "$why" dkms build "mytun/$VERSION" -k "$1"
	/usr/lib/dkms/dkms_autoinstaller start "$1" >/tmp/said 2>&1 || [ "$VERSION_ID" = 12 ] || fail "$(cat /tmp/said)"
	grep "$why" /tmp/said
	! status | grep -F "$1" || fail "and yet: $(status)"
	says "mytun needs Linux 6.1 or newer" make -C /mytun/source modules KDIR="$MODULES/$1/build"
}

no_headers() {
	mkdir "$MODULES/6.99.0-1-amd64"
	says "install the linux-headers-6.99.0-1-amd64 package" dkms build "mytun/$VERSION" -k 6.99.0-1-amd64
	says "install the package linux-headers-" make -C /mytun/source modules KDIR="$MODULES/6.99.0-1-amd64/build"
	rmdir "$MODULES/6.99.0-1-amd64"
}

# without_compilers COMMAND...: while those of the kernels are not there.
without_compilers() {
	local file status=0
	for file in /usr/bin/*gcc*-[0-9]*; do
		mv "$file" "/opt/${file##*/}"
	done
	"$@" || status=$?
	mv /opt/* /usr/bin/
	return "$status"
}

no_compiler() {
	without_compilers says "^mytun: error: the compiler .* is not installed.*: install the package gcc-[0-9]*, or" apt install openssl /mytun/now/mytun-dkms_*.deb
	without_compilers says "^mytun: error: the compiler .* is not installed.*: install the package gcc-[0-9]*, or" make -C /mytun/source modules KDIR="$MODULES/$(kernels)/build"
}

# no_module: for the kernel that runs, which is not one of this system's. The package is installed, now that there is a compiler, and says so.
no_module() {
	local running
	running=$(uname -r)
	mkdir "$MODULES/$running"
	dpkg --configure -a 2>&1 | tee /tmp/said
	grep "^mytun: error: .*linux-headers-$running" /tmp/said
	rm -r "${MODULES:?}/$running"
	dkms autoinstall -k "$(kernels)"
	all_have_module "$VERSION"
}

# A compiler that takes none of the kernel's options stands for one that is too old for some.
wrong_compiler() {
	says "give CC= the kernel's own compiler" make -C /mytun/source modules CC=false KDIR="$MODULES/$(kernels | head -n 1)/build"
	rm -r /mytun/source/build
}

# made_by_hand: 'make install' and 'make uninstall', as without the packages.
made_by_hand() {
	local kernel
	kernel=$(kernels | head -n 1)
	make -C /mytun/source install KDIR="$MODULES/$kernel/build"
	modinfo -k "$kernel" -F version mytun | grep -xF "$VERSION"
	ls "$MODULES/$kernel/updates/mytun.ko"* /etc/udev/rules.d/60-mytun.rules /etc/modules-load.d/mytun.conf
	make -C /mytun/source uninstall KDIR="$MODULES/$kernel/build"
	! modinfo -k "$kernel" mytun || fail "it is still there"
	diff /tmp/by-hand <(listing) || fail "the system is not what it was"
}

# give_kernels: for the virtual machine, with the modules that DKMS has built.
give_kernels() {
	local kernel image
	for kernel in $(kernels); do
		mkdir -p "/mytun/kernels/$kernel/lib/modules"
		for image in "/boot/vmlinuz-$kernel" "/usr/lib/modules/$kernel/vmlinuz"; do
			[ ! -e "$image" ] || cp "$image" "/mytun/kernels/$kernel/vmlinuz"
		done
		cp -R "$MODULES/$kernel" "/mytun/kernels/$kernel/lib/modules/"
		rm -f "/mytun/kernels/$kernel/lib/modules/$kernel"/{build,source}
		chmod -R a+rX "/mytun/kernels/$kernel"
	done
}

main() {
	local release
	# shellcheck source=/dev/null
	. /etc/os-release
	DEBIAN="Debian $VERSION_ID" VERSION=$(/mytun/source/scripts/version.sh) OLD=$(dpkg-deb -f /mytun/before/mytun-dkms_*.deb Version)
	listing >/tmp/before
	echo "KTAP version 1"
	check "$DEBIAN: install version $OLD" install_first
	check "$DEBIAN: upgrade to $VERSION" upgrade
	check "$DEBIAN: files" files_are_there
	check "$DEBIAN: the example in C compiles" example_compiles
	check "$DEBIAN: mytunstat runs" tool_runs
	check "$DEBIAN: remove" removed
	check "$DEBIAN: purge" purged
	check "$DEBIAN: no compiler" no_compiler
	check "$DEBIAN: no module for the running kernel" no_module
	check "$DEBIAN: a kernel that is installed later gets the module" kernel_arrives
	for release in 6.0.0-1-amd64 5.10.0-30-cloud-amd64; do
		check "$DEBIAN: kernel $release is skipped" skips "$release"
	done
	check "$DEBIAN: no headers" no_headers
	check "$DEBIAN: the wrong compiler" wrong_compiler
	check "$DEBIAN: kernels for the virtual machine" give_kernels
	apt purge mytun-dkms >/dev/null 2>&1
	# Directories that 'make install' makes if they are not there stay.
	mkdir -p "$MODULES/$(kernels | head -n 1)/updates" /etc/modules-load.d /etc/udev/rules.d
	listing >/tmp/by-hand
	check "$DEBIAN: make install, make uninstall" made_by_hand
	plan
}

main
