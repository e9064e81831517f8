#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The table of states in docs/operations.md, over FUSE: each state is entered, shown by status, and left
# by the command in its row, within a limited time; nothing is left behind.
. "$(dirname "$0")/../lib.sh"
. "$ROOT/tests/faults/space.sh"
need jq jq
need mkfs.ext4 e2fsprogs
need fsfreeze util-linux
need_root
need_fuse
need_loop
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
own_config
config_set frontend=fuse

status() { "$STORAGEOS" status "$1" --json | jq -r ".[0].$2"; }
link_of() { echo "$WORK/dev/$1"; }
mount_of() { echo "$WORK/run/mnt/$1"; }
loop_of() { losetup -n -O NAME,BACK-FILE | awk -v f="$(mount_of "$1")/${1#*/}" '$2 == f { print $1 }'; }
mounted() { grep -q " $1 " /proc/mounts; }

take_away() {
	local v
	attached_end
	awk -v d="$WORK/run/mnt/" 'index($2, d) == 1 { print $2 }' /proc/mounts | while read -r v; do umount -l "$v"; done
	unmount_for_certain "$WORK/small"
	unmount_for_certain "$POOL"
	unmount_for_certain "$WORK/disk"
}
cleanup take_away

# attached VOLUME: makes and attaches a volume, and writes to it.
attached() {
	must "make $1" "$STORAGEOS" create "$1" --size 64M
	must "attach it" "$STORAGEOS" attach "$1"
	must "write to it" dd if=/dev/urandom of="$(link_of "$1")" bs=1M count=2 oflag=direct conv=fsync
}

# told VOLUME STATE REGEX
told() {
	is "$1: status: $2" "$(status "$1" state)" "$2"
	like "$1: and why" "$(status "$1" problem)" "$3"
	like "$1: for people" "$("$STORAGEOS" status "$1" 2>&1)" "$3"
}

# Whether no part of the attachment is left.
left() {
	is "$1: nothing is left" "$(loop_of "$1")$(mounted "$(mount_of "$1")" && echo " mounted")$(
		ls "$(link_of "$1")" "$WORK/run/state/${1/\//:}".* 2>/dev/null)" ""
}

# leaves VOLUME SECONDS COMMAND...: COMMAND ends the state within SECONDS; its output is in $SAID.
leaves() {
	local volume=$1 limit=$2 begun=$SECONDS
	shift 2
	check "$volume: ${*##*/}" "$@"
	SAID=$(cat "$WORK/.output")
	check "$volume: in time ($((SECONDS - begun)) s)" test $((SECONDS - begun)) -le "$limit"
	is "$volume: status: detached" "$(status "$volume" state)" detached
	left "$volume"
}

detach() { leaves "$1" "$2" "$STORAGEOS" detach "$1"; }

# ---- FAILED: the disk refused to make data durable

mkdir "$WORK/disk"
must "a file system for a disk that promises more than it has" mount -t tmpfs -o size=60M tmpfs "$WORK/disk"
pool_on_disk thin "$WORK/disk/img" 128M
attached thin/a
must "use up the disk's space" space_use_up "$WORK/disk"
refuses "a flush fails" 'error' dd if=/dev/urandom of="$(link_of thin/a)" bs=1M count=30 conv=fsync
told thin/a FAILED 'the volume FAILED since [0-9 :-]+: flush: .*; it is read-only until attached again'
detach thin/a 60
like "detach says what is lost" "$SAID" \
	'flush of /dev/loop[0-9]+: .*FAILED since .*: flush: .*not flushed before may be lost'
space_give_back "$WORK/disk"

# ---- the pool was full

must "a small file system" mkdir "$WORK/small"
must "mount a small file system for a pool" mount -t tmpfs -o size=24M tmpfs "$WORK/small"
must "make a pool on it" "$STORAGEOS" pool create small "$WORK/small"
attached small/a
must "use up its space" space_use_up "$WORK/small"
dd if=/dev/urandom of="$(link_of small/a)" bs=1M count=20 status=none
told small/a full "the pool's file system is full"
detach small/a 60
like "the first detach succeeds, and says what is lost" "$SAID" 'flush of /dev/loop[0-9]+: .*may be lost'
space_give_back "$WORK/small"
check "the volume is whole" "$STORAGEOS" check small/a

# ---- the disk does not answer; the server does not answer (slow, so both at the same time)

pool_on_disk slow "$WORK/slow.img" 128M
cleanup fsfreeze -u "$WORK/slow"
attached slow/a
attached default/stopped
dd if=/dev/urandom of="$(link_of slow/a)" bs=1M count=2 status=none
dd if=/dev/urandom of="$(link_of default/stopped)" bs=1M count=2 status=none
must "freeze the disk of slow/a" fsfreeze -f "$WORK/slow"
stopped=$(status default/stopped pid)
must "stop the server of default/stopped" kill -STOP "$stopped"
told default/stopped hung 'storageos-fuse does not answer: '
("$STORAGEOS" detach default/stopped >"$WORK/said.stopped" 2>&1; echo $? >"$WORK/status.stopped") &
begun=$SECONDS
check "slow/a: detach" "$STORAGEOS" detach slow/a
SAID=$(cat "$WORK/.output")
wait_for 120 test -s "$WORK/status.stopped"
check "both in time ($((SECONDS - begun)) s)" test $((SECONDS - begun)) -le 120
like "detach names the reason" "$SAID" 'flush of /dev/loop[0-9]+: its disk does not answer'
like "detach names the process that is left" "$SAID" 'storageos-fuse \(process [0-9]+\) is waiting for a disk'
is "no device is left" "$(loop_of slow/a)$(mounted "$(mount_of slow/a)" && echo mounted)" ""
told slow/a "in use" 'process [0-9]+ \(storageos-fuse\) has the volume open'
must "the disk answers again" fsfreeze -u "$WORK/slow"
free_again() { [ "$(status slow/a state)" = detached ]; }
check "the server ends when the disk answers" wait_for 30 free_again
left slow/a
check "the volume is whole" "$STORAGEOS" check slow/a
is "default/stopped: detach" "$(cat "$WORK/status.stopped")" 0
like "detach names the reason" "$(cat "$WORK/said.stopped")" 'flush of /dev/loop[0-9]+: its disk does not answer'
left default/stopped
check "the volume is whole" "$STORAGEOS" check default/stopped

# ---- parts of the attachment are gone

attached default/a
server() { status default/a pid; }
again() {
	must "attach it" "$STORAGEOS" attach default/a
	must "the server has seen its user" wait_for 10 attended default/a
}
has_no_server() { [ "$(status default/a state)" = broken ]; }

p=$(server)
must "kill the server" kill -9 "$p"
wait_for 20 has_no_server
told default/a broken 'storageos-fuse is no longer running'
detach default/a 30
again
must "unmount the server's file system by force" umount -l "$(mount_of default/a)"
told default/a broken 'the storageos-fuse file system is no longer mounted'
detach default/a 90
again
must "detach the loop device by hand" losetup -d "$(loop_of default/a)"
told default/a broken 'the loop device is gone'
detach default/a 30
again
must "remove the link by hand" rm "$(link_of default/a)"
told default/a broken 'the link .* is missing'
detach default/a 30
ln -s /dev/loop999 "$(link_of default/a)" 2>/dev/null ||
	{ mkdir -p "$WORK/dev/default" && ln -s /dev/loop999 "$(link_of default/a)"; }
told default/a broken 'the volume is not attached, but the link .* still points to '
detach default/a 30

# ---- the name means another volume than the served one

again
mv "$POOL/a.vol" "$POOL/aside.vol"
told default/a broken 'is still served from a file that is not there any more'
check "default/a: detach" "$STORAGEOS" detach default/a
mv "$POOL/aside.vol" "$POOL/a.vol"
again
mv "$POOL/a.vol" "$POOL/aside.vol"
must "make another volume of that name" "$STORAGEOS" create a --size 32M
told default/a broken 'is still served from a file that is no longer'
detach default/a 30
mv "$POOL/aside.vol" "$POOL/a.vol"
again
must "mount another disk over the pool" mount -t tmpfs tmpfs "$POOL"
told default/a broken 'not there any more.*no marker'
check "default/a: detach" "$STORAGEOS" detach default/a
must "unmount the other disk" umount "$POOL"
left default/a

# ---- a foreign process serves the volume, perhaps hidden

mkdir "$WORK/elsewhere"
must "a foreign server serves the volume" "$STORAGEOS_FUSE" --pid-file "$WORK/pid" a "$WORK/elsewhere"
cleanup unmount_for_certain "$WORK/elsewhere"
told default/a "in use" 'process [0-9]+ \(storageos-fuse\) has the volume open'
refuses "detach does not touch the foreign server" 'has the volume open' "$STORAGEOS" detach a
foreign=$(<"$WORK/pid")
foreign_ends() { umount "$WORK/elsewhere" && wait_for 20 gone "$foreign"; }
leaves default/a 30 foreign_ends
again
echo >"$WORK/run/control/.file"
mv -T "$WORK/run/control/.file" "$WORK/run/control/default:a"
told default/a unwatched "control/default:a is a file and not the server's socket"
check "follow the advice of status" rm "$WORK/run/control/default:a"
like "the server takes its socket's name again" "$(status default/a problem)" '^(the control socket is gone|null)$'
is_attached() { [ "$(status default/a state)" = attached ]; }
check "the volume is attached then" wait_for 10 is_attached
detach default/a 30
is "detaching a detached volume succeeds" "$("$STORAGEOS" detach default/a 2>&1; echo $?)" \
	"storageos: detach default/a: not attached"$'\n'0
finish
