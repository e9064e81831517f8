#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A volume with a reserve goes on while its neighbours fill the file system to the last byte: it is written all the
# time, up to its full size and over again, and served anew; and it is whole.  One without a reserve is not.  On ext4
# and on xfs; on btrfs the reserve is refused.
. "$(dirname "$0")/../lib.sh"
need fio fio
need jq jq
need mkfs.ext4 e2fsprogs
need mkfs.xfs xfsprogs
need_root
need_fuse
need_loop
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
own_config

serve() { # VOLUME
	local mount=$WORK/mnt-${1//\//-}
	[ -d "$mount" ] || mkdir "$mount"
	cleanup unmount_for_certain "$mount"
	must "serve $1" "$STORAGEOS_FUSE" --pid-file "$mount.pid" "$1" "$mount"
}
file_of() { echo "$WORK/mnt-${1//\//-}/${1##*/}"; }
end() { # VOLUME
	stop "$(<"$WORK/mnt-${1//\//-}.pid")"
	unmount_for_certain "$WORK/mnt-${1//\//-}"
}
fill() { # FILE: until there is no space, not for a single block
	local size
	for size in 1M 64k 4k; do
		dd if=/dev/zero of="$1" bs=$size oflag=append conv=notrunc,fsync status=none 2>/dev/null
	done
	true
}
write_whole() { # VOLUME: random bytes over all of it; then it must have them
	random_file "$WORK/random" $((SIZE << 20))
	dd if="$WORK/random" of="$(file_of "$1")" bs=1M conv=notrunc,fsync status=none &&
		cmp "$WORK/random" "$(file_of "$1")"
}
is_ready() { "$STORAGEOS" stats "$1" --json | jq -e '.[0].space.reserve_ready'; }
is_full() { [ "$(df --output=avail "$1" | tail -1)" -lt 256 ]; } # KiB

SIZE=192 # MiB
for fs in ext4 xfs; do
	case $fs in
	ext4) pool_on_disk ext4 "$WORK/ext4.img" 1G ;;
	xfs) pool_on_disk xfs "$WORK/xfs.img" 1G mkfs.xfs -q ;;
	esac
	must "$fs: a volume with a reserve" "$STORAGEOS" create $fs/kept --size ${SIZE}M --reserve
	must "$fs: one without" "$STORAGEOS" create $fs/thin --size ${SIZE}M
	must "$fs: a neighbour" "$STORAGEOS" create $fs/large --size 4G
	refuses "$fs: a reserve that the file system has no space for" 'the file system has .* free, the reserve needs .* more' \
		"$STORAGEOS" set $fs/large reserve=full
	is "$fs: it was not made" "$("$STORAGEOS" get $fs/large reserve --json | jq -c .properties)" '{}'
	refuses "$fs: nor is a volume whose reserve there is no space for" 'the reserve needs' \
		"$STORAGEOS" create $fs/huge --size 4G --reserve
	check "$fs: so there is none" [ ! -e "$WORK/$fs/huge.vol" ]
	for v in kept thin large; do serve $fs/$v; done
	check "$fs: the reserve is there" wait_for 10 is_ready $fs/kept

	# It is written at random and verified, while the neighbours fill the file system.
	fio --name=kept --filename="$(file_of $fs/kept)" --size=${SIZE}M --rw=randwrite --bsrange=4k-256k --ioengine=psync \
		--fsync=16 --verify=crc32c --verify_fatal=1 --verify_state_save=0 --time_based --runtime=10 --rate=8m \
		--output="$WORK/fio" >/dev/null 2>&1 &
	fio=$!
	sleep 1
	dd if=/dev/urandom of="$(file_of $fs/large)" bs=1M conv=notrunc,fsync status=none 2>/dev/null
	while fill "$WORK/$fs/other"; do sleep 0.2; done & # whatever becomes free, at once
	greedy=$!
	cleanup kill $greedy
	check "$fs: the file system is full" wait_for 20 is_full "$WORK/$fs"
	wait $fio
	is "$fs: the volume with a reserve is written on, and verified" $? 0
	refuses "$fs: one without is not" 'No space left|Input/output' \
		dd if=/dev/urandom of="$(file_of $fs/thin)" bs=1M count=$SIZE conv=notrunc,fsync

	check "$fs: it is written to its full size" write_whole $fs/kept
	check "$fs: and again" write_whole $fs/kept
	end $fs/kept
	check "$fs: it is whole" "$STORAGEOS" check $fs/kept
	serve $fs/kept
	check "$fs: the reserve is there when it is served anew" wait_for 10 is_ready $fs/kept
	check "$fs: so it is written again" write_whole $fs/kept
	check "$fs: discarded" fallocate -p -o 0 -l ${SIZE}M "$(file_of $fs/kept)"
	sleep 3 # what is given back, the neighbour takes
	check "$fs: and written again" write_whole $fs/kept
	kill $greedy
	must "$fs: the reserve is taken back" "$STORAGEOS" set $fs/kept reserve=none
	is "$fs: then it has none" "$("$STORAGEOS" get $fs/kept reserve --json | jq -c .properties)" '{}'
	for v in kept thin large; do end $fs/$v; done
	check "$fs: all are whole: kept" "$STORAGEOS" check $fs/kept
	check "$fs: thin" "$STORAGEOS" check $fs/thin
	rm -f "$WORK/$fs/other"
	unmount_for_certain "$WORK/$fs"
done

modprobe -q btrfs 2>/dev/null
if command -v mkfs.btrfs >/dev/null && grep -qw btrfs /proc/filesystems; then
	pool_on_disk btrfs "$WORK/btrfs.img" 512M mkfs.btrfs -q
	must "btrfs: a volume" "$STORAGEOS" create btrfs/v --size 64M
	refuses "btrfs cannot keep a reserve" 'no reserve can be kept here' "$STORAGEOS" set btrfs/v reserve=full
else
	skip "btrfs cannot keep a reserve" "no btrfs"
fi
finish
