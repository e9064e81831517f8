#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# ext4 and xfs on a loop device over the file: files persist, trimmed space is given back, fsck finds nothing.
. "$(dirname "$0")/server.sh"
need mkfs.ext4 e2fsprogs
need mkfs.xfs xfsprogs
need fstrim util-linux
need losetup mount

DISK=$WORK/disk
mkdir "$DISK"
cleanup unmount_for_certain "$DISK"

space() {
	allocated "$POOL/$SERVED.vol"
}

space_fell() { # KIB
	[ "$(space)" -lt $((full - $1)) ]
}

is_clean() { # TYPE
	case $1 in
	ext4) fsck.ext4 -fn "$LOOP" ;;
	xfs) xfs_repair -n "$LOOP" ;;
	esac
}

use() { # TYPE MKFS-OPTION...
	local type=$1 before
	shift
	new_volume "$type" 2G
	serve "$type"
	must "$type: a loop device" loop_attach "$FILE"
	is "$type: with direct I/O" "$(cat "/sys/block/${LOOP#/dev/}/loop/dio")" 1
	must "$type: mkfs" "mkfs.$type" -q "$@" "$LOOP"
	must "$type: mount" mount "$LOOP" "$DISK"
	check "$type: files of many sizes" tree_fill "$DISK/keep" 100
	before=$(tree_checksum "$DISK/keep")
	check "$type: more files" tree_fill "$DISK/drop" 200
	check "$type: sync" sync -f "$DISK"
	full=$(space)
	is "$type: the files are as they were" "$(tree_checksum "$DISK/keep")" "$before"
	rm -r "$DISK/drop"
	sync -f "$DISK" # ext4 trims what a committed transaction has freed
	check "$type: fstrim" fstrim "$DISK"
	check "$type: the space of what was deleted goes back" wait_for 60 space_fell $((160 * 1024))
	check "$type: umount" unmount "$DISK"
	check "$type: fsck" is_clean "$type"
	check "$type: detach the loop device" loop_detach "$LOOP"
	stop_server
	verify_volume "$type" "$type: the volume is whole"

	serve_again
	must "$type: a loop device again" loop_attach "$FILE"
	must "$type: mount again" mount "$LOOP" "$DISK"
	is "$type: the files are there" "$(tree_checksum "$DISK/keep")" "$before"
	check "$type: umount" unmount "$DISK"
	check "$type: detach the loop device" loop_detach "$LOOP"
	stop_server
}

use ext4 -E lazy_itable_init=0
use xfs
finish
