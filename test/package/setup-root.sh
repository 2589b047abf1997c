#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: test/package/setup-root.sh RELEASE
#
# Makes a small system of a Debian release, with its kernel and that kernel's headers, and prints the path of the archive that holds it, in the cache
# directory. What the tests install there later has been downloaded into its apt, so they need no network and meet what they met the last time;
# 'make distclean' drops it. As an ordinary user whom the machine lets make user namespaces, or as root.

set -eu
TOP=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=scripts/common.sh
. "$TOP/scripts/common.sh"
# shellcheck source=scripts/debian.sh
. "$TOP/scripts/debian.sh"

# kernel: the one that the system begins with.
KERNEL="linux-image-cloud-amd64 linux-headers-cloud-amd64"

# later RELEASE: the newest kernel that the release has besides.
later() {
	case $1 in
	bookworm) echo "linux-image-6.12-cloud-amd64 linux-headers-6.12-cloud-amd64" ;;
	trixie) echo "linux-image-cloud-amd64/trixie-backports linux-headers-cloud-amd64/trixie-backports" ;;
	*) die "usage: test/package/setup-root.sh bookworm|trixie (not '$1')" ;;
	esac
}

# download PACKAGE...: the command that has the new system's apt fetch these and what they need.
download() {
	echo "chroot \"\$1\" apt-get -q -y --no-install-recommends --download-only install $*"
}

# make_root RELEASE FINAL: the archive appears when it is complete; the list of what is later is for the tests.
make_root() {
	local release=$1 final=$2 list log=$2.log
	[ ! -e "$final" ] || return 0
	list=$(sources "$release")
	say "a small system of Debian's $release: downloading and installing (some minutes, only once)"
	# INITRD=No: nobody boots it with an initial RAM disk.
	# shellcheck disable=SC2016 # $1 is the hook's
	if ! INITRD=No TMPDIR=$MYTUN_CACHE/roots mmdebstrap --variant=minbase --skip=cleanup/apt --format=tar \
		--include="${KERNEL// /,}" \
		--aptopt='APT::Install-Recommends "false"' --aptopt='Binary::apt-get::APT::Keep-Downloaded-Packages "true"' \
		--customize-hook='chroot "$1" apt-get clean' \
		--customize-hook="$(download dkms openssl libc6-dev)" --customize-hook="$(download "$(later "$release")")" \
		--customize-hook="echo '$(later "$release")' >\"\$1/later-kernel\"" \
		"$release" "$final.new" - <<<"$list" >"$log" 2>&1; then
		tail -n 30 "$log" >&2
		die "the system of Debian's $release could not be made: mmdebstrap's words are above and in $log"
	fi
	mv "$final.new" "$final"
	rm -f "$log"
}

main() {
	local final=$MYTUN_CACHE/roots/package-${1:-}.tar
	later "${1:-}" >/dev/null
	"$TOP/scripts/setup-packages.sh" package
	locked "$MYTUN_CACHE/roots/.lock-package-$1" make_root "$1" "$final"
	echo "$final"
}

main "$@"
