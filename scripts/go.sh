#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Usage: scripts/go.sh ARGS...
#
# The go command, from wherever setup-go.sh found or put it, first on PATH so that the commands that it starts find the same.

set -eu
go=$("$(dirname "$0")/setup-go.sh")
# A go that is new enough must not fetch another one in the middle of a test.
# Nor has a clone that belongs to somebody else, as in a container, to do with it.
export PATH="${go%/*}:$PATH" GOTOOLCHAIN=local GOWORK=off GOFLAGS="${GOFLAGS:-} -buildvcs=false"
exec "$go" "$@"
