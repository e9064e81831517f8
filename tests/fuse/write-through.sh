#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A volume without a write cache: each change of the file is durable when the call returns, and those that wait
# together share flushes.
. "$(dirname "$0")/server.sh"
need fio fio
need_strace

flushes() { # COMMAND...: $N is how often the server calls fdatasync() meanwhile
	local tracer
	strace -f -qq -o "$WORK/trace" -e trace=fdatasync -p "$SERVER" &
	tracer=$!
	wait_for 10 grep -q "^TracerPid:.*[1-9]" "/proc/$SERVER/status"
	"$@" >"$WORK/said" 2>&1 || echo "$* failed: $(tail -3 "$WORK/said")" >&2
	kill -INT "$tracer"
	wait "$tracer"
	N=$(grep -c 'fdatasync(.*= 0' "$WORK/trace")
}
writes() { # HOW
	dd if=/dev/zero of="$FILE" bs=4k count=50 conv=notrunc oflag=direct status=none
}
punches() {
	local i
	for i in {1..20}; do fallocate -p -o $((i * 4096)) -l 4096 "$FILE"; done
}
parts() { # of sectors: other threads complete these
	dd if=/dev/zero of="$FILE" bs=100 seek=3 count=20 conv=notrunc status=none
}
together() {
	fio --name=t --filename="$FILE" --rw=randwrite --bs=4k --direct=1 --ioengine=libaio --iodepth=32 --size=16M \
		--number_ios=2000
}

new_volume cached 64M
serve cached
flushes writes
check "with a write cache, 50 writes need no flush each ($N)" [ "$N" -lt 10 ]
stop_server
must "switch the write cache off" "$STORAGEOS" set cached write_cache=off
serve cached
flushes writes
check "without one, each of 50 writes is flushed ($N)" [ "$N" -ge 50 ]
flushes punches
check "each of 20 punched ranges is flushed ($N)" [ "$N" -ge 20 ]
flushes parts
check "each of 20 writes of parts of sectors is flushed ($N)" [ "$N" -ge 20 ]
flushes together
check "2000 writes, 32 at a time, share flushes ($N)" [ "$N" -gt 0 -a "$N" -lt 1500 ]
kill_server
must "unmount" umount -l "$MOUNT"
verify_volume cached "the volume is whole"
finish
