#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Initiators wait while the runner is gone, and get an error when a volume does not come back.
# STORAGEOS_OUTAGE: seconds of the outage, with sd's usual time-out of 30 s.
. "$(dirname "$0")/guest.sh"
need_built "$STORAGEOS_PLUGIN" "$STORAGEOS"
need tcmu-runner tcmu-runner
need targetcli targetcli-fb
need mkfs.ext4 e2fsprogs
enter_guest --timeout $((300 + ${STORAGEOS_OUTAGE:-0})) --env "STORAGEOS_OUTAGE=${STORAGEOS_OUTAGE-}"

plugin_install
must "tcmu-runner offers the backstore" runner_start
must "targetcli makes a volume" targetcli \
	'/backstores/user:storageos create name=db size=1G cfgstring=db;create'
is "the kernel's time-out for commands is off" "$(cat "$(backstore_state db)/attrib/cmd_time_out")" 0
must "attach it" lun_add db 1
DISK=$(device_of db)
SYS=/sys/block/${DISK##*/}/device
must "make a file system on it" mkfs.ext4 -q "$DISK" 512M
mkdir "$WORK/mnt"
must "mount it" mount "$DISK" "$WORK/mnt"
cleanup unmount_for_certain "$WORK/mnt"

# In a short outage, a time-out of 3 s (6 s for a flush) makes the initiator abort its commands.  The
# number of retries is unlimited, however slow this machine is.
hurry() {
	echo 3 >"$SYS/timeout" && echo -1 | tee "$SYS"/scsi_disk/*/max_retries
}
[ -n "$STORAGEOS_OUTAGE" ] || must "shorten the initiator's time-outs" hurry

# ---- one request of each kind waits for the next runner

waits() { # NAME COMMAND...
	local name=$1
	shift
	("$@" >"$WORK/$name.log" 2>&1; echo $? >"$WORK/$name.status") &
	WAITING+=("$name")
}

# One request of each kind; none is answered before the next runner is there.
ask() {
	WAITING=()
	rm -f "$WORK"/*.status
	waits flush sync "$DISK"
	waits write dd if=/dev/urandom of="$DISK" bs=64k count=1 seek=10000 oflag=direct
	waits read dd if="$DISK" of=/dev/null bs=64k count=1 skip=12000 iflag=direct
	waits zeros blkdiscard -f -z -o 700M -l 1M "$DISK"
	waits discard blkdiscard -f -o 800M -l 1M "$DISK"
	waits file dd if=/dev/zero of="$WORK/mnt/file" bs=64k count=10 conv=fsync
}

# Whether the request is still under way.  Data that waits in the page cache was not yet sent.
all_wait() {
	local name
	for name in "${WAITING[@]}"; do
		[ ! -e "$WORK/$name.status" ] || { echo "$name: $(cat "$WORK/$name.log")"; return 1; }
	done
}

ended_well() {
	[ "$(cat "$WORK/$1.status")" = 0 ] || { cat "$WORK/$1.log"; return 1; }
}

all_end_well() { # WHEN
	local name
	for name in "${WAITING[@]}"; do
		wait_for 60 test -s "$WORK/$name.status"
		check "$name: done, $1" ended_well "$name"
	done
	is "the disk is in use" "$(cat "$SYS/state")" running
}

must "the runner is killed" runner_kill
ask
sleep "${STORAGEOS_OUTAGE:-8}" # the outage
check "all requests wait" all_wait
must "the next runner is there" runner_start
all_end_well "by the next runner"

# ---- the volume appears later than the runner

must "the runner is killed again" runner_kill
mv "$POOL/db.vol" "$POOL/away"
must "the next runner is there, too" runner_start
check "the log says that it waits for the volume" wait_for 20 runner_logged 'not ready, waiting for the volume'
ask
sleep "${STORAGEOS_OUTAGE:-4}" # the time until the volume appears
check "all requests wait" all_wait
mv "$POOL/away" "$POOL/db.vol"
all_end_well "with the volume"
check "the file system can be written" dd if=/dev/zero of="$WORK/mnt/after" bs=64k count=10 conv=fsync
must "unmount" unmount "$WORK/mnt"
check "ext4 is sound" e2fsck -fn "$DISK"

# ---- a volume that does not come back

fails_at_once() {
	local start=$SECONDS
	! dd if="$DISK" of=/dev/null bs=4k count=1 iflag=direct && [ $((SECONDS - start)) -lt "$(limit 10)" ]
}

must "make another volume" "$STORAGEOS" create other --size 2G
must "the runner is killed once more" runner_kill
mv "$POOL/db.vol" "$POOL/away" && mv "$POOL/other.vol" "$POOL/db.vol"
must "the next runner is there again" runner_start
check "the log names the wrong size" wait_for 20 runner_logged 'the device has 1073741824 bytes, the volume .* 2147483648'
check "a read fails at once" fails_at_once
must "the runner ends in order" runner_stop
mv "$POOL/away" "$POOL/db.vol"
must "the next runner finds the right volume" runner_start
check "the file system is sound" e2fsck -fn "$DISK"
finish
