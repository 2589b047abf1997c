// SPDX-License-Identifier: MIT

// Package programs runs programs of Debian's that were written for
// /dev/net/tun, unchanged, on /dev/net/mytun, and on stock tun beside it: so that
// a failure tells the program from the module.
//
// Two of a program, in two network namespaces that a wire joins, make a tunnel.
// What goes through it is checked: pings, datagrams, streams. Then one of them is
// told to end and the other is killed, and their devices must go.
//
// In the virtual machine the programs come from scripts/setup-programs.sh.
package programs
