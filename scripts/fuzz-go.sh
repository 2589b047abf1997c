#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Usage: scripts/fuzz-go.sh [PATTERN]
#
# Fuzzes the Go packages: every Fuzz function whose name matches PATTERN (a regular expression), FUZZ_SECONDS (default 120) each, one after the
# other, on all processors. What fails is kept in the package's testdata/fuzz/, where 'go test' finds it from then on; what is merely interesting
# stays in Go's cache, so the next run goes on from there. The last line is 'N passed, N failed'; the exit status is 1 if anything failed.

set -u
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
TOP=$(cd "$(dirname "$0")/.." && pwd)
GO=$TOP/scripts/go.sh
SECONDS_EACH=${FUZZ_SECONDS:-120}

# targets PATTERN: a line for each: package and function.
targets() {
	local name rest names=()
	while read -r name rest; do
		case $name in
		Fuzz*) [[ ! $name =~ $1 ]] || names+=("$name") ;;
		ok)
			for name in "${names[@]}"; do echo "${rest%%[[:space:]]*} $name"; done
			names=()
			;;
		esac
	done < <("$GO" test -list '^Fuzz' ./pkg/... ./cmd/...)
}

# fuzz PACKAGE NAME: go's own lines are the progress. To make an input shorter that is merely interesting takes a minute each, if nobody says otherwise.
fuzz() {
	"$GO" test -run '^$' -fuzz "^$2\$" -fuzztime "${SECONDS_EACH}s" -fuzzminimizetime 100x "$1" 2>&1
}

main() {
	local package name passed=0 failed=0 found
	cd "$TOP" || exit 1
	found=$(targets "${1:-}")
	[ -n "$found" ] || die "no Fuzz function in pkg/ or cmd/ matches '${1:-}'"
	while read -r -u 3 package name; do
		say "$name in $package, $SECONDS_EACH s"
		if fuzz "$package" "$name"; then
			passed=$((passed + 1))
		else
			failed=$((failed + 1))
		fi
	done 3<<<"$found"
	echo "$passed passed, $failed failed"
	[ "$failed" = 0 ]
}

main "$@"
