#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Usage: scripts/run-tests.sh STAGE...
#        stages: lint bench go race ring modules vm; and litmus builds kasan kasan-short kcsan rt fuzz package host
#
# Runs the stages, shows their progress, keeps their output in build/results/, and ends with the time that each took, the slowest first, and the
# sum of all results: 'N passed, N failed', alone on the last line. A stage that crashes, or that ends without a result, counts as a failure.
# Those on virtual machines come last, and each line of theirs begins with the stage's name.
#
#   modules, vm      for each of $KERNELS (default: scripts/common.sh). The first has all selftests and comes last, the others
#                    leave out what test/once says is the same on any kernel; with EVERYWHERE=yes they have all, too. Suites
#                    that a debug kernel of the same series runs in another stage are that stage's, but for test/plain
#   builds           what modules does, for each series that Debian's mirror has
#   kasan, kcsan     the selftests on a debug kernel, and proof that they can fail there; kasan ends with a short run of the fuzzer
#   kasan-short      of kasan those suites that are about what a process can do to the kernel, and about memory that is short
#   litmus           the barriers of the ring, in all that memory models allow
#   bench            instructions a packet, compared with bench/baseline.json
#
# TESTS (patterns, default all) chooses among the selftests; VM_TIMEOUT (seconds, default 5400, for a debug kernel or PREEMPT_RT 9000) bounds one
# virtual machine's whole run; MACHINES (2, or 1 where there is one processor, or with EVERYWHERE=yes) is how many run side by
# side, the last one alone: an emulated machine of two processors takes three quarters of one here;
# MYTUN_CYCLES (default 100000, on the debug kernels less) is how often the wake-up tests put somebody to sleep;
# MYTUN_ORDERS=all lets the lifecycle tests play every order of three actions (default: every pair of them in every place).

set -uf
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
TOP=$(cd "$(dirname "$0")/.." && pwd)
RESULTS=$TOP/build/results
KERNELS=${KERNELS:-$DEFAULT_KERNELS}
MACHINES=${MACHINES:-$(($(nproc) > 1 && 0${EVERYWHERE:+1} == 0 ? 2 : 1))}
GO=$TOP/scripts/go.sh
FIRST=${KERNELS%% *} OTHERS=${KERNELS#"${KERNELS%% *}"}
KASAN_SHORT="abi. faults. hostile. readwrite. xdp."
STAGES=()
# Suites that a debug kernel runs
CHECKED=''

stage_lint() {
	KERNELS=$KERNELS "$TOP/scripts/lint.sh" --ktap 2>&1 | tee "$1"
	return "${PIPESTATUS[0]}"
}

# stage_bench LOG: one result. The table says which row it was.
stage_bench() {
	printf 'KTAP version 1\n1..1\n' >"$1"
	if make --no-print-directory -C "$TOP" bench-check; then
		echo "ok 1 instructions a packet" | tee -a "$1"
	else
		echo "not ok 1 instructions a packet" | tee -a "$1"
		return 1
	fi
}

# Of 'go test -v' only what one wants to see go by: packages and failures. The rest is in the log.
go_progress() {
	grep --line-buffered -E '^(ok|FAIL|panic:|WARNING: DATA RACE|#)|^ *--- FAIL|^[^ ]+\.go:[0-9]+:[0-9]+: '
}

# go_test_modules ARGS...: the library's module, the benchmark's, the tool's and the adapters'.
go_test_modules() {
	local dir status=0
	for dir in . bench cmd/mytunstat adapter/wireguard adapter/gvisor; do
		(cd "$TOP/$dir" && "$GO" test -v -count=1 -timeout 30m "$@" ./...) || status=$?
	done
	return "$status"
}

# go_test LOG ARGS...: the failing packages' whole output is shown afterwards.
go_test() {
	local log=$1 status
	shift
	go_test_modules "$@" 2>&1 | tee "$log" | go_progress
	status=${PIPESTATUS[0]}
	[ "$status" = 0 ] || { say "all that the Go tests said: ${log#"$TOP"/}; the lines before each failure:" && grep -B 15 -E '^ *--- FAIL' "$log"; }
	return "$status"
}

stage_go() {
	go_test "$1"
}

# The race detector needs cgo and a C compiler; on a machine without them its tests are skipped, and the summary says so.
stage_race() {
	if ! "$TOP/scripts/setup-packages.sh" ring; then
		printf 'KTAP version 1\n1..1\nok 1 go test -race # SKIP no C compiler: scripts/setup-packages.sh ring\n' | tee "$1"
		return
	fi
	CGO_ENABLED=1 go_test "$1" -race
}

# A fresh machine's sanitizers come with its gcc.
stage_ring() {
	"$TOP/scripts/setup-packages.sh" ring && make -s --no-print-directory -C "$TOP/test/ring" test 2>&1 | tee "$1"
	return "${PIPESTATUS[0]}"
}

# stage_litmus LOG: skipped where herd7 can't be had.
stage_litmus() {
	"$TOP/test/litmus/litmus.sh" 2>&1 | tee "$1"
	return "${PIPESTATUS[0]}"
}

# build_modules: every kernel's build from nothing, without a warning, is a test.
build_modules() {
	local kernel number=0 status=0
	printf 'KTAP version 1\n1..%d\n' "$(wc -w <<<"$KERNELS")"
	for kernel in $KERNELS; do
		number=$((number + 1))
		if "$TOP/scripts/build-module.sh" --fresh "$kernel" >/dev/null; then
			echo "ok $number module for kernel $kernel, W=1"
		else
			status=1
			echo "not ok $number module for kernel $kernel, W=1"
		fi
	done
	return "$status"
}

stage_modules() {
	build_modules 2>&1 | tee "$1"
	return "${PIPESTATUS[0]}"
}

stage_builds() {
	local list
	list=$("$TOP/scripts/list-kernels.sh") || return 1
	KERNELS=${list//$'\n'/ } stage_modules "$1"
}

# choice KERNEL: arguments for the selftests, a word a line: what they need not run on that kernel.
choice() {
	[ -z "${EVERYWHERE:-}${TESTS:-}" ] || return 0
	[ "$1" = "$FIRST" ] || sed '/^#/d; s/^/-n\n/' "$TOP/test/once"
	[ "$1" != 6.12 ] || [ -z "$CHECKED" ] || { tr ' ' '\n' <<<"$CHECKED" | sed 's/^/-n\n/' && sed '/^#/d; s/^/-i\n/' "$TOP/test/plain"; }
}

# stage_vm LOG KERNEL: the kernel's own complaints make the run fail even if every test passed.
stage_vm() {
	local arguments=()
	mapfile -t arguments < <(choice "$2")
	# shellcheck disable=SC2206 # words are meant
	arguments+=(${TESTS:-})
	"$TOP/test/vm/run.sh" --kernel "$2" --timeout "${VM_TIMEOUT:-5400}" test/selftest.sh "${arguments[@]}" 2>&1 | tee "$1"
	return "${PIPESTATUS[0]}"
}

# stage_debug LOG KERNEL: the selftests on a debug kernel, and what its checkers have found.
stage_debug() {
	# shellcheck disable=SC2086 # words are meant
	"$TOP/test/vm/run.sh" --kernel "$2" --timeout "${VM_TIMEOUT:-9000}" test/debug/checked.sh ${TESTS:-} 2>&1 | tee "$1"
	return "${PIPESTATUS[0]}"
}

# stage_planted LOG KERNEL: proof that the stage before can fail.
stage_planted() {
	"$TOP/test/debug/planted.sh" "$2" 2>&1 | tee "$1"
	return "${PIPESTATUS[0]}"
}

# stage_fuzz LOG: a short run of the fuzzer. FUZZ_SECONDS makes it longer.
stage_fuzz() {
	FUZZ_SECONDS=${FUZZ_SECONDS:-30} "$TOP/test/fuzz/fuzz.sh" --ktap 2>&1 | tee "$1"
	return "${PIPESTATUS[0]}"
}

# stage_package LOG: the Debian packages.
stage_package() {
	"$TOP/test/package/package.sh" 2>&1 | tee "$1"
	return "${PIPESTATUS[0]}"
}

# stage_host LOG: the benchmark on a user's own machine.
stage_host() {
	"$TOP/test/host/host.sh" 2>&1 | tee "$1"
	return "${PIPESTATUS[0]}"
}

# run_stage NAME FUNCTION [ARG]: its output goes to the screen and to NAME.log, its exit status to NAME.status, its time to NAME.seconds. A
# stage that is killed half-way leaves no status, which the summary takes for a failure.
run_stage() {
	local name=$1 function=$2 start=$SECONDS status=0
	shift 2
	say "$name: started"
	"$function" "$RESULTS/$name.log" "$@" || status=$?
	echo "$status" >"$RESULTS/$name.status"
	echo $((SECONDS - start)) >"$RESULTS/$name.seconds"
	say "$name: $("$TOP/scripts/summarise.sh" --counts "$RESULTS" "$name") ($((SECONDS - start)) s)"
}

# add_stage NAME: counts from now on, whatever becomes of it.
add_stage() {
	STAGES+=("$1")
	rm -f "$RESULTS/$1".{status,seconds}
	: >"$RESULTS/$1.log"
}

# alone NAME FUNCTION [ARG]: on this machine itself.
alone() {
	add_stage "$1"
	run_stage "$@"
}

# beside NAME FUNCTION [ARG]: on a virtual machine, as soon as fewer than MACHINES run. Each is a process group of its own, for end_machines.
beside() {
	while [ "$(jobs -rp | wc -l)" -ge "$MACHINES" ]; do
		wait -n || true
	done
	add_stage "$1"
	set -m
	run_stage "$@" 2>&1 | sed -u "s/^>> \($1: \)\?//; s/^/$1: /" &
	set +m
}

# end_machines: those in the background do not hear of Ctrl-C.
end_machines() {
	local job
	trap - INT TERM
	for job in $(jobs -p); do
		kill -TERM -- "-$job" 2>/dev/null
	done
	wait
	exit 130
}

# times: of each stage, the slowest first.
times() {
	local stage
	for stage in "${STAGES[@]}"; do
		printf '>> %6s s  %s\n' "$(cat "$RESULTS/$stage.seconds" 2>/dev/null || echo '?')" "$stage"
	done | sort -k 2,2nr
	echo ">> $(printf '%6d' "$SECONDS") s  all"
}

# host_stage STAGE, vm_stage STAGE: what there is to do for it there.
host_stage() {
	case $1 in
	lint | bench | go | race | ring | litmus | modules | builds) alone "$1" "stage_$1" ;;
	vm | kasan | kasan-short | kcsan | rt | fuzz | package | host) ;;
	*) die "unknown stage '$1': use lint, bench, go, race, ring, litmus, modules, builds, vm, kasan, kasan-short, kcsan, rt, fuzz, package or host" ;;
	esac
}

vm_stage() {
	local kernel
	case $1 in
	vm) for kernel in $OTHERS; do beside "vm-$kernel" stage_vm "$kernel"; done ;;
	kasan | kcsan)
		beside "vm-6.12-$1" stage_debug "6.12-$1"
		beside "planted-$1" stage_planted "6.12-$1"
		[ "$1" != kasan ] || beside fuzz stage_fuzz
		;;
	kasan-short) TESTS="$KASAN_SHORT" beside vm-6.12-kasan stage_debug 6.12-kasan ;;
	rt) VM_TIMEOUT=${VM_TIMEOUT:-9000} beside vm-6.1-rt stage_vm 6.1-rt ;;
	fuzz | package | host) beside "$1" "stage_$1" ;;
	esac
}

# prepare_machines STAGE...: what asks for a password does so here, where it can be seen and answered. What fails, fails its stage later.
prepare_machines() {
	local stage kernel
	for stage; do
		case $stage in
		vm | rt) "$TOP/scripts/setup-packages.sh" build vm ;;
		kasan | kasan-short | kcsan | fuzz) "$TOP/scripts/setup-packages.sh" build vm debug ;;
		package) "$TOP/scripts/setup-packages.sh" build vm deb package ;;
		host) "$TOP/scripts/setup-packages.sh" build vm package ;;
		*) continue ;;
		esac || return 0
		[ "$stage" != vm ] || for kernel in $KERNELS; do "$TOP/scripts/setup-kernel.sh" "$kernel" >/dev/null || return 0; done
	done
}

# last_machine: that of the first kernel, some of whose tests measure how long others have to wait.
last_machine() {
	beside "vm-$FIRST" stage_vm "$FIRST"
	wait
}

main() {
	local stage
	[ $# -gt 0 ] || die "usage: scripts/run-tests.sh STAGE... (lint bench go race ring litmus modules builds vm kasan kasan-short kcsan rt fuzz package host)"
	mkdir -p "$RESULTS"
	cd "$TOP" || exit 1
	trap end_machines INT TERM
	[[ " $* " != *" kasan-short "* ]] || CHECKED=$KASAN_SHORT
	for stage; do
		host_stage "$stage"
	done
	prepare_machines "$@"
	for stage; do
		vm_stage "$stage"
	done
	wait
	[[ " $* " != *" vm "* ]] || last_machine
	times >&2
	"$TOP/scripts/summarise.sh" "$RESULTS" "${STAGES[@]}"
}

main "$@"
