# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# Debian releases other than this machine's own, by an apt that has its own sources and its own index: the machine's never learns of them.
# Sourced after common.sh, never run. What calls apt after use_release gets that release's packages; nothing is ever installed from there.

# codename: of the Debian release that this machine runs; nothing elsewhere.
codename() {
	# shellcheck source=/dev/null
	(. /etc/os-release && [ "${ID:-}" = debian ] && echo "${VERSION_CODENAME:-}")
}

# mirror LABEL: the address from which this machine gets Debian's own archive ("Debian") or its security updates ("Debian-Security").
mirror() {
	# shellcheck disable=SC2016 # the dollar is apt's
	apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Label: $1" 'Component: main' | head -n 1
}

# sources RELEASE: the lines of sources.list. Unstable has no updates, but experimental beside it.
sources() {
	local archive security
	# before its first update apt does not know whose archives its sources are
	[ -n "$(mirror Debian)" ] || apt_update
	archive=$(mirror Debian) security=$(mirror Debian-Security)
	[ -n "$archive" ] || die "apt has no source of Debian itself, and so no mirror to ask for packages of its release $1: check /etc/apt/sources.list*"
	case $1 in
	sid) printf 'deb %s %s main\n' "$archive" sid "$archive" experimental ;;
	*)
		printf 'deb %s %s main\n' "$archive" "$1" "$archive" "$1-updates"
		[ "$1" != trixie ] || printf 'deb %s %s main\n' "$archive" "$1-backports"
		[ -z "$security" ] || printf 'deb %s %s main\n' "$security" "$1-security"
		;;
	esac
}

# use_sources NAME LINE...: from here on apt knows of what these lines of sources.list offer, and of nothing that is installed. APT_MORE is
# what else its configuration says.
use_sources() {
	local dir=$MYTUN_CACHE/apt/$1
	shift
	mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
	: >"$dir/status"
	printf '%s\n' "$@" >"$dir/sources.list"
	cat >"$dir/apt.conf.$$" <<-EOF
		APT::Sandbox::User "root";
		Binary::apt-get::APT::Default-Release "";
		Dir::Etc::sourcelist "$dir/sources.list";
		Dir::Etc::sourceparts "/dev/null";
		Dir::Etc::preferences "/dev/null";
		Dir::Etc::preferencesparts "/dev/null";
		Dir::State::status "$dir/status";
		Dir::State::lists "$dir/lists";
		Dir::Cache "$dir/cache";
		${APT_MORE:-}
	EOF
	# half a file would be read as the machine's own configuration, by whoever looks at the same release meanwhile
	mv "$dir/apt.conf.$$" "$dir/apt.conf"
	export APT_CONFIG=$dir/apt.conf
}

# use_release RELEASE: from here on apt knows of that release alone; of this machine's own, what the machine's apt knows.
use_release() {
	local lines
	unset APT_CONFIG
	[ "$1$SUFFIX" != "$(codename)" ] || return 0
	need_apt "the packages of Debian's release $1"
	lines=$(sources "$1") || exit 1
	APT_MORE=$([ "$ARCH" = amd64 ] || foreign) use_sources "$1$SUFFIX" "$lines"
}

# foreign: for apt.conf: a package without ':amd64' behind its name is the other architecture's.
foreign() {
	printf 'APT::Architecture "%s";\nAPT::Architectures { "%s"; "amd64"; };\n' "$ARCH" "$ARCH"
}

# unpack_debs FROM TO: every package in FROM. Older releases fill directories that newer ones only link to.
unpack_debs() {
	local deb name
	mkdir -p "$2"/usr/{bin,sbin,lib,lib64}
	for name in bin sbin lib lib64; do
		[ -e "$2/$name" ] || ln -s "usr/$name" "$2/$name"
	done
	for deb in "$1"/*.deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$2" --keep-directory-symlink --no-same-owner
	done
}
