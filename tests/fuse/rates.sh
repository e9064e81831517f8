#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The limits of a volume, as fio sees them on the file and on a loop device; what does not wait for them; and that
# what waits goes on when they are lifted, and when the server ends.
. "$(dirname "$0")/server.sh"
need fio fio
need jq jq
need losetup mount
need_loop
cd "$WORK" || give_up "no $WORK"

set_limits() { "$STORAGEOS" set db "$@" >"$WORK/set" 2>&1 || cat "$WORK/set"; }
exceeds() { [ "$(known "$1")" -gt "$2" ]; }
known() { "$STORAGEOS" stats db --json | jq -r ".[0].limits.$1"; }

# Once the burst is over.
iops() { # FILE DEPTH read|write [OPTION...]
	fio --name=rate --filename="$1" --iodepth="$2" --rw="rand$3" --ioengine=libaio --direct=1 --bs=4k --size=64M \
		--time_based --ramp_time=1 --runtime=3 --output-format=json "${@:4}" 2>/dev/null |
		jq ".jobs[0].$3.iops | floor"
}

factor=$(printf '%.0f' "$STORAGEOS_TIME_FACTOR")
least=$((950 / (factor < 2 ? 1 : factor * factor)))

new_volume db 256M
serve db
must "data" dd if=/dev/urandom of="$FILE" bs=1M count=64 conv=notrunc,fsync status=none
is "there is no limit" "$(known write.iops)" null
must "set limits" "$STORAGEOS" set db read_iops=1000 write_iops=1000
is "they are known" "$(known write.iops) $(known read.iops) $(known read.iops_burst)" "1000 1000 100"
for depth in 1 32; do
	for rw in read write; do
		limited "the file, $rw, depth $depth" $least 1050 iops "$FILE" $depth $rw
	done
done
must "a loop device" loop_attach "$FILE"
for rw in read write; do
	limited "the loop device, $rw, depth 32" $least 1050 iops "$LOOP" 32 $rw
done
check "requests have waited" exceeds read.waits 1000

# ---- bytes

set_limits read_iops=none write_iops=none write_bytes=8M
limited "8 MiB a second in 64 KiB" $((115 * least / 950)) 135 iops "$LOOP" 8 write --bs=64k

# ---- what does not wait

set_limits write_bytes=none write_iops=30
fio --name=writes --filename="$LOOP" --iodepth=64 --rw=randwrite --ioengine=libaio --direct=1 --bs=4k --size=64M \
	--number_ios=200 --output="$WORK/writes" &
writes=$!
wait_for 10 exceeds write.waiting 30
begin=$(date +%s%N)
for i in 1 2 3 4 5; do
	dd if="$FILE" of=/dev/null bs=4k count=1 skip=$((i * 100)) iflag=direct status=none
done
check "reads do not wait behind writes" [ $((($(date +%s%N) - begin) / 1000000)) -lt $((1000 * factor)) ]
check "which wait on" exceeds write.waiting 10
set_limits write_iops=
begin=$(date +%s%N)
wait $writes
check "and end soon when there is no limit any more" [ $((($(date +%s%N) - begin) / 1000000)) -lt $((1500 * factor)) ]
is "fio got no error" "$(grep -c 'err= 0' "$WORK/writes")" 1

# ---- what waits when the server ends, and afterwards

must "detach the loop device" loop_detach "$LOOP"
set_limits write_iops=30
dd if=/dev/zero of="$FILE" bs=4k count=3000 seek=1000 oflag=direct conv=notrunc status=none 2>"$WORK/dd" &
writer=$!
wait_for 10 exceeds write.waits 30
begin=$(date +%s%N)
stop_server
check "a server at its limits ends at once" [ $((($(date +%s%N) - begin) / 1000000)) -lt $((3000 * factor)) ]
wait $writer
verify_volume db "the volume is whole"
serve_again
is "the limit is there again" "$(known write.iops)" 30
refuses "a limit that is too low" "invalid write_iops '5' \(requests per second, 30 to" "$STORAGEOS" set db write_iops=5
is "the old one stays" "$(known write.iops)" 30
like "stats shows it to people" "$("$STORAGEOS" stats db)" 'write limit +30 requests/s; 0 wait'
stop_server
finish
