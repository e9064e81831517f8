#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A volume of 1 TiB under random writes over its whole range stays under 160 MiB of memory.
. "$(dirname "$0")/server.sh"
need fio fio
cd "$WORK" || give_up "no $WORK" # where fio leaves its files

most=$((160 * 1024))

peak() {
	awk '/^VmHWM:/ { print $2 }' "/proc/$SERVER/status"
}

load() { # FIO-OPTION...
	fio --name=load --filename="$FILE" --ioengine=libaio --direct=1 --iodepth=32 --size=1T \
		--filesize=1T --norandommap --random_generator=tausworthe64 --time_based \
		--output="$WORK/fio" "$@" || { cat "$WORK/fio"; return 1; }
}

new_volume big 1T
is "it takes a few MiB" "$(($(allocated "$POOL/big.vol") < 32 * 1024))" 1
serve big
check "random writes of 4 KiB" load --rw=randwrite --bs=4k --runtime=12
note "$(grep -E 'IOPS' "$WORK/fio") - peak of memory $(peak) KiB"
is "at most 160 MiB of memory were in use" $(($(peak) < most)) 1
check "random reads and writes of all sizes" load --rw=randrw --bsrange=4k-1M --runtime=5
note "$(grep -E 'IOPS' "$WORK/fio" | xargs) - peak of memory $(peak) KiB"
is "still at most 160 MiB" $(($(peak) < most)) 1
check "discard of all of it" fallocate --punch-hole --offset 0 --length $((1 << 40)) "$FILE"
is "and still" $(($(peak) < most)) 1
kill_server
serve_again
is "at most 160 MiB after recovery" $(($(peak) < most)) 1
stop_server
finish
