# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# For test/selftest.sh: the Go tests of one binary, in one process as far as that goes. What the process says is read as it comes: each
# test gets its KTAP line, its own part of the output and its own time limit, as if it had run alone. Sourced, never run.

# What the sandbox says when the process has ended: what follows is not the last test's.
SUITE_END="=== suite ended"
# What ticking puts among that, wherever it falls, and behind all of it.
TICK=$'\a tick' OVER=$'\a over'

# ticking COMMAND...: with a tick each second, for who reads what it says and has to look at the clock. A timeout of read would not do: where it
# comes upon the end of a line, bash gives the line as if it went on. A child of a test that outlives the process may keep the pipe open: who
# has ended says no more.
ticking() {
	local ticker status=0
	while sleep 1 >/dev/null 2>&1; do echo "$TICK"; done &
	ticker=$!
	"$@" || status=$?
	kill "$ticker"
	echo "$OVER"
	return "$status"
}

# begin_test NAME: the kernel's log is told, so that a complaint there can be laid at a test's door.
begin_test() {
	TEST=$1 RESULT='' START=${EPOCHREALTIME/[.,]/}
	: >"$WORK/test"
	echo "mytun-selftest: $SUITE.$TEST" >/dev/kmsg
	set_limit "$SUITE.$TEST"
	DEADLINE=$((SECONDS + LIMIT))
}

# end_test: reports the test, if one is running. One without a result took the process with it.
end_test() {
	local status=1
	[ -n "$TEST" ] || return 0
	case $RESULT in
	PASS) status=0 ;;
	SKIP) status=4 ;;
	FAIL) ;;
	*) echo "FAIL: the process ended in this test" >>"$WORK/test" ;;
	esac
	[ "$status" != 1 ] || GUILTY=yes
	REPORTED+=" $TEST "
	if [ -n "$ALONE" ]; then
		ALONE=$status
	else
		report "$SUITE.$TEST" "$status" "$WORK/test" "$START" "$(skip_reason)"
	fi
	TEST=''
}

# skip_reason: what a skipped test gave as its reason.
skip_reason() {
	[ "$RESULT" != SKIP ] || sed -n 's/^ *[A-Za-z0-9_]*\.go:[0-9]*: //p' "$WORK/test" | tail -n 1
}

# hear LINE: of the process's output.
hear() {
	case $1 in
	"=== RUN   "*/*) echo "$1" >>"$WORK/test" ;;
	"=== RUN   "*) end_test && begin_test "${1#=== RUN   }" ;;
	"--- PASS: $TEST "* | "--- SKIP: $TEST "* | "--- FAIL: $TEST "*) RESULT=${1:4:4} && echo "$1" >>"$WORK/test" ;;
	"$SUITE_END") end_test ;;
	PASS | FAIL) ;;
	*) if [ -n "$TEST" ]; then echo "$1" >>"$WORK/test"; else echo "$1" >>"$WORK/around"; fi ;;
	esac
}

# test_processes ID FILE: those that run the binary: the test's own process, and children that it made of itself.
test_processes() {
	local pid
	for pid in $(processes_of "$1"); do
		[ "$(readlink "/proc/$pid/exe")" != "$2" ] || echo "$pid"
	done
}

# end_overdue ID FILE: a test that has had its time is ended with its process; SIGQUIT makes a Go program say where it was.
end_overdue() {
	[ -n "$TEST" ] && [ "$SECONDS" -ge "$DEADLINE" ] || return 0
	[ -n "$KILL" ] || echo "FAIL: killed after $LIMIT s" >>"$WORK/test"
	test_processes "$1" "$2" | xargs -r kill "${KILL:--QUIT}" 2>/dev/null
	KILL=-KILL DEADLINE=$((SECONDS + 5))
}

# follow ID FILE: hears all that the process says.
follow() {
	local line part=''
	while IFS= read -r -u 4 line; do
		part+=${line%"$TICK"}
		case $line in
		*"$OVER") part=${part%"$OVER"} && break ;;
		*"$TICK") ;;
		*)
			hear "$part"
			part=''
			;;
		esac
		end_overdue "$1" "$2"
	done
	[ -z "$part" ] || hear "$part"
	end_test
}

# run_process KIND FILE NAME...: reports the tests that it got to.
run_process() {
	local id=$$.$NUMBER status=0 pid
	TEST='' KILL='' GUILTY=''
	exec 4< <(ticking env MYTUN_TEST_ID="$id" unshare --net --mount "$SELF" --sandbox 0 "$@" </dev/null 2>&1)
	pid=$!
	follow "$id" "$2"
	exec 4<&-
	wait "$pid" || status=$?
	[ "$status" = 0 ] || [ -n "$GUILTY" ] || [ -s "$WORK/around" ] || echo "FAIL: exit status $status" >>"$WORK/around"
	ENDED=${EPOCHREALTIME/[.,]/}
	look_around "$id" >>"$WORK/around"
}

# not_reported NAME...: those of the names that have no result yet.
not_reported() {
	local name
	for name; do
		[[ $REPORTED == *" $name "* ]] || echo "$name"
	done
}

# run_suite KIND FILE NAME...: runs the tests and reports them, then what is wrong afterwards: as the failure of the one test, or as a test more.
run_suite() {
	local kind=$1 file=$2 left start=${EPOCHREALTIME/[.,]/} before
	shift 2
	SUITE=$(basename "$file" .test) REPORTED='' ALONE=''
	[ "$kind" != offloads ] || SUITE+=+offloads
	[ $# -gt 1 ] || ALONE=yes
	: >"$WORK/around"
	left=("$@")
	while [ ${#left[@]} -gt 0 ]; do
		before=${#left[@]}
		run_process "$kind" "$file" "${left[@]}"
		mapfile -t left < <(not_reported "$@")
		[ ${#left[@]} -lt "$before" ] || break
	done
	report_lost "${left[@]}"
	if [ -n "$ALONE" ]; then
		report_single "$1" "$start"
	else
		report_around
		echo "# $SUITE: $(seconds_since "$start") in all"
	fi
}

# report_lost NAME...: tests that no process ran.
report_lost() {
	local name
	for name; do
		[ -z "$ALONE" ] || ALONE=1
		echo "FAIL: $name did not run" >"$WORK/test"
		[ -n "$ALONE" ] || report "$SUITE.$name" 1 "$WORK/test" "${EPOCHREALTIME/[.,]/}" ''
	done
}

# report_around: what is wrong after the suite.
report_around() {
	local status=0
	[ ! -s "$WORK/around" ] || status=1
	report "$SUITE: nothing is left, and the kernel did not complain" "$status" "$WORK/around" "$ENDED" ''
}

# report_single NAME START: what is wrong after a test that ran alone is its failure.
report_single() {
	[ ! -s "$WORK/around" ] || ALONE=1
	cat "$WORK/around" >>"$WORK/test"
	report "$SUITE.$1" "$ALONE" "$WORK/test" "$2" "$(skip_reason)"
}
