#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# attach, detach and status over FUSE on this machine's kernel, with every part killed.
. "$(dirname "$0")/../lib.sh"
need jq jq
need mkfs.ext4 e2fsprogs
need_root
need_fuse
need_loop
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
own_config
config_set frontend=fuse

link=$WORK/dev/default/db
mount=$WORK/run/mnt/default/db
state() { "$STORAGEOS" status db --json | jq -r ".[0].$1"; }
attach() { "$STORAGEOS" attach "$@" 2>"$WORK/said"; }
data() { dd if="$link" bs=1M count=8 iflag=direct status=none | sha256sum; }
mounted() { grep -q " $1 " /proc/mounts; }
loops() { losetup -n -O BACK-FILE | grep -c "^$mount/"; }
kill_server() { local p; p=$(state pid); kill -9 "$p" && wait_for 10 gone "$p"; }

# Clean up, however the test ends.
take_away() {
	umount -l "$WORK/mnt" 2>/dev/null
	for v in db other; do "$STORAGEOS" detach "$v"; done
	attached_end
}
cleanup take_away

must "make a volume" "$STORAGEOS" create db --size 256M

# ---- attach

is "attach prints the device's path and nothing else" "$(attach db)" "$link"
like "attach prints its choice and the reason" "$(<"$WORK/said")" 'attached over FUSE \(the configuration says so\)'
device=$(readlink "$link")
like "the device is a loop device" "$device" '^/dev/loop[0-9]+$'
is "the device has the volume's size" "$(blockdev --getsize64 "$device")" $((256 << 20))
is "the loop device uses direct I/O" "$(losetup -n -O DIO "$device" | tr -d ' ')" 1
is "status: attached" "$(state state)" attached
is "status: over FUSE" "$(state frontend)" fuse
like "status: by this process" "$(tr '\0' ' ' <"/proc/$(state pid)/cmdline")" "storageos-fuse .*$mount"
like "status for people" "$("$STORAGEOS" status | tr -s ' ')" \
	"^default/db attached FUSE $link \($device\)\$"
like "status -v prints the reason" "$("$STORAGEOS" status -v)" "chosen because: the configuration says so"
like "info says who has it open" "$("$STORAGEOS" info db)" 'open in +process [0-9]+ \(storageos-fuse\)'
is "info knows its size" "$("$STORAGEOS" info db --json | jq .size)" $((256 << 20))
random_file "$WORK/data" $((8 << 20))
written=$(sha256sum <"$WORK/data")
must "write to it" dd if="$WORK/data" of="$link" bs=1M oflag=direct conv=fsync
is "the data is read back" "$(data)" "$written"
is "attaching an attached volume prints the device again" "$(attach db)" "$link"
like "attaching an attached volume says so" "$(<"$WORK/said")" 'already attached over FUSE'
is "attach --json" "$("$STORAGEOS" attach db --json 2>/dev/null | jq -r '"\(.link) \(.device) \(.frontend)"')" \
	"$link $device fuse"
is "there is one loop device" "$(loops)" 1
refuses "an attached volume cannot be deleted" 'still attached' "$STORAGEOS" delete db
refuses "an attached volume cannot be checked" 'in use by process [0-9]+ \(storageos-fuse\)' "$STORAGEOS" check db

# ---- in use

exec 9<"$link"
refuses "detach refuses while a process has it open, and names it" \
	"it is in use: $device is open in process [0-9]+ \(" "$STORAGEOS" detach db
exec 9<&-
must "make a file system" mkfs.ext4 -q "$link"
mkdir "$WORK/mnt"
must "mount it" mount "$link" "$WORK/mnt"
refuses "detach refuses while it is mounted, and says where" "mounted on $WORK/mnt" \
	"$STORAGEOS" detach db
is "the volume is still attached" "$(state state)" attached
must "fill it" tree_fill "$WORK/mnt" 30
sum=$(tree_checksum "$WORK/mnt")
must "unmount" unmount "$WORK/mnt"
mkswap "$link" >/dev/null 2>&1
if swapon "$link" 2>/dev/null; then
	refuses "detach refuses while it is swap" 'used as swap' "$STORAGEOS" detach db
	must "swapoff" swapoff "$link"
else
	skip "detach refuses while it is swap" "swap cannot be had here"
fi

# ---- detach

must "put the data back" dd if="$WORK/data" of="$link" bs=1M oflag=direct conv=fsync
check "detach" "$STORAGEOS" detach db
is "the loop device is gone" "$(loops)" 0
is "the mount is gone" "$(mounted "$mount" && echo yes)" ""
check "the link is gone" test ! -L "$link"
is "status: detached" "$(state state)" detached
is "nothing is left in the run directory" "$(find "$WORK/run/state" "$WORK/run/lock" "$WORK/run/control" -type f)" ""
check "detaching a detached volume succeeds" "$STORAGEOS" detach db
check "the volume is whole" "$STORAGEOS" check db
must "attach again" attach db
is "the data is there" "$(data)" "$written"

# ---- kill -9 of the server

must "kill -9 storageos-fuse" kill_server
is "status: broken" "$(state state)" broken
like "status names the problem" "$(state problem)" 'storageos-fuse is no longer running'
check "detach cleans up" "$STORAGEOS" detach db
is "no loop device, no mount" "$(loops) $(mounted "$mount" && echo yes)" "0 "
is "attach restores the device" "$(attach db)" "$link"
is "the device has the data" "$(data)" "$written"
must "kill -9 storageos-fuse" kill_server
is "attach restores the device without a detach" "$(attach db)" "$link"
is "the device has the data" "$(data)" "$written"
is "there is one loop device" "$(loops)" 1
is "status: attached" "$(state state)" attached

must "make a file system" mkfs.ext4 -q "$link"
must "mount it" mount "$link" "$WORK/mnt"
must "fill it" tree_fill "$WORK/mnt" 30
must "sync it" sync -f "$WORK/mnt"
sum=$(tree_checksum "$WORK/mnt")
must "kill -9 storageos-fuse under the mounted file system" kill_server
refuses "attach names the user of the dead device" "still in use: .*mounted on $WORK/mnt" "$STORAGEOS" attach db
refuses "detach names the user of the dead device" "mounted on $WORK/mnt" "$STORAGEOS" detach db
must "unmount" unmount "$WORK/mnt"
is "attach restores the device afterwards" "$(attach db)" "$link"
e2fsck -p "$link" >"$WORK/fsck" # replays the file system's journal
check "the file system is whole" e2fsck -fn "$link"
must "mount it" mount "$link" "$WORK/mnt"
is "everything that was synced is there" "$(tree_checksum "$WORK/mnt")" "$sum"
must "unmount" unmount "$WORK/mnt"

# ---- parts that others removed

must "somebody detaches the loop device" losetup -d "$(readlink "$link")"
no_loops() { [ "$(loops)" = 0 ]; }
wait_for 5 no_loops
is "status: broken" "$(state state)" broken
like "status names the problem" "$(state problem)" 'loop device is gone'
is "attach restores the device" "$(attach db)" "$link"
rm -f "$WORK"/run/state/*
is "status knows the volume without its state file" "$(state state)" attached
must "somebody removes the link" rm "$link"
like "status reports the missing link" "$(state problem)" "the link .* is missing"
is "attach makes the link again" "$(attach db)" "$link"
is "there is one loop device" "$(loops)" 1
check "detach" "$STORAGEOS" detach db

# ---- attach dies in the middle: a server that is still starting makes detach report the volume in use

for limit in 0.005 0.01 0.015 0.02 0.025 0.03 0.04 0.06; do
	timeout -s KILL $limit "$STORAGEOS" attach db >/dev/null 2>&1
	got=$(attach db)
	[ "$got" = "$link" ] && [ "$(loops)" = 1 ] && [ "$(state state)" = attached ] || {
		not_ok "attach after one that was killed after $limit s" "$got: $(<"$WORK/said")"
		continue
	}
	"$STORAGEOS" detach db || not_ok "detach after that"
	timeout -s KILL $limit "$STORAGEOS" attach db >/dev/null 2>&1
	check "detach after an attach that was killed after $limit s" wait_for 10 "$STORAGEOS" detach db
	is "nothing is left of it" "$(loops) $(mounted "$mount" && echo yes)" "0 "
done 2>/dev/null
check "the volume is whole" "$STORAGEOS" check db

# A process whose first thread has ended looks like one that is ending: its memory is out of sight, its
# files are open.
python3 - "$WORK/pool/db.vol" "$WORK/locked" <<-'END' &
	import ctypes, fcntl, os, sys, threading, time
	volume = open(sys.argv[1], "rb")
	fcntl.flock(volume, fcntl.LOCK_EX)
	open(sys.argv[2], "w").close()
	threading.Thread(target=lambda: (time.sleep(0.5), os._exit(0))).start()
	ctypes.CDLL(None).syscall(60, 0)
END
until [ -e "$WORK/locked" ]; do sleep 0.02; done
check "detach waits for a server that is ending" "$STORAGEOS" detach db

# ---- at the same time

for i in {1..6}; do
	"$STORAGEOS" attach db 2>/dev/null &
done >"$WORK/all"
wait
is "six concurrent attaches all print the device" "$(sort -u "$WORK/all" | xargs) $(wc -l <"$WORK/all")" "$link 6"
is "there is one loop device" "$(loops)" 1
for i in {1..6}; do
	("$STORAGEOS" detach db 2>/dev/null || echo failed) &
done >"$WORK/all"
wait
is "six concurrent detaches all succeed" "$(<"$WORK/all")" ""
is "status: detached" "$(state state)" detached

# ---- other devices and processes

must "make a volume of 4096-byte blocks" "$STORAGEOS" create other --size 64M --block-size 4096
must "attach it" attach other
is "the device has 4096-byte blocks" "$(blockdev --getss "$WORK/dev/default/other")" 4096
check "detach it" "$STORAGEOS" detach other

truncate -s 100M "$WORK/disk"
must "have a block device" loop_attach "$WORK/disk"
cleanup "$STORAGEOS" detach "$LOOP"
must "make a file system on it" mkfs.ext4 -q "$LOOP"
refuses "create refuses a device with a file system" 'hold data \(wipe it, or use --force\); it holds a file system \(ext4\)' \
	"$STORAGEOS" create "$LOOP" --size 1G
must "create --force makes a volume on it" "$STORAGEOS" create "$LOOP" --size 1G --force
name=${LOOP#/dev/}
is "a block device that is a volume is attached" "$(attach "$LOOP")" "$WORK/dev/_device/dev:$name"
is "the device of a block device has the volume's size" "$(blockdev --getsize64 "$WORK/dev/_device/dev:$name")" $((1 << 30))
like "status lists the block device" "$("$STORAGEOS" status | tr -s ' ')" "^$LOOP attached FUSE "
refuses "an attached volume cannot be deleted" 'still attached' "$STORAGEOS" delete "$LOOP"
check "the block device is detached" "$STORAGEOS" detach "$LOOP"
check "the volume on the block device is whole" "$STORAGEOS" check "$LOOP"
check "the volume on the block device is deleted" "$STORAGEOS" delete "$LOOP"
refuses "a deleted volume cannot be deleted again" 'no storageos volume' "$STORAGEOS" delete "$LOOP"

# looks_at NAME SECONDS: a process called NAME holds the device for SECONDS, as udev does.
looks_at() {
	rm -f "$WORK/looking"
	python3 - "$LOOP" "$WORK/looking" "$1" "$2" <<-'END' &
	import fcntl, sys, time
	open("/proc/self/comm", "w").write(sys.argv[3])
	device = open(sys.argv[1], "rb")
	fcntl.flock(device, fcntl.LOCK_SH)
	open(sys.argv[2], "w").close()
	time.sleep(float(sys.argv[4]))
	END
	LOOKING=$!
	cleanup kill -9 $LOOKING
	must "$1 looks at the device" wait_for 20 test -e "$WORK/looking"
}

looks_at "(udev-worker)" 2
check "create waits until udev has looked at the device" "$STORAGEOS" create "$LOOP" --size 1G
looks_at "(udev-worker)" 2
check "attach waits until udev has looked at the device" attach "$LOOP"
check "detach" "$STORAGEOS" detach "$LOOP"
looks_at somebody 60
refuses "attach waits for no other process" 'process [0-9]+ \(somebody\) has the volume open' "$STORAGEOS" attach "$LOOP"
kill -9 $LOOKING
check "the volume on the block device is deleted" "$STORAGEOS" delete "$LOOP"

mkdir "$WORK/elsewhere"
must "somebody serves it himself" "$STORAGEOS_FUSE" --pid-file "$WORK/pid" other "$WORK/elsewhere"
server=$(<"$WORK/pid")
cleanup unmount_for_certain "$WORK/elsewhere"
like "status names the foreign server" "$("$STORAGEOS" status other)" 'process [0-9]+ \(storageos-fuse\) has the volume open'
refuses "attach names the foreign server" 'process [0-9]+ \(storageos-fuse\) has the volume open' \
	"$STORAGEOS" attach other
refuses "detach does not touch a foreign server" 'has the volume open' "$STORAGEOS" detach other
must "the foreign server ends" stop "$server"
check "the volume can be attached then" attach other
check "the volume can be detached then" "$STORAGEOS" detach other
# ---- an attach that fails: the reason comes first

must "a volume" "$STORAGEOS" create last --size 1M -q
rm -rf "$WORK/run/mnt" && : >"$WORK/run/mnt"
sed -i 's/^frontend=fuse$/frontend=auto/' "$STORAGEOS_CONFIG"
if [ -d /sys/module/target_core_user ]; then
	skip "the reason comes before why not over TCMU" "this kernel has TCMU"
else
	refuses "the reason comes before why not over TCMU" \
		"^storageos: attach default/last: [^(]*mnt/default/last: Not a directory \(over FUSE; no TCMU: " \
		env PATH="${STORAGEOS_FUSE%/*}:$PATH" "$STORAGEOS" attach last
fi
rm "$WORK/run/mnt"
finish
