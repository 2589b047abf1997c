#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Usage: scripts/lint.sh [--ktap]
#
# Every checker over every file it is for, one line each: "ok", or its complaints; as KTAP for scripts/run-tests.sh. The exit status is 1 if any
# had one.

# shellcheck disable=SC2317 # the checkers are called through check
set -u
TOP=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/common.sh
. "$TOP/scripts/common.sh"

KERNELS=${KERNELS:-$DEFAULT_KERNELS}
STATICCHECK=honnef.co/go/tools/cmd/staticcheck@v0.7.0
TAGS=mytun_device
# Go modules of their own, beside the library's
ADAPTERS="adapter/wireguard adapter/gvisor"
MODULES="bench cmd/mytunstat $ADAPTERS"
STATUS=0 KTAP='' NUMBER=0

# report NAME RESULT: RESULT is ok, FAILED or "not run: why".
report() {
	NUMBER=$((NUMBER + 1))
	case $KTAP$2 in
	yesok) echo "ok $NUMBER $1" ;;
	yesFAILED) echo "not ok $NUMBER $1" ;;
	yes*) echo "ok $NUMBER $1 # SKIP ${2#not run: }" ;;
	*) printf '%-22s %s\n' "$1" "$2" ;;
	esac
}

# check NAME COMMAND...: silence and success are "ok".
check() {
	local name=$1 said
	shift
	if said=$("$@" 2>&1) && [ -z "$said" ]; then
		report "$name" ok
	else
		report "$name" FAILED
		echo "$said"
		STATUS=1
	fi
}

go_format() {
	local unformatted
	unformatted=$("$("$TOP/scripts/go.sh" env GOROOT)/bin/gofmt" -l adapter bench cmd internal pkg test)
	[ -z "$unformatted" ] || echo "run gofmt -w on: $unformatted"
}

go_vet() {
	local dir
	"$TOP/scripts/go.sh" vet -tags "$TAGS" ./... || return 1
	for dir in $MODULES; do
		(cd "$dir" && "$TOP/scripts/go.sh" vet -tags "$TAGS" ./...) || return 1
	done
}

# other_systems: whoever imports the packages must be able to build them anywhere.
other_systems() {
	local system dir
	for system in darwin/arm64 windows/amd64 freebsd/amd64 linux/386 linux/arm linux/arm64 linux/riscv64; do
		GOOS=${system%/*} GOARCH=${system#*/} CGO_ENABLED=0 "$TOP/scripts/go.sh" build ./pkg/... || return 1
		for dir in $ADAPTERS; do
			(cd "$dir" && GOOS=${system%/*} GOARCH=${system#*/} CGO_ENABLED=0 "$TOP/scripts/go.sh" build ./...) || return 1
		done
	done
	# the tests too, where an int has 32 bits
	GOARCH=386 CGO_ENABLED=0 "$TOP/scripts/go.sh" vet -tags "$TAGS" ./pkg/...
}

# The first run compiles it: its downloads are no complaint.
go_staticcheck() {
	local dir
	"$TOP/scripts/go.sh" run "$STATICCHECK" -version >/dev/null 2>&1
	"$TOP/scripts/go.sh" run "$STATICCHECK" -tags "$TAGS" ./... || return 1
	for dir in $MODULES; do
		(cd "$dir" && "$TOP/scripts/go.sh" run "$STATICCHECK" -tags "$TAGS" ./...) || return 1
	done
}

# run_sparse SERIES: in a build directory of its own, so that a normal build is left alone.
run_sparse() {
	local env
	env=$("$TOP/scripts/setup-kernel.sh" "$1") || return 1
	# shellcheck source=/dev/null
	. "$env"
	# 6.1's headers come without vmlinux, which the build remarks on.
	make -s --no-print-directory -C "$TOP/kmod" KDIR="$KERNEL_DIR" OUT="$TOP/build/sparse-$1" check 2>&1 |
		grep -v '^Skipping BTF generation'
	return "${PIPESTATUS[0]}"
}

# compat.h is where the kernel's version may be asked for, and the line width of ABI comments is ours.
run_checkpatch() {
	local script
	script=$("$TOP/scripts/setup-source.sh" checkpatch)/checkpatch.pl || return 1
	run_one_checkpatch "$script" '' kmod/*.c kmod/mytun*.h kmod/uapi/linux/*.h
	run_one_checkpatch "$script" LINUX_VERSION_CODE,CONSTANT_COMPARISON kmod/compat.h
}

run_one_checkpatch() {
	local script=$1 ignore=$2
	shift 2
	perl "$script" --strict --no-tree --terse --no-summary --ignore "FILE_PATH_CHANGES${ignore:+,$ignore}" -f "$@" |
		grep -v '^total: 0 errors, 0 warnings, 0 checks'
	return 0
}

# named_tests: tests that the documents call upon as proof must be there.
named_tests() {
	local name
	grep -ohE '\b[a-z]+\.Test[A-Za-z0-9]+' docs/*.md README.md CONTRIBUTING.md | sort -u | while read -r name; do
		grep -qE "^func ${name#*.}\(" "test/${name%%.*}"/*.go || echo "a document names $name, which is not in test/${name%%.*}/"
	done
}

# same_version: the two changelogs, which tools and people read, tell of the version that is here.
same_version() {
	local version
	version=$("$TOP/scripts/version.sh")
	[ "$(sed -n '1s/^mytun (\([^)]*\)) .*/\1/p' debian/changelog)" = "$version" ] ||
		echo "debian/changelog does not begin with ${version:-a version}, which kmod/dkms.conf has"
	[ "$(sed -n 's/^## \([0-9][^ ]*\) .*/\1/p' CHANGELOG.md | head -n 1)" = "$version" ] ||
		echo "CHANGELOG.md does not begin with ${version:-a version}, which kmod/dkms.conf has"
}

# same_licences: LICENSE files stand where tools look for them, with the texts of LICENSES/.
same_licences() {
	local file
	# the modules that others import or build: an archive of one has no file from above it
	for file in LICENSE cmd/mytunstat/LICENSE adapter/*/LICENSE; do
		cmp "$file" LICENSES/MIT || return 1
	done
	sed '1,/^License-Text:/d' LICENSES/GPL-2.0 | sed 1d | cmp - kmod/LICENSE
}

shell_scripts() {
	find scripts test kmod debian .ci -type f ! -name '*.go' ! -name '*.[ch]' -exec grep -lE '^#!/bin/(ba)?sh|shellcheck shell' {} +
}

run_shellcheck() {
	local files
	mapfile -t files < <(shell_scripts)
	shellcheck -x "${files[@]}"
}

# set_up: what the checkers need is fetched before they run, so that its progress is seen and is not taken for a complaint.
set_up() {
	local kernel dir
	"$TOP/scripts/setup-packages.sh" build lint &&
		"$TOP/scripts/setup-source.sh" checkpatch >/dev/null || return 1
	for dir in . $MODULES; do
		[ ! -e "$dir/go.sum" ] || (cd "$dir" && "$TOP/scripts/go.sh" mod download) || return 1
	done
	for kernel in $KERNELS; do
		"$TOP/scripts/setup-kernel.sh" "$kernel" >/dev/null || return 1
		rm -rf "$TOP/build/sparse-$kernel"
	done
}

main() {
	local kernel
	[ "${1:-}" != --ktap ] || KTAP=yes
	cd "$TOP" || exit 1
	set_up || exit 1
	check gofmt go_format
	check "go vet" go_vet
	check "other systems" other_systems
	check staticcheck go_staticcheck
	for kernel in $KERNELS; do
		case $kernel in
		6.*) check "sparse $kernel" run_sparse "$kernel" ;;
		*) report "sparse $kernel" "not run: no sparse of Debian can read its headers (__typeof_unqual__)" ;;
		esac
	done
	check checkpatch run_checkpatch
	check shellcheck run_shellcheck
	check "tests named in docs" named_tests
	check version same_version
	check licences same_licences
	[ "$STATUS" = 0 ] || echo "lint: see the complaints above"
	exit "$STATUS"
}

main "$@"
