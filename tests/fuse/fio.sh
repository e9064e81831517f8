#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What fio writes at queue depth 32 it reads back and verifies, through a loop device and without.
. "$(dirname "$0")/server.sh"
need fio fio
cd "$WORK" || give_up "no $WORK" # where fio leaves its files
need losetup mount

fio_verify() { # FILE NAME OPTION...
	local file=$1 name=$2
	shift 2
	fio --name="$name" --filename="$file" --ioengine=libaio --direct=1 --iodepth=32 \
		--size=192M --verify=crc32c --verify_fatal=1 --randseed=7 --output="$WORK/fio" "$@" ||
		{ cat "$WORK/fio"; return 1; }
}

new_volume db 256M
serve db
must "a loop device" loop_attach "$FILE"
check "4 KiB at random" fio_verify "$LOOP" small --rw=randwrite --bs=4k
check "512 bytes to 128 KiB, any sector, at random" \
	fio_verify "$LOOP" mixed --rw=randwrite --bsrange=512-128k --blockalign=512
check "1 MiB in sequence" fio_verify "$LOOP" large --rw=write --bs=1M
check "reads and writes mixed, with flushes" \
	fio_verify "$LOOP" flushes --rw=randrw --bs=8k --fdatasync=64 --size=64M
check "writes and trims mixed" \
	fio_verify "$LOOP" trims --rw=randtrimwrite --bs=64k --size=128M --verify=crc32c
check "detach the loop device" loop_detach "$LOOP"
check "the file itself, with direct I/O" fio_verify "$FILE" file --rw=randwrite --bs=4k
check "four processes" fio_verify "$FILE" four --rw=randwrite --bs=16k --numjobs=4 --size=48M \
	--offset_increment=48M --group_reporting

stop_server
verify_volume db "the volume is whole"
finish
