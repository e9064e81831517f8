#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A link leads to its volume's device or does not exist: while a volume is closed, after a detach that
# failed, and after the device was removed by hand.
. "$(dirname "$0")/../lib.sh"
need jq jq
need mkfs.ext4 e2fsprogs
need fsfreeze util-linux
need_root
need_fuse
need_loop
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
own_config
config_set frontend=fuse

state() { "$STORAGEOS" status "$1" --json | jq -r ".[0].$2"; }
loop_of() { losetup -n -O NAME,BACK-FILE | awk -v f="$WORK/run/mnt/$1/${1#*/}" '$2 == f { print $1 }'; }
free_of() { [ -z "$(loop_of "$1")" ]; }

take_away() {
	fsfreeze -u "$WORK/slow"
	for v in slow/a default/b default/c; do "$STORAGEOS" detach "$v"; done
	attached_end
	unmount_for_certain "$WORK/slow"
	unmount_for_certain "$WORK/twin"
}
pool_on_disk slow "$WORK/slow.img" 128M
cleanup take_away
for v in slow/a default/b default/c; do
	must "make $v" "$STORAGEOS" create "$v" --size 64M
done

# ---- files with the same inode number on two file systems

mkdir "$WORK/twin"
sync -f "$WORK/slow"
must "a copy of that disk" cp --sparse=always "$WORK/slow.img" "$WORK/twin.img"
must "mount the copy of the disk" mount -o loop "$WORK/twin.img" "$WORK/twin"
exec 8<"$WORK/twin/a.vol"
must "lock the copy's file with the volume's inode number" flock -n 8
is "the volume is not taken for in use" "$(stat -c %i "$WORK/twin/a.vol") $(state slow/a state)" \
	"$(stat -c %i "$WORK/slow/a.vol") detached"
exec 8<&-
must "unmount" unmount "$WORK/twin"

# ---- a close that hangs

must "attach it" "$STORAGEOS" attach slow/a
must "write to it" dd if=/dev/urandom of="$WORK/dev/slow/a" bs=1M count=2 oflag=direct conv=fsync status=none
first=$(readlink "$WORK/dev/slow/a")
must "freeze the disk of the pool" fsfreeze -f "$WORK/slow"
"$STORAGEOS" detach slow/a >"$WORK/said" 2>&1 &
detaching=$!
check "detach frees the loop device" wait_for 60 free_of slow/a
check "the link is removed before the loop device" test ! -L "$WORK/dev/slow/a"
check "detach still waits for the close" alive $detaching
must "another volume is attached meanwhile" "$STORAGEOS" attach default/b
note "the first had $first, the second has $(readlink "$WORK/dev/default/b")"
is "one link leads to its device" \
	"$(find "$WORK/dev" -type l -lname "$(readlink "$WORK/dev/default/b")")" "$WORK/dev/default/b"
must "the disk answers again" fsfreeze -u "$WORK/slow"
wait $detaching
is "detach succeeds" "$? $(<"$WORK/said")" "0 "
check "the volume is whole" "$STORAGEOS" check slow/a

# ---- a detach that fails before the device is removed

# Detach waits only for udev's workers; a worker that does not end keeps the device.
device=$(readlink "$WORK/dev/default/b")
mkfifo "$WORK/never"
bash -c 'echo "(udev-worker)" >/proc/self/comm; exec 3<"$1"; read -r _ <>"$2"' bash "$device" \
	"$WORK/never" >/dev/null 2>&1 &
holder=$!
cleanup kill -9 $holder
has_it_open() { find "/proc/$holder/fd" -lname "$device" | grep -q .; }
must "a process keeps the device open" wait_for 10 has_it_open
"$STORAGEOS" detach default/b >"$WORK/said" 2>&1 &
detaching=$!
no_link() { [ ! -L "$WORK/dev/default/b" ]; }
check "detach removes the link first" wait_for 10 no_link
is "the loop device is still there then" "$(loop_of default/b)" "$device"
wait $detaching
is "detach fails" "$?" 1
like "detach names the device that stays" "$(<"$WORK/said")" "$device stays attached: another process has it open"
is "the link is restored" "$(readlink "$WORK/dev/default/b")" "$device"
kill -9 $holder
wait $holder 2>/dev/null
check "the volume can be detached then" "$STORAGEOS" detach default/b
check "no link is left after the detach" no_link

# ---- a device that was removed by hand

must "attach it" "$STORAGEOS" attach default/b
device=$(readlink "$WORK/dev/default/b")
must "the server has seen its user" wait_for 10 attended default/b
must "detach the loop device by hand" losetup -d "$device"
wait_for 5 free_of default/b
like "status reports the missing loop device" "$(state default/b problem)" 'loop device is gone'
must "attach another volume" "$STORAGEOS" attach default/c
note "the first had $device, the second has $(readlink "$WORK/dev/default/c")"
check "attach removes the link that led to a foreign device" no_link
is "one link leads to the other's device" \
	"$(find "$WORK/dev" -type l -lname "$(readlink "$WORK/dev/default/c")")" "$WORK/dev/default/c"
check "detach" "$STORAGEOS" detach default/b

# A link that stayed on disk after a loss of power.
must "a link of a volume that is not attached" ln -s "$(readlink "$WORK/dev/default/c")" "$WORK/dev/default/b"
is "status reports a stale link" "$(state default/b state)" broken
like "status prints where the stale link leads" "$(state default/b problem)" "the link .*/default/b still points to /dev/loop"
check "a stale link does not prevent a shrink" "$STORAGEOS" resize default/b 16M --force
check "a stale link does not prevent a new UUID" "$STORAGEOS" set default/b uuid=new
check "detach removes the stale link" "$STORAGEOS" detach default/b
check "detach removes only the stale link" test ! -L "$WORK/dev/default/b" -a -L "$WORK/dev/default/c"
is "status: detached" "$(state default/b state)" detached
must "attach it" "$STORAGEOS" attach default/b
device=$(readlink "$WORK/dev/default/b")
ln -sfn "$(readlink "$WORK/dev/default/c")" "$WORK/dev/default/b"
like "status reports a link to another volume's device" "$(state default/b problem)" 'points to another device'
check "attach mends the link" "$STORAGEOS" attach default/b
is "the link leads to the volume's device" "$(readlink "$WORK/dev/default/b")" "$device"
check "detach" "$STORAGEOS" detach default/b
check "detach" "$STORAGEOS" detach default/c
finish
