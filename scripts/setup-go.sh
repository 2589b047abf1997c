#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Usage: scripts/setup-go.sh
#
# Prints the path of a go command that is new enough for go.mod. The one on PATH is used if it will do. Otherwise any go, Debian 12's
# 1.19 included, can fetch a newer toolchain through the Go module proxy, checked against the checksum database: that one is put
# into the cache directory. If there is no go at all, Debian's is installed first.

set -eu
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
GO_MOD=$(cd "$(dirname "$0")/.." && pwd)/go.mod

# wanted: the version in go.mod, always with three parts, as releases since 1.21 are named.
wanted() {
	awk '$1 == "go" { n = split($2, part, "."); print $2 (n < 3 ? ".0" : ""); exit }' "$GO_MOD"
}

# version_of GO: 1.25.3 for "go version go1.25.3 linux/amd64". It runs outside the project, because an old go refuses
# to start inside a module that it cannot parse, and a newer one would look for yet another toolchain.
version_of() {
	(cd / && GOTOOLCHAIN=local GOFLAGS='' "$1" version 2>/dev/null) | sed -n 's/^go version go\([0-9.]*\).*/\1/p'
}

# new_enough GO: true if that go is at least as new as go.mod asks.
new_enough() {
	local version
	version=$(version_of "$1")
	[ -n "$version" ] && [ "$(printf '%s\n' "$version" "$(wanted)" | sort -V | head -n 1)" = "$(wanted)" ]
}

# download GO DIR MODULE
download() {
	(cd "$2" && GOFLAGS=-modcacherw GOTOOLCHAIN=local GO111MODULE=on GOPATH=$2/gopath GOMODCACHE=$2/gopath/pkg/mod "$1" mod download "$3") ||
		die "could not download $3: check GOPROXY and GOSUMDB ('go env'), or install Go $(wanted) or newer yourself and put it on PATH"
}

# fetch GO VERSION FINAL: the toolchain is a module like any other. Module archives carry no permission bits, so they are put back.
fetch() {
	local go=$1 version=$2 final=$3 work=$3.new module
	module=golang.org/toolchain@v0.0.1-go$version.linux-$(dpkg --print-architecture 2>/dev/null || echo amd64)
	[ ! -x "$final/bin/go" ] || return 0
	rm -rf "$work"
	mkdir -p "$work"
	step "Go $(version_of "$go") is older than go.mod's $version: fetching that toolchain through the module proxy (70 MB)" \
		download "$go" "$work" "$module"
	mv "$work/gopath/pkg/mod/$module" "$work/root"
	chmod -R u+w "$work/root"
	chmod -R a+x "$work/root/bin" "$work/root/pkg/tool"
	mv "$work/root" "$final"
	chmod -R u+w "$work"
	rm -rf "$work"
}

main() {
	local go version final
	# where go.dev says that it goes, which sudo leaves out of PATH
	PATH=$PATH:/usr/local/go/bin
	go=$(command -v go || true)
	if [ -z "$go" ]; then
		"$(dirname "$0")/setup-packages.sh" go
		go=$(command -v go) || die "golang-go is installed, but there is no go on PATH"
	fi
	if new_enough "$go"; then
		echo "$go"
		return
	fi
	version=$(wanted)
	final=$MYTUN_CACHE/go/$version
	locked "$MYTUN_CACHE/go/.lock" fetch "$go" "$version" "$final"
	new_enough "$final/bin/go" || die "the toolchain in $final does not run: remove that directory and try again"
	echo "$final/bin/go"
}

main
