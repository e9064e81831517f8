#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Procedures of docs/operations.md: moving a volume, growing the file system of a pool.
. "$(dirname "$0")/../lib.sh"
need jq jq
need xfs_growfs xfsprogs
need_root
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
need_fuse
own_config
export STORAGEOS_FUSE

put() { dd if=/dev/urandom of="$1" bs=1M count="$2" seek="$3" oflag=direct conv=notrunc,fsync status=none; }

# ---- a volume moves to another pool

detach_all() { "$STORAGEOS" detach db; "$STORAGEOS" detach other/db; "$STORAGEOS" detach small/db; }
cleanup detach_all
must "make a volume" "$STORAGEOS" create db --size 64M
must "attach it" "$STORAGEOS" attach db --frontend fuse
device=$WORK/dev/default/db
must "write to it" put "$device" 8 16
sum=$(checksum "$device")
refuses "check fails before an attached volume is copied" 'open|in use|attached' \
	"$STORAGEOS" check db
must "detach it" "$STORAGEOS" detach db
must "make another pool" "$STORAGEOS" pool create other "$WORK/other"
must "copy it with cp" cp --sparse=always "$POOL/db.vol" "$WORK/other/"
check "the copy takes only the space of its data" [ "$(allocated "$WORK/other/db.vol")" -lt 20000 ]
must "the copy is whole" "$STORAGEOS" check other/db
must "delete the original" "$STORAGEOS" delete db
must "attach the copy" "$STORAGEOS" attach other/db --frontend fuse
is "the copy has the same data" "$(checksum "$WORK/dev/other/db")" "$sum"
must "detach the copy" "$STORAGEOS" detach other/db

# ---- the file system of a pool is full, and grows

pool_on_disk small "$WORK/small.img" 320M mkfs.xfs -q
must "make a volume larger than it" "$STORAGEOS" create small/db --size 1G
must "attach the volume" "$STORAGEOS" attach small/db --frontend fuse
device=$WORK/dev/small/db
dd if=/dev/zero of="$device" bs=1M count=400 oflag=direct conv=notrunc status=none 2>"$WORK/err"
like "writes beyond the free space fail with ENOSPC" "$(<"$WORK/err")" \
	'No space left on device|Input/output error'
is "the volume has not failed" "$("$STORAGEOS" status small/db --json | jq -r '.[0].volume_state')" ok
truncate -s 1G "$WORK/small.img"
must "the disk grows" losetup -c "$LOOP"
must "the file system grows" xfs_growfs "$WORK/small"
check "writes continue without help" put "$device" 300 100
sum=$(checksum "$device")
must "detach it" "$STORAGEOS" detach small/db
check "the volume is whole" "$STORAGEOS" check small/db
must "attach the volume again" "$STORAGEOS" attach small/db --frontend fuse
is "the volume has the data" "$(checksum "$device")" "$sum"
must "detach the volume again" "$STORAGEOS" detach small/db
must "the pool is unmounted" unmount "$WORK/small"
refuses "a pool that is not mounted is refused" 'is its file system mounted' \
	"$STORAGEOS" create small/another --size 1G
finish
