#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Which file systems a snapshot freezes: those on a device's partitions, and nothing else.  What is stacked
# on several devices, by LVM, is in tests/kernel/freeze-stack.sh.
. "$(dirname "$0")/../lib.sh"
need mkfs.ext4 e2fsprogs
need addpart util-linux
need_root
need_loop
probe=$STORAGEOS_BUILD/tests/cli/freeze-probe
need_built "$probe"

take_away() {
	local d i
	for d in first second other; do umount -l "$WORK/$d" 2>/dev/null; done
	for i in 1 2; do delpart "$a" "$i" 2>/dev/null && rm -f "${a}p$i"; done
	for d in "${loops[@]}"; do losetup -d "$d" 2>/dev/null; done
}
loops=() a=''
cleanup take_away
# loop FILE SIZE: a loop device, in $device.
loop() {
	truncate -s "$2" "$1" && device=$(losetup -fP --show "$1") && loops+=("$device")
}
mkdir "$WORK/first" "$WORK/second" "$WORK/other"
must "a device" loop "$WORK/a.img" 128M
a=$device
must "another one" loop "$WORK/b.img" 64M
b=$device
# Not by a partition table: the kernel may know none.  udev may be absent, and the nodes with it.
must "a partition" addpart "$a" 1 2048 122880
must "another one" addpart "$a" 2 124928 122880
for i in 1 2; do
	[ -b "${a}p$i" ] || must "its node" mknod "${a}p$i" b "$(cut -d: -f1 "/sys/class/block/${a##*/}p$i/dev")" \
		"$(cut -d: -f2 "/sys/class/block/${a##*/}p$i/dev")"
done
for d in "${a}p1" "${a}p2" "$b"; do must "a file system on ${d##*/}" mkfs.ext4 -q "$d"; done
must "mount the first partition" mount "${a}p1" "$WORK/first"
must "mount the other device" mount "$b" "$WORK/other"
is "the partition's is frozen, the other device's is not" "$("$probe" "$a" -- "$WORK/first" "$WORK/other" | sed "s,$WORK/,,")" \
	"${a##*/}: holds one
first: frozen
other: free"
must "mount the second partition" mount "${a}p2" "$WORK/second"
is "both partitions'" "$("$probe" "$a" -- "$WORK/first" "$WORK/second" "$WORK/other" | sed "s,$WORK/,,")" \
	"${a##*/}: holds one
first: frozen
second: frozen
other: free"
is "of both devices" "$("$probe" "$a" "$b" -- "$WORK/first" "$WORK/other" | sed "s,$WORK/,,")" \
	"${a##*/}: holds one
${b##*/}: holds one
first: frozen
other: frozen"
must "unmount the other one" umount "$WORK/other"
is "a device without a file system is told" "$("$probe" "$a" "$b" -- "$WORK/first" | sed "s,$WORK/,,")" \
	"${a##*/}: holds one
${b##*/}: holds none
first: frozen"
all_written() { echo x >"$WORK/first/x" && echo x >"$WORK/second/x"; }
check "all can be written to afterwards" all_written
finish
