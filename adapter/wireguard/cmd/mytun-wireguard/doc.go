// SPDX-License-Identifier: MIT

// Mytun-wireguard is a WireGuard interface in user space, as wireguard-go's own command is,
// over mytun's rings. It is for wg and wg-quick, and takes the place of wireguard-go:
//
//	mytun-wireguard wg0
//	wg setconf wg0 wg0.conf
//
// Usage:
//
//	mytun-wireguard [-f|--foreground] INTERFACE-NAME
//	mytun-wireguard --version
//
// It makes the interface and the socket of WireGuard's configuration protocol,
// /var/run/wireguard/INTERFACE-NAME.sock, and then goes to the background: when the command
// returns with status 0, both are there. If anything fails, it says what, and the status is
// 1; after wrong usage it is 2. With -f it stays in the foreground.
//
// It ends at SIGTERM and SIGINT, when the interface is deleted, and when the socket is.
// The interface goes with it.
//
// # Environment
//
//	LOG_LEVEL
//		verbose (or debug), error or silent. Without it, errors; and none from the
//		background, whose output goes to /dev/null then
//	MYTUN_BACKEND
//		mytun, tun or auto, which is the default: mytun where the module is there, else the
//		kernel's own tun. What was taken, and why, is said at the start, unless LOG_LEVEL is silent
//	WG_PROCESS_FOREGROUND
//		1 is what -f is
//	WG_TUN_FD
//		the number of an open file of /dev/net/mytun or /dev/net/tun that is to be the interface,
//		as wireguard-go takes one. It is attached to an interface already, and that is what the
//		interface is called, whatever INTERFACE-NAME says
//	WG_UAPI_FD
//		the number of an open file that is the socket, and listens at its place
//
// The last two are wireguard-go's, too. To set the MTU of an interface that it gets so,
// mytun-wireguard needs CAP_NET_ADMIN, as wireguard-go does.
package main
