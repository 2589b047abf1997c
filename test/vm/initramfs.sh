#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: test/vm/initramfs.sh KERNEL_ENV MYTUN_KO PROGRAMS COMMAND STAGING OUTPUT
#
# PROGRAMS is the directory of setup-programs.sh, COMMAND the file of shell commands that the guest is to run. Fills the directory STAGING with a small system and packs it into OUTPUT, a cpio archive that the kernel boots from. No rights
# are needed: the archive says that everything belongs to root. What the guest has is listed in the variables below and nowhere
# else. Tools are the host's own, copied with their libraries, because busybox's are too poor for some tests. With ARCH=arm64 they come
# from TOOLS_ROOT instead, which scripts/setup-root.sh has unpacked, and PROGRAMS is empty: test/programs skips.

set -eu
TOP=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=scripts/common.sh
. "$TOP/scripts/common.sh"

# Kernel modules; those that they depend on come along.
MODULES="tun veth ifb dummy bridge macvlan ipvlan 8021q macsec vhost_net pktgen
	ip_gre ip6_gre ipip sit ip6_tunnel vxlan geneve fou fou6 l2tp_eth l2tp_ip l2tp_ip6 wireguard
	gcm ctr seqiv sctp
	sch_fq sch_netem sch_ingress sch_tbf sch_plug cls_matchall cls_u32 cls_bpf act_mirred act_bpf
	inet_diag tcp_diag udp_diag raw_diag unix_diag af_packet_diag netlink_diag nf_tables"
# Not in every kernel: what they do is built in, or parts of others.
MODULES_OF_SOME="ghash_generic nfnetlink virtio_blk"

TOOLS="bash awk grep sed find xargs kmod lsmod insmod rmmod modprobe modinfo
	[ basename cat chmod chown cmp cp cut date dd diff dirname echo env expr false head id kill ln ls md5sum mkdir mkfifo mknod mktemp mv
	nproc od printf ps pgrep pkill pwd readlink realpath rm rmdir seq sha256sum sleep sort stat stty sync tail tee test timeout touch tr
	true truncate tty uname uniq wc free top sysctl
	chrt dmesg flock more mount nsenter prlimit setpriv setsid taskset umount unshare
	bridge ethtool ip iperf3 nstat ping ss tc"

# Good to have for people who look around, if the host happens to have them.
EXTRAS="bpftool gdbserver less nano perf strace tcpdump vi"

# What test/programs and test/cases/mytun-wireguard.sh run, those that are scripts, and what one of them loads by itself. They come from PROGRAMS, not from the host.
PROGRAMS="openvpn socat ssh ssh-keygen sshd tincd tunctl vde_plug vde_switch wg wireguard-go"
SCRIPTS="wg-quick"
PLUGINS="/usr/lib/x86_64-linux-gnu/vdeplug/libvdeplug_vde.so"

# find_tool NAME: its path on the host. The sbin directories are not on every user's PATH.
find_tool() {
	if [ -n "${TOOLS_ROOT:-}" ]; then
		find_in_root "$1"
		return
	fi
	PATH=/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin:$PATH type -P "$1"
}

# find_in_root NAME: its path in TOOLS_ROOT, where links with an absolute target mean a file of the root and not of this machine.
find_in_root() {
	local path
	path=$(PATH=$TOOLS_ROOT/usr/sbin:$TOOLS_ROOT/usr/bin type -P "$1") || { [ "$1" = awk ] && find_in_root mawk; return; }
	while [ -L "$path" ]; do
		case $(readlink "$path") in
		/*) path=$TOOLS_ROOT$(readlink "$path") ;;
		*) path=$(dirname "$path")/$(readlink "$path") ;;
		esac
	done
	echo "$path"
}

make_skeleton() {
	local dir
	mkdir -p "$STAGING"/{usr/bin,usr/sbin,usr/lib,usr/lib64,usr/lib/busybox,dev,proc,sys,run,tmp,root,etc,mytun/build,var}
	for dir in bin sbin lib lib64; do
		ln -s "usr/$dir" "$STAGING/$dir"
	done
	ln -s ../run "$STAGING/var/run"
	ln -s ../proc/self/mounts "$STAGING/etc/mtab"
	chmod 1777 "$STAGING/tmp"
	printf '%s\n' root:x:0:0:root:/root:/bin/bash nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin \
		sshd:x:101:65534:sshd:/run/sshd:/usr/sbin/nologin >"$STAGING/etc/passwd"
	printf '%s\n' root:x:0: nogroup:x:65534: >"$STAGING/etc/group"
	printf '%s\n' '127.0.0.1 localhost' '::1 localhost' >"$STAGING/etc/hosts"
	# ping and ss look protocols and services up by name.
	cp /etc/protocols /etc/services "$STAGING/etc/" 2>/dev/null || true
}

# copy_tools: every tool to /usr/bin or /usr/sbin under its own name, links followed, so that the guest needs no alternatives.
copy_tools() {
	local tool path binaries=()
	for tool in $TOOLS $EXTRAS; do
		if ! path=$(find_tool "$tool"); then
			[[ " $EXTRAS " == *" $tool "* ]] && continue
			echo "initramfs.sh: error: the host has no '$tool': run scripts/setup-packages.sh vm" >&2
			exit 1
		fi
		cp -L "$path" "$STAGING/usr/bin/$tool"
		binaries+=("$path")
	done
	# The kernel calls modprobe by this path when a program asks for a kind of device that is not loaded.
	ln -s ../bin/modprobe "$STAGING/usr/sbin/modprobe"
	ln -s bash "$STAGING/usr/bin/sh"
	cp -L "$(find_tool busybox)" "$STAGING/usr/lib/busybox/busybox"
	if [ -n "${TOOLS_ROOT:-}" ]; then
		copy_foreign_libraries "${binaries[@]}"
	else
		copy_libraries '' "${binaries[@]}"
	fi
}

# copy_programs ROOT: to the same places as the tools, with their plugins.
copy_programs() {
	local root=$1 name path binaries=()
	for name in $PROGRAMS; do
		path=$(PATH=$root/usr/sbin:$root/usr/bin type -P "$name")
		cp -L "$path" "$STAGING/usr/bin/$name"
		binaries+=("$path")
	done
	for name in $SCRIPTS; do
		cp -L "$root/usr/bin/$name" "$STAGING/usr/bin/$name"
	done
	for name in $PLUGINS; do
		mkdir -p "$STAGING$(dirname "$name")"
		cp -L "$root$name" "$STAGING$name"
		binaries+=("$root$name")
	done
	copy_libraries "$root" "${binaries[@]}"
}

# copy_libraries ROOT BINARY...: what the dynamic linker would load for them, and the linker itself. Libraries below ROOT come before the host's.
copy_libraries() {
	local root=$1 libraries library
	shift
	libraries=$(LD_LIBRARY_PATH=${root:+$root/usr/lib/x86_64-linux-gnu:$root/lib/x86_64-linux-gnu} ldd "$@" 2>/dev/null)
	if library=$(grep -m 1 'not found' <<<"$libraries"); then
		echo "initramfs.sh: error: a library is missing: $library" >&2
		exit 1
	fi
	awk '$2 == "=>" && $3 ~ /^\// { print $3 } $1 ~ /^\// && $2 ~ /^\(/ { print $1 }' <<<"$libraries" | sort -u |
		while read -r library; do
			mkdir -p "$STAGING$(dirname "${library#"$root"}")"
			cp -L "$library" "$STAGING${library#"$root"}"
		done
}

# copy_foreign_libraries BINARY...: the same from TOOLS_ROOT for programs that cannot run here, whose headers say what they need.
copy_foreign_libraries() {
	local to=$STAGING/usr/lib/aarch64-linux-gnu name from=$TOOLS_ROOT/usr/lib/aarch64-linux-gnu needed=()
	mkdir -p "$to"
	while [ $# -gt 0 ]; do
		mapfile -t needed < <(readelf -d "$@" | sed -n 's/.*(NEEDED).*\[\(.*\)\]$/\1/p' | sort -u)
		set --
		for name in "${needed[@]}"; do
			[ ! -e "$to/$name" ] || continue
			cp -L "$from/$name" "$to/$name" || exit 1
			set -- "$@" "$to/$name"
		done
	done
	ln -s aarch64-linux-gnu/ld-linux-aarch64.so.1 "$STAGING/usr/lib/ld-linux-aarch64.so.1"
}

# with_dependencies: the modules' files, those they need included, from the kernel's own table.
with_dependencies() {
	local root=$1 modules PATH=$PATH:/usr/sbin:/sbin
	read -ra modules <<<"$(tr "\n\t" "  " <<<"$MODULES")"
	# shellcheck disable=SC2086 # words are meant
	{
		modprobe -d "$root" -S "$KERNEL_RELEASE" -a -D "${modules[@]}"
		modprobe -q -d "$root" -S "$KERNEL_RELEASE" -a -D $MODULES_OF_SOME || true
	} | awk '$1 == "insmod" { print $2 }' | sort -u
}

# copy_modules KO: packed modules are unpacked, which is faster here than in an emulator.
copy_modules() {
	local ko=$1 to=$STAGING/lib/modules/$KERNEL_RELEASE file
	mkdir -p "$to/kernel" "$to/updates"
	with_dependencies "${KERNEL_MODULES%/lib/modules/*}" | while read -r file; do
		case $file in
		*.xz) xz -dc "$file" >"$to/kernel/$(basename "$file" .xz)" ;;
		*) cp "$file" "$to/kernel/" ;;
		esac
	done
	cp "$ko" "$to/updates/mytun.ko"
	cp "$KERNEL_MODULES/modules.builtin" "$KERNEL_MODULES/modules.builtin.modinfo" "$KERNEL_MODULES/modules.order" "$to/"
	PATH=$PATH:/usr/sbin:/sbin depmod -b "$STAGING" "$KERNEL_RELEASE"
}

# copy_project: the same places as in the checkout, so that a script finds its neighbours in the guest as on a host.
copy_project() {
	local command=$1
	cp -R "$TOP/test" "$STAGING/mytun/test"
	[ ! -d "$TOP/build/guest$SUFFIX" ] || cp -R "$TOP/build/guest$SUFFIX" "$STAGING/mytun/build/guest"
	cp "$TOP/test/vm/init" "$STAGING/init"
	cp "$TOP/test/vm/profile" "$STAGING/etc/profile"
	cp "$command" "$STAGING/mytun/command"
	chmod 755 "$STAGING/init"
}

main() {
	# shellcheck source=/dev/null
	. "$1"
	STAGING=$5
	make_skeleton
	copy_tools
	[ -z "$3" ] || copy_programs "$3"
	copy_modules "$2"
	copy_project "$4"
	(cd "$STAGING" && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0) >"$6"
}

main "$@"
