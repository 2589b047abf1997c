#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: test/vm/demo.sh
#
# The main job, shown and checked: a Go program answers pings through mytun, and eBPF counts its system calls meanwhile. Runs as root
# where the module is loaded: "make demo" runs it in a virtual machine. Exit status 0 only if no ping was lost at the quiet
# rate, 100,000 echoes were answered in the flood, and no read or write call was made while it was under way.
#
#   DEMO     the demo to run (the one on PATH, or the one that was built for the guest)
#   ECHOES   echo requests of the flood for each of IPv4 and IPv6 (50000)
#   POLL     how long the kernel's side watches the rings before it sleeps (100ms)

set -u
DEMO=${DEMO:-$(command -v demo || echo ./build/guest/demo)}
ECHOES=${ECHOES:-50000}
# In an emulated machine, on a host that is busy, a task that is runnable may wait tens of milliseconds for a processor. So there are
# gaps in the flood that a real machine does not have. With the module's default, the kernel's side would sleep in some of them,
# and each sleep is paid for with one doorbell: a write. The window is therefore as long as it can be. Nothing is burnt: while
# another task wants the processor the kernel's side naps, and when looking on is in vain the window shrinks.
POLL=${POLL:-100ms}

NAME=mytun0
QUIET_TARGETS="10.77.0.2 10.77.0.200 fd77::2 fd77::1:2:3:4"
FLOOD4=10.77.0.99 FLOOD6=fd77::99
WORK=$(mktemp -d)
EVENTS=$WORK/events TEXT=$WORK/text
DEMO_PID='' FAILURES=0
# Pairs of marks that are set during the flood: one interval fewer that is shown, and as many short ones
MARKS=11
ASLEEP=yes # the kernel's side may sleep at the begin of an interval
STEADY=0   # packets in intervals in which it did not

say() {
	printf '\n== %s\n\n' "$*"
}

# fault TEXT...: something is wrong, but the rest is worth seeing.
fault() {
	printf 'demo.sh: FAILED: %s\n' "$*"
	FAILURES=$((FAILURES + 1))
}

# die TEXT...: there is nothing more to see.
die() {
	fault "$*"
	[ ! -s "$TEXT" ] || cat "$TEXT"
	exit 1
}

clean_up() {
	local jobs
	mapfile -t jobs < <(jobs -p)
	[ ${#jobs[@]} -eq 0 ] || kill "${jobs[@]}" 2>/dev/null
	rm -rf "$WORK"
}

# await SECONDS WHAT COMMAND...: waits until the command succeeds. If the demo ends meanwhile, waiting is pointless.
await() {
	local end=$((SECONDS + $1 * ${MYTUN_SLOW:-1})) what=$2
	shift 2
	until "$@"; do
		kill -0 "$DEMO_PID" 2>/dev/null || die "the demo ended while this script waited for $what"
		[ "$SECONDS" -lt "$end" ] || die "gave up waiting for $what"
		sleep 0.05
	done
}

# events NAME COUNT: true if the demo has printed that many events of that name.
events() {
	[ "$(grep -c "^{\"event\":\"$1\"" "$EVENTS")" -ge "$2" ]
}

# field NAME N KEY: a number of the Nth event of that name.
field() {
	grep "^{\"event\":\"$1\"" "$EVENTS" | sed -n "$2{s/.*\"$3\":\([0-9.]*\).*/\1/p}"
}

# requests: packets that the kernel has given to the device.
requests() {
	local n
	read -r n <"/sys/class/net/$NAME/statistics/tx_packets" 2>/dev/null || n=0
	echo "$n"
}

requests_reached() {
	[ "$(requests)" -ge "$1" ]
}

# answers_reached N: the device has given so many packets to the kernel.
answers_reached() {
	local n
	read -r n <"/sys/class/net/$NAME/statistics/rx_packets" 2>/dev/null || n=0
	[ "$n" -ge "$1" ]
}

start_demo() {
	say "A Go program becomes the network 10.77.0.0/24 and fd77::/64:  demo -syscalls -poll $POLL"
	"$DEMO" -name "$NAME" -syscalls -json -quiet -poll "$POLL" >"$EVENTS" 2>"$TEXT" &
	DEMO_PID=$!
	await 60 "the device to come up" events ready 1
	ip -brief address show dev "$NAME"
}

# quiet: one ping at a time. The kernel's side and the process have nothing to do in between, so this shows the cost of waking up. One ping
# that sends all of them would not wait for the last answer longer than for the ones before: an address that is slow once would be none.
quiet() {
	local target out=$WORK/ping i
	say "Every other address in there answers. 20 pings to each of four, one at a time"
	for target in $QUIET_TARGETS; do
		for ((i = 0; i < 20; i++)); do
			ping -n -c 1 -W 10 "$target"
		done >"$out" 2>&1
		[ "$(quiet_answers "$out")" = 20 ] || fault "$target did not answer every ping: $(cat "$out")"
		quiet_times "$target" "$out"
	done
}

# quiet_answers FILE, quiet_times TARGET FILE: how many pings have been answered, and how fast.
quiet_answers() {
	grep -c ' bytes from .* time=' "$1"
}

quiet_times() {
	sed -n 's/.* bytes from .* time=\([0-9.]*\) ms.*/\1/p' "$2" | sort -n | awk -v target="$1" '
		{ sum += $1; time[NR] = $1 }
		END { if (NR) printf "%-16s %d answers, rtt min/avg/max = %.3f/%.3f/%.3f ms\n", target, NR, time[1], sum / NR, time[NR] }'
}

# mark N: makes the demo print what happened since the mark before. Returns once the Nth is printed.
mark() {
	kill -USR1 "$DEMO_PID"
	await 60 "mark $1" events mark "$1"
}

# show_mark N: one row of the table.
show_mark() {
	printf '%9s %9.1f %9.0f %18.4f %13s %10s %9s\n' "$(field mark "$1" packets)" "$(field mark "$1" seconds)" \
		"$(field mark "$1" packets_per_second)" "$(field mark "$1" wakeups_per_packet)" \
		"$(field mark "$1" kthread_sleeps)" "$(field mark "$1" packet_calls)" "$(field mark "$1" read_write_calls)"
}

# flood: the first mark is set when the flood has got going, the last before it ends. In between is the steady state. On a machine that stands
# still now and then, so that the kernel's side sleeps, the short intervals are those that have no sleep.
flood() {
	local step start answered pid4 pid6
	say "Now $((2 * ECHOES)) pings as fast as they are answered, 64 on their way at a time, IPv4 and IPv6 at once"
	start=$(requests)
	read -r answered <"/sys/class/net/$NAME/statistics/rx_packets"
	ping -n -q -f -l 64 -c "$ECHOES" "$FLOOD4" >"$WORK/flood4" 2>&1 &
	pid4=$!
	ping -n -q -f -l 64 -c "$ECHOES" "$FLOOD6" >"$WORK/flood6" 2>&1 &
	pid6=$!
	printf '%9s %9s %9s %18s %13s %10s %9s\n' '' '' '' 'wake-ups of the' "kernel's side" 'read+write' \
		'' packets seconds 'a second' 'process, a packet' 'slept' 'on device' 'anywhere'
	for ((step = 1; step <= MARKS; step++)); do
		await 100 "the flood to go on" requests_reached $((start + 2 * ECHOES * step / (MARKS + 2)))
		mark $((2 * step - 1))
		[ $step = 1 ] || show_mark $((2 * step - 1))
		mark $((2 * step))
	done
	wait "$pid4" || fault "the IPv4 flood: $(cat "$WORK/flood4")"
	wait "$pid6" || fault "the IPv6 flood: $(cat "$WORK/flood6")"
	# ping does not wait for long for the last ones
	await 60 "the last answers" answers_reached $((answered + 2 * ECHOES))
	printf '\n'
	grep -h -e ' packet loss' -e '^rtt' "$WORK/flood4" "$WORK/flood6"
}

stop_demo() {
	local status=0
	kill -INT "$DEMO_PID"
	wait "$DEMO_PID" || status=$?
	[ "$status" -eq 0 ] || fault "the demo's exit status is $status"
	ip link show dev "$NAME" >/dev/null 2>&1 && fault "$NAME is still there after the demo has ended"
}

# print_summary: the demo's text holds a report for each mark and one for all, each with its title at the left edge.
print_summary() {
	say "What the demo says about all of it, from the start to the end"
	awk -v name="$NAME," -v last=$((2 * MARKS + 1)) '$1 == name { n++ } n == last' "$TEXT"
}

# check_interval N: an interval is steady if the kernel's side was awake throughout; then there is nothing to ring for, and there must be
# no read or write at all. While it sleeps, whatever the process sends may be paid for with a doorbell: how long a sleep lasts is for the
# scheduler to say. It may sleep at the begin if it did in the interval before, and has not been seen awake since.
check_interval() {
	local calls sleeps packet
	calls=$(field mark "$1" read_write_calls)
	sleeps=$(field mark "$1" kthread_sleeps)
	packet=$(field mark "$1" packet_calls)
	if [ "${packet:-1}" -ne 0 ] || { [ "${calls:-1}" -gt 0 ] && [ "${sleeps:-0}" -eq 0 ] && [ -z "$ASLEEP" ]; }; then
		fault "interval $(($1 - 1)) had ${calls:-an unknown number of} read and write calls, of which ${packet:-?} on the device;" \
			"the kernel's side slept ${sleeps:-?} times"
	elif [ "${sleeps:-1}" -gt 0 ]; then
		ASLEEP=yes
	elif [ "$calls" -eq 0 ] && [ "$(field mark "$1" packets)" -gt 0 ]; then
		STEADY=$((STEADY + $(field mark "$1" packets)))
		ASLEEP=''
	fi
}

# check: what make demo promises.
check() {
	local answered lost step
	answered=$(field summary 1 echo_replies)
	lost=$(field summary 1 lost_calls)
	[ "${answered:-0}" -ge $((2 * ECHOES)) ] || fault "${answered:-no} echo requests were answered, not $((2 * ECHOES))"
	[ "${lost:-1}" -eq 0 ] || fault "${lost:-unknown} system calls were not counted"
	for ((step = 2; step <= 2 * MARKS; step++)); do
		check_interval $step
	done
	[ "$STEADY" -gt 0 ] || fault "the kernel's side slept in every interval, or was rung for: there was no steady state to look at"
	[ "$FAILURES" -eq 0 ] || return 1
	say "Good: $answered echoes answered, none lost at the quiet rate." \
		"In steady state $STEADY packets, and read 0, write 0"
}

trap clean_up EXIT
start_demo
quiet
flood
stop_demo
print_summary
check
