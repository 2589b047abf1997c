#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Usage: scripts/summarise.sh [--counts] RESULTS STAGE...
#
# Adds up what the stages of a test run left in the directory RESULTS: STAGE.log, in KTAP or as 'go test -v' prints, and STAGE.status, the
# exit status. Names the tests that failed and ends with 'N passed, N failed' (', N skipped'). Exit status 1 if anything failed.
#
# A test that was planned and never reported is a failure; so is a stage that failed without saying which test did, and
# one that reported nothing at all.

set -eu

# count RESULTS STAGE: prints "passed failed skipped", and the failed tests' names to standard error. Only lines at the margin count:
# a test's sub-tests are part of it.
count() {
	local status
	status=$(cat "$1/$2.status" 2>/dev/null || echo none)
	awk -v stage="$2" -v status="$status" '
		function failed(name) { names[bad++] = name }
		{ sub(/\r$/, "") }
		/^1\.\.[0-9]+/ { split($0, plan, /\.\.| /); planned += plan[2]; if ($0 ~ /# SKIP/) skipped++ }
		/^ok [0-9]+/ { reported++; if (toupper($0) ~ /# SKIP/) skipped++; else passed++ }
		/^not ok [0-9]+/ { reported++; sub(/^not ok [0-9]+ (- )?/, ""); failed($0) }
		/^--- PASS: / { passed++ }
		/^--- SKIP: / { skipped++ }
		/^--- FAIL: / { failed($3) }
		/^FAIL\t.*\[.* failed\]$/ { failed($2 " does not build") }
		END {
			lost = planned > reported ? planned - reported : 0
			if (lost) print "failed: " stage ": " lost " tests never ran" >"/dev/stderr"
			if (status == "none") failed("was interrupted")
			else if (status != 0 && !bad && !lost) failed("exit status " status)
			else if (passed + bad + skipped + lost == 0) failed("reported no test at all")
			for (i = 0; i < bad; i++) print "failed: " stage ": " names[i] >"/dev/stderr"
			print passed + 0, bad + lost, skipped + 0
		}' "$1/$2.log"
}

# sentence PASSED FAILED SKIPPED
sentence() {
	printf '%d passed, %d failed' "$1" "$2"
	[ "$3" = 0 ] || printf ', %d skipped' "$3"
	echo
}

main() {
	local quiet='' results stage total=(0 0 0) one
	[ "${1:-}" != --counts ] || { quiet=yes && shift; }
	results=${1:?usage: scripts/summarise.sh [--counts] RESULTS STAGE...}
	shift
	for stage; do
		if [ -n "$quiet" ]; then
			one=$(count "$results" "$stage" 2>/dev/null)
		else
			one=$(count "$results" "$stage")
		fi
		read -ra one <<<"$one"
		total=($((total[0] + one[0])) $((total[1] + one[1])) $((total[2] + one[2])))
	done
	sentence "${total[@]}"
	[ -n "$quiet" ] || [ "${total[1]}" = 0 ]
}

main "$@"
