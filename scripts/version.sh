#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Usage: scripts/version.sh [COMMIT]
#
# Prints the version of what is here, or of what a commit holds. It stands in kmod/dkms.conf, as DKMS wants it.

set -eu
TOP=$(cd "$(dirname "$0")/.." && pwd)

if [ $# = 0 ]; then
	cat "$TOP/kmod/dkms.conf"
else
	git -C "$TOP" show "$1:kmod/dkms.conf"
fi | sed -n 's/^PACKAGE_VERSION="\(.*\)"$/\1/p'
