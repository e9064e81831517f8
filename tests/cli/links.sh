#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A link leads to its volume's device or does not exist: while a volume is closed, after a detach that
# failed, and after the device was removed by hand.
. "$(dirname "$0")/../lib.sh"
need jq jq
need mkfs.ext4 e2fsprogs
need fsfreeze util-linux
need_root
[ -c /dev/fuse ] || modprobe fuse 2>/dev/null || skip_all "this kernel has no FUSE"
[ -c /dev/loop-control ] || modprobe loop 2>/dev/null || skip_all "this kernel has no loop devices"
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
own_config
sed -i '/^\[storageos\]/a frontend=fuse' "$STORAGEOS_CONFIG"

state() { "$STORAGEOS" status "$1" --json | jq -r ".[0].$2"; }
loop_of() { losetup -n -O NAME,BACK-FILE | awk -v f="$WORK/run/mnt/$1/${1#*/}" '$2 == f { print $1 }'; }
free_of() { [ -z "$(loop_of "$1")" ]; }

take_away() {
	fsfreeze -u "$WORK/slow"
	for v in slow/a default/b default/c; do "$STORAGEOS" detach "$v"; done
	cat "$WORK"/run/state/*.pid | xargs -r kill -9
	losetup -n -O NAME,BACK-FILE | grep -F "$WORK/run" | while read -r device _; do losetup -d "$device"; done
	for v in slow/a default/b default/c; do unmount_for_certain "$WORK/run/mnt/$v"; done
	unmount_for_certain "$WORK/slow"
	unmount_for_certain "$WORK/twin"
}
truncate -s 128M "$WORK/slow.img"
must "a disk for a pool" mkfs.ext4 -q "$WORK/slow.img"
must "a loop device for it" loop_attach "$WORK/slow.img"
cleanup take_away
mkdir "$WORK/slow"
must "it is mounted" mount "$LOOP" "$WORK/slow"
must "it is a pool" "$STORAGEOS" pool create slow "$WORK/slow"
for v in slow/a default/b default/c; do
	must "make $v" "$STORAGEOS" create "$v" --size 64M
done

# ---- files with the same inode number on two file systems

mkdir "$WORK/twin"
sync -f "$WORK/slow"
must "a copy of that disk" cp --sparse=always "$WORK/slow.img" "$WORK/twin.img"
must "is mounted" mount -o loop "$WORK/twin.img" "$WORK/twin"
exec 8<"$WORK/twin/a.vol"
must "its file is locked, which has the volume's inode number" flock -n 8
is "the volume is not in use for that" "$(stat -c %i "$WORK/twin/a.vol") $(state slow/a state)" \
	"$(stat -c %i "$WORK/slow/a.vol") detached"
exec 8<&-
must "unmount" unmount "$WORK/twin"

# ---- a close that hangs

must "attach it" "$STORAGEOS" attach slow/a
must "write to it" dd if=/dev/urandom of="$WORK/dev/slow/a" bs=1M count=2 oflag=direct conv=fsync status=none
first=$(readlink "$WORK/dev/slow/a")
must "its pool's disk does not answer any more" fsfreeze -f "$WORK/slow"
"$STORAGEOS" detach slow/a >"$WORK/said" 2>&1 &
detaching=$!
check "detach frees the loop device" wait_for 60 free_of slow/a
check "when the link has gone" test ! -L "$WORK/dev/slow/a"
check "while the volume is still being closed" alive $detaching
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
must "somebody holds on to the device" wait_for 10 has_it_open
"$STORAGEOS" detach default/b >"$WORK/said" 2>&1 &
detaching=$!
no_link() { [ ! -L "$WORK/dev/default/b" ]; }
check "the link goes first" wait_for 10 no_link
is "before the loop device" "$(loop_of default/b)" "$device"
wait $detaching
is "detach fails" "$?" 1
like "and says why" "$(<"$WORK/said")" "$device stays: somebody has it open"
is "the link is there again" "$(readlink "$WORK/dev/default/b")" "$device"
kill -9 $holder
wait $holder 2>/dev/null
check "then it can be detached" "$STORAGEOS" detach default/b
check "and has no link" no_link

# ---- a device that was removed by hand

must "attach it" "$STORAGEOS" attach default/b
device=$(readlink "$WORK/dev/default/b")
must "its server has seen it" wait_for 10 attended default/b
must "somebody detaches the loop device" losetup -d "$device"
wait_for 5 free_of default/b
like "status tells" "$(state default/b problem)" 'loop device is gone'
must "attach another volume" "$STORAGEOS" attach default/c
note "the first had $device, the second has $(readlink "$WORK/dev/default/c")"
check "the link that led astray is gone" no_link
is "one link leads to the other's device" \
	"$(find "$WORK/dev" -type l -lname "$(readlink "$WORK/dev/default/c")")" "$WORK/dev/default/c"
check "detach" "$STORAGEOS" detach default/b

# A link that stayed on disk after a loss of power.
must "a link of a volume that is not attached" ln -s "$(readlink "$WORK/dev/default/c")" "$WORK/dev/default/b"
is "is told" "$(state default/b state)" broken
like "with where it leads" "$(state default/b problem)" "the link .*/default/b still points to /dev/loop"
check "it does not keep the volume from becoming smaller" "$STORAGEOS" resize default/b 16M --force
check "nor from another UUID" "$STORAGEOS" set default/b uuid=new
check "detach takes it away" "$STORAGEOS" detach default/b
check "only it" test ! -L "$WORK/dev/default/b" -a -L "$WORK/dev/default/c"
is "status: detached" "$(state default/b state)" detached
must "attach it" "$STORAGEOS" attach default/b
device=$(readlink "$WORK/dev/default/b")
ln -sfn "$(readlink "$WORK/dev/default/c")" "$WORK/dev/default/b"
like "one that leads to another's device is told" "$(state default/b problem)" 'points to another device'
check "attach mends it" "$STORAGEOS" attach default/b
is "it leads to the volume's device" "$(readlink "$WORK/dev/default/b")" "$device"
check "detach" "$STORAGEOS" detach default/b
check "detach" "$STORAGEOS" detach default/c
finish
