#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: test/debug/planted.sh 6.12-kasan|6.12-kcsan
#
# Proves on the host that a run on that debug kernel can fail: boots it once for each fault of kmod/mytun_planted.c that it is to catch, with
# the module that has them, and looks whether the run failed for that reason. A machine for each, because after a report the other
# checkers may be off. Output is KTAP.

set -u
TOP=$(cd "$(dirname "$0")/../.." && pwd)
FAILED=0

# Kernel, fault, what the test is to say of it, what the kernel is to say.
FAULTS='
6.12-kasan|read|no complaint in the kernel.s log|BUG: KASAN: slab-out-of-bounds in mytun_planted
6.12-kasan|leak|nothing leaked|kmemleak: [0-9]+ new suspected memory leaks
6.12-kasan|locks|lockdep is still on|WARNING: possible circular locking dependency detected
6.12-kcsan|race|no complaint in the kernel.s log|BUG: KCSAN: data-race in mytun_planted'

# caught KERNEL FAULT SAYS REPORT: true if the run failed, in the guest and on the host, and the kernel told why.
caught() {
	local name=$1-planted-$2 said
	said=$TOP/build/vm/$name.said
	if "$TOP/test/vm/run.sh" --kernel "$1" --planted --name "$name" --timeout 300 test/debug/checked.sh --fault "$2" >"$said" 2>&1; then
		echo "the run passed: ${said#"$TOP"/}"
		return 1
	fi
	grep -qE "^not ok [0-9]+ $3" "$said" || { echo "the guest's checks did not say 'not ok $3': ${said#"$TOP"/}" && return 1; }
	grep -qE "^run.sh: FAILED: kernel $1 complained" "$said" || { echo "the host found no complaint: ${said#"$TOP"/}" && return 1; }
	grep -qE "$4" "$TOP/build/vm/$name.kernel.log" || { echo "no '$4' in build/vm/$name.kernel.log" && return 1; }
}

main() {
	local kernel=${1:?usage: test/debug/planted.sh 6.12-kasan|6.12-kcsan} faults number=0 fault says report why
	mapfile -t faults < <(grep "^$kernel|" <<<"$FAULTS")
	printf 'KTAP version 1\n1..%d\n' ${#faults[@]}
	for fault in "${faults[@]}"; do
		number=$((number + 1))
		IFS='|' read -r _ fault says report <<<"$fault"
		if why=$(caught "$kernel" "$fault" "$says" "$report"); then
			echo "ok $number $kernel catches a planted fault: $fault"
		else
			printf 'not ok %d %s catches a planted fault: %s\n#   %s\n' "$number" "$kernel" "$fault" "$why"
			FAILED=1
		fi
	done
	[ "$FAILED" = 0 ] && [ "$number" -gt 0 ]
}

main "$@"
