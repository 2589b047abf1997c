#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: test/vm/run.sh [OPTION...] SCRIPT [ARGS...]
#        test/vm/run.sh [OPTION...] --shell
#
# Boots a Debian kernel in QEMU with the module loaded, runs SCRIPT (a path below the project's directory, such as test/selftest.sh)
# as root in the guest, shows its output as it comes, and exits with its status. The kernel's log is kept apart, and a complaint
# in it fails the run whatever the script said. As an ordinary user, without KVM, network or disk.
#
#   --kernel SERIES    6.12 (default), 6.1, 6.1-rt, 6.12-kasan or 6.12-kcsan; 6.12-64k of arm64
#   --kernel-files F   another kernel, with the name that --kernel gives: F is as scripts/setup-kernel.sh prints it; it needs --module
#   --module KO        a module that has been built already
#   --planted          the module that has faults for the debug kernels to catch
#   --cover            the module that keeps a record of what has run, for the fuzzer
#   --smp N            processors (2)
#   --icount           one emulated processor whose clock counts instructions: 1 ns of the guest's time is one instruction
#   --fast             without the run-time checkers of memory, for what is measured
#   --mem SIZE         memory (1G; 2G for a debug kernel, or pages of 64 KiB)
#   --disk FILE        a disk, /dev/vda; what the guest writes to it is gone afterwards
#   --append WORDS     more for the kernel's command line
#   --timeout SECONDS  kill the machine after that long (600; 0 never does)
#   --name NAME        the log's name in build/vm/ (the kernel and the script)
#   --no-build         take build/ as it is
#   --shell            a shell in the guest instead of a script
#
# MYTUN_CYCLES (how often the wake-up tests put somebody to sleep) and MYTUN_ORDERS ("all": every order in the lifecycle tests) are passed on to the
# guest. ARCH=arm64 in the environment boots an arm64 machine, always emulated, with 6.12. ACCEL=kvm or ACCEL=tcg in the environment chooses the accelerator; by default KVM is used if it has been seen to boot this kernel.

set -eu
TOP=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=scripts/common.sh
. "$TOP/scripts/common.sh"
# shellcheck source=scripts/debian.sh
. "$TOP/scripts/debian.sh"

# What the tools in initramfs.sh come from, where they cannot be this machine's.
GUEST_PACKAGES="bash mawk grep sed findutils kmod coreutils diffutils util-linux mount procps iproute2 iputils-ping ethtool iperf3 busybox-static"
# The kernel's log goes to the second serial line of a PC; an arm64 machine has one of its own kind, which can log from the start, and two on the bus.
MACHINE=pc CONSOLE=ttyS1
[ "$ARCH" = amd64 ] || MACHINE=virt,gic-version=3 CONSOLE=ttyAMA0
KERNEL=${KERNEL:-6.12} SMP=2 MEM='' APPEND='' TIMEOUT=600 NAME='' BUILD=yes FILES='' MODULE='' ICOUNT='' FAST='' VARIANT='' SHELL_MODE='' DISK='' COMMAND=() VM=''

usage() {
	sed -n '/^# Usage/,/^$/s/^# \{0,1\}//p' "$0" >&2
	exit 2
}

parse() {
	while [ $# -gt 0 ]; do
		case $1 in
		--kernel) KERNEL=${2:?} && shift 2 ;;
		--kernel-files) FILES=${2:?} && shift 2 ;;
		--module) MODULE=${2:?} && shift 2 ;;
		--smp) SMP=${2:?} && shift 2 ;;
		--planted | --cover) VARIANT=$1 && shift ;;
		--fast) FAST=yes && shift ;;
		--icount) ICOUNT=yes && SMP=1 && shift ;;
		--mem) MEM=${2:?} && shift 2 ;;
		--disk) DISK=${2:?} && shift 2 ;;
		--append) APPEND=${2?} && shift 2 ;;
		--timeout) TIMEOUT=${2:?} && shift 2 ;;
		--name) NAME=${2:?} && shift 2 ;;
		--no-build) BUILD='' && shift ;;
		--shell) SHELL_MODE=yes && TIMEOUT=0 && shift ;;
		-*) usage ;;
		*) COMMAND=("$@") && return ;;
		esac
	done
	[ -n "$SHELL_MODE" ] || usage
	COMMAND=(test/vm/motd.sh)
}

# guest_command: a file for the guest's bash. Paths are the same as in the checkout. Of the environment, what scales the tests is passed on.
guest_command() {
	local script=${COMMAND[0]} name
	script=$(realpath --relative-to="$TOP" "$script" 2>/dev/null || echo "$script")
	[ -f "$TOP/$script" ] || die "there is no ${COMMAND[0]} in $TOP"
	case $script in
	test/* | build/guest/*) ;;
	*) die "${COMMAND[0]} is not in the guest: only test/ and build/guest/ are" ;;
	esac
	for name in MYTUN_CYCLES MYTUN_ORDERS; do
		[ -z "${!name:-}" ] || printf 'export %s=%q\n' "$name" "${!name}"
	done
	if [ -n "$SHELL_MODE" ]; then
		# A serial line has no size and no type of its own: they are the terminal's that this runs in.
		read -r rows columns < <(stty size 2>/dev/null || echo 0 0)
		echo "stty rows $((rows ? rows : 25)) cols $((columns ? columns : 80)); export TERM=${TERM:-linux}"
		echo "exec bash $script"
	else
		printf 'exec </dev/null\nexec %s\n' "$(printf '%q ' "./$script" "${COMMAND[@]:1}")"
	fi
}

# command_line: an oops ends the run at once, for what a wounded kernel does afterwards proves nothing. The log goes to the second serial line
# as it happens, last words included. A kernel that counts ticks to see whether they come takes an emulator on a busy host for broken hardware.
# The system is unpacked into a ramfs: a tmpfs would take half of the memory at most, beside the packed one.
command_line() {
	echo "console=$CONSOLE rootfstype=ramfs loglevel=7 panic=-1 oops=panic log_buf_len=4M $([ -n "$FAST" ] || checkers)" \
		"nokaslr mitigations=off $([ "$ARCH" != amd64 ] || echo tsc=reliable no_timer_check) cryptomgr.notests ${SHELL_MODE:+mytun.shell} $APPEND"
}

# checkers: those that a stock kernel has (6.1 has no KFENCE and ignores its parameter). slub_debug is for the caches that the module allocates
# from: for all caches it costs half as much again in an emulator. A later slub_debug on the same line does not take it back. The debug kernels
# have better ones of their own.
checkers() {
	case $KERNEL in
	*-kasan | *-kcsan) ;;
	*) echo "kfence.sample_interval=1 slub_debug=FZPU,kmalloc-*,skbuff*" ;;
	esac
}

# machine ACCEL WORDS: sets QEMU to the command. Three serial lines: the test's output, the kernel's log, the verdict. A kernel that is told of
# fast string operations copies byte by byte with them, and the emulator takes and counts each byte as an instruction.
machine() {
	local accel=(-accel "tcg,thread=multi") cpu='max,la57=off,erms=off,fsrm=off,fsrs=off,fzrm=off' out=(-chardev "file,id=out,path=$WORK/console.log")
	[ "$ARCH" = amd64 ] || cpu=cortex-a72
	[ "$1" = tcg ] || { accel=(-accel "$1") && cpu=host; }
	# sleep=off: when the guest idles its clock leaps to the next timer, instead of waiting for it.
	[ -z "$ICOUNT" ] || accel=(-accel "tcg,thread=single" -icount "shift=0,align=off,sleep=off")
	# In a shell, Ctrl-C belongs to the guest and Ctrl-A X to QEMU.
	[ -z "$SHELL_MODE" ] || out=(-chardev "stdio,id=out,signal=off,mux=on" -mon chardev=out)
	QEMU=("$EMULATOR" -nodefaults -no-user-config -display none -no-reboot
		-machine "$MACHINE" "${accel[@]}" -cpu "$cpu" -smp "$SMP" -m "$MEM"
		-kernel "$KERNEL_IMAGE" -initrd "$WORK/initramfs" -append "$(command_line) $2"
		"${out[@]}")
	[ -z "$DISK" ] || QEMU+=(-drive "file=$DISK,if=virtio,format=raw,snapshot=on")
	if [ "$ARCH" = amd64 ]; then
		QEMU+=(-serial chardev:out -serial "file:$WORK/kernel.log" -serial "file:$WORK/verdict")
	else
		# shellcheck disable=SC2054 # commas are QEMU's
		QEMU+=(-serial "file:$WORK/kernel.log" -chardev "file,id=verdict,path=$WORK/verdict"
			-device pci-serial-2x,chardev1=out,chardev2=verdict)
	fi
}

# kvm_works: that /dev/kvm exists proves nothing (nested virtualisation may be missing or broken), so this kernel is really booted
# with it, once per host kernel.
kvm_works() {
	local answer
	answer=$MYTUN_CACHE/kvm-$(uname -n)-$(uname -r)
	[ -r /dev/kvm ] && [ -w /dev/kvm ] || return 1
	if [ ! -e "$answer" ]; then
		say "trying whether KVM can run this kernel (at most 15 s, only once)"
		machine kvm mytun.probe
		timeout -k 1 15 "${QEMU[@]}" </dev/null >/dev/null 2>&1 || true
		grep -sq probe "$WORK/verdict" && echo yes >"$answer" || echo no >"$answer"
		rm -f "$WORK/verdict" "$WORK/kernel.log"
		say "does KVM work here: $(cat "$answer")"
	fi
	[ "$(cat "$answer")" = yes ]
}

choose_accel() {
	[ "$ARCH" = amd64 ] || { echo tcg && return; }
	[ -z "$ICOUNT" ] || { echo tcg && return; }
	case ${ACCEL:-auto} in
	kvm | tcg) echo "$ACCEL" ;;
	auto) if kvm_works; then echo kvm; else echo tcg; fi ;;
	*) die "ACCEL='$ACCEL' is unknown: use kvm, tcg or auto" ;;
	esac
}

# prepare: everything the machine needs, in a directory of this run's own, so that runs do not disturb each other.
prepare() {
	local ko=${MODULE:-$TOP/build/kmod-$KERNEL${VARIANT#-}$SUFFIX/mytun.ko} env=$FILES programs
	"$TOP/scripts/setup-packages.sh" "build$SUFFIX"
	EMULATOR=$("$TOP/scripts/setup-qemu.sh")
	[ -n "$env" ] || env=$("$TOP/scripts/setup-kernel.sh" "$KERNEL")
	programs=''
	if [ "$ARCH" = amd64 ]; then
		# selftests alone run them
		case ${COMMAND[0]:-} in
		test/selftest.sh | test/debug/checked.sh) programs=$("$TOP/scripts/setup-programs.sh") ;;
		esac
	else
		# shellcheck disable=SC2086 # words are meant
		TOOLS_ROOT=$("$TOP/scripts/setup-root.sh" "$(codename)" $GUEST_PACKAGES)
		export TOOLS_ROOT
	fi
	# shellcheck source=/dev/null
	. "$env"
	if [ -n "$BUILD" ]; then
		[ -n "$MODULE" ] || "$TOP/scripts/build-module.sh" ${VARIANT:+"$VARIANT"} "$KERNEL" >/dev/null
		"$TOP/scripts/build-guest.sh"
	fi
	[ -f "$ko" ] || die "there is no $ko: run scripts/build-module.sh $KERNEL"
	# The tests' sources are among what is packed there. With a dot in front, those who look for the packages of ./... at the same time pass it over.
	WORK=$(mktemp -d "$TOP/build/vm/.run.XXXXXX")
	trap clean_up EXIT
	trap 'exit 130' INT TERM
	guest_command >"$WORK/command"
	"$TOP/test/vm/initramfs.sh" "$env" "$ko" "$programs" "$WORK/command" "$WORK/root" "$WORK/initramfs"
	rm -rf "$WORK/root"
}

# boot: runs the machine to its end; the result is timeout's or QEMU's exit status. Output takes the way through a file, because QEMU drops
# what a slow reader of its standard output leaves in the serial line when the machine goes off.
boot() {
	local status=0
	machine "$(choose_accel)" ''
	if [ -n "$SHELL_MODE" ]; then
		"${QEMU[@]}"
		return
	fi
	: >"$WORK/console.log"
	timeout --foreground -k 5 "$TIMEOUT" "${QEMU[@]}" </dev/null &
	VM=$!
	tail -n +1 -s 0.2 -f --pid="$VM" "$WORK/console.log"
	wait "$VM" || status=$?
	VM=''
	cp "$WORK/console.log" "$LOG.console.log"
	return "$status"
}

# clean_up: a machine in the background does not notice Ctrl-C, nor that this script has been killed.
clean_up() {
	[ -z "$VM" ] || kill "$VM" 2>/dev/null
	rm -rf "$WORK"
}

# fail TEXT: the reason, the kernel's last words, and where the rest is.
fail() {
	{
		echo "run.sh: FAILED: $*"
		echo "run.sh: the last lines of the kernel's log (all of it: ${LOG#"$TOP"/}.kernel.log):"
		tail -n 15 "$LOG.kernel.log" | sed 's/^/    /'
	} >&2
	exit 1
}

# judge QEMU_STATUS: turns what is known about the run into an exit status.
judge() {
	local word status
	[ -e "$WORK/verdict" ] || die "QEMU did not start: its message is above"
	# A serial line ends its lines with a carriage return too.
	tr -d '\r' <"$WORK/kernel.log" >"$LOG.kernel.log"
	read -r word status < <(tr -d '\r' <"$WORK/verdict") || true
	if "$TOP/test/complaints.sh" "$LOG.kernel.log" >"$WORK/complaints"; then
		sed 's/^/    /' "$WORK/complaints" | head -n 40 >&2
		fail "kernel $KERNEL complained, see above"
	fi
	case $1 in
	124 | 137) fail "killed after $TIMEOUT s (--timeout): ${COMMAND[0]} was still running on kernel $KERNEL" ;;
	esac
	[ "$word" = exit ] || fail "the machine stopped before ${COMMAND[0]} had ended (QEMU's exit status $1): no verdict from kernel $KERNEL"
	# What the last command in a shell said is nobody's failure.
	[ -n "$SHELL_MODE" ] || return "$status"
}

main() {
	local status=0
	parse "$@"
	[ -n "$MEM" ] || case $KERNEL in
	*-kasan | *-kcsan | *-64k) MEM=2G ;;
	*) MEM=1G ;;
	esac
	mkdir -p "$TOP/build/vm"
	LOG=$TOP/build/vm/${NAME:-$KERNEL-$(basename "${COMMAND[0]}" .sh)$SUFFIX}
	prepare
	boot || status=$?
	judge "$status"
}

main "$@"
