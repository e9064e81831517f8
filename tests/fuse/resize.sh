#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# ext4 and xfs, mounted and written to, grow with their volume; the server is killed in the middle.
. "$(dirname "$0")/server.sh"
need jq jq
need mkfs.ext4 e2fsprogs
need mkfs.xfs xfsprogs
need fio fio
need_loop
config_set frontend=fuse

DISK=$WORK/disk
mkdir "$DISK"
take_away() {
	for v in ext4 xfs raw; do "$STORAGEOS" detach "$v"; done
	attached_end
	for v in ext4 xfs raw; do unmount_for_certain "$WORK/run/mnt/default/$v"; done
}
cleanup take_away
cleanup unmount_for_certain "$DISK"

attach() { LINK=$("$STORAGEOS" attach "$1" 2>/dev/null); }
size_of() { blockdev --getsize64 "$1"; }
resize() { "$STORAGEOS" resize "$@"; }
of() { "$STORAGEOS" "$1" "$2" --json | jq "$3"; }
state() { of status "$1" '.[0].state'; }

# ---- file systems

# Verifies all that it wrote.
load() {
	fio --name=load --filename="$DISK/load" --direct=1 --ioengine=libaio --iodepth=8 \
		--rw=randwrite --bsrange=4k-64k --size=24M --io_size=48M --verify=crc32c \
		--verify_fatal=1 --verify_state_save=0 --randrepeat=0 --output="$WORK/fio.log"
}
load_on() {
	while [ ! -e "$WORK/enough" ]; do load || return; done
}
fio_runs() { [ -s "$DISK/load" ]; }
# The kernel lets a mounted ext4 grow only for who has that capability; here it may not be had.
CAP_SYS_RESOURCE=24
online=$(((0x$(awk '/^CapEff/ { print $2 }' /proc/self/status) >> CAP_SYS_RESOURCE) & 1))
file_system_size() { df -B1 --output=size "$DISK" | tail -n 1; }

grow() { # TYPE SIZE BYTES
	check "$1: grow to $2" resize "$1" "$2"
	is "$1: the device is that large" "$(size_of "$LINK")" "$3"
	case $1 in
	ext4)
		if [ "$online" = 0 ]; then
			skip "$1: grow the file system" "no CAP_SYS_RESOURCE"
			return
		fi
		check "$1: resize2fs" resize2fs "$LINK"
		;;
	xfs) check "$1: xfs_growfs" xfs_growfs "$DISK" ;;
	esac
	has_grown "$1" "$3"
}

has_grown() { # TYPE BYTES
	check "$1: the file system has it" test "$(file_system_size)" -gt $(($2 * 85 / 100))
}

grow_unmounted() {
	unmount "$DISK" && fsck.ext4 -fp "$LINK" && resize2fs "$LINK" && mount "$LINK" "$DISK"
}

use() { # TYPE MKFS-OPTION...
	local type=$1 sum
	shift
	new_volume "$type" 320M
	must "$type: attach" attach "$type"
	must "$type: mkfs" "mkfs.$type" -q "$@" "$LINK"
	must "$type: mount" mount "$LINK" "$DISK"
	check "$type: files" tree_fill "$DISK/keep" 60
	sum=$(tree_checksum "$DISK/keep")
	rm -f "$WORK/enough"
	load_on >"$WORK/fio.out" 2>&1 &
	fio=$!
	check "$type: a load is running" wait_for 20 fio_runs
	grow "$type" 512M $((512 << 20))
	grow "$type" 70G $((70 << 30))
	touch "$WORK/enough"
	wait $fio
	is "$type: the load found what it wrote" $? 0
	if [ "$type" = ext4 ] && [ "$online" = 0 ]; then
		must "ext4: grow it unmounted" grow_unmounted
		has_grown ext4 $((70 << 30))
	fi
	check "$type: files where nothing was" tree_fill "$DISK/more" 80
	more=$(tree_checksum "$DISK/more")
	check "$type: umount" unmount "$DISK"
	check "$type: detach" "$STORAGEOS" detach "$type"
	verify_volume "$type" "$type: the volume is whole"
	must "$type: attach again" attach "$type"
	is "$type: with its size" "$(size_of "$LINK")" $((70 << 30))
	must "$type: mount again" mount "$LINK" "$DISK"
	is "$type: the files are there" "$(tree_checksum "$DISK/keep")" "$sum"
	is "$type: the new ones, too" "$(tree_checksum "$DISK/more")" "$more"
	check "$type: umount" unmount "$DISK"
	case $type in
	ext4) check "ext4: fsck" fsck.ext4 -fn "$LINK" ;;
	xfs) check "xfs: xfs_repair" xfs_repair -n "$LINK" ;;
	esac
	check "$type: detach" "$STORAGEOS" detach "$type"
}

use ext4 -E lazy_itable_init=1,resize=33554432
use xfs

# ---- who shows the size

new_volume raw 64M
must "attach" attach raw
must "a pattern up to the end" dd if=/dev/urandom of="$LINK" bs=1M oflag=direct status=none count=64
sum=$(dd if="$LINK" bs=1M iflag=direct status=none | sha256sum)
check "grow by a sector" resize raw $(((64 << 20) + 512))
is "what was there is there" "$(dd if="$LINK" bs=1M count=64 iflag=direct status=none | sha256sum)" "$sum"
is "the last sector is zeros" "$(tail -c 512 "$LINK" | tr -d '\0' | wc -c)" 0
is "resize tells" "$(resize raw 100M --json | jq -c '[.volume, .size, .before, .cut_off, .frontend]')" \
	"[\"default/raw\",$((100 << 20)),$(((64 << 20) + 512)),0,\"fuse\"]"
is "so does info" "$(of info raw .size)" $((100 << 20))
is "list" "$("$STORAGEOS" list --json | jq '.[] | select(.volume == "default/raw").size')" $((100 << 20))
is "stats" "$(of stats raw '.[0].space.size')" $((100 << 20))
is "the file" "$(stat -c %s "$WORK/run/mnt/default/raw/raw")" $((100 << 20))
is "and df of it" "$(stat -f -c '%b' "$WORK/run/mnt/default/raw")" $((100 << 8))
check "the size that it has" resize raw 100M

# The kernel drops what it asked of a file's attributes while a write ended: it must be told.
writes_on() {
	exec fio --name=writes --filename="$LINK" --direct=1 --ioengine=libaio --iodepth=16 --rw=randwrite \
		--bs=4k --offset=64M --size=32M --time_based --runtime=600 --output="$WORK/fio.log"
}
end_can_be_read() { # MIB
	dd if="$LINK" of=/dev/null bs=4k skip=$(($1 * 256 - 1)) count=1 iflag=direct status=none
}
writes_on >"$WORK/fio.out" 2>&1 &
fio=$!
cleanup stop $fio
writes() { "$STORAGEOS" stats raw --json | jq '.[0].operations.write.count'; }
before=$(writes)
written_to() { [ "$(writes)" -gt "$before" ]; }
must "there are writes" wait_for 20 written_to
for size in {101..116}; do
	resize raw "${size}M" >/dev/null && end_can_be_read "$size" || break
done
is "under writes it grows, and can be read to its end, each time" "$size" 116
kill $fio
wait $fio
is "no write failed" "$(grep -i error "$WORK/fio.out")" ""
refuses "it does not become smaller in use" \
	'resize default/raw: in use by process [0-9]+ \(storageos-fuse\); only a detached volume can be shrunk' \
	"$STORAGEOS" resize raw 50M --force
refuses "truncating the file is refused as before" 'File too large' truncate -s 200M "$WORK/run/mnt/default/raw/raw"

# ---- kill -9 in the middle

written=$(dd if="$LINK" bs=1M count=64 iflag=direct status=none | sha256sum)
next=116
for delay in 0 0.002 0.005 0.01 0.02 0.05; do
	pid=$(of status raw '.[0].pid')
	next=$((next + 30))
	"$STORAGEOS" resize raw ${next}M >/dev/null 2>&1 &
	resizing=$!
	sleep $delay # the kill meets another step of the resize each time
	kill -9 "$pid"
	wait_for 10 gone "$pid"
	wait $resizing
	must "after $delay s: attach again" attach raw
	now=$(size_of "$LINK")
	like "after $delay s: it has the old size or the new" "$now" "^($(((next - 30) << 20))|$((next << 20)))$"
	check "after $delay s: it grows all the same" resize raw ${next}M
	is "after $delay s: to that size" "$(size_of "$LINK")" $((next << 20))
done
pid=$(of status raw '.[0].pid')
kill -9 "$pid"
must "its server dies" wait_for 10 gone "$pid"
refuses "with its server dead it does not become smaller: its device may be in use" \
	'still attached \(.*storageos-fuse is no longer running.*\); only a detached volume can be shrunk' \
	"$STORAGEOS" resize raw 64M --force
must "attach again" attach raw
is "all that was written is there" "$(dd if="$LINK" bs=1M count=64 iflag=direct status=none | sha256sum)" "$written"
check "detach" "$STORAGEOS" detach raw
verify_volume raw "the volume is whole"
finish
