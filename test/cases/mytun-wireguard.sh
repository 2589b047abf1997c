# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# mytun-wireguard, as wg and wg-quick use it. The directory of its sockets is everybody's: each test has names of its own for its interfaces.

# wire LEFT RIGHT: two namespaces by these names, joined by a wire.
wire() {
	ns_add "$1"
	ns_add "$2"
	ip link add wire netns "$1" type veth peer name wire netns "$2"
	ip -n "$1" address add 10.1.0.1/24 dev wire
	ip -n "$2" address add 10.1.0.2/24 dev wire
	ip -n "$1" link set wire up
	ip -n "$2" link set wire up
}

# configure NAMESPACE INTERFACE KEY PEERS_KEY PEERS_ADDRESS ADDRESS: by the socket, as wg does, and by ip.
configure() {
	ns_run "$1" wg set "$2" listen-port 5000 private-key "$3" peer "$(wg pubkey <"$4")" endpoint "$5:5000" allowed-ips 10.2.0.0/24
	ip -n "$1" address add "$6/24" dev "$2"
	ip -n "$1" link set "$2" up
}

# process_of INTERFACE: the one in the background.
process_of() {
	pgrep -f "mytun-wireguard --foreground $1\$"
}

# gone INTERFACE: the process, and what wg would look for.
gone() {
	not process_of "$1" && [ ! -e "/var/run/wireguard/$1.sock" ]
}

# tunnel BACKEND LEFT RIGHT: a tunnel between interfaces of these names, in namespaces of the same, that is pinged through.
tunnel() {
	local program name keys
	need wg
	program=$(need_program mytun-wireguard)
	keys=$(mktemp -d)
	wire "$2" "$3"
	for name in "$2" "$3"; do
		(umask 077 && wg genkey >"$keys/$name")
		MYTUN_BACKEND=$1 ns_run "$name" "$program" "$name" >"$keys/said" 2>&1 || fail "$(cat "$keys/said")"
		cat "$keys/said"
		# no waiting: all is there when the command returns
		grep -q "^mytun-wireguard: $name is ready, over " "$keys/said"
		ip -n "$name" link show dev "$name"
		[ -S "/var/run/wireguard/$name.sock" ]
	done
	configure "$2" "$2" "$keys/$2" "$keys/$3" 10.1.0.2 10.2.0.1
	configure "$3" "$3" "$keys/$3" "$keys/$2" 10.1.0.1 10.2.0.2
	first_answers "$2"
	ns_run "$2" ping -q -c 200 -f -l 20 -s 1300 -W 10 10.2.0.2
	# what is still on its way ping does not wait for
	wait_for 60 carried "$2"
}

# first_answers NAMESPACE: through a tunnel whose other end may not listen yet: WireGuard asks again after 5 s.
first_answers() {
	ns_run "$1" ping -q -c 3 -i 0.2 -W 30 10.2.0.2
}

# carried INTERFACE, in the namespace of that name: more than a third of what was sent each way has come.
carried() {
	ns_run "$1" wg show "$1" transfer | awk '$2 < 100000 || $3 < 100000 { exit 1 }'
}

# An interface that is set up in another namespace than the one that its process and the encrypted packets are in, as in a container: the
# process is not told, and has to carry all the same.
test_moved_to_another_namespace() {
	local program name keys
	need wg
	program=$(need_program mytun-wireguard)
	keys=$(mktemp -d)
	wire wgn1 wgn2
	ns_add wgn3
	for name in wgn1 wgn2; do
		(umask 077 && wg genkey >"$keys/$name")
		ns_run "$name" "$program" "$name"
	done
	ip -n wgn1 link set wgn1 netns wgn3
	configure wgn3 wgn1 "$keys/wgn1" "$keys/wgn2" 10.1.0.2 10.2.0.1
	configure wgn2 wgn2 "$keys/wgn2" "$keys/wgn1" 10.1.0.1 10.2.0.2
	first_answers wgn3
	ip -n wgn3 link delete wgn1
	wait_for 60 gone wgn1
	ip -n wgn2 link delete wgn2
	wait_for 60 gone wgn2
}

# driver_of NAMESPACE INTERFACE
driver_of() {
	ns_run "$1" ethtool -i "$2" | sed -n 's/^driver: //p'
}

# Over the module: one end goes with its interface, the other one by a signal.
test_tunnel_over_mytun() {
	tunnel mytun wgm1 wgm2
	equal driver mytun "$(driver_of wgm1 wgm1)"
	ip -n wgm1 link delete wgm1
	wait_for 60 gone wgm1
	kill -TERM "$(process_of wgm2)"
	wait_for 60 gone wgm2
	not ip -n wgm2 link show dev wgm2
}

# Over the kernel's own tun, as on a machine without the module; the second end goes with its socket.
test_tunnel_over_stock_tun() {
	modprobe tun || skip "the kernel has no tun"
	tunnel tun wgt1 wgt2
	equal driver tun "$(driver_of wgt1 wgt1)"
	ip -n wgt1 link delete wgt1
	wait_for 60 gone wgt1
	rm /var/run/wireguard/wgt2.sock
	wait_for 60 gone wgt2
	wait_for 60 not ip -n wgt2 link show dev wgt2
}

# What fails in the background is said by the command that was called, in one line, and it leaves nothing behind.
test_errors_reach_the_caller() {
	local program said status=0
	program=$(need_program mytun-wireguard)
	ip link add wge1 type dummy
	said=$("$program" wge1 2>&1) || status=$?
	echo "$said"
	equal status 1 "$status"
	equal "lines of: $said" 1 "$(wc -l <<<"$said")"
	gone wge1
}

# inherit NODE INTERFACE ARGUMENT...: mytun-wireguard with a file of that node, which socat has opened and attached to the interface, and puts
# in the place of standard input.
inherit() {
	local node=$1 name=$2 program
	program=$(need_program mytun-wireguard)
	shift 2
	WG_TUN_FD=0 socat "TUN,tun-device=$node,tun-name=$name,tun-type=tun,iff-no-pi" "EXEC:$program $*,nofork"
}

# A file that somebody else has opened, by wireguard-go's WG_TUN_FD, of either backend. The file says what the interface is called.
test_inherited_file() {
	local name
	need socat wg
	modprobe tun || skip "the kernel has no tun"
	inherit /dev/net/mytun wgf1 other1
	inherit /dev/net/tun wgf2 other2
	for name in wgf1 wgf2; do
		equal MTU 1420 "$(cat "/sys/class/net/$name/mtu")"
		wg show "$name" | grep "^interface: $name\$"
		ip link delete "$name"
		wait_for 10 [ ! -e "/var/run/wireguard/$name.sock" ]
	done
	wait_for 10 not process_of other1
	wait_for 10 not process_of other2
}

# refused WORD COMMAND...: it fails with one line that has the word, and leaves nothing behind.
refused() {
	local word=$1 said status=0
	shift
	said=$("$@" 2>&1) || status=$?
	echo "$said"
	equal status 1 "$status"
	equal "lines of: $said" 1 "$(wc -l <<<"$said")"
	grep -q "$word" <<<"$said"
	gone wgr1
	not link_exists wgr1
}

# What is no file of a device's, or no socket, is refused by the command that was called.
test_wrong_files_are_refused() {
	local program
	program=$(need_program mytun-wireguard)
	WG_TUN_FD=x refused WG_TUN_FD "$program" wgr1
	WG_TUN_FD=77 refused WG_TUN_FD "$program" wgr1
	WG_TUN_FD=0 refused WG_TUN_FD "$program" wgr1 </dev/null
	WG_TUN_FD=0 refused WG_TUN_FD "$program" -f wgr1 </dev/null
	WG_UAPI_FD=0 refused "socket of wgr1" "$program" wgr1 </dev/null
}

# A client that is amid a request does not keep the process when the interface is deleted.
test_deleted_amid_a_request() {
	local program line=''
	need socat
	program=$(need_program mytun-wireguard)
	"$program" wga1
	coproc client { exec socat - UNIX-CONNECT:/var/run/wireguard/wga1.sock; }
	# in one piece: when the first request is answered, the second one has been read
	printf 'get=1\n\nset=1\nlisten_port=0\n' >&"${client[1]}"
	until [ "$line" = errno=0 ]; do
		read -r -t $((10 * ${MYTUN_SLOW:-1})) line <&"${client[0]}" || fail "no answer"
	done
	process_of wga1
	ip link delete wga1
	wait_for 10 gone wga1
}

# The second one for an interface is refused, and the first lives on.
test_second_is_refused() {
	local program
	program=$(need_program mytun-wireguard)
	"$program" wgs1
	not "$program" wgs1
	process_of wgs1
	[ -S /var/run/wireguard/wgs1.sock ]
	ip link delete wgs1
	wait_for 60 gone wgs1
}

# without_wireguard DIR: wg-quick in DIR, with an ip that has no WireGuard to offer, as where the kernel has none. What is in wg-quick's own
# directory comes first for it.
without_wireguard() {
	cp "$(command -v wg-quick)" "$1/"
	printf '#!/bin/sh\ncase " $* " in *" type wireguard ") exit 2 ;; esac\nexec %s "$@"\n' "$(command -v ip)" >"$1/ip"
	chmod +x "$1/ip"
}

# wg-quick takes it where the kernel has no WireGuard.
test_wg_quick() {
	local dir
	need wg-quick wg
	[ ! -e /sys/module/wireguard ] || skip "the kernel's own WireGuard is loaded, and wg-quick would take that"
	dir=$(mktemp -d)
	without_wireguard "$dir"
	printf '[Interface]\nPrivateKey = %s\nAddress = 10.3.0.1/24\nMTU = 1380\n\n[Peer]\nPublicKey = %s\nAllowedIPs = 10.4.0.0/24\n' \
		"$(wg genkey)" "$(wg genkey | wg pubkey)" >"$dir/wgq1.conf"
	chmod 600 "$dir/wgq1.conf"
	WG_QUICK_USERSPACE_IMPLEMENTATION=$(need_program mytun-wireguard) "$dir/wg-quick" up "$dir/wgq1.conf"
	equal driver mytun "$(ethtool -i wgq1 | sed -n 's/^driver: //p')"
	equal MTU 1380 "$(cat /sys/class/net/wgq1/mtu)"
	ip route show | grep '^10.4.0.0/24 dev wgq1 '
	wg show wgq1 | grep 'allowed ips: 10.4.0.0/24'
	"$dir/wg-quick" down "$dir/wgq1.conf"
	wait_for 60 gone wgq1
}
