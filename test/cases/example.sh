# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# The example in C, as a reader of the guide would run it.

# Bursts of pings, and ones that follow a sleep: none is lost, and each is answered as its sender expects. ping waits for the last ones as long as
# it is told if there is no other, or for its interval (see ping_both in demo.sh).
test_answers_pings() {
	local log size
	log=$(mktemp)
	"$(need_program answer-pings)" >"$log" &
	wait_for 60 log_says "$log" '^mytun0 answers pings$'
	ip address add 10.1.0.1/24 dev mytun0
	ip link set mytun0 up
	for _ in {1..10}; do
		ping -q -c 50 -l 50 -i 10 -s 56 10.1.0.2 | grep ' 0% packet loss'
	done
	for size in 0 1472 1472 1472; do
		ping -q -c 1 -W 10 -s "$size" 10.1.0.2 | grep ' 0% packet loss'
	done
	kill "$!"
	wait "$!" || true
}
