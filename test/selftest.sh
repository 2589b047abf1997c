#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: test/selftest.sh [-v] [-l] [-o] [-b] [-x] [-t SECONDS] [PATTERN...]
#
# The self-tests, as root on a machine where mytun is loaded: in the project's virtual machine or on a host of one's own. Output is
# KTAP; the exit status is 0 if all is well, 1 if a test failed, 4 if there was nothing to run.
#
#   -v          show every test's output, not only that of the failed ones
#   -l          list the tests and run none
#   -o          run the Go tests with all offloads on; those that test/offloads names run so besides, in one go
#   -b          run a package's Go tests in one process: where processes are slow, as on a debug kernel, that takes a fraction of the time
#   -x          stop after the first test that makes the kernel complain: the checkers look at nothing or at little after that
#   -t SECONDS  kill a test after that long (120; test/timeouts names those that may take longer; MYTUN_SLOW, a number, multiplies all limits)
#   PATTERN     run the tests whose names contain one of these words or match one of these globs
#
# Tests are the functions test_* in test/cases/*.sh and the Test* functions of the Go test binaries *.test in build/guest/ (or in
# $MYTUN_TEST_BIN). Each runs in a process and a network namespace of its own. After each, no device, kernel thread, process or reference
# of the module may be left and the kernel's log must hold no new complaint: so the guilty test is named, and not its successor.

set -u
SELF=$(realpath "$0")
HERE=$(dirname "$SELF")
# shellcheck source=test/lib.sh
. "$HERE/lib.sh"

VERBOSE='' LIST='' BATCH='' STOP='' TIMEOUT=120
PASSED=0 FAILED=0 SKIPPED=0
LIMITS=() LIMIT=0 COMPLAINTS=() NEWS=()
SETTLE=10

# shell_cases: one line for each test_ function: name, kind, file, function.
shell_cases() {
	local file name
	for file in "$HERE"/cases/*.sh; do
		[ -e "$file" ] || continue
		sed -n 's/^\(test_[A-Za-z0-9_]*\)() *{.*/\1/p' "$file" | while read -r name; do
			printf '%s.%s shell %s %s\n' "$(basename "$file" .sh)" "${name#test_}" "$file" "$name"
		done
	done
}

# go_cases: the same for the tests that each Go test binary lists, one by one or in one go.
go_cases() {
	local file name pattern
	for file in "$MYTUN_TEST_BIN"/*.test; do
		[ -x "$file" ] || continue
		# A library's tests that need no device have run on the host.
		pattern='^TestModule'
		[ ! -d "$HERE/$(basename "$file" .test)" ] || pattern='^Test'
		"$file" -test.list "$pattern" | grep '^Test' | while read -r name; do
			if [ -n "$BATCH" ]; then
				echo "$(basename "$file" .test).All batch $file $pattern -"
				break
			fi
			printf '%s.%s go %s %s\n' "$(basename "$file" .test)" "$name" "$file" "$name"
		done
	done
}

# offload_cases: a line for each Go test binary that is to run with all offloads on as well, all its tests in one process: what is new is
# their frames, and not their ends. Lines of test/offloads are "PACKAGE RUN SKIP", the last two regular expressions.
offload_cases() {
	local package run skip
	grep -v '^#' "$HERE/offloads" | while read -r package run skip; do
		[ ! -x "$MYTUN_TEST_BIN/$package.test" ] || echo "$package.WithOffloads offloads $MYTUN_TEST_BIN/$package.test $run $skip"
	done
}

# chosen NAME PATTERN...: true if there are no patterns or one of them matches.
chosen() {
	local name=$1 pattern
	shift
	[ $# -gt 0 ] || return 0
	for pattern; do
		# shellcheck disable=SC2053 # a glob is meant
		[[ $name == *$pattern* ]] && return 0
	done
	return 1
}

# describe FILE FUNCTION: the comment right above a shell case.
describe() {
	awk -v start="$2()" '/^#/ { text = text substr($0, 3) " "; next } index($0, start) == 1 { print text; exit } { text = "" }' "$1"
}

# list CASES: their names, with what is said of them.
list() {
	local title kind file name
	while read -r title kind file name; do
		[ "$kind" = shell ] && echo "$title: $(describe "$file" "$name")" || echo "$title"
	done <<<"$1"
}

# read_limits: lines of test/timeouts are "GLOB SECONDS".
read_limits() {
	[ ! -e "$HERE/timeouts" ] || mapfile -t LIMITS < <(grep -v '^#' "$HERE/timeouts")
}

# set_limit NAME: sets LIMIT to how long the test may take.
set_limit() {
	local line glob seconds
	LIMIT=$TIMEOUT
	for line in "${LIMITS[@]}"; do
		read -r glob seconds <<<"$line"
		# shellcheck disable=SC2053 # a glob is meant
		[[ $1 == $glob ]] && LIMIT=$seconds && break
	done
	LIMIT=$((LIMIT * ${MYTUN_SLOW:-1}))
}

# sandbox SECONDS KIND FILE NAME: the inside of a test's namespaces; exits with its status. A device that the test leaves behind
# would vanish with the namespace, so it is looked for here.
sandbox() {
	local limit=$1 kind=$2 file=$3 name=$4 status=0 tests=()
	remount_sys
	ip link set dev lo up
	if [ "$kind" = shell ]; then
		# shellcheck disable=SC2016 # the inner shell's arguments are meant
		timeout -k 5 "$limit" bash -euo pipefail -c '. "$1"; . "$2"; "$3"' "$name" "$HERE/lib.sh" "$file" "$name" || status=$?
	else
		cd "$HERE/$(basename "$file" .test)" 2>/dev/null || cd /
		read -ra tests < <(go_tests "$kind" "$name")
		[ "$kind" != offloads ] || export MYTUN_TEST_OFFLOADS=on
		timeout -k 5 $((limit + 5)) "$file" -test.v "${tests[@]}" -test.timeout "${limit}s" || status=$?
	fi
	[ "$status" != 124 ] && [ "$status" != 137 ] || echo "FAIL: killed after $limit s"
	if ! wait_for "$SETTLE" no_devices; then
		echo "FAIL: left behind: $(ip -o link show type mytun)"
		status=1
	fi
	exit "$status"
}

# go_tests KIND NAME: the arguments that choose them.
go_tests() {
	local run skip
	if [ "$1" = go ]; then
		echo "-test.run ^$2\$"
	else
		read -r run skip <<<"$2"
		echo "-test.run $run -test.skip $skip"
	fi
}

no_devices() {
	[ -z "$(ip -o link show type mytun)" ]
}

# processes_of ID: the processes that descend from a test, by a variable in their environment: a child that has been orphaned or has
# made a session of its own is found too.
processes_of() {
	grep -lsxz "MYTUN_TEST_ID=$1" /proc/[0-9]*/environ | cut -d/ -f3
}

no_processes_of() {
	[ -z "$(processes_of "$1")" ]
}

no_threads() {
	[ -z "$(queue_threads)" ]
}

unreferenced() {
	[ "$(module_refcount)" = 0 ]
}

# leftovers ID: what is wrong with the machine after a test, one line each. Whatever goes away by itself has some seconds for it.
leftovers() {
	local pid
	if ! wait_for 2 no_processes_of "$1" 2>/dev/null; then
		for pid in $(processes_of "$1"); do
			echo "FAIL: left a process behind: $pid $(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null)"
			kill -KILL "$pid" 2>/dev/null
		done
	fi
	wait_for "$SETTLE" no_threads 2>/dev/null || echo "FAIL: left kernel threads behind: $(queue_threads | tr '\n' ' ')"
	wait_for "$SETTLE" unreferenced 2>/dev/null || echo "FAIL: the module is still in use: refcount $(module_refcount)"
}

# new_complaints: sets COMPLAINTS to the lines that the kernel's log complains with and NEWS to those that were not there at the last call.
new_complaints() {
	local before=${#COMPLAINTS[@]}
	mapfile -t COMPLAINTS < <(dmesg | "$HERE/complaints.sh")
	NEWS=("${COMPLAINTS[@]:$before}")
}

# judge KIND NAME LOG: what a test that ended well has said.
judge() {
	case $1 in
	go) judge_go "$2" "$3" ;;
	batch | offloads) judge_many "$3" ;;
	esac
}

# judge_many LOG: the same of many tests in one process: some must have run.
judge_many() {
	grep -q '^--- PASS: ' "$1" && return 0
	echo "FAIL: no test did run" >>"$1"
	return 1
}

# judge_go NAME LOG: a Go binary that has no such test says PASS, so its own line for the test decides.
judge_go() {
	local said
	said=$'\n'$(<"$2")
	case $said in
	*$'\n'"--- SKIP: $1 "*) return 4 ;;
	*$'\n'"--- PASS: $1 "*) return 0 ;;
	esac
	echo "FAIL: $1 did not run" >>"$2"
	return 1
}

# run_case ID KIND FILE NAME LOG: runs one test and adds to its log whatever is wrong afterwards.
run_case() {
	local id=$1 kind=$2 file=$3 name=$4 log=$5 status=0 wrong
	echo "mytun-selftest: $name" >/dev/kmsg
	MYTUN_TEST_ID=$id unshare --net --mount "$SELF" --sandbox "$LIMIT" "$kind" "$file" "$name" </dev/null >"$log" 2>&1 || status=$?
	[ "$status" != 0 ] || judge "$kind" "$name" "$log" || status=$?
	wrong=$(leftovers "$id")
	new_complaints
	[ ${#NEWS[@]} = 0 ] || wrong+=${wrong:+$'\n'}$(printf 'FAIL: kernel log: %s\n' "${NEWS[@]}")
	[ -z "$wrong" ] || { echo "$wrong" >>"$log" && status=1; }
	return "$status"
}

# skip_reason KIND LOG: what a skipped test gave as its reason.
skip_reason() {
	if [ "$1" != shell ]; then
		sed -n 's/^ *[A-Za-z0-9_]*\.go:[0-9]*: //p' "$2" | tail -n 1
	else
		sed -n 's/^SKIP: //p' "$2" | tail -n 1
	fi
}

show() {
	sed 's/^/#   /' "$1"
}

# report NUMBER TITLE KIND LOG STATUS: the KTAP line of one test, and its output if it is of interest.
report() {
	local number=$1 title=$2 kind=$3 log=$4
	case $5 in
	0)
		PASSED=$((PASSED + 1)) && echo "ok $number $title"
		[ "$kind" != batch ] || echo "# in $title: $(grep -c '^--- PASS' "$log") passed, $(grep -c '^--- SKIP' "$log") skipped"
		;;
	4) SKIPPED=$((SKIPPED + 1)) && echo "ok $number $title # SKIP $(skip_reason "$kind" "$log")" ;;
	*)
		FAILED=$((FAILED + 1)) && echo "not ok $number $title"
		[ -n "$VERBOSE" ] || show "$log"
		;;
	esac
	[ -z "$VERBOSE" ] || show "$log"
}

# seconds_since START: with two decimals, from microseconds.
seconds_since() {
	local hundredths=$(((${EPOCHREALTIME/[.,]/} - $1) / 10000))
	printf '%d.%02d s' $((hundredths / 100)) $((hundredths % 100))
}

# run_all CASES: runs them one after the other.
run_all() {
	local number=0 title kind file name start status log
	log=$(mktemp)
	read_limits
	new_complaints
	while read -r -u 3 title kind file name; do
		number=$((number + 1))
		start=${EPOCHREALTIME/[.,]/}
		status=0
		set_limit "$title"
		run_case "$$.$number" "$kind" "$file" "$name" "$log" || status=$?
		report "$number" "$title" "$kind" "$log" "$status"
		echo "# $title: $(seconds_since "$start")"
		[ -z "$STOP" ] || [ ${#NEWS[@]} = 0 ] || break
	done 3<<<"$1"
	rm -f "$log"
}

# skip_all REASON: nothing can be run here.
skip_all() {
	echo "1..0 # SKIP $*"
	exit 4
}

# check_machine: what must be there before the first test.
check_machine() {
	[ "$(id -u)" = 0 ] || skip_all "root is needed: sudo test/selftest.sh"
	[ -e /sys/module/mytun ] || skip_all "the module is not loaded: sudo make install load, or make test-vm for a virtual machine"
	[ -e /dev/net/mytun ] || skip_all "mytun is loaded but /dev/net/mytun is missing: sudo make install brings the udev rule"
	unreferenced || skip_all "the module is in use (refcount $(module_refcount)): stop the programs that hold it"
}

parse() {
	while [ $# -gt 0 ]; do
		case $1 in
		-v) VERBOSE=yes ;;
		-l) LIST=yes ;;
		-b) BATCH=yes ;;
		-x) STOP=yes ;;
		-o) export MYTUN_TEST_OFFLOADS=on ;;
		-t) TIMEOUT=${2:?} && shift ;;
		-*)
			sed -n '/^# Usage/,/^$/s/^# \{0,1\}//p' "$SELF" >&2
			exit 2
			;;
		*) PATTERNS+=("$1") ;;
		esac
		shift
	done
}

main() {
	local cases='' line
	PATTERNS=()
	parse "$@"
	while read -r line; do
		chosen "${line%% *}" "${PATTERNS[@]}" && cases+=$line$'\n'
	done < <(shell_cases; go_cases; offload_cases)
	cases=${cases%$'\n'}
	[ -z "$LIST" ] || { list "$cases" && exit 0; }
	echo "KTAP version 1"
	[ -n "$cases" ] || skip_all "no test matches '${PATTERNS[*]}'; the Go tests come from $MYTUN_TEST_BIN: scripts/build-guest.sh"
	check_machine
	echo "1..$(wc -l <<<"$cases")"
	run_all "$cases"
	echo "# $PASSED passed, $FAILED failed, $SKIPPED skipped"
	[ "$FAILED" = 0 ] || exit 1
	[ "$PASSED" != 0 ] || exit 4
}

if [ "${1:-}" = --sandbox ]; then
	shift
	sandbox "$@"
fi
main "$@"
