# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# One line of KTAP for each check, and the plan at the end. Sourced, never run.

NUMBER=0 FAILED=0
LOG=$(mktemp)

# check TITLE COMMAND...: the first command in it that fails fails the check, and its output is shown.
check() {
	local title=$1 status flags=$-
	shift
	NUMBER=$((NUMBER + 1))
	# In a condition bash would forget -e for everything below.
	set +e
	(set -e && "$@") >"$LOG" 2>&1
	status=$?
	[[ $flags != *e* ]] || set -e
	if [ "$status" = 0 ]; then
		echo "ok $NUMBER $title"
	else
		FAILED=$((FAILED + 1))
		echo "not ok $NUMBER $title"
		sed 's/^/#   /' "$LOG"
	fi
}

# fail TEXT...: what a check says before it fails.
fail() {
	echo "FAIL: $*"
	return 1
}

# says TEXT COMMAND...: the command fails, and a line of what it says matches that.
says() {
	local text=$1 said
	shift
	if said=$("$@" 2>&1); then
		fail "it should have failed: $*"
		return
	fi
	echo "$said"
	grep -q -- "$text" <<<"$said" || fail "nobody said: $text"
}

# plan: the result is whether all checks were good.
plan() {
	echo "1..$NUMBER"
	rm -f "$LOG"
	[ "$FAILED" = 0 ]
}
