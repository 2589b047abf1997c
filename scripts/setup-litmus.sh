#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Usage: scripts/setup-litmus.sh
#
# What the litmus tests run with, into the cache directory, as an ordinary user: herd7 of Debian's unstable, the only release that has it, and
# the kernel's memory model. Prints the paths of both, a line each. Exit status 3: unstable no longer offers herd7 for this machine.

set -eu
# These tests run here, whichever machine's the others are of.
export ARCH=amd64
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
# shellcheck source=scripts/debian.sh
. "$(dirname "$0")/debian.sh"
TOP=$(cd "$(dirname "$0")/.." && pwd)
RELEASE=sid PACKAGE=herdtools7

# is_offered: in an index that is new enough to be believed when it says no.
is_offered() {
	use_release "$RELEASE"
	known "$PACKAGE" && return
	apt_update || exit 1
	known "$PACKAGE" || exit 3
}

main() {
	local root=$MYTUN_CACHE/roots/$RELEASE
	if ! grep -sqxF "$PACKAGE" "$root/packages"; then
		locked "$MYTUN_CACHE/.lock-litmus" is_offered || exit $?
	fi
	"$TOP/scripts/setup-root.sh" "$RELEASE" "$PACKAGE"
	"$TOP/scripts/setup-source.sh" memory-model
}

main "$@"
