#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The holes of a volume, and of a snapshot, are seen by whoever copies the file; a snapshot cannot be written.
. "$(dirname "$0")/server.sh"
need xfs_io xfsprogs
need mkfs.ext4 e2fsprogs

mib=$((1 << 20))

fill() { # AT LENGTH, in MiB
	dd if=/dev/urandom of="$FILE" bs=1M seek="$1" count="$2" conv=notrunc status=none
}

# What lies where, as xfs_io sees it.
map_of() { # FILE
	xfs_io -r -c 'seek -a -r 0' "$1" | sed 1d
}

wanted="HOLE	0
DATA	$((3 * mib))
HOLE	$((5 * mib))
DATA	$((1000 * mib))
HOLE	$((1300 * mib))"

check_map() {
	is "the map of $1" "$(map_of "$FILE")" "$wanted"
}

check_copy() { # NAME, CP OPTION...
	local name=$1
	shift
	rm -f "$WORK/copy"
	check "$name" cp "$@" "$FILE" "$WORK/copy"
	check "it is the same" cmp "$FILE" "$WORK/copy"
	check "it takes what is mapped" [ "$(allocated "$WORK/copy")" -lt $((320 * 1024)) ]
}

new_volume db 2G
serve db
is "an empty volume is a hole" "$(map_of "$FILE")" "HOLE	0"
check "write 2 MiB" fill 3 2
check "write 300 MiB, more than one answer of the engine tells" fill 1000 300
check_map "the volume"
check_copy "a copy that makes holes of zeros" --sparse=always
check_copy "a copy that looks for holes" --sparse=auto
if command -v qemu-img >/dev/null; then
	like "qemu sees the holes" "$(qemu-img map --output=json -f raw "$FILE")" \
		'"start": 3145728, "length": 2097152, .*"data": true'
else
	skip "qemu sees the holes" "no qemu-img"
fi
check "punch a hole" fallocate --punch-hole --offset $((1000 * mib)) --length $((300 * mib)) "$FILE"
wanted="HOLE	0
DATA	$((3 * mib))
HOLE	$((5 * mib))"
check_map "the volume then"
stop_server

# ---- a snapshot

check "take a snapshot" "$STORAGEOS" snapshot create db@monday
serve db@monday
is "its file has its name" "$(ls "$MOUNT")" db@monday
is "it is for reading" "$(stat -c %a "$FILE")" 400
is "it has the volume's size" "$(stat -c %s "$FILE")" $((2 << 30))
check_map "the snapshot"
check_copy "a copy of the snapshot" --sparse=always
writes() {
	dd if=/dev/zero of="$FILE" bs=4096 count=1 conv=notrunc
}
refuses "it cannot be written" "Read-only file system" writes
refuses "nor cut" "not permitted|Read-only" truncate -s 1M "$FILE"
refuses "a second server is told of the first" "serves it already" "$STORAGEOS_FUSE" db@monday "$WORK"
stop_server
finish
