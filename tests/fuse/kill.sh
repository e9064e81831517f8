#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Nothing that was acknowledged is lost when storageos-fuse is killed under load, however often.
. "$(dirname "$0")/server.sh"
need mkfs.ext4 e2fsprogs
need losetup mount
ACKNOWLEDGED=$STORAGEOS_BUILD/tests/fuse/acknowledged
need_built "$ACKNOWLEDGED"


# Load on a disk until the server is killed, after some seconds.
load_and_kill() { # DISK SECONDS
	local writer status
	"$ACKNOWLEDGED" write "$1" "$WORK/record" 30 >"$WORK/load" &
	writer=$!
	sleep "$2"
	kill_server
	wait $writer
	status=$?
	note "$(cat "$WORK/load")"
	is "the load ran until the kill" "$status $(grep -c 'the end' "$WORK/load")" "0 0"
}

opened_within() { # SECONDS
	local start=$SECONDS
	serve_again
	is "it opens in less than $1 s" $((SECONDS - start <= $1)) 1
}

new_volume db 1G
serve db
for seconds in 0.3 1 2.5; do
	load_and_kill "$FILE" $seconds
	opened_within 2
	check "all that was acknowledged is there" "$ACKNOWLEDGED" verify "$FILE" "$WORK/record"
done

must "a loop device" loop_attach "$FILE"
load_and_kill "$LOOP" 2
check "the loop device can be detached" loop_detach "$LOOP"
opened_within 2
check "all that was acknowledged to it is there" "$ACKNOWLEDGED" verify "$FILE" "$WORK/record"

# ---- a file system, its files synced

must "a loop device again" loop_attach "$FILE" --offset $((512 << 20))
DISK=$WORK/disk
mkdir "$DISK"
cleanup unmount_for_certain "$DISK"
must "mkfs" mkfs.ext4 -q "$LOOP"
must "mount" mount "$LOOP" "$DISK"
tree_fill "$DISK/synced" 40
check "sync" sync -f "$DISK"
sum=$(tree_checksum "$DISK/synced")
tree_fill "$DISK/later" 100 2>/dev/null &
sleep 0.5
kill_server
wait $!
unmount "$DISK"
loop_detach "$LOOP"
opened_within 2
must "a loop device after the kill" loop_attach "$FILE" --offset $((512 << 20))
must "the file system mounts" mount "$LOOP" "$DISK"
is "the synced files are there" "$(tree_checksum "$DISK/synced")" "$sum"
check "umount" unmount "$DISK"
check "fsck" fsck.ext4 -fn "$LOOP"
check "detach" loop_detach "$LOOP"

check "the blocks of before are there, too" "$ACKNOWLEDGED" verify "$FILE" "$WORK/record"
stop_server
verify_volume db "the volume is whole"
finish
