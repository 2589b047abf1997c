#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Usage: scripts/run-tests.sh STAGE...
#        stages: go race ring modules vm, the last two for each of $KERNELS (default "6.12 6.1"); and kasan kcsan fuzz rt package; kasan ends with fuzz,
#        kasan-short has only those suites that are about what a process can do to the kernel, and about memory that is short
#
# Runs the stages one after the other, shows each one's progress and time, keeps its output in build/results/, and ends with the sum of all:
# 'N passed, N failed', alone on the last line. A stage that crashes, or that ends without a result, counts as a failure.
# TESTS (patterns, default all) chooses among the selftests; VM_TIMEOUT (seconds, default 2400, for a debug kernel or PREEMPT_RT 3000) bounds one virtual machine's whole run;
# MYTUN_CYCLES (default 100000, on the debug kernels less) is how often the wake-up tests put somebody to sleep;
# MYTUN_ORDERS=all lets the lifecycle tests play every order of three actions (default: every pair of them in every place).

set -u
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
TOP=$(cd "$(dirname "$0")/.." && pwd)
RESULTS=$TOP/build/results
KERNELS=${KERNELS:-6.12 6.1}
GO=$TOP/scripts/go.sh
KASAN_SHORT="-b abi.All faults.All hostile.All readwrite.All xdp.All"

# Of 'go test -v' only what one wants to see go by: packages and failures. The rest is in the log.
go_progress() {
	grep --line-buffered -E '^(ok|FAIL|panic:|WARNING: DATA RACE|#)|^ *--- FAIL|^[^ ]+\.go:[0-9]+:[0-9]+: '
}

# go_test_modules ARGS...: the library's module, and the benchmark's.
go_test_modules() {
	local dir status=0
	for dir in . bench; do
		(cd "$TOP/$dir" && "$GO" test -v -count=1 -timeout 10m "$@" ./...) || status=$?
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
	if ! have gcc; then
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

# stage_vm LOG KERNEL: the kernel's own complaints make the run fail even if every test passed.
stage_vm() {
	local patterns
	read -ra patterns <<<"${TESTS:-}"
	"$TOP/test/vm/run.sh" --kernel "$2" --timeout "${VM_TIMEOUT:-2400}" test/selftest.sh "${patterns[@]}" 2>&1 | tee "$1"
	return "${PIPESTATUS[0]}"
}

# stage_debug LOG KERNEL: the selftests on a debug kernel, and what its checkers have found.
stage_debug() {
	local patterns
	read -ra patterns <<<"${TESTS:-}"
	"$TOP/test/vm/run.sh" --kernel "$2" --timeout "${VM_TIMEOUT:-3000}" \
		test/debug/checked.sh "${patterns[@]}" 2>&1 | tee "$1"
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

# run_stage NAME FUNCTION [ARG]: its output goes to the screen and to NAME.log, its exit status to NAME.status. A stage that is killed
# half-way leaves no status, which the summary takes for a failure.
run_stage() {
	local name=$1 function=$2 start=$SECONDS status=0
	shift 2
	say "$name: started"
	rm -f "$RESULTS/$name.status"
	: >"$RESULTS/$name.log"
	"$function" "$RESULTS/$name.log" "$@" || status=$?
	echo "$status" >"$RESULTS/$name.status"
	say "$name: $("$TOP/scripts/summarise.sh" --counts "$RESULTS" "$name") ($((SECONDS - start)) s)"
	STAGES+=("$name")
}

main() {
	local stage kernel
	[ $# -gt 0 ] || die "usage: scripts/run-tests.sh STAGE... (go race ring modules vm kasan kasan-short kcsan fuzz rt package)"
	mkdir -p "$RESULTS"
	cd "$TOP" || exit 1
	STAGES=()
	for stage; do
		case $stage in
		go | race | ring | modules) run_stage "$stage" "stage_$stage" ;;
		vm) for kernel in $KERNELS; do run_stage "vm-$kernel" stage_vm "$kernel"; done ;;
		kasan | kcsan)
			run_stage "vm-6.12-$stage" stage_debug "6.12-$stage"
			run_stage "planted-$stage" stage_planted "6.12-$stage"
			[ "$stage" != kasan ] || run_stage fuzz stage_fuzz
			;;
		fuzz | package) run_stage "$stage" "stage_$stage" ;;
		kasan-short) TESTS="$KASAN_SHORT" run_stage vm-6.12-kasan stage_debug 6.12-kasan ;;
		rt) VM_TIMEOUT=${VM_TIMEOUT:-3000} run_stage vm-6.1-rt stage_vm 6.1-rt ;;
		*) die "unknown stage '$stage': use go, race, ring, modules, vm, kasan, kasan-short, kcsan, fuzz, rt or package" ;;
		esac
	done
	say "all stages: $SECONDS s"
	"$TOP/scripts/summarise.sh" "$RESULTS" "${STAGES[@]}"
}

main "$@"
