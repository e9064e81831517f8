#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The disks below volumes stop answering: a file system is frozen, a device is suspended.  Every command
# is answered in time, other volumes and the runner's main thread continue, and the runner can be
# stopped and started meanwhile.  When the disks answer again, so do the volumes, and nothing is lost.
. "$(dirname "$0")/guest.sh"
need_built "$STORAGEOS_PLUGIN" "$STORAGEOS"
need jq jq
need tcmu-runner tcmu-runner
need targetcli targetcli-fb
need sg_raw sg3-utils
need dmsetup dmsetup
need fio fio
enter_guest --timeout 400

plugin_install
must "load modules" modprobe -a loop dm_mod

# Two pools: "ice" on a file system that will be frozen, "mud" on a device that will be suspended.
pool_on() { # NAME DEVICE
	mkdir "$WORK/$1" && mkfs.ext4 -q "$2" && mount "$2" "$WORK/$1" || return
	cleanup unmount_for_certain "$WORK/$1"
	"$STORAGEOS" pool create "$1" "$WORK/$1"
}

mud_make() {
	dmsetup create --noudevsync mud --table "0 $(blockdev --getsz "$1") linear $1 0" || return
	cleanup dmsetup remove --force --noudevsync mud
	wait_for 10 test -b /dev/mapper/mud
}

truncate -s 256M "$WORK/ice.disk" "$WORK/mud.disk"
must "make a disk" loop_attach "$WORK/ice.disk"
must "make a pool that can be frozen" pool_on ice "$LOOP"
must "make another disk" loop_attach "$WORK/mud.disk"
must "make a device on it that can be suspended" mud_make "$LOOP"
must "make a pool on the device" pool_on mud /dev/mapper/mud

freeze() {
	fsfreeze --freeze "$WORK/ice" && dmsetup suspend --nolockfs --noflush --noudevsync mud
}

thaw() {
	dmsetup resume --noudevsync mud 2>/dev/null
	fsfreeze --unfreeze "$WORK/ice" 2>/dev/null
	true
}
cleanup thaw

must "tcmu-runner offers the backstore" runner_start
must "make a volume in each pool, and another one" backstores_add 64M ice/ice mud/mud default/warm
must "make LUNs of the volumes" luns_add 1 ice mud warm
ice=$(device_of ice) mud=$(device_of mud) warm=$(device_of warm)
ice_sg=$(sg_of "$ice") mud_sg=$(sg_of "$mud")

random_file "$WORK/before" $((16 << 20))
random_file "$WORK/after" $((16 << 20))
put() { # DEVICE FILE
	dd if="$WORK/$2" of="$1" bs=1M oflag=direct conv=fsync status=none
}
same() { # DEVICE FILE
	dd if="$1" iflag=direct bs=1M count=16 status=none | cmp - "$WORK/$2"
}
must "write to ice" put "$ice" before
must "write to mud" put "$mud" before
"$STORAGEOS" stats >/dev/null # caches what a later `stats` needs
sync
# What was written is looked at by udev's programs (blkid, pvscan), if only later.
sleep 1
check "udev has seen what was written" udevadm settle --timeout="$(limit 30)"
# Once leaves pages that a processor has yet to put in a list: their reads would be answered at once.
caches_dropped() {
	echo 3 >/proc/sys/vm/drop_caches
	[ "$(fincore -nb -o pages "$WORK"/{ice/ice,mud/mud}.vol | xargs)" = "0 0" ]
}
must "nothing of the volumes is in memory" wait_for 10 caches_dropped

# ---- nothing answers

requests() { # DEVICE request|done: prints how many requests were made or answered so far
	printf '%d\n' "$(cat "/sys/block/${1##*/}/device/io$2_cnt")"
}
open_requests() { # DEVICE
	echo $(($(requests "$1" request) - $(requests "$1" "done")))
}
commands=()
command_on() { # SG SG_RAW-ARGUMENT...
	local sg=$1
	shift
	sg_raw --timeout=29 "$sg" "$@" >"$WORK/command.${#commands[@]}" 2>&1 &
	commands+=($!)
}

head -c 4096 "$WORK/after" >"$WORK/block"
head -c 8192 "$WORK/before" >"$WORK/two"
printf '\0\026\0\020\0\0\0\0\0\0\0\0\0\0\100\0\0\0\0\10\0\0\0\0' >"$WORK/list"

must "the disks stop answering" freeze
frozen=$SECONDS
before=$(requests "$ice" "done")
block=(00 00 00 50 00 00 00 08 00) # LBA 5000h, 8 blocks
command_on "$ice_sg" -s 4096 -i "$WORK/block" 2a 00 "${block[@]:1}"     # WRITE
command_on "$ice_sg" -s 4096 -i "$WORK/block" 2a 08 "${block[@]:1}"     # with FUA
command_on "$ice_sg" -s 4096 -i "$WORK/block" 2e 00 "${block[@]:1}"     # WRITE AND VERIFY
command_on "$ice_sg" -s 24 -i "$WORK/list" 42 00 00 00 00 00 00 00 18 00 # UNMAP
command_on "$ice_sg" -s 512 -i "$WORK/block" 41 00 "${block[@]:1}"      # WRITE SAME
command_on "$ice_sg" -s 8192 -i "$WORK/two" \
	89 00 00 00 00 00 00 00 00 00 00 00 00 08 00 00 # COMPARE AND WRITE
command_on "$ice_sg" -s 4096 -i "$WORK/block" \
	8b 00 00 00 00 00 00 00 50 00 00 00 00 08 00 00 # ORWRITE
command_on "$mud_sg" -r 4096 28 00 00 00 00 00 00 00 08 00 # READ
command_on "$mud_sg" 2f 00 00 00 10 00 00 00 08 00         # VERIFY
for ((i = 0; i < 8; i++)); do # more than the device's threads
	command_on "$ice_sg" -s 4096 -i "$WORK/block" 2a 00 00 00 60 "$(printf %02x $((i * 8)))" 00 00 08 00
	command_on "$mud_sg" -r 4096 28 00 00 00 20 "$(printf %02x $((i * 8)))" 00 00 08 00
done
put "$ice" after &
ice_put=$!
put "$mud" after &
mud_put=$!
waiting() {
	[ "$(open_requests "$ice")" -ge 15 ] && [ "$(open_requests "$mud")" -ge 10 ]
}
must "commands wait for them" wait_for 20 waiting

at_once() { # SG: commands that need no disk
	within 20 sg_inq "$1" && within 20 sg_turs "$1" && within 20 sg_readcap -l "$1" &&
		within 20 sg_modes -p 8 "$1" && within 20 sg_requests "$1"
}
check "INQUIRY, TEST UNIT READY and the like are answered at once on ice" at_once "$ice_sg"
check "the same commands are answered at once on mud" at_once "$mud_sg"
is "stats tell of all of them" "$(within 20 "$STORAGEOS" stats --json | jq -r '[.[].volume] | join(" ")')" \
	"default/warm ice/ice mud/mud"
fio --name=warm --filename="$warm" --direct=1 --ioengine=libaio --iodepth=4 --rw=randwrite \
	--bsrange=4k-64k --size=32M --io_size=1G --time_based --runtime=5 --verify=crc32c \
	--verify_backlog=32 --verify_fatal=1 --fsync=16 --output-format=json \
	--output="$WORK/warm.json" >/dev/null &
warm_load=$!
other_made() {
	within 20 targetcli <<-END
	/backstores/user:storageos create name=other size=64M cfgstring=other;create
	/backstores/user:storageos delete other
	END
}
check "targetcli makes and deletes another volume" other_made
wait $warm_load
is "another volume goes on: fio verifies it" "$?" 0
slowest=$(jq '[.jobs[0].write.clat_ns.max, .jobs[0].read.clat_ns.max] | max / 1e6 | floor' "$WORK/warm.json")
note "its slowest request: $slowest ms"
check "no request to the other volume waits long" test "$slowest" -lt "$(limit 5)000"

answered() {
	[ "$(requests "$ice" "done")" -ge $((before + 15)) ]
}
check "commands on ice are answered" wait_for 26 answered
check "the runner lives" runner_alive

# ---- the runner is stopped and started while nothing answers

# Threads that are blocked in the kernel stay until the disks answer.
main_thread_ended() { # PID
	[ ! -e "/proc/$1" ] || [ "$(sed 's/.*) //' "/proc/$1/stat" | cut -c1)" = Z ]
}
old=$(cat "$WORK/runner.pid")
kill "$old"
stopping=$SECONDS
check "the runner ends when it is told to, but for what the kernel keeps of it" \
	wait_for 40 main_thread_ended "$old"
note "after $((SECONDS - stopping)) s; the disks have not answered for $((SECONDS - frozen)) s"
check "the next runner starts" runner_start
check "ice is not ready" wait_for 10 runner_logged 'ice/ice: not ready'
check "mud is not ready" wait_for 10 runner_logged 'mud/mud: not ready'
check "the other volume can be read" within 20 dd if="$warm" of=/dev/null bs=1M count=4 iflag=direct status=none

for command in "${commands[@]}"; do
	wait "$command"
done
note "the kernel sent each command again, and it ended with: $(
	grep -hoE 'SCSI Status: [A-Za-z ]+' "$WORK"/command.* | sort | uniq -c | tr -s ' \n' ' ')"
is "every command was answered" "$(cat "$WORK"/command.* | grep -c 'SCSI Status:')" "${#commands[@]}"
is "no command had to be aborted" "$(dmesg | grep -ciE 'abort|reset|offline')" 0

# ---- the disks answer again

must "the disks answer again" thaw
check "ice is open" wait_for 20 runner_logged 'ice/ice: (the volume is there now|open)'
check "mud is open" wait_for 20 runner_logged 'mud/mud: (the volume is there now|open)'
wait $ice_put
is "the write that was under way on ice succeeds" "$?" 0
wait $mud_put
is "the write that was under way on mud succeeds" "$?" 0
check "ice has all its data" same "$ice" after
check "mud has all its data" same "$mud" after
check "the old runner is gone" wait_for 20 gone "$old"

# ---- the runner is killed while nothing answers

must "write more to ice" put "$ice" before
must "the disks stop answering" freeze
put "$ice" after &
ice_put=$!
busy() {
	[ "$(open_requests "$ice")" -ge 1 ]
}
must "a write waits" wait_for 10 busy
sleep 1 # the write is stuck in the plugin's thread by then
kill -9 "$(cat "$WORK/runner.pid")"
sleep 1 # the killed process stays in the kernel until the disks answer
must "the disks answer again" thaw
check "the runner is gone" wait_for 20 runner_gone
must "the next runner starts" runner_start
wait $ice_put
is "the write that was under way succeeds" "$?" 0
check "ice has all its data" same "$ice" after
targetcli clearconfig confirm=True >/dev/null
check "the runner ends in order" runner_stop
for name in ice/ice mud/mud default/warm; do
	check "$name is whole" "$STORAGEOS" check "$name"
done
finish
