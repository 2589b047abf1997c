#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: test/selftest.sh [-v] [-l] [-o] [-1] [-x] [-t SECONDS] [-n PATTERN]... [-i PATTERN]... [PATTERN...]
#
# The self-tests, as root on a machine where mytun is loaded: in the project's virtual machine or on a host of one's own. Output is
# KTAP; the exit status is 0 if all is well, 1 if a test failed, 4 if there was nothing to run.
#
#   -v          show every test's output, not only that of the failed ones
#   -l          list the tests and run none
#   -o          run the Go tests with all offloads on; those that test/offloads names run so besides
#   -1          run each Go test in a process and a network namespace of its own: finds which one leaves something behind
#   -x          stop after the first suite that makes the kernel complain: the checkers look at nothing or at little after that
#   -t SECONDS  kill a test after that long (120; test/timeouts names those that may take longer; MYTUN_SLOW, a number, multiplies all limits)
#   -n PATTERN  leave those tests out
#   -i PATTERN  but not those
#   PATTERN     run the tests whose names contain one of these words or match one of these globs; without any, all
#
# Tests are the functions test_* in test/cases/*.sh and the Test* functions of the Go test binaries *.test in build/guest/ (or in
# $MYTUN_TEST_BIN). Each of the first, and each binary, runs in a process and a network namespace of its own; of a binary whose process dies
# another one runs the tests that were still to come. Afterwards no device, kernel thread, process or reference of the module may be left
# and the kernel's log must hold no new complaint: for a binary that is a test more.

set -u
SELF=$(realpath "$0")
HERE=$(dirname "$SELF")
# shellcheck source=test/lib.sh
. "$HERE/lib.sh"
# shellcheck source=test/suite.sh
. "$HERE/suite.sh"

VERBOSE='' LIST='' SINGLE='' STOP='' TIMEOUT=120
NUMBER=0 PASSED=0 FAILED=0 SKIPPED=0
LIMITS=() LIMIT=0 COMPLAINTS=() NEWS=()
# Seconds that what goes away by itself is given to do so: a machine that others use stands still for some, and the kernel ends namespaces one after
# the other. They only bound how long it takes to call something left.
SETTLE=60

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

# go_cases: the same for the tests that each Go test binary lists.
go_cases() {
	local file suite pattern tests
	for file in "$MYTUN_TEST_BIN"/*.test; do
		[ -x "$file" ] || continue
		suite=$(basename "$file" .test)
		# A library's tests that need no device have run on the host.
		pattern='^TestModule'
		[ ! -d "$HERE/$suite" ] || pattern='^Test'
		# one that does not even start fails as a test that is not there
		tests=$("$file" -test.list "$pattern") || tests=TestList
		sed -n "s,^Test.*,$suite.& go $file &,p" <<<"$tests"
	done
}

# offload_cases: the same for those tests that are to run with all offloads on as well. Lines of test/offloads are "PACKAGE RUN SKIP", the
# last two regular expressions.
offload_cases() {
	local package run skip file
	grep -v '^#' "$HERE/offloads" | while read -r package run skip; do
		file=$MYTUN_TEST_BIN/$package.test
		[ ! -x "$file" ] || "$file" -test.list "$run" | grep -vE -e "$skip" | sed -n "s,^Test.*,$package+offloads.& offloads $file &,p"
	done
}

# matches NAME PATTERN...
matches() {
	local name=$1 pattern
	shift
	for pattern; do
		# shellcheck disable=SC2053 # a glob is meant
		[[ $name == *$pattern* ]] && return 0
	done
	return 1
}

# chosen NAME: one of PATTERNS matches, if there are any, and none of LEFT_OUT, or one of TAKEN_IN as well.
chosen() {
	{ [ ${#PATTERNS[@]} = 0 ] || matches "$1" "${PATTERNS[@]}"; } &&
		{ ! matches "$1" "${LEFT_OUT[@]}" || matches "$1" "${TAKEN_IN[@]}"; }
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
	local title=${1/+offloads/}
	LIMIT=$TIMEOUT
	for line in "${LIMITS[@]}"; do
		read -r glob seconds <<<"$line"
		# shellcheck disable=SC2053 # a glob is meant
		[[ $title == $glob ]] && LIMIT=$seconds && break
	done
	LIMIT=$((LIMIT * ${MYTUN_SLOW:-1}))
}

# sandbox SECONDS KIND FILE NAME...: the inside of a test's or a suite's namespaces; exits with its status. A device that is left behind
# would vanish with the namespace, so it is looked for here. Of Go tests suite.sh, which reads this, sees to the limit.
sandbox() {
	local limit=$1 kind=$2 file=$3 name=$4 status=0
	shift 3
	remount_sys
	ip link set dev lo up
	if [ "$kind" = shell ]; then
		# shellcheck disable=SC2016 # the inner shell's arguments are meant
		timeout -k 5 "$limit" bash -euo pipefail -c '. "$1"; . "$2"; "$3"' "$name" "$HERE/lib.sh" "$file" "$name" || status=$?
		[ "$status" != 124 ] && [ "$status" != 137 ] || echo "FAIL: killed after $limit s"
	else
		cd "$HERE/$(basename "$file" .test)" 2>/dev/null || cd /
		[ "$kind" != offloads ] || export MYTUN_TEST_OFFLOADS=on
		"$file" -test.v -test.timeout 0 -test.run "^($(tr ' ' '|' <<<"$*"))\$" || status=$?
		echo "$SUITE_END"
	fi
	if ! wait_for "$SETTLE" no_devices; then
		echo "FAIL: left behind: $(ip -o link show type mytun)"
		status=1
	fi
	exit "$status"
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
	if ! wait_for "$SETTLE" no_processes_of "$1" 2>/dev/null; then
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

# suspect LINE: the test that was running when the kernel's log got that line.
suspect() {
	dmesg | awk -v line="$1" '/mytun-selftest: / { test = $NF } $0 == line { print test; exit }'
}

# look_around ID: what is wrong after a test or a suite, one line each.
look_around() {
	local line
	leftovers "$1"
	new_complaints
	for line in "${NEWS[@]}"; do
		echo "FAIL: kernel log, in $(suspect "$line"): $line"
	done
}

# run_case TITLE FILE NAME: runs a shell test, and takes whatever is wrong afterwards for its failure.
run_case() {
	local title=$1 start=${EPOCHREALTIME/[.,]/} status=0 log=$WORK/case
	echo "mytun-selftest: $title" >/dev/kmsg
	set_limit "$title"
	MYTUN_TEST_ID=$$.$NUMBER unshare --net --mount "$SELF" --sandbox "$LIMIT" shell "$2" "$3" </dev/null >"$log" 2>&1 || status=$?
	look_around "$$.$NUMBER" >"$WORK/wrong"
	[ ! -s "$WORK/wrong" ] || { cat "$WORK/wrong" >>"$log" && status=1; }
	report "$title" "$status" "$log" "$start" "$(sed -n 's/^SKIP: //p' "$log" | tail -n 1)"
}

show() {
	sed 's/^/#   /' "$1"
}

# report TITLE STATUS LOG START REASON: the KTAP line of one test, its output if it is of interest, and its time. REASON is a skipped test's.
report() {
	NUMBER=$((NUMBER + 1))
	case $2 in
	0) PASSED=$((PASSED + 1)) && echo "ok $NUMBER $1" ;;
	4) SKIPPED=$((SKIPPED + 1)) && echo "ok $NUMBER $1 # SKIP $5" ;;
	*) FAILED=$((FAILED + 1)) && echo "not ok $NUMBER $1" ;;
	esac
	case $2 in
	0 | 4) [ -z "$VERBOSE" ] || show "$3" ;;
	*) show "$3" ;;
	esac
	echo "# $1: $(seconds_since "$4")"
}

# seconds_since START: with two decimals, from microseconds.
seconds_since() {
	local hundredths=$(((${EPOCHREALTIME/[.,]/} - $1) / 10000))
	printf '%d.%02d s' $((hundredths / 100)) $((hundredths % 100))
}

# groups CASES: the same with all tests of a suite on one line, but with -1, where each has its own: kind, file and names.
groups() {
	awk -v single="$SINGLE" '
		$2 == "shell" || single || $2 " " $3 != last { printf "%s%s %s", (NR > 1 ? "\n" : ""), $2, $3; last = $2 " " $3 }
		{ printf " %s", $4 }
		END { print "" }' <<<"$1"
}

# plan GROUPS: how many results there will be.
plan() {
	awk '{ tests += NF - 2; if (NF > 3) tests++ } END { print tests }' <<<"$1"
}

# run_all GROUPS: runs them one after the other.
run_all() {
	local kind file names
	WORK=$(mktemp -d)
	read_limits
	new_complaints
	while read -r -u 3 kind file names; do
		if [ "$kind" = shell ]; then
			run_case "$(basename "$file" .sh).${names#test_}" "$file" "$names"
		else
			# shellcheck disable=SC2086 # words are meant
			run_suite "$kind" "$file" $names
		fi
		[ -z "$STOP" ] || [ ${#NEWS[@]} = 0 ] || break
	done 3<<<"$1"
	rm -rf "$WORK"
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
		-1) SINGLE=yes ;;
		-x) STOP=yes ;;
		-o) export MYTUN_TEST_OFFLOADS=on ;;
		-n) LEFT_OUT+=("${2:?}") && shift ;;
		-i) TAKEN_IN+=("${2:?}") && shift ;;
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
	local cases='' line runs
	PATTERNS=() LEFT_OUT=() TAKEN_IN=()
	parse "$@"
	while read -r line; do
		chosen "${line%% *}" && cases+=$line$'\n'
	done < <(shell_cases; go_cases; offload_cases)
	cases=${cases%$'\n'}
	[ -z "$LIST" ] || { list "$cases" && exit 0; }
	echo "KTAP version 1"
	[ -n "$cases" ] || skip_all "no test matches '${PATTERNS[*]}'; the Go tests come from $MYTUN_TEST_BIN: scripts/build-guest.sh"
	check_machine
	runs=$(groups "$cases")
	echo "1..$(plan "$runs")"
	run_all "$runs"
	echo "# $PASSED passed, $FAILED failed, $SKIPPED skipped"
	[ "$FAILED" = 0 ] || exit 1
	[ "$PASSED" != 0 ] || exit 4
}

if [ "${1:-}" = --sandbox ]; then
	shift
	sandbox "$@"
fi
main "$@"
