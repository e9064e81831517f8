#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A snapshot is attached over FUSE like a volume, under its own name, beside the volume, and can only be
# read.
. "$(dirname "$0")/../lib.sh"
need jq jq
need mkfs.ext4 e2fsprogs
need mkfs.xfs xfsprogs
need mkfs.btrfs btrfs-progs
need_root
need_fuse
need_loop
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
own_config
config_set frontend=fuse

link=$WORK/dev/default/db@monday
status() { "$STORAGEOS" status db@monday --json | jq -r ".[0].$1"; }
take_away() {
	umount -l "$WORK/mnt" "$WORK/old" 2>/dev/null
	for v in db db@monday; do "$STORAGEOS" detach "$v"; done
	attached_end
	unmount_for_certain "$WORK/run/mnt/default/db@monday"
}
cleanup take_away

must "make a volume" "$STORAGEOS" create db --size 64M
must "attach it" "$STORAGEOS" attach db
must "make a file system" mkfs.ext4 -q "$WORK/dev/default/db"
mkdir "$WORK/mnt"
must "mount it" mount "$WORK/dev/default/db" "$WORK/mnt"
random_file "$WORK/mnt/file" $((8 << 20))
sum=$(sha256sum <"$WORK/mnt/file")
sync -f "$WORK/mnt"
must "take a snapshot of the mounted file system as it is" "$STORAGEOS" snapshot create db@monday --freeze never
random_file "$WORK/mnt/file" $((8 << 20))
sync -f "$WORK/mnt"
mkdir "$WORK/old"

# ---- attach

is "attach prints the device's path and nothing else" "$("$STORAGEOS" attach db@monday 2>"$WORK/said")" "$link"
like "and how to mount it" "$(<"$WORK/said")" "^storageos: attach default/db@monday: mount -o ro,noload $link DIRECTORY$"
device=$(readlink "$link")
is "the device is read-only" "$(blockdev --getro "$device")" 1
is "it has the volume's size" "$(blockdev --getsize64 "$device")" $((64 << 20))
refuses "it cannot be written" "not permitted|Read-only" dd if=/dev/zero of="$device" bs=4096 count=1 conv=fsync
must "mount it in this way" mount -o ro,noload "$link" "$WORK/old"
is "its content is that of the snapshot" "$(sha256sum <"$WORK/old/file")" "$sum"
check "and not that of the volume" test "$(sha256sum <"$WORK/mnt/file")" != "$sum"
is "status: attached" "$(status state)" attached
is "status: over FUSE" "$(status frontend)" fuse
like "status for people" "$("$STORAGEOS" status | tr -s ' ')" "^default/db@monday attached FUSE $link \($device\)\$"
is "stats" "$("$STORAGEOS" stats db@monday --json | jq -r '.[0].state // .state')" read-only
is "info knows its size" "$("$STORAGEOS" info db@monday --json | jq .size)" $((64 << 20))
like "info says who has it open" "$("$STORAGEOS" info db@monday)" 'open in +process [0-9]+ \(storageos-fuse\)'
is "its UUID is its own" "$("$STORAGEOS" info db@monday --json | jq -r .uuid)" \
	"$("$STORAGEOS" snapshot list db --json | jq -r '.[0].uuid')"
is "the rule's program knows it" "$("$STORAGEOS" udev "${device#/dev/}" | sort)" \
	"STORAGEOS_COPY=1"$'\n'"STORAGEOS_VOLUME=default/db@monday"
is "attach again" "$("$STORAGEOS" attach db@monday --json 2>/dev/null | jq -r '"\(.device) \(.mount_options)"')" \
	"$device ro,noload"

# ---- what the volume must not lose meanwhile

refuses "the snapshot is not deleted" 'the snapshot is in use by process [0-9]+ \(storageos-fuse\)' \
	"$STORAGEOS" snapshot delete db@monday
must "unmount the volume" umount "$WORK/mnt"
must "detach it" "$STORAGEOS" detach db
refuses "the volume is not deleted" 'a snapshot of it is in use by process [0-9]+ \(storageos-fuse\)' \
	"$STORAGEOS" delete db
refuses "its snapshots are not given up" 'a snapshot of it is in use by process [0-9]+ \(storageos-fuse\)' \
	"$STORAGEOS" check db --repair --yes --drop-snapshot monday
refuses "nor gets another UUID" 'a snapshot of it is in use by process [0-9]+ \(storageos-fuse\)' \
	"$STORAGEOS" set db uuid=new
refuses "a device in use is not detached" 'in use' "$STORAGEOS" detach db@monday
for line in "resize db@monday 128M" "check db@monday" "scrub db@monday" "set db@monday uuid=new" "delete db@monday" \
	"create db@tuesday --size 64M"; do
	# shellcheck disable=SC2086 # words
	refuses "not of a snapshot: $line" "is the name of a snapshot; the name of a volume is needed" "$STORAGEOS" $line
done
refuses "there is no other" "no snapshot 'tuesday'" "$STORAGEOS" attach db@tuesday
is "nor is its state known" "$("$STORAGEOS" status --json | jq length)" 1

# ---- detach

must "unmount it" umount "$WORK/old"
kill -9 "$(status pid)"
wait_for 10 test "$(status state)" = broken
is "a server that died is seen" "$(status state)" broken
check "attach it again" "$STORAGEOS" attach db@monday
is "it is attached" "$(status state)" attached
check "detach it" "$STORAGEOS" detach db@monday
check "nothing is left" test ! -e "$link"
is "status: detached" "$(status state)" detached
check "info of a snapshot that nobody has open" \
	test "$("$STORAGEOS" info db@monday --json | jq .data_bytes)" -gt $((8 << 20))
check "the snapshot is deleted now" "$STORAGEOS" snapshot delete db@monday
refuses "and is not there" "no snapshot 'monday'" "$STORAGEOS" attach db@monday
check "the volume is whole" "$STORAGEOS" check db
check "and deleted" "$STORAGEOS" delete db

# ---- with the options that attach prints, each file system mounts as it was while it was mounted

has_type() { grep -qw "$1" /proc/filesystems || modprobe "$1" 2>/dev/null; }
for type in ext4 xfs btrfs; do
	has_type $type || { skip "$type" "this kernel has no $type"; continue; }
	must "$type: a volume" "$STORAGEOS" create db --size 512M
	must "$type: attached" "$STORAGEOS" attach db
	must "$type: a file system" mkfs.$type -q "$WORK/dev/default/db"
	must "$type: mounted" mount "$WORK/dev/default/db" "$WORK/mnt"
	echo old >"$WORK/mnt/file"
	sync -f "$WORK/mnt"
	must "$type: a snapshot" "$STORAGEOS" snapshot create db@monday --freeze require
	echo now >"$WORK/mnt/file"
	# Kernels before 6.7 mount one btrfs of a UUID only.
	[ $type != btrfs ] || must "$type: unmounted" umount "$WORK/mnt"
	options=$("$STORAGEOS" attach db@monday --json 2>/dev/null | jq -r .mount_options)
	must "$type: mounted with $options" mount -o "$options" "$link" "$WORK/old"
	is "$type: has what there was" "$(<"$WORK/old/file")" old
	must "$type: unmounted" umount "$WORK/old"
	[ $type = btrfs ] || must "$type: unmounted" umount "$WORK/mnt"
	for v in db@monday db; do
		must "$type: $v: detached" "$STORAGEOS" detach $v
	done
	must "$type: deleted" "$STORAGEOS" delete db
done
finish
