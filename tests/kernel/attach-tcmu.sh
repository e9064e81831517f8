#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# `storageos attach` over TCMU in a real kernel: the device and its names, with every part killed.
. "$(dirname "$0")/guest.sh"
need_built "$STORAGEOS" "$STORAGEOS_PLUGIN"
need tcmu-runner tcmu-runner
need targetcli targetcli-fb
enter_guest --timeout 500
plugin_install
rmmod tcm_loop target_core_user

link=$WORK/dev/default/db
state() { "$STORAGEOS" status "$1" --json | jq -r ".[0].$2"; }
attach() { "$STORAGEOS" attach "$@" 2>"$WORK/said" || { sed 's/^/# /' "$WORK/said" >&2; false; }; }
runner_dead() { ! pidof tcmu-runner; }
kill_runner() { kill -9 "$(pidof tcmu-runner)" && wait_for 10 runner_dead; }
left() {
	find "$CONFIGFS/core" -mindepth 1 -maxdepth 1 -name 'user_*' | wc -l
	find "$CONFIGFS/loopback" -mindepth 1 -maxdepth 1 -name 'naa.*' | wc -l
}
data() { dd if="$link" bs=1M count=8 iflag=direct status=none | sha256sum; }

must "make a volume" "$STORAGEOS" create db --size 256M

# ---- attach loads the modules and starts the runner

is "attach prints the device's path and nothing else" "$(attach db)" "$link"
like "attach prints its choice and the reason" "$(<"$WORK/said")" 'attached over TCMU \(.*offer'
device=$(readlink "$link")
like "the device is a SCSI disk" "$device" '^/dev/sd[a-z]+$'
is "the device has the volume's size" "$(blockdev --getsize64 "$device")" $((256 << 20))
uuid=$("$STORAGEOS" info db --json | jq -r .uuid)
is "whose unit serial is the volume's UUID" \
	"$(tail -c +5 "/sys/block/${device##*/}/device/vpd_pg80" | tr -d "\0")" "$uuid"
by_id() { readlink -f /dev/disk/by-id/* | grep -qx "$device"; }
check "the device has a name in /dev/disk/by-id" wait_for 10 by_id
like "requests of 1 MiB are allowed" "$(cat "$CONFIGFS"/core/user_*/default:db/info)" \
	'HwMaxSectors: 2048'
is "status: attached" "$(state db state)" attached
is "status: over TCMU" "$(state db frontend)" tcmu
is "status: by this runner" "$(state db pid)" "$(pidof tcmu-runner)"
like "info of an attached volume says who has it open" "$("$STORAGEOS" info db)" \
	'open in +process [0-9]+ \(tcmu-runner\)'
random_file "$WORK/data" $((8 << 20))
must "write to it" dd if="$WORK/data" of="$link" bs=1M oflag=direct conv=fsync
written=$(sha256sum <"$WORK/data")
is "the data is read back" "$(data)" "$written"
check "attaching an attached volume succeeds" attach db
like "attaching an attached volume says so" "$(<"$WORK/said")" 'already attached over TCMU'
refuses "an attached volume cannot be deleted" 'still attached' "$STORAGEOS" delete db

# ---- in use

must "make a file system" mkfs.ext4 -q "$link"
mkdir "$WORK/mnt"
must "mount it" mount "$link" "$WORK/mnt"
cleanup umount -l "$WORK/mnt"
refuses "detach refuses while it is mounted, and says where" "mounted on $WORK/mnt" \
	"$STORAGEOS" detach db

# ---- the runner dies under a mounted file system

random_file "$WORK/mnt/before" 100000
sync -f "$WORK/mnt"
sum=$(checksum "$WORK/mnt/before")
must "kill -9 tcmu-runner" kill_runner
is "status tells it" "$(state db state)" broken
like "status names the problem" "$(state db problem)" 'tcmu-runner is no longer running'
refuses "detach still refuses" "mounted on $WORK/mnt" "$STORAGEOS" detach db
is "attach brings it back" "$(attach db)" "$link"
is "status: attached" "$(state db state)" attached
echo 3 >/proc/sys/vm/drop_caches
is "the files are there" "$(checksum "$WORK/mnt/before")" "$sum"
check "the file system continues" dd if=/dev/zero of="$WORK/mnt/after" bs=64k count=10 conv=fsync
must "unmount" unmount "$WORK/mnt"

# ---- detach

check "detach" "$STORAGEOS" detach db
is "no backstore and no target are left" "$(left)" $'0\n0'
check "the link is gone" test ! -L "$link"
is "status: detached" "$(state db state)" detached
like "detaching what is not attached succeeds and says so" \
	"$("$STORAGEOS" detach db 2>&1 && echo "done")" 'not attached'
check "the volume is whole" "$STORAGEOS" check db

# ---- a close that hangs

modprobe loop
truncate -s 128M "$WORK/slow.img"
mkfs.ext4 -q "$WORK/slow.img"
mkdir "$WORK/slow"
must "mount a disk for a pool" mount -o loop "$WORK/slow.img" "$WORK/slow"
cleanup umount -l "$WORK/slow"
cleanup fsfreeze -u "$WORK/slow"
must "make a pool on it" "$STORAGEOS" pool create slow "$WORK/slow"
must "make a volume in it" "$STORAGEOS" create slow/a --size 64M
must "attach the volume" attach slow/a
must "write to it" dd if="$WORK/data" of="$WORK/dev/slow/a" bs=1M oflag=direct conv=fsync
disk=$(basename "$(readlink "$WORK/dev/slow/a")")
disk_gone() { [ ! -e "/sys/block/$disk" ]; }
must "freeze the pool's disk" fsfreeze -f "$WORK/slow"
"$STORAGEOS" detach slow/a >"$WORK/said" 2>&1 &
detaching=$!
check "detach removes the SCSI disk" wait_for 120 disk_gone
check "the link is gone before the close ends" test ! -L "$WORK/dev/slow/a"
wait $detaching
is "detach succeeds" "$? $(<"$WORK/said")" "0 "
must "the disk answers again" fsfreeze -u "$WORK/slow"
is "no backstore and no target are left" "$(left)" $'0\n0'

# ---- the runner dies, then detach

must "attach again" attach db
must "write to it" dd if="$WORK/data" of="$link" bs=1M oflag=direct conv=fsync
must "kill -9 tcmu-runner" kill_runner
begun=$SECONDS
check "detach cleans up without the runner" "$STORAGEOS" detach db
in_time "in less than 20 s" $begun 20
is "no backstore and no target are left" "$(left)" $'0\n0'
is "attach comes back" "$(attach db)" "$link"
is "the device has the data" "$(data)" "$written"

# ---- attach dies in the middle: the next attach continues, whatever the first left

for limit in 0.3 1 1.7 2.4 3.5 5; do
	"$STORAGEOS" detach db >/dev/null 2>&1
	(timeout -s KILL "$limit" "$STORAGEOS" attach db; :) >/dev/null 2>&1
	note "after $limit s: $("$STORAGEOS" status db)"
	is "attach after one that was killed after $limit s" "$(attach db)" "$link"
done
is "the device has the data" "$(data)" "$written"

# ---- backstores that others made

must "detach" "$STORAGEOS" detach db
must "make the backstore with targetcli" targetcli \
	'/backstores/user:storageos create name=mine size=256M cfgstring=db'
is "status tells it" "$(state db state)" "in use"
refuses "attach says which one it is" 'over TCMU by the backstore mine ' "$STORAGEOS" attach db
refuses "detach leaves it alone" 'over TCMU by the backstore mine ' "$STORAGEOS" detach db
must "delete the backstore with targetcli" targetcli /backstores/user:storageos delete mine

# ---- a volume of 4096-byte blocks, and a front end that is forced

must "make a volume of 4096-byte blocks" "$STORAGEOS" create big --size 64M --block-size 4096
must "attach it" attach big --frontend tcmu
is "the device has them" "$(blockdev --getss "$WORK/dev/default/big")" 4096
must "detach it" "$STORAGEOS" detach big
truncate -s 100M "$WORK/disk"
modprobe loop
must "have a block device" loop_attach "$WORK/disk"
must "make it a volume" "$STORAGEOS" create "$LOOP" --size 1G
is "attach it" "$(attach "$LOOP" --frontend tcmu)" "$WORK/dev/_device/dev:${LOOP#/dev/}"
is "the device of a block device has the volume's size" "$(blockdev --getsize64 "$WORK/dev/_device/dev:${LOOP#/dev/}")" $((1 << 30))
is "status knows it" "$("$STORAGEOS" status "$LOOP" --json | jq -r '.[0] | "\(.state) \(.frontend)"')" \
	"attached tcmu"
check "detach it" "$STORAGEOS" detach "$LOOP"
check "the volume is whole" "$STORAGEOS" check "$LOOP"
is "FUSE where it is asked for" "$(attach db --frontend fuse)" "$link"
like "says so" "$(<"$WORK/said")" 'attached over FUSE \(it was requested\)'
like "is a loop device" "$(readlink "$link")" '^/dev/loop'
is "has the same data" "$(data)" "$written"
check "detach" "$STORAGEOS" detach db
is "no backstore and no target are left" "$(left)" $'0\n0'
finish
