#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: test/host/guest.sh        in a virtual machine with the disk that prepare.sh has made
#
# Enters the system on the disk; from there on the machine is that Debian.

set -eu
ROOT=/root/host

rmmod mytun
modprobe virtio_blk
mkdir "$ROOT"
mount /dev/vda "$ROOT"
for dir in proc sys dev run tmp; do
	mount --rbind "/$dir" "$ROOT/$dir"
done
exec chroot "$ROOT" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root /home/newcomer/mytun/test/host/scenario.sh
