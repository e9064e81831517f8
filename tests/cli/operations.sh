#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Procedures of docs/operations.md: moving a volume, growing the file system of a pool.
. "$(dirname "$0")/../lib.sh"
need jq jq
need xfs_growfs xfsprogs
need_root
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
[ -c /dev/fuse ] || skip_all "this kernel has no FUSE"
own_config
export STORAGEOS_FUSE

put() { dd if=/dev/urandom of="$1" bs=1M count="$2" seek="$3" oflag=direct conv=notrunc,fsync status=none; }

# ---- a volume moves to another pool

detach_all() { "$STORAGEOS" detach db; "$STORAGEOS" detach other/db; "$STORAGEOS" detach small/db; }
cleanup detach_all
must "a volume" "$STORAGEOS" create db --size 64M
must "is attached" "$STORAGEOS" attach db --frontend fuse
device=$WORK/dev/default/db
must "is written to" put "$device" 8 16
sum=$(checksum "$device")
refuses "one that is attached is not copied by accident: check says so" 'open|in use|attached' \
	"$STORAGEOS" check db
must "is detached" "$STORAGEOS" detach db
must "another pool" "$STORAGEOS" pool create other "$WORK/other"
must "cp copies it" cp --sparse=always "$POOL/db.vol" "$WORK/other/"
check "the copy takes no more than what is in it" [ "$(allocated "$WORK/other/db.vol")" -lt 20000 ]
must "the copy is whole" "$STORAGEOS" check other/db
must "the first one goes" "$STORAGEOS" delete db
must "the copy is attached" "$STORAGEOS" attach other/db --frontend fuse
is "with the same data" "$(checksum "$WORK/dev/other/db")" "$sum"
must "and detached" "$STORAGEOS" detach other/db

# ---- the file system of a pool is full, and grows

mkdir "$WORK/small"
truncate -s 320M "$WORK/small.img"
mkfs.xfs -q "$WORK/small.img"
loop_attach "$WORK/small.img" || give_up "no loop device"
cleanup unmount_for_certain "$WORK/small"
must "a small file system" mount "$LOOP" "$WORK/small"
must "is a pool" "$STORAGEOS" pool create small "$WORK/small"
must "with a volume larger than it" "$STORAGEOS" create small/db --size 1G
must "which is attached" "$STORAGEOS" attach small/db --frontend fuse
device=$WORK/dev/small/db
dd if=/dev/zero of="$device" bs=1M count=400 oflag=direct conv=notrunc status=none 2>"$WORK/err"
like "writing more than there is ends with the error of a full disk" "$(<"$WORK/err")" \
	'No space left on device|Input/output error'
is "the volume has not failed" "$("$STORAGEOS" status small/db --json | jq -r '.[0].volume_state')" ok
truncate -s 1G "$WORK/small.img"
must "the disk grows" losetup -c "$LOOP"
must "the file system grows" xfs_growfs "$WORK/small"
check "writes go on with no help" put "$device" 300 100
sum=$(checksum "$device")
must "is detached" "$STORAGEOS" detach small/db
check "is whole" "$STORAGEOS" check small/db
must "is attached again" "$STORAGEOS" attach small/db --frontend fuse
is "and holds what was written" "$(checksum "$device")" "$sum"
must "is detached again" "$STORAGEOS" detach small/db
must "the pool is unmounted" unmount "$WORK/small"
refuses "a pool that is not mounted is refused" 'is its file system mounted' \
	"$STORAGEOS" create small/another --size 1G
finish
