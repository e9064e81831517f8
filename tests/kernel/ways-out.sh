#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The table of states in docs/operations.md, over TCMU: each state is entered, shown by status, and left
# by the command in its row, within a limited time and with the same runner; nothing is left behind.
. "$(dirname "$0")/guest.sh"
. "$ROOT/tests/faults/space.sh"
need_built "$STORAGEOS" "$STORAGEOS_PLUGIN"
need jq jq
need tcmu-runner tcmu-runner
need targetcli targetcli-fb
enter_guest --timeout 500
plugin_install
modprobe loop

status() { "$STORAGEOS" status "$1" --json | jq -r ".[0].$2"; }
link_of() { echo "$WORK/dev/$1"; }
target_of() { sed -n 's/.*"target": "\(.*\)".*/\1/p' "$WORK/run/state/${1/\//:}.json"; }

told() { # VOLUME STATE REGEX
	is "$1: status: $2" "$(status "$1" state)" "$2"
	like "$1: and why" "$(status "$1" problem)" "$3"
}

left() {
	is "$1: nothing is left" "$(find "$CONFIGFS/core" -mindepth 2 -maxdepth 2 -name "${1/\//:}")$(
		ls "$(link_of "$1")" "$WORK/run/state/${1/\//:}".* 2>/dev/null)" ""
}

leaves() { # VOLUME SECONDS COMMAND...
	local volume=$1 limit=$2 begun=$SECONDS
	shift 2
	check "$volume: ${*##*/}" "$@"
	SAID=$(cat "$WORK/.output")
	check "$volume: in time ($((SECONDS - begun)) s)" test $((SECONDS - begun)) -le "$limit"
	is "$volume: status: detached" "$(status "$volume" state)" detached
	left "$volume"
}

detach() { leaves "$1" "$2" "$STORAGEOS" detach "$1"; }
attach() { must "attach $1" "$STORAGEOS" attach "$1"; }

must "make a volume" "$STORAGEOS" create db --size 64M
attach default/db
runner=$(pidof tcmu-runner)

# ---- FAILED: the disk refused to make data durable

mkdir "$WORK/disk" "$WORK/thin"
must "a file system for a disk that promises more than it has" mount -t tmpfs -o size=60M tmpfs "$WORK/disk"
truncate -s 128M "$WORK/disk/img"
must "a disk for a pool" mkfs.ext4 -q "$WORK/disk/img"
must "mount it" mount -o loop "$WORK/disk/img" "$WORK/thin"
cleanup umount -l "$WORK/thin"
must "make a pool on it" "$STORAGEOS" pool create thin "$WORK/thin"
must "make a volume in it" "$STORAGEOS" create thin/a --size 64M
attach thin/a
must "write to it" dd if=/dev/urandom of="$(link_of thin/a)" bs=1M count=2 oflag=direct conv=fsync
must "use up the disk's space" space_use_up "$WORK/disk"
refuses "a flush fails" 'rror' dd if=/dev/urandom of="$(link_of thin/a)" bs=1M count=30 conv=fsync
told thin/a FAILED 'the volume FAILED since [0-9 :-]+: flush: .*; it is read-only until attached again'
dd if=/dev/urandom of="$(link_of thin/a)" bs=1M count=1 2>/dev/null
detach thin/a 120
like "detach says what is lost" "$SAID" 'flush of /dev/sd[a-z]+: .*FAILED since .*not flushed before may be lost'
is "the runner was not restarted" "$(pidof tcmu-runner)" "$runner"
is "the runner serves the other volumes" "$(status default/db state)" attached

# ---- parts of the attachment are gone

must "delete the LUN" targetcli /loopback delete "$(target_of default/db)"
told default/db broken 'the loopback LUN is gone'
detach default/db 60
attach default/db
target=$(target_of default/db)
rm "$CONFIGFS/loopback/$target"/tpgt_1/lun/lun_0/* 2>/dev/null ||
	for l in "$CONFIGFS/loopback/$target"/tpgt_1/lun/lun_0/*; do [ ! -L "$l" ] || rm "$l"; done
must "delete the backstore under the LUN" rmdir "$CONFIGFS"/core/user_*/default:db
told default/db broken 'the backstore is gone'
detach default/db 60
attach default/db
echo 1 >"/sys/block/$(basename "$(readlink "$(link_of default/db)")")/device/delete"
told default/db broken 'the SCSI device is gone'
detach default/db 60
attach default/db
must "the runner is killed" kill -9 "$(pidof tcmu-runner)"
runner_dead() { ! pidof tcmu-runner; }
wait_for 20 runner_dead
told default/db broken 'tcmu-runner is no longer running'
detach default/db 60
attach default/db
must "the runner is killed" kill -9 "$(pidof tcmu-runner)"
wait_for 20 runner_dead
mv "$POOL/db.vol" "$POOL/aside"
must "make another volume of that name" "$STORAGEOS" create db --size 96M
must "the runner is started again" runner_start
told default/db broken 'tcmu-runner does not serve the volume'
detach default/db 60
mv "$POOL/aside" "$POOL/db.vol"
attach default/db
runner=$(pidof tcmu-runner)
kill -STOP "$runner"
begun=$SECONDS
check "a runner that does not answer does not block detach" timeout 400 "$STORAGEOS" detach db
check "in time ($((SECONDS - begun)) s)" test $((SECONDS - begun)) -le 180
left default/db
told default/db "in use" "process $runner \(tcmu-runner\) has the volume open"
kill -CONT "$runner"
free_again() { [ "$(status default/db state)" = detached ]; }
check "a runner that answers again closes the volume" wait_for 60 free_again
attach default/db
detach default/db 60

# ---- LUNs that targetcli made

must "targetcli makes a backstore" targetcli '/backstores/user:storageos create name=mine size=64M cfgstring=db'
must "make a LUN" lun_add mine 1
disk=$(device_of mine)
told default/db "in use" "in use over TCMU by the backstore mine \($disk\)"
is "status has the device" "$(status default/db device)" "$disk"
refuses "detach does not touch a foreign backstore" "in use over TCMU by the backstore mine" "$STORAGEOS" detach db
must "the runner is killed" kill -9 "$(pidof tcmu-runner)"
wait_for 20 runner_dead
told default/db "in use" "by the backstore mine .*; tcmu-runner is no longer running"
mv "$POOL/db.vol" "$POOL/aside"
must "the runner is started again, and finds no volume" runner_start
told default/db "in use" "by the backstore mine .*; the volume is missing"
mv "$POOL/aside" "$POOL/db.vol"
served() { [ "$(status default/db problem)" = "in use over TCMU by the backstore mine ($disk), which targetcli made" ]; }
check "the volume is in use as before" wait_for 30 served
must "delete the LUN" targetcli /loopback delete naa.5001405000000001
leaves default/db 60 targetcli /backstores/user:storageos delete mine
finish
