#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Which file systems a snapshot freezes where LVM is stacked on the devices of volumes: those on what
# is stacked, of whichever device it is asked, and nothing else.
. "$(dirname "$0")/guest.sh"
probe=$STORAGEOS_BUILD/tests/cli/freeze-probe
need_built "$probe"
need mkfs.ext4 e2fsprogs
need lvcreate lvm2
enter_guest --timeout 300

must "load modules" modprobe -a loop dm_mod
disks=()
for name in one two five; do
	truncate -s 64M "$SCRATCH/$name"
	must "a device: $name" loop_attach "$SCRATCH/$name"
	disks+=("$LOOP")
	mkdir "$WORK/$name"
done
# asked DEVICE... -- DIRECTORY...: what is frozen, with numbers in place of the names of devices.
asked() {
	"$probe" "$@" | sed -e "s,^$WORK/,," -e "s,^${disks[0]##*/}:,1:,;s,^${disks[1]##*/}:,2:," | paste -sd,
}
mounted() { # DEVICE NAME
	mkfs.ext4 -q "$1" && mount "$1" "$WORK/$2" && cleanup unmount_for_certain "$WORK/$2"
}
must "a file system on the third" mounted "${disks[2]}" five

# ---- a logical volume on two devices, another one on the first alone

lvm_quiet() { "$@" --yes >"$WORK/lvm" 2>&1 || { note "$(cat "$WORK/lvm")"; return 1; }; }
must "physical volumes" lvm_quiet pvcreate "${disks[0]}" "${disks[1]}"
must "a volume group" lvm_quiet vgcreate stack "${disks[0]}" "${disks[1]}"
cleanup vgchange -an stack
must "a logical volume on the first" lvm_quiet lvcreate -n narrow -l 6 stack "${disks[0]}"
must "a logical volume on both" lvm_quiet lvcreate -n wide -l 20 stack
must "it is there" wait_for 10 test -b /dev/mapper/stack-wide
must "mount the one on both" mounted /dev/mapper/stack-wide one
is "asked of the first" "$(asked "${disks[0]}" -- "$WORK/one" "$WORK/five")" "1: holds one,one: frozen,five: free"
is "asked of the second" "$(asked "${disks[1]}" -- "$WORK/one" "$WORK/five")" "2: holds one,one: frozen,five: free"
is "asked of both, it is on both, and is frozen once" \
	"$(asked "${disks[0]}" "${disks[1]}" -- "$WORK/one" "$WORK/five")" \
	"1: holds one,2: holds one,one: frozen,five: free"
must "mount the narrow one" mounted /dev/mapper/stack-narrow two
is "the narrow one is on the first alone" "$(asked "${disks[1]}" -- "$WORK/one" "$WORK/two")" \
	"2: holds one,one: frozen,two: free"
is "both are on the first" "$(asked "${disks[0]}" -- "$WORK/one" "$WORK/two" "$WORK/five")" \
	"1: holds one,one: frozen,two: frozen,five: free"

all_written() {
	local n
	for n in one two five; do
		echo x >"$WORK/$n/x" && sync -f "$WORK/$n/x" || return
	done
}
check "all can be written to afterwards" all_written
finish
