#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# `storageos attach --frontend fuse`: a block device for file systems, which survives a kill of its server.
. "$(dirname "$0")/server.sh"
need fio fio
need mkfs.xfs xfsprogs
need jq jq
need losetup mount
STAMPS=$STORAGEOS_BUILD/tests/deaths/stamps
need_built "$STAMPS"
DISK=$WORK/disk
mkdir "$DISK"
cd "$WORK" || give_up "no $WORK" # where fio leaves its files

attach() {
	DEVICE=$("$STORAGEOS" attach "$1" --frontend fuse 2>"$WORK/attach") || {
		cat "$WORK/attach"
		return 1
	}
	cleanup "$STORAGEOS" detach "$1"
	SERVER=$("$STORAGEOS" status "$1" --json | jq -r '.. | .pid? // empty' | head -n 1)
	alive "$SERVER"
}

detach() {
	"$STORAGEOS" detach "$1"
}

new_volume db 1G
must "attach" attach db
is "it prints the device" "$DEVICE" "$WORK/dev/default/db"
is "a block device of the volume's size" "$(blockdev --getsize64 "$DEVICE")" $((1 << 30))
cleanup unmount_for_certain "$DISK"

must "mkfs.xfs" mkfs.xfs -q "$DEVICE"
must "mount" mount "$DEVICE" "$DISK"
check "files" tree_fill "$DISK/keep" 60
sum=$(tree_checksum "$DISK/keep")
check "sync" sync -f "$DISK"
refuses "detach while it is mounted is refused" "$DISK" detach db
check "the files are still there" test "$(tree_checksum "$DISK/keep")" = "$sum"
check "umount" unmount "$DISK"
check "detach" detach db
is "the device is gone" "$(ls "$WORK/dev/default" 2>/dev/null)" ""
check "the server has ended" gone "$SERVER"
is "nothing is mounted" "$(grep -cF "$WORK" /proc/mounts)" 0
verify_volume db "the volume is whole"

must "attach again" attach db
must "mount again" mount "$DEVICE" "$DISK"
is "the files are there" "$(tree_checksum "$DISK/keep")" "$sum"
check "umount again" unmount "$DISK"

# ---- killed under load

fio_verify() { # FIO-OPTION...
	fio --name=v --filename="$DEVICE" --ioengine=libaio --direct=1 --iodepth=32 --rw=randwrite \
		--bs=4k --offset=512M --size=128M --verify=crc32c --verify_fatal=1 --verify_state_save=0 "$@"
}

check "fio verifies at queue depth 32" fio_verify
check "blkdiscard" blkdiscard --length $((128 << 20)) "$DEVICE"
"$STAMPS" load "$DEVICE" "$WORK/record" 1 30 128 >"$WORK/load" &
writer=$!
wait_for 20 grep -q loading "$WORK/load"
sleep 2 # so that the kill finds the load under way
kill_server
wait $writer
note "$(cat "$WORK/load")"
like "the load ran until the kill" "$(cat "$WORK/load")" '^[1-9][0-9]+ requests, then: (In|So|Tr)'
like "status tells the truth" "$("$STORAGEOS" status db 2>&1)" "is no longer running|no longer mounted"
must "attach after the kill" attach db
check "all that was acknowledged is there" "$STAMPS" verify "$DEVICE" "$WORK/record"
check "fio finds what it wrote before" fio_verify --verify_only
kill_server
check "detach after a kill cleans up" detach db
is "nothing is mounted then" "$(grep -cF "$WORK" /proc/mounts)" 0
is "no loop device is left" "$(losetup -n -O BACK-FILE | grep -cF "$WORK")" 0
verify_volume db "the volume is whole"
finish
