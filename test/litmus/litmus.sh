#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: test/litmus/litmus.sh [TEST...]
#
# The litmus tests, or those named (kernel/frames): herd7 tries all that the memory model allows. The bad outcome must never be reached, and
# must be reached as soon as one of the barriers is gone: one result for the first, and one for each barrier. KTAP on standard output.
#
# A comment behind an instruction is the name of the barrier that it is. A test with no such name could not fail, and so fails.

set -u
TOP=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=scripts/common.sh
. "$TOP/scripts/common.sh"
HERE=$TOP/test/litmus
OUT=$TOP/build/litmus
# What there is to run: in FILES, called NAMES, with the outcomes EXPECTED.
FILES=() NAMES=() EXPECTED=()

# barriers FILE: their names.
barriers() {
	sed -n '/^{/,$p' "$1" | grep -oE "[(/]\* [A-Z][^*]* \*[)/]" | sed 's/^...//; s/...$//' | sort -u
}

# without NAME FILE: the test without that barrier; what orders nothing stands in its place. No '|' between the two: in assembly that is where
# another processor's column begins.
without() {
	local here="\([^|]*[(/]\* $1 \*\)"
	sed -e "s/smp_mb[_a-z]*();$here/\1/" \
		-e "s/smp_store_release($here/WRITE_ONCE(*\1/" \
		-e "s/smp_load_acquire($here/READ_ONCE(*\1/" \
		-e "s/atomic_set_release($here/atomic_set(\1/" \
		-e "s/\(atomic_xchg\|atomic_fetch_add\|atomic_inc_return\)($here/\1_relaxed(\2/" \
		-e "s/DMB ISH$here/NOP\1/" \
		-e "s/STLR $here/STR \1/" \
		-e "s/LDAR $here/LDR \1/" \
		-e "s/LDADDAL $here/LDADD \1/" \
		-e "s/MFENCE$here/\1/" \
		-e "s/XCHGL \(([a-z]*)\),\(%[a-z]*\)$here/MOVL \2,\1\3/" "$2"
}

# add FILE NAME EXPECTED
add() {
	FILES+=("$1") NAMES+=("$2") EXPECTED+=("$3")
}

# prepare TEST: copies, for herd7 gets to see the project and the cache alone. A frame that is read while it is written is bad enough.
prepare() {
	local file=$OUT/$1.litmus name broken number=0
	mkdir -p "${file%/*}"
	cp "$HERE/$1.litmus" "$file"
	add "$file" "$1" never
	barriers "$file" | grep -q . || add "$file" "$1 without a barrier" "sometimes race"
	while read -r name; do
		number=$((number + 1))
		broken=${file%.litmus}-$number.litmus
		without "$name" "$file" >"$broken"
		add "$broken" "$1 without $name" "sometimes race"
	done < <(barriers "$file")
}

# herd: all at once. A machine's own model is the one that herd7 has.
herd() {
	# shellcheck disable=SC2016 # the dollars are the inner shell's
	"$TOP/scripts/in-root.sh" "$ROOT" bash -c 'cd "$1" && shift && for file; do
		case $file in */kernel/*) set -- -conf linux-kernel.cfg ;; *) set -- ;; esac
		herd7 "$@" "$file" >"$file.log" 2>&1
	done; true' bash "$MODEL" "${FILES[@]}"
}

# outcome LOG: in one word: never, sometimes, always, race; or what herd7 complains of.
outcome() {
	if grep -q '^Flag data-race' "$1"; then
		echo race
	else
		sed -n 's/^Observation [^ ]* \([A-Z][a-z]*\) .*/\L\1/p' "$1" | grep . || head -n 1 "$1" | grep . || echo none
	fi
}

# results: false if one was bad.
results() {
	local i seen status=0
	for i in "${!FILES[@]}"; do
		seen=$(outcome "${FILES[i]}.log")
		if [[ " ${EXPECTED[i]} " = *" $seen "* ]]; then
			echo "ok $((i + 1)) ${NAMES[i]}: $seen"
		else
			status=1
			echo "not ok $((i + 1)) ${NAMES[i]}"
			echo "# the bad outcome: $seen; expected: ${EXPECTED[i]/ / or }; herd7's words: ${FILES[i]#"$TOP/"}.log"
		fi
	done
	return "$status"
}

main() {
	local paths status=0 tests test
	paths=$("$TOP/scripts/setup-litmus.sh") || status=$?
	echo 'KTAP version 1'
	if [ "$status" = 3 ]; then
		printf '1..1\nok 1 litmus # SKIP Debian unstable no longer has herdtools7, without which none of these tests can run\n'
		return
	fi
	[ "$status" = 0 ] || exit 1
	{ read -r ROOT && read -r MODEL; } <<<"$paths"
	tests=("$@")
	[ $# -gt 0 ] || mapfile -t tests < <(cd "$HERE" && printf '%s\n' */*.litmus | sed 's/\.litmus$//')
	rm -rf "$OUT"
	for test in "${tests[@]}"; do prepare "$test"; done
	echo "1..${#FILES[@]}"
	herd || exit 1
	results
}

main "$@"
