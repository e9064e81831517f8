#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A LUN grows in use: by targetcli, by `storageos resize`, under a mounted file system.  It keeps its size
# when the runner dies in the middle, and when an older saved target is restored.
#
# STORAGEOS_RESIZES=N: the runner dies N times (default 2), and xfs is mounted, too.
. "$(dirname "$0")/guest.sh"
need_built "$STORAGEOS_PLUGIN" "$STORAGEOS"
need jq jq
need tcmu-runner tcmu-runner
need targetcli targetcli-fb
need sg_raw sg3-utils
need fio fio
need mkfs.xfs xfsprogs
need mkfs.ext4 e2fsprogs
enter_guest --env "STORAGEOS_RESIZES=${STORAGEOS_RESIZES-}" --timeout 500
plugin_install
must "start the runner" runner_start

MIB=$((1 << 20))
resize() { "$STORAGEOS" resize "$@"; }
size_of() { blockdev --getsize64 "$1"; }
volume_size() { "$STORAGEOS" info db --json | jq .size; }
attribute() { cat "$(backstore_state default:db)/attrib/dev_size"; }
set_size() { targetcli /backstores/user:storageos/default:db set attribute "dev_size=$1"; }
rescan() { echo 1 >"/sys/block/${db##*/}/device/rescan"; }
ready() { sg_raw -v "$(sg_of "$db")" 00 00 00 00 00 00 2>&1; }
data() { dd if="$db" bs=1M skip="$1" count=4 iflag=direct status=none | sha256sum; } # MIB

# ---- by the attribute

must "make a volume" "$STORAGEOS" create db --size 200M
must "attach it" "$STORAGEOS" attach db --frontend tcmu
db=$(readlink "$WORK/dev/default/db")
targetcli saveconfig "$WORK/old.json" >/dev/null
must "write a pattern up to its end" dd if=/dev/urandom of="$db" bs=1M seek=196 count=4 oflag=direct status=none
pattern=$(data 196)
check "targetcli sets a larger size" set_size $((300 * MIB + 512))
is "the volume has the new size" "$(volume_size)" $((300 * MIB + 512))
is "the initiator does not know it yet" "$(size_of "$db")" $((200 * MIB))
like "the initiator gets the unit attention CAPACITY DATA HAS CHANGED" "$(ready)" '[Cc]apacity data has changed'
like "the initiator gets it only once" "$(ready)" 'Good'
check "a rescan" rescan
is "the rescan shows the new size" "$(size_of "$db")" $((300 * MIB + 512))
is "existing data is unchanged" "$(data 196)" "$pattern"
is "the new part reads as zeros" "$(dd if="$db" bs=1M skip=200 status=none | tr -d '\0' | wc -c)" 0
check "the disk can be written up to its end" dd if=/dev/urandom of="$db" bs=512 count=1 \
	seek=$(((300 * MIB) / 512)) oflag=direct status=none
refuses "a smaller size is refused" 'dev_size' set_size $((100 * MIB))
check "the log gives the reason" runner_logged 'cannot resize to 104857600 bytes: .*to become smaller it has to be detached'
refuses "a size that is no multiple of a block is refused" 'dev_size' set_size $((301 * MIB + 513))
check "the log gives that reason, too" runner_logged 'size 315621889 is no multiple of the block size'
is "the attribute is unchanged" "$(attribute)" $((300 * MIB + 512))

# ---- by the command, under a mounted file system

mkdir "$WORK/mnt"
cleanup unmount_for_certain "$WORK/mnt"
load() {
	fio --name=load --filename="$WORK/mnt/load" --direct=1 --ioengine=libaio --iodepth=8 \
		--rw=randwrite --bsrange=4k-64k --size=8M --verify=crc32c --verify_fatal=1 --verify_state_save=0 \
		--randrepeat=0 --output="$WORK/fio.log" || { cat "$WORK/fio.log"; return 1; }
}
load_on() { while [ ! -e "$WORK/enough" ]; do load || return; done; }
load_runs() { [ -s "$WORK/mnt/load" ]; }
file_system_size() { df -B1 --output=size "$WORK/mnt" | tail -n 1; }

grow_mounted() { # TYPE MIB COMMAND...
	local type=$1 size=$2 sum
	shift 2
	wipefs -aq "$db"
	must "$type: mkfs" "mkfs.$type" -q "$db"
	must "$type: mount" mount "$db" "$WORK/mnt"
	rm -f "$WORK/enough"
	check "$type: files" tree_fill "$WORK/mnt/keep" 10
	sum=$(tree_checksum "$WORK/mnt/keep")
	load_on >"$WORK/fio.out" 2>&1 &
	fio=$!
	check "$type: a load is running" wait_for 30 load_runs
	check "$type: grow to $size MiB" resize db "${size}M"
	is "$type: the disk has it" "$(size_of "$db")" $((size * MIB))
	is "$type: and the kernel" "$(attribute)" $((size * MIB))
	check "$type: so gets the file system" "$@"
	check "$type: it has grown" test "$(file_system_size)" -gt $((size * MIB * 85 / 100))
	touch "$WORK/enough"
	wait $fio
	is "$type: the load found what it wrote" "$?" 0
	check "$type: more files" tree_fill "$WORK/mnt/more" 10
	is "$type: the files are as they were" "$(tree_checksum "$WORK/mnt/keep")" "$sum"
	check "$type: umount" unmount "$WORK/mnt"
}

grow_mounted ext4 1024 resize2fs "$db"
check "ext4 is sound" e2fsck -fn "$db"
if [ -n "$STORAGEOS_RESIZES" ]; then
	grow_mounted xfs 2048 xfs_growfs "$WORK/mnt"
	check "xfs is sound" xfs_repair -n "$db"
fi
is "resize prints the new size" "$(resize db 70G --json | jq -c '[.size, .frontend]')" "[$((70 << 30)),\"tcmu\"]"
is "stats has the new size" "$("$STORAGEOS" stats db --json | jq '.[0].space.size')" $((70 << 30))
refuses "a volume in use cannot shrink" \
	'in use by process [0-9]+ \(tcmu-runner\); only a detached volume can be shrunk' \
	"$STORAGEOS" resize db 1G --force

# ---- the runner dies in the middle

size=$((70 << 10)) kept=$(data 0)
for ((i = 1; i <= ${STORAGEOS_RESIZES:-2}; i++)); do
	before=$size size=$((size + 100))
	"$STORAGEOS" resize db ${size}M >/dev/null 2>&1 &
	resizing=$!
	sleep "0.$(printf %02d $((i * 7 % 40)))" # the kill meets another step of the resize each time
	runner_kill
	must "kill $i: the runner comes back" runner_start
	must "kill $i: it opens the volume" wait_for 20 runner_logged 'default/db: (open|the volume is there now)'
	wait $resizing
	like "kill $i: the volume has the old size or the new" "$(volume_size)" "^($((before * MIB))|$((size * MIB)))$"
	check "kill $i: it grows all the same" resize db ${size}M
	is "kill $i: the disk has it" "$(size_of "$db")" $((size * MIB))
done
is "the data is there" "$(data 0)" "$kept"

# ---- the target was saved before the volume grew

must "clear the target" targetcli clearconfig confirm=True
restore() { ! targetcli restoreconfig "$WORK/old.json" | grep -i error; }
must "restore what was saved at first, without an error" restore
must "the disk is there" wait_for 20 device_ready default:db
db=$(device_of default:db)
is "the disk has the volume's size" "$(size_of "$db")" $((size * MIB))
check "the log reports the old size" runner_logged 'was made with 209715200 bytes, and has the volume'
is "the disk has the data" "$(data 0)" "$kept"
check "the disk's end can be read" dd if="$db" of=/dev/null bs=1M skip=$((size - 1)) iflag=direct status=none
check "the volume can grow" resize db $((size + 1))M
is "the disk has the new size" "$(size_of "$db")" $(((size + 1) * MIB))
is "the attribute has the new size" "$(attribute)" $(((size + 1) * MIB))

must "clear the target" targetcli clearconfig confirm=True
refuses "shrinking a detached volume does not lose data" 'would cut off .* --force discards it' \
	"$STORAGEOS" resize db 32M
check "the volume is whole" "$STORAGEOS" check db
check "the runner ends in order" runner_stop
finish
