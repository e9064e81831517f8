#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A disk refuses to write for a moment while several threads write and flush a volume on it: the disk is
# the volume itself, or has the pool on ext4.  Everything that was flushed with success is there
# afterwards, and the volume opens.  STORAGEOS_SECONDS: duration of each of the two parts.
. "$(dirname "$0")/guest.sh"
need dmsetup dmsetup
need mkfs.ext4 e2fsprogs
FLUSHED=$STORAGEOS_BUILD/tests/kernel/flushed
need_built "$STORAGEOS" "$FLUSHED"
: "${STORAGEOS_SECONDS:=30}"
enter_guest --env "STORAGEOS_SECONDS=$STORAGEOS_SECONDS" --timeout $((STORAGEOS_SECONDS * 8 + 240))
need_root
own_config
must "load modules" modprobe -a loop dm_mod

bad_make() { # DEVICE
	SECTORS=$(blockdev --getsz "$1")
	LINEAR="0 $SECTORS linear $1 0"
	dmsetup create --noudevsync bad --table "$LINEAR" || return
	cleanup dmsetup remove --force --noudevsync bad
	wait_for 10 test -b /dev/mapper/bad
}

bad_becomes() { # TABLE [SECONDS]: changes the device's table; its I/O waits for SECONDS before
	dmsetup load --noudevsync bad --table "$1" &&
		dmsetup suspend --nolockfs --noflush --noudevsync bad &&
		sleep "${2-0}" && dmsetup resume --noudevsync bad
}

truncate -s 512M "$WORK/disk"
must "make a disk" loop_attach "$WORK/disk"
must "make a device on it that can refuse" bad_make "$LOOP"

# ---- a round; `drop` makes the kernel drop its cache of the disk

try() { # COMMAND...: a failure ends the test
	"$@" >"$WORK/.try" 2>&1 </dev/null && return
	not_ok "round $rounds of $kind: $*" "$(cat "$WORK/.try")"
	note "$("$STORAGEOS" check "$volume" 2>&1 | head -n 20)"
	give_up "cannot go on"
}

verified() {
	"$FLUSHED" "$path" "$WORK/record" verify
}

# Flushes of requests and of a checkpoint collect while I/O waits; then the disk refuses.
refuse() {
	sleep "0.$((1 + RANDOM % 8))" # a random moment, with flushes under way
	bad_becomes "0 $SECTORS error" 0.1 && bad_becomes "$LINEAR"
}

# First verifies what the previous round flushed.
load() { # load|die
	local pid
	: >"$WORK/load"
	"$FLUSHED" "$path" "$WORK/record" "$1" >"$WORK/load" 2>&1 &
	pid=$!
	wait_for 60 grep -qv '^storageos' "$WORK/load"
	! grep -q loading "$WORK/load" || refuse
	kill "$pid"
	wait "$pid"
	case $? in
	0) ;;
	4) failures=$((failures + 1)) ;;
	*) cat "$WORK/load" && return 1 ;;
	esac
}

# After a death, the next open finds pages in the cache with an error that was reported to nobody.
round() {
	rounds=$((rounds + 1))
	if [ $((rounds % 3)) = 0 ]; then
		try load die
		! usable || try verified
	else
		try load load
	fi
	try drop
}

rounds_of() { # KIND VOLUME PATH
	local until=$((SECONDS + STORAGEOS_SECONDS))
	kind=$1 volume=$2 path=$3 rounds=0 failures=0
	rm -f "$WORK/record"
	while [ $rounds -lt 3 ] || [ $SECONDS -lt $until ]; do
		round
	done
	try verified
	ok "$kind: what was flushed is there, and the volume opens, whatever the disk refuses"
	note "$rounds rounds; in $failures of them every thread got an error"
	check "$kind: the volume is whole" "$STORAGEOS" check "$volume"
	check "$kind: the disk did refuse" test $failures -gt 0
}

# ---- the device is the volume

drop() {
	blockdev --flushbufs /dev/mapper/bad
	echo 3 >/proc/sys/vm/drop_caches
}
usable() {
	true
}
must "make a volume of the device" "$STORAGEOS" create /dev/mapper/bad --size 900M
rounds_of "a block device" /dev/mapper/bad /dev/mapper/bad
must "wipe the device" dd if=/dev/zero of=/dev/mapper/bad bs=1M count=8 oflag=direct

# ---- ext4 on the device, with the pool

drop() {
	unmount_for_certain "$WORK/bad" && { e2fsck -p /dev/mapper/bad; [ $? -le 1 ]; } &&
		mount /dev/mapper/bad "$WORK/bad"
}
usable() { # FALSE if ext4 itself gave up
	touch "$WORK/bad/usable" && sync "$WORK/bad/usable"
}
must "make ext4 on it" mkfs.ext4 -q -F /dev/mapper/bad
mkdir "$WORK/bad"
must "mount it" mount /dev/mapper/bad "$WORK/bad"
cleanup unmount_for_certain "$WORK/bad"
must "make a pool" "$STORAGEOS" pool create bad "$WORK/bad"
must "make a volume in it" "$STORAGEOS" create bad/db --size 900M
rounds_of ext4 bad/db "$WORK/bad/db.vol"
finish
