#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The file system below a LUN fills up: only writes fail, and their sense data reports the lack of space.
# When space is back, writes succeed again.
. "$(dirname "$0")/guest.sh"
. "$ROOT/tests/faults/space.sh"
need_built "$STORAGEOS_PLUGIN" "$STORAGEOS"
need jq jq
need tcmu-runner tcmu-runner
need targetcli targetcli-fb
need sg_raw sg3-utils
enter_guest --timeout 200 --disk 96M

plugin_install
must "tcmu-runner offers the backstore" runner_start
must "targetcli makes a volume" targetcli \
	'/backstores/user:storageos create name=db size=256M cfgstring=db;create'
must "attach it" lun_add db 1
disk=$(device_of db)
sg=$(sg_of "$disk")

# WRITE(10) of 1 MiB, past the initiator's block layer.  $WORK is the full file system.
put() { # PIECE
	local lba
	lba=$(printf '%08x' $(($1 * 2048)))
	dd if="$MODEL" bs=1M skip="$1" count=1 of=/run/piece status=none
	sg_raw -s $((1 << 20)) -i /run/piece "$sg" 2a 00 \
		"${lba:0:2}" "${lba:2:2}" "${lba:4:2}" "${lba:6:2}" 00 08 00 00 >>/run/sg 2>&1
}

told() { # prints how often the initiator got sense 07h/27h/07h
	tr -s ' \n' ' ' </run/sg | grep -oE 'Data Protect[^:]*: Space allocation failed write protect' | wc -l
}

zeros() { # OFFSET LENGTH
	dd if="$disk" iflag=direct,skip_bytes,count_bytes bs=64k skip="$1" count="$2" status=none |
		cmp --bytes="$2" - /dev/zero
}

state() {
	"$STORAGEOS" stats db --json | jq -r '.[0].state'
}

# Past the page cache, which may hold older content.
same() {
	sync && echo 1 >/proc/sys/vm/drop_caches && model_same "$disk"
}

model_new "$WORK/model" 16
model_write 0 8 put
is "pieces are written" "${#WRITTEN[@]} $REFUSED" "8 0"
must "the file system is used up" space_use_up "$WORK"
sleep 5.2 # after 5 s, a write makes the plugin ask for the free space again
put 0
: >/run/sg
refuses "the initiator is told that space is scarce" 'soft threshold reached' sg_turs -v "$sg"
check "the initiator is told only once" sg_turs "$sg"
model_write 8 14 put
note "${#WRITTEN[@]} pieces written, $REFUSED refused, $SLOWEST ms at most"
check "writes are refused" test $REFUSED -ge 4
is "each refusal has sense 07h/27h/07h" "$(told)" "$REFUSED"
refuses "users of the disk see that there is no space" 'No space left on device' \
	dd if="$MODEL" of="$disk" bs=1M skip=15 seek=15 count=1 oflag=direct
check "acknowledged data can be read" same
check "SYNCHRONIZE CACHE succeeds" sg_sync "$sg"
check "UNMAP succeeds" sg_unmap --lba=0 --num=2048 "$sg"
check "unmapped blocks read as zeros" zeros 0 $((1 << 20))
unset 'WRITTEN[0]'
is "the volume has not failed" "$(state)" ok

must "give the space back" space_give_back "$WORK"
REFUSED=0
model_write 0 16 put
is "writes succeed again" "${#WRITTEN[@]} $REFUSED" "16 0"
check "SYNCHRONIZE CACHE succeeds" sg_sync "$sg"
check "all data is there" same
is "the volume has not failed" "$(state)" ok
check "the runner ends" runner_stop
check "the volume is whole" "$STORAGEOS" check db
finish
