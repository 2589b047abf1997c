#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# mutants.sh: can the tests fail? Breaks copies of mytun_ring.h, one thing each, and expects a "not ok" for every one.
#
# Called by make, with OUT, CC and FIXED (how to start a sanitized program) in the environment. KTAP on standard output.

set -u
cd "$(dirname "$0")" || exit 1

HEADER=../../kmod/mytun_ring.h
OUT=${OUT:-../../build/ring/mutants}

# What is broken | sanitizer | suite, or all | sed script. The first two are not broken: they show that an honest copy passes.
MUTANTS=$(
	cat <<'END'
none, under ASan                 |asan|all        |
none, under TSan                 |tsan|concurrency|
A: consumer loaded relaxed       |tsan|concurrency|s/smp_load_acquire(\(ring->shared_consumer\))/READ_ONCE(*\1)/
A': consumer stored relaxed      |tsan|concurrency|s/smp_store_release(\(ring->shared_consumer\),/WRITE_ONCE(*\1,/
B: producer stored relaxed       |tsan|concurrency|s/smp_store_release(\(ring->shared_producer\),/WRITE_ONCE(*\1,/
B': producer loaded relaxed      |tsan|concurrency|s/smp_load_acquire(\(ring->shared_producer\))/READ_ONCE(*\1)/
C: no barrier in publish         |asan|all        |s:smp_mb(); /\* C \*/::
C': no barrier in wait_frames    |asan|all        |s:smp_mb(); /\* C' \*/::
D: no barrier in wait_space      |asan|all        |s:smp_mb(); /\* D \*/::
D': no barrier in release        |asan|all        |s:smp_mb(); /\* D' \*/::
consumer may go beyond           |asan|all        |s/moved > mytun_ring_used(ring) ||//
producer may go beyond           |asan|all        |s/moved > mytun_ring_room(ring) ||//
producer may be one frame beyond |asan|all        |s/moved > mytun_ring_room(ring) ||/moved > mytun_ring_room(ring) + 64 ||/
indices may be unaligned         |asan|all        |s/ || moved % MYTUN_FRAME_ALIGN//
length may wrap the footprint    |asan|all        |s/length > ring->size ||/false ||/
length may pass the producer     |asan|all        |s/mytun_ring_footprint(length) > mytun_ring_used(ring)/false/
broken by an index is forgotten  |asan|all        |/moved %/,/}/s/broken = true/broken = false/
broken by a length is forgotten  |asan|all        |/length > ring->size/,/}/s/broken = true/broken = false/
reserve ignores broken           |asan|all        |/mytun_ring_reserve(struct/,/^}/s/if (ring->broken)/if (false)/
peek ignores broken              |asan|all        |/mytun_ring_peek(struct/,/^}/s/if (ring->broken)/if (false)/
no mask                          |asan|all        |s/(index & (ring->size - 1))/index/
footprint without the header     |asan|all        |s/(u32)sizeof(struct mytun_frame) + length/length/
exact fit refused                |asan|all        |s/mytun_ring_room(ring) < footprint/mytun_ring_room(ring) <= footprint/
full ring overwritten            |asan|all        |s/mytun_ring_room(ring) < footprint/mytun_ring_room(ring) + 64 < footprint/
event passed one late            |asan|all        |s/(new - event - 1)/(new - event)/
event passed inclusive           |asan|all        |s/< (u32)(new - old)/<= (u32)(new - old)/
event always passed              |asan|all        |s/return (u32)(new - event - 1) < .*/return new != old || event;/
wait_space at a quarter          |asan|all        |s,ring->size / 2,ring->size / 4,
wait_space forgets the length    |asan|all        |s/max(ring->size \/ 2, mytun_ring_footprint(length))/ring->size \/ 2 + 0 * length/
wait_space signals one late      |asan|all        |s/ - ring->size - MYTUN_FRAME_ALIGN/ - ring->size/
wait_space does not look         |asan|all        |/wait_space(struct/,/^}/s/return mytun_ring_refresh_consumer(ring) &&/return/
wait_frames does not look        |asan|all        |s/return READ_ONCE(\*ring->shared_producer) != seen/return false/
publish keeps posted             |asan|all        |s/ring->posted = ring->producer;//
release keeps posted             |asan|all        |s/ring->posted = ring->consumer;//
submit moves the peer's index    |asan|all        |s/^\tring->producer += .*/&\n\tWRITE_ONCE(*ring->shared_producer, ring->producer);/
next gives room back at once     |asan|all        |s/^\tring->consumer += .*/&\n\tWRITE_ONCE(*ring->shared_consumer, ring->consumer);/
END
)

# build DIR SANITIZER: the tests against the header in DIR. The log is for the case that a mutant does not compile.
build() {
	make -s OUT="$1" HEADERS="$1" CC="${CC:-gcc}" "$1/ring-$2" >"$1/build.log" 2>&1
}

# run DIR SANITIZER SUITE: the name of the first test that failed, nothing if all passed.
run() {
	local suite=()
	[ "$3" = all ] || suite=(-s "$3")
	# shellcheck disable=SC2086 # FIXED is a command and its option, or nothing
	${FIXED-} "$1/ring-$2" -x "${suite[@]}" >"$1/run.log" 2>"$1/report.log"
	sed -n 's/^not ok [0-9]* //p' "$1/run.log"
}

# verdict DIR SANITIZER SUITE SCRIPT: explains what went wrong and fails, or says who noticed the mutant.
verdict() {
	local caught
	mkdir -p "$1" && sed "$4" "$HEADER" >"$1/mytun_ring.h" || return
	if [ -n "$4" ] && cmp -s "$HEADER" "$1/mytun_ring.h"; then
		echo "# the sed script changes nothing: the header is not what it was" && return 1
	fi
	build "$1" "$2" || { sed 's/^/# /' "$1/build.log" && return 1; }
	caught=$(run "$1" "$2" "$3")
	echo "# ${caught:+caught by }${caught:-passed all tests}"
	if [ -n "$4" ]; then [ -n "$caught" ]; else [ -z "$caught" ]; fi
}

number=0
status=0
printf 'KTAP version 1\n1..%d\n' "$(wc -l <<<"$MUTANTS")"
while IFS='|' read -r name sanitizer suite script; do
	number=$((number + 1))
	name=${name%"${name##*[! ]}"}
	result=ok
	verdict "$OUT/$number" "$sanitizer" "${suite// /}" "$script" || { result="not ok" && status=1; }
	echo "$result $number mutant: $name"
done <<<"$MUTANTS"
exit "$status"
