#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: test/conform/fuzz.sh
#
# Makes random sequences of calls on mytun's node and on stock tun's, in one virtual machine, and compares what they answer
# (TestRandomCalls). What differs and is not known is shortened and shown, and repeated with the flags that are shown with it.
#
#   FUZZ_SECONDS   how long sequences are made up (120)
#   FUZZ_SEED      of all random choices (1)
#   FUZZ_ONLY      number of the one sequence that is to be made up
#   FUZZ_KERNEL    which stock tun to compare with: 6.12 (default), 6.1, 6.12-kasan

set -u
TOP=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=scripts/common.sh
. "$TOP/scripts/common.sh"
SECONDS_MAX=${FUZZ_SECONDS:-120} SEED=${FUZZ_SEED:-1}
# For the machine's start, and to shorten what is found.
SLACK=300

main() {
	local only=()
	[[ $SECONDS_MAX =~ ^[0-9]+$ ]] || die "FUZZ_SECONDS='$SECONDS_MAX' is not a number of seconds"
	[[ $SEED =~ ^[0-9]+$ ]] || die "FUZZ_SEED='$SEED' is not a number"
	[ -z "${FUZZ_ONLY:-}" ] || only=(-random.only "$FUZZ_ONLY")
	"$TOP/test/vm/run.sh" --kernel "${FUZZ_KERNEL:-6.12}" --name conform-fuzz --timeout $((SECONDS_MAX + SLACK)) \
		build/guest/conform.test -test.v -test.run '^TestRandomCalls$' -test.timeout $((SECONDS_MAX + SLACK))s \
		-random.for "${SECONDS_MAX}s" -random.seed "$SEED" "${only[@]}"
}

main "$@"
