# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# What the set-up scripts share: messages, the cache directory, and the one way to call apt. Sourced, never run.
#
# Messages go to standard error, so that a script's standard output is its result and nothing else.

# The kernels that mytun is tested on, if KERNELS does not say otherwise: the first has all tests. The last is the newest of Debian 13's backports,
# for which there is no cross compiler here.
# shellcheck disable=SC2034 # for those who source this
DEFAULT_KERNELS="6.12 6.1 7.3"

# Programs' words are read here, in English; and what somebody's shell or make has set for other work is not for this.
export LC_ALL=C.UTF-8
unset LANGUAGE CDPATH BASH_ENV MAKEFLAGS MFLAGS MAKEOVERRIDES CROSS_COMPILE
# A shell that became root, or a service, may lack either.
export HOME=${HOME:-$(getent passwd "$(id -u)" | cut -d : -f 6)} PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

MYTUN_CACHE=${MYTUN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mytun}
# ARCH is whose kernels and programs are built and run, by Debian's name: amd64, which is this machine's, or arm64. SUFFIX ends the names of
# all that is kept for another than this machine's.
# shellcheck disable=SC2034 # for those that source this
ARCH=${ARCH:-amd64} SUFFIX=''
# shellcheck disable=SC2034
[ "$ARCH" = amd64 ] || SUFFIX=-$ARCH DEFAULT_KERNELS=6.12

# say TEXT...: one line of progress.
say() {
	printf '>> %s\n' "$*" >&2
}

# die TEXT...: one line that says what failed and what to do, then exit status 1.
die() {
	printf '%s: error: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# step TEXT COMMAND...: one line for what takes a while, with the seconds as they pass where somebody sees them. What the command itself says
# is shown if it fails; its status is returned. It runs in a subshell, and where the status is not asked for at once its errors end that.
# Without TEXT there is no line.
step() {
	local text=$1 start=$SECONDS status=0 ticker='' strict=$- log
	shift
	log=$(mktemp)
	[ -z "$text" ] || printf '>> %s' "$text" >&2
	if [ -n "$text" ] && [ -t 2 ]; then
		# without the caller's lock, and not for longer than there is a caller
		while sleep 1 && kill -0 $$ 2>/dev/null; do printf '\r>> %s (%d s)' "$text" $((SECONDS - start)); done >&2 9>&- &
		ticker=$!
	fi
	set +e
	(set -e && "$@") >"$log" 2>&1
	status=$?
	[[ $strict != *e* ]] || set -e
	[ -z "$ticker" ] || { kill "$ticker" && printf '\r>> %s' "$text" >&2; }
	[ -z "$text" ] || printf ' (%d s)\n' $((SECONDS - start)) >&2
	[ "$status" = 0 ] || cat "$log" >&2
	rm -f "$log"
	return "$status"
}

case $ARCH in
amd64 | arm64) ;;
*) die "ARCH='$ARCH' is unknown: use amd64 or arm64" ;;
esac

# have COMMAND: true if the command exists.
have() {
	command -v "$1" >/dev/null 2>&1
}

# as_root COMMAND...: the command with root's rights. Only apt needs them.
as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif have sudo; then
		sudo "$@"
	else
		die "'$*' needs root, and there is no sudo here: run that one command as root, then try again"
	fi
}

# ask_password: sudo's question is one's own to see, in front of the line that says what it is for.
ask_password() {
	[ "$(id -u)" = 0 ] || ! have sudo || sudo -v
}

# need_apt: everything here is fetched as Debian packages.
need_apt() {
	have apt-get || die "there is no apt-get on this machine: this set-up is written for Debian 12." \
		"Elsewhere, install $* by hand; 'make modules load' needs none of the cached kernels"
}

# apt_update: the index of this machine's own apt, or of the one that use_release has chosen (debian.sh).
apt_update() {
	[ -n "${APT_CONFIG:-}" ] || ask_password
	step "refreshing the package index (apt-get update)" try_apt_update
}

# Of the mirror of another release all is wanted; a source of the machine's own that does not answer may be of no concern here.
try_apt_update() {
	if [ -n "${APT_CONFIG:-}" ]; then
		locked "$(dirname "$APT_CONFIG")/.lock" apt-get -q -o APT::Update::Error-Mode=any update
	else
		as_root apt-get -q update
	fi || die "apt-get update failed: check the network and /etc/apt/sources.list*"
}

# known PACKAGE: true if apt's index can give us that package. A fresh container has no index at all.
known() {
	apt-cache show --no-all-versions "$1" 2>/dev/null | grep -q '^Filename:'
}

# choose NAME|NAME...: the one that apt knows; the first if it knows none, which apt then complains of. Releases call the same thing differently.
choose() {
	local name
	for name in ${1//|/ }; do
		if known "$name"; then
			echo "$name"
			return
		fi
	done
	echo "${1%%|*}"
}

# fetch_debs DIR PACKAGE...: the .deb files into DIR, without installing anything. The index may be older than the mirror, which
# then answers 404: the caller refreshes and tries again. By step.
fetch_debs() {
	local dir=$1
	shift
	# As root, apt would like to download as user _apt, who cannot write here: it says so at length and then does it anyway.
	(cd "$dir" && apt-get -q -o APT::Sandbox::User=root download "$@")
}

# locked FILE COMMAND...: two set-ups at the same time would download everything twice, so the second waits for the first.
locked() {
	local lock=$1
	shift
	mkdir -p "$(dirname "$lock")"
	(
		flock -n 9 || { say "waiting for another set-up to finish ($lock)" && flock 9; }
		"$@"
	) 9>"$lock"
}
