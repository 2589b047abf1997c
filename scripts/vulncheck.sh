#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Usage: scripts/vulncheck.sh
#
# govulncheck on each Go module of the project: which known vulnerabilities of the packages that it uses, and of Go's own, its code comes to.
# The database is a Go module, as the checker is: it is downloaded from where modules are, once a day, and nothing else of the network is
# needed. It is no part of lint, for what it finds changes without a change here.

set -eu
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
TOP=$(cd "$(dirname "$0")/.." && pwd)
GO=$TOP/scripts/go.sh
DATABASE=golang.org/x/vulndb
CHECKER=golang.org/x/vuln/cmd/govulncheck@v1.9.0
CACHE=$MYTUN_CACHE/vulncheck

# make_database: the newest release, in the form that the checker reads.
make_database() {
	local reports
	reports=$(cd / && "$GO" mod download -json "$DATABASE@latest" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
	[ -d "$reports/data/osv" ] || die "the module $DATABASE has no data/osv"
	rm -rf "$CACHE"
	mkdir -p "$CACHE"
	(cd / && "$GO" run "$DATABASE/cmd/indexdb@latest" -vulns "$reports/data/osv" -out "$CACHE/db")
	date +%F >"$CACHE/day"
}

main() {
	local module status=0
	"$TOP/scripts/setup-go.sh" >/dev/null
	[ "$(cat "$CACHE/day" 2>/dev/null)" = "$(date +%F)" ] || step "getting the database of vulnerabilities" make_database
	while read -r module; do
		say "govulncheck: ${module#"$TOP"/}"
		(cd "$(dirname "$module")" && "$GO" run "$CHECKER" -db "file://$CACHE/db" -tags mytun_device ./...) || status=$?
	done < <(find "$TOP" -name go.mod -not -path "$TOP/build/*")
	return "$status"
}

main "$@"
