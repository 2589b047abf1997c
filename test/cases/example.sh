# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# The example in C, as a reader of the guide would run it.

# A flood of pings, and one that follows a sleep: none is lost, and each is answered as its sender expects.
test_answers_pings() {
	local log said
	log=$(mktemp)
	"$(need_program answer-pings)" >"$log" &
	wait_for 10 log_says "$log" '^mytun0 answers pings$'
	ip address add 10.1.0.1/24 dev mytun0
	ip link set mytun0 up
	for said in "-c 1 -s 0" "-f -c 500 -s 56" "-c 3 -i 0.2 -s 1472"; do
		# shellcheck disable=SC2086 # words are meant
		ping -q -W 10 $said 10.1.0.2 | grep ' 0% packet loss'
	done
	kill "$!"
	wait "$!" || true
}
