#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What 'make shell' starts in the guest: a few words on what is there, and a shell.

cat <<EOF

mytun in a virtual machine, kernel $(uname -r). The module is loaded, you are root, nothing here outlives the machine.

  demo -h                 the ping responder; try: demo -addr 10.77.0.1/24 & then ping 10.77.0.5
  test/selftest.sh        the self-tests ('-l' lists them, 'test/selftest.sh PATTERN' runs some)
  ls build/guest test     what else was brought along
  ip -d link, ethtool -S, ss, tc, ping, iperf3, nstat, dmesg -w, ls /sys/kernel/tracing

'exit' or Ctrl-D ends the machine; Ctrl-A X kills it.

EOF
exec bash --login -i
