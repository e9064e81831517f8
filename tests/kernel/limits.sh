#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The limits of a volume, as an initiator sees them: its rate at any depth; that it is told to send fewer commands
# where they would wait too long, and gets no error; and that a file system works at the lowest limits.
. "$(dirname "$0")/guest.sh"
need_built "$STORAGEOS_PLUGIN" "$STORAGEOS"
need jq jq
need fio fio
need tcmu-runner tcmu-runner
need targetcli targetcli-fb
enter_guest --timeout 300

plugin_install
must "tcmu-runner offers the backstore" runner_start
must "targetcli makes a volume" targetcli \
	'/backstores/user:storageos create name=db size=256M cfgstring=db;create'
must "attach it" lun_add db 1
disk=$(device_of db)
cd "$SCRATCH" || give_up "no $SCRATCH"

known() { "$STORAGEOS" stats db --json | jq -r ".[0].limits.$1"; }
sets() { "$STORAGEOS" set db "$@"; }

# Once the burst is over.
iops() { # DEPTH read|write
	fio --name=rate --filename="$disk" --iodepth="$1" --rw="rand$2" --ioengine=libaio --direct=1 --bs=4k --size=64M \
		--time_based --ramp_time=1 --runtime=4 --output-format=json 2>/dev/null | jq ".jobs[0].$2.iops | floor"
}

factor=$(printf '%.0f' "$STORAGEOS_TIME_FACTOR")
least=$((950 / (factor < 2 ? 1 : factor * factor)))
must "data" dd if=/dev/urandom of="$disk" bs=1M count=64 oflag=direct status=none
must "limits, while it is in use" sets read_iops=1000 write_iops=1000
for depth in 1 32; do
	for rw in read write; do
		limited "$rw, depth $depth" $least 1050 iops $depth $rw
	done
done

# 60 MiB of a queue at 2 MiB a second: half a minute, and no command waits for as long as an initiator does.
must "a low limit" sets write_iops=none write_bytes=2M
echo "scsi said: $(dmesg | grep -cE 'sd .*(timing out|error|abort)')" >"$WORK/before"
begin=$SECONDS
check "a deep queue of large writes is written without an error" fio --name=deep --filename="$disk" --iodepth=120 \
	--rw=write --ioengine=libaio --direct=1 --bs=512k --size=64M --number_ios=120 --output="$WORK/deep"
note "it took $((SECONDS - begin)) s; $(known write.refused) commands were told that the queue is full"
check "it took as long as the limit says" [ $((SECONDS - begin)) -ge 26 ]
check "and the initiator was told to send fewer" [ "$(known write.refused)" -gt 0 ]
check "nothing was given up" [ "$("$STORAGEOS" stats db --json | jq '[.[0].operations[].errors] | add')" = 0 ]
is "the kernel has no complaint" "scsi said: $(dmesg | grep -cE 'sd .*(timing out|error|abort)')" "$(cat "$WORK/before")"
must "the limits are lifted" sets write_bytes= read_iops=

must "the lowest limits" sets read_iops=30 write_iops=30 read_bytes=1M write_bytes=1M
mkdir "$WORK/mnt"
cleanup unmount_for_certain "$WORK/mnt"
must "make a file system" mkfs.ext4 -q -E lazy_itable_init=0,nodiscard -O ^has_journal -i 1048576 "$disk"
must "mount it" mount "$disk" "$WORK/mnt"
check "a file is written and synced" dd if=/dev/urandom of="$WORK/mnt/file" bs=1M count=8 conv=fsync status=none
must "unmount it" umount "$WORK/mnt"
check "the file system is sound" e2fsck -fn "$disk"
check "the runner ends" runner_stop
check "the volume is whole" "$STORAGEOS" check db
finish
