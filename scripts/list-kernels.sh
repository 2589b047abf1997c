#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Usage: scripts/list-kernels.sh
#
# Prints the series of kernels, from 6.1 on, that Debian's mirror has headers and an image of, in this machine's own release, 12, 13 with its
# backports, unstable or experimental: those that scripts/setup-kernel.sh can unpack today. The index is refreshed before.

set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
# shellcheck source=scripts/debian.sh
. "$(dirname "$0")/debian.sh"

# series: those of the release that is in use: 6.12 of linux-headers-6.12.117+deb13-cloud-amd64, 6.1 of linux-headers-6.1.0-56-cloud-amd64.
# Headers are published before their signed image.
series() {
	{ apt-cache pkgnames linux-headers- && apt-cache pkgnames linux-image-; } | sed -n '/-cloud-amd64$/p' |
		xargs -r apt-cache show --no-all-versions | awk '$1 == "Package:" { package = $2 } $1 == "Filename:" { print package }' |
		sed -n 's/^linux-\(headers\|image\)-\([0-9].*\)/\2/p' | sort | uniq -d | sed -n 's/^\([0-9]*\.[0-9]*\)[-.+].*/\1/p'
}

main() {
	local release
	for release in bookworm trixie sid; do
		use_release "$release"
		apt_update
		series
	done | sort -uV | awk -F. '$1 > 6 || $1 == 6 && $2 >= 1'
}

main
