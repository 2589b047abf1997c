#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: test/fuzz/fuzz.sh [--ktap]
#
# Fuzzes the module on the host's side: boots the KASAN kernel with the module that keeps a record of what has run, and keeps what
# comes out of it in build/fuzz/: crash-SEED-NUMBER.txt is a program that did harm, corpus/ are those that reached something new,
# summary.json is the last line for programs. Exit status 1 if anything was found. With --ktap the run is also printed as tests.
#
#   FUZZ_SECONDS   how long programs are made up (120)
#   FUZZ_SEED      of all random choices (1)
#   FUZZ_REPLAY    run the program in this file, 20 times, and no other
#   FUZZ_KERNEL    6.12 is several times as fast, and finds less
#   FUZZ_CORPUS    a directory of programs to begin with, beside test/fuzz/corpus/: such as a copy of build/fuzz/corpus

set -u
TOP=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=scripts/common.sh
. "$TOP/scripts/common.sh"
KERNEL=${FUZZ_KERNEL:-6.12-kasan}
SECONDS_MAX=${FUZZ_SECONDS:-120} SEED=${FUZZ_SEED:-1}
# For the machine's start, the programs that are given, and the search for leaks.
SLACK=300
# Grace periods that end at once: lockdep waits for one for each of 256 queues, and memory that is freed too early is gone before it is used.
RCU="rcupdate.rcu_expedited=1 rcutree.jiffies_till_first_fqs=0 rcutree.jiffies_till_next_fqs=1"
# What the guest gets travels with the programs that it runs.
GUEST=build/guest/fuzz.d

# carry: the files that the guest needs, into a directory that it will have.
carry() {
	rm -rf "${TOP:?}/$GUEST"
	mkdir -p "$TOP/$GUEST/corpus"
	if [ -n "${FUZZ_REPLAY:-}" ]; then
		cp "$FUZZ_REPLAY" "$TOP/$GUEST/replay.txt" || die "FUZZ_REPLAY='$FUZZ_REPLAY' cannot be read"
	fi
	[ -z "${FUZZ_CORPUS:-}" ] || cp "$FUZZ_CORPUS"/*.txt "$TOP/$GUEST/corpus/" || die "FUZZ_CORPUS='$FUZZ_CORPUS' has no programs (*.txt)"
}

main() {
	local ktap=() replay=() status
	[ "${1:-}" != --ktap ] || ktap=(-ktap)
	[ -z "${FUZZ_REPLAY:-}" ] || replay=(-replay "$GUEST/replay.txt")
	[[ $SECONDS_MAX =~ ^[0-9]+$ ]] || die "FUZZ_SECONDS='$SECONDS_MAX' is not a number of seconds"
	[[ $SEED =~ ^[0-9]+$ ]] || die "FUZZ_SEED='$SEED' is not a number"
	carry
	cd "$TOP" || exit 1
	"$TOP/scripts/build-guest.sh" || exit 1
	"$TOP/test/vm/run.sh" --kernel "$KERNEL" --cover --name fuzz --timeout $((SECONDS_MAX + SLACK)) --append "$RCU" \
		build/guest/fuzz run -seed "$SEED" -for "${SECONDS_MAX}s" -corpus "test/fuzz/corpus,$GUEST/corpus" "${replay[@]}" 2>&1 |
		build/guest/fuzz collect -dir build/fuzz -seed "$SEED" "${ktap[@]}"
	status=${PIPESTATUS[1]}
	rm -rf "${TOP:?}/$GUEST"
	return "$status"
}

main "$@"
