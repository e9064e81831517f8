#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Foreign processes, whatever they do or are called, and foreign mounts neither delay attach and detach
# nor are affected by them.
. "$(dirname "$0")/../lib.sh"
need jq jq
need setpriv util-linux
need unshare util-linux
need mkfs.ext4 e2fsprogs
need_root
need_fuse
need_loop
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
own_config
config_set frontend=fuse

state() { "$STORAGEOS" status "$1" --json | jq -r ".[0].$2"; }
mount=$WORK/run/mnt/default/db
started=()
below=$(mktemp -d /dev/shm/storageos-test.XXXXXX) || skip_all "no /dev/shm"

take_away() {
	local p
	for p in "${started[@]}"; do kill -9 "$p"; done
	attached_end
	unmount_for_certain "$mount"
	unmount_for_certain "$below"
	rmdir "$below"
}
cleanup take_away
mkfifo "$WORK/never"
chmod 666 "$WORK/never"
must "make a volume" "$STORAGEOS" create db --size 64M
must "make another volume" "$STORAGEOS" create other --size 64M

# detaches TEXT SECONDS: detach succeeds within SECONDS.
detaches() {
	local begun=$SECONDS
	check "$1: detach" timeout -k 5 60 "$STORAGEOS" detach db
	check "$1: waits for nothing ($((SECONDS - begun)) s)" test $((SECONDS - begun)) -lt "$2"
}

# ---- a file below /dev whose server does not answer

must "a foreign server serves a file below /dev" "$STORAGEOS_FUSE" --pid-file "$WORK/pid" other "$below"
server=$(<"$WORK/pid")
started+=("$server")
bash -c 'exec 3<"$1"; read -r _ <>"$2"' bash "$below/other" "$WORK/never" &
reader=$!
started+=("$reader")
has_it_open() { find "/proc/$reader/fd" -lname "$below/other" | grep -q .; }
must "a process has that file open" wait_for 10 has_it_open
must "attach" "$STORAGEOS" attach db
must "the file's server does not answer any more" kill -STOP "$server"
sleep 1.5 # the kernel caches the file's attributes for a second, and must ask the server again
detaches "a dead file system below /dev" 20
kill -CONT "$server"
kill -9 "$reader"
stop "$server"

# ---- processes with the names of ours

# called NAME AS...: starts a process called NAME with our directory among its arguments; sets $P to its
# PID.
called() {
	local name=$1
	shift
	# shellcheck disable=SC2016
	"$@" bash -c 'echo "$1" >/proc/self/comm; read -r _ <>"$2"' bash "$name" "$WORK/never" "$mount" &
	P=$!
	started+=("$P")
	must "a process is called $name" wait_for 10 grep -qx "$name" "/proc/$P/comm"
}

chmod 755 "$WORK"
must "attach" "$STORAGEOS" attach db
called storageos-fuse setpriv --reuid=65534 --regid=65534 --clear-groups
server=$(state db pid)
must "the server is killed" kill -9 "$server"
has_no_server() { [ "$(state db problem)" = "storageos-fuse is no longer running" ]; }
check "status does not take it for the server" wait_for 20 has_no_server
detaches "a user's process called storageos-fuse, with our directory among its arguments" 20
check "the foreign process lives" alive "$P"
called storageos-fuse env
must "attach" "$STORAGEOS" attach db
detaches "root's process that is called so" 20
check "the foreign process lives" alive "$P"

# ---- a state file that names a foreign process

start_of() { sed 's/.*) //' "/proc/$1/stat" | cut -d' ' -f20; }
sleep 600 &
P=$!
started+=("$P")
forge() {
	printf '{"volume":"default/db","frontend":"fuse","reason":"?","device":"/dev/loop9","pid":%d,"start_time":%d}\n' \
		"$P" "$(start_of "$P")" >"$WORK/run/state/default:db.json"
}
mkdir -p "$WORK/run/state"
forge
is "a state file that names a process does not make it ours" "$(state db state)" detached
check "detach" "$STORAGEOS" detach db
check "detach sends the foreign process no signal" alive "$P"
must "attach" "$STORAGEOS" attach db
forge
detaches "a state file that was forged" 20
check "detach sends the foreign process no signal" alive "$P"
is "the server has ended, and nothing is left" "$(pgrep -f "^$STORAGEOS_FUSE .*$mount")$(losetup -n -O BACK-FILE | grep -F "$mount")" ""

# ---- a loop device that was given to another file

must "attach" "$STORAGEOS" attach db
must "unmount the server's file system" umount -l "$mount"
device=$(jq -r .device "$WORK/run/state/default:db.json")
mkdir "$WORK/fs"
p=$(state db pid)
must "its server is killed" kill -9 "$p"
wait_for 10 gone "$p"
must "its loop device is detached" losetup -d "$device"
gone_device() { ! losetup "$device"; }
wait_for 5 gone_device

mkdir "$WORK/fs/m"
must "mount another file system" mount -t tmpfs tmpfs "$WORK/fs/m"
truncate -s 1M "$WORK/fs/m/db"
must "the loop device is given to a file of that name" losetup "$device" "$WORK/fs/m/db"
cleanup losetup -d "$device"
must "unmount the other file system" umount -l "$WORK/fs/m"
check "detach" "$STORAGEOS" detach db
like "detach does not touch the foreign loop device" "$(losetup "$device" 2>&1)" '/db'
losetup -d "$device"

# ---- users of the device that are not visible from here

must "attach" "$STORAGEOS" attach db
device=$(readlink "$WORK/dev/default/db")
must "make a file system" mkfs.ext4 -q "$device"
mkdir "$WORK/mnt"
# shellcheck disable=SC2016
"$ROOT/tests/apart" "${WORK%/*}" bash -c 'mount "$1" "$2" && echo yes >"$3" && read -r _ <>"$4"' \
	bash "$device" "$WORK/mnt" "$WORK/mounted" "$WORK/never" &
P=$!
started+=("$P")
must "mount it in another mount namespace" wait_for 20 test -s "$WORK/mounted"
refuses "detach names the mount and the process" \
	"$device is mounted on $WORK/mnt in the mount namespace [0-9]+ \(process [0-9]+ \(" "$STORAGEOS" detach db
kill -9 "$P"
wait "$P" 2>/dev/null
unused() { timeout -k 5 60 "$STORAGEOS" detach db; }
check "the volume can be detached then" wait_for 20 unused
finish
