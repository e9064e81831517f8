#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# storageos resize of a volume that is not served: growing, shrinking, and refusals that protect data.
. "$(dirname "$0")/../lib.sh"
need jq jq
need_root
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
need_fuse
own_config

resize() { "$STORAGEOS" resize "$@"; }
size_of() { "$STORAGEOS" info "$1" --json | jq .size; }
whole() { check "$1" "$STORAGEOS" check "$2"; }
mkdir "$WORK/mnt"
cleanup unmount_for_certain "$WORK/mnt"
# with_file NAME COMMAND...: runs COMMAND while the volume is served as $FILE.
with_file() {
	local name=$1 pid status
	shift
	FILE=$WORK/mnt/$name
	"$STORAGEOS_FUSE" --pid-file "$WORK/pid" "$name" "$WORK/mnt" || return
	pid=$(<"$WORK/pid")
	"$@"
	status=$?
	unmount "$WORK/mnt" && wait_for 10 gone "$pid" && return $status
}
put() { # MIB COUNT: writes COUNT MiB that are not zeros at MIB
	dd if=/dev/urandom of="$FILE" bs=1M seek="$1" count="$2" oflag=direct conv=notrunc,fsync status=none
}
sum() { dd if="$FILE" bs=1M skip="$1" count="$2" iflag=direct status=none | sha256sum; }
zeros() { head -c $(($1 << 20)) /dev/zero | sha256sum; }

# ---- larger

must "create" "$STORAGEOS" create db --size 64M
must "write" with_file db put 62 2
kept=$(with_file db sum 62 2)
is "resize prints the new and the old size" "$(resize db 20G)" "default/db: 20 GiB, was 64 MiB"
is "the volume has the new size" "$(size_of db)" $((20 << 30))
whole "it is whole" db
is "existing data is unchanged" "$(with_file db sum 62 2)" "$kept"
is "the new part reads as zeros" "$(with_file db sum 64 8)" "$(zeros 8)"
is "resize --json" "$(resize db 21G --json | jq -c .)" \
	"{\"volume\":\"default/db\",\"size\":$((21 << 30)),\"before\":$((20 << 30)),\"cut_off\":0}"
is "resize to the present size" "$(resize db 21G)" "default/db: 21 GiB, was 21 GiB"

# ---- smaller

must "write near the end" with_file db put $((20 << 10)) 3
must "write behind the new end" with_file db put $((15 << 10)) 2
refuses "data would be cut off: how much, and where" \
	'^storageos: resize default/db: it would cut off 5 MiB of data between 15 GiB and 20.0 GiB \(bytes 16106127360 to 21477982207\); --force discards it$' \
	"$STORAGEOS" resize db 10G
is "a refused resize changes nothing" "$(size_of db)" $((21 << 30))
is "shrinking is allowed where no data is cut off" "$(resize db $(((20 << 30) + (3 << 20))))" "default/db: 20.00 GiB, was 21 GiB"
is "--force cuts data off" "$(resize db 10G --force)" "default/db: 10 GiB, was 20.00 GiB; 5 MiB of data discarded"
is "the volume has the new size" "$(size_of db)" $((10 << 30))
whole "it is whole" db
is "data before the new end is unchanged" "$(with_file db sum 62 2)" "$kept"
must "grow it again" resize db 21G
whole "it is whole" db
is "the part that was cut off reads as zeros" "$(with_file db sum $((15 << 10)) 2) $(with_file db sum $((20 << 10)) 3)" "$(zeros 2) $(zeros 3)"

# The new end is inside a block: the rest of the block is cut off, too.
must "to the middle of a block" resize db $(((62 << 20) + 1024)) --force
refuses "the rest of a block counts as data" 'cut off 512 B of data between 62.0 MiB and 62.0 MiB \(bytes 65012224 to 65012735\)' \
	"$STORAGEOS" resize db $(((62 << 20) + 512))
must "cut a part of a block off" resize db $(((62 << 20) + 512)) --force
must "grow it again" resize db 64M
rest() { tail -c +$(((62 << 20) + 513)) "$FILE" | tr -d '\0' | wc -c; }
is "the rest of the block is zeros" "$(with_file db rest)" 0
whole "it is whole" db

# ---- refused

usage() { "$STORAGEOS" resize "$@" 2>&1; echo "status $?"; }
like "a missing size" "$(usage db)" 'too few arguments'
like "an invalid volume size" "$(usage db 12)" "invalid volume size '12'"
like "an invalid size is a usage error" "$(usage db 100T)" 'status 2'
must "create one of 4 KiB blocks" "$STORAGEOS" create large --size 64M --block-size 4096
refuses "a size inside a logical block" 'no multiple of the block size, 4096' "$STORAGEOS" resize large $(((64 << 20) + 512))
refuses "a volume that does not exist" "volume 'default/none': no such volume" "$STORAGEOS" resize none 1G
as_served() { usage db 32M; }
like "a volume in use cannot shrink" "$(with_file db as_served)" \
	'in use by process [0-9]+ \(storageos-fuse\); only a detached volume can be shrunk'
as_served() { resize db 128M && stat -c %s "$FILE"; }
is "a volume in use can grow, and the file's size follows" "$(with_file db as_served)" "default/db: 128 MiB, was 64 MiB
$((128 << 20))"

# ---- a block device

if truncate -s 256M "$WORK/disk" && loop_attach "$WORK/disk" 2>/dev/null; then
	must "a block device: create" "$STORAGEOS" create "$LOOP" --size 1G
	is "a volume on a block device may exceed the device" "$(resize "$LOOP" 1T)" "$LOOP: 1 TiB, was 1 GiB"
	whole "a block device: it is whole" "$LOOP"
else
	skip "a block device" "no loop device"
fi
finish
