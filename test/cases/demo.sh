# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# The ping responder, as people run it.

# eBPF counts the system calls of a program that answers a flood: no read, no write.
test_flood_makes_no_read_or_write_call() {
	DEMO=$(need_program demo) ECHOES=${ECHOES:-10000} "$TEST_HOME/vm/demo.sh"
}

# answers_are_up NAME: true once the demo's addresses can be used.
answers_are_up() {
	link_is_up "$1" && address_ready "$1"
}

# ping_both DEMO_ARGS...: pings over IPv4 and IPv6, small and at the edge of the MTU, while a demo runs with these arguments. ping gives up
# after the longest time that an answer took so far, twice, or after its interval: one alone has the time that it is told, and a burst its interval.
ping_both() {
	local target
	"$(need_program demo)" -quiet "$@" &
	wait_for 60 answers_are_up mytun0
	for target in 10.77.0.9 fd77::9; do
		for _ in {1..20}; do
			ping -q -c 1 -W 10 "$target"
		done
		ping -q -c 5 -l 5 -i 10 -s 1452 "$target"
	done
	kill "$!"
	wait "$!" || true
}

# A TAP device: the demo answers ARP and neighbour discovery too.
test_tap_is_pinged() {
	ping_both -tap
}

# Four queues, each with a loop of its own.
test_four_queues_are_pinged() {
	ping_both -queues 4
}

# What goes wrong is said in one line, with what to do about it, and the exit status is 1.
test_errors_are_for_people() {
	local demo said
	demo=$(need_program demo)
	ip link add mytun0 type dummy
	for args in "-name mytun0" "-name a/b" "-addr nonsense"; do
		# shellcheck disable=SC2086 # the arguments are words
		if said=$("$demo" $args 2>&1); then
			fail "demo $args succeeded"
		fi
		equal "lines of: $said" 1 "$(wc -l <<<"$said")"
	done
}
