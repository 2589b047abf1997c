#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Usage: scripts/in-root.sh ROOT COMMAND...
#
# Runs a command with the files of ROOT, which scripts/setup-root.sh has unpacked, as an ordinary user: there it sees the project and the
# cache directory at their own paths and may write there, and sees nothing else of this machine. With an empty ROOT it runs here.

set -eu
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
TOP=$(cd "$(dirname "$0")/.." && pwd)

main() {
	local root=${1?usage: scripts/in-root.sh ROOT COMMAND...}
	shift
	[ -n "$root" ] || exec "$@"
	bwrap --dev-bind / / true 2>/dev/null ||
		die "this machine lets nobody make namespaces, which building for a kernel of another Debian release needs:" \
			"'$(bwrap --dev-bind / / true 2>&1)'. See sysctl kernel.unprivileged_userns_clone, or leave that kernel out of KERNELS"
	exec bwrap --unshare-user --unshare-ipc --unshare-net --die-with-parent --dev /dev --ro-bind /proc /proc --tmpfs /tmp \
		--ro-bind "$root/usr" /usr --symlink usr/bin /bin --symlink usr/sbin /sbin --symlink usr/lib /lib --symlink usr/lib64 /lib64 \
		--bind "$TOP" "$TOP" --bind "$MYTUN_CACHE" "$MYTUN_CACHE" --chdir "$PWD" \
		--unsetenv TMPDIR --setenv PATH /usr/sbin:/usr/bin --setenv LC_ALL C.UTF-8 "$@"
}

main "$@"
