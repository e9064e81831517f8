#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Linked clones whose making, flattening or deletion dies at any of its calls: there never is a clone whose
# base is not held, and a hold that is left without a clone can be taken away.
. "$(dirname "$0")/../lib.sh"
need jq jq
need_strace
need_root
need_fuse
need_loop
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
own_config
POINTS=${STORAGEOS_INTERRUPTS:-8}
seed_random

mkdir "$WORK/mnt"
cleanup unmount_for_certain "$WORK/mnt"
truncate -s 64M "$WORK/device.img"
must "a block device" loop_attach "$WORK/device.img"
DEVICE=$LOOP

must "a volume" "$STORAGEOS" create db --size 16M
must "it is served" "$STORAGEOS_FUSE" --pid-file "$WORK/pid" db "$WORK/mnt"
must "with data" dd if=/dev/urandom of="$WORK/mnt/db" bs=1M seek=3 count=2 conv=notrunc,fsync status=none
data=$(dd if="$WORK/mnt/db" bs=1M skip=3 count=2 status=none | sha256sum)
server=$(<"$WORK/pid")
must "it is let go" umount "$WORK/mnt"
must "its server ends" wait_for 10 gone "$server"
must "a snapshot" "$STORAGEOS" snapshot create db@old

holds() { "$STORAGEOS" snapshot list db --json | jq -r '.[0].holds[]'; }
# is_clone VOLUME: sets $UUID if it is a linked clone.
is_clone() {
	"$STORAGEOS" info "$1" --json >"$WORK/info" 2>/dev/null &&
		[ "$(jq -r '.depth // 0' "$WORK/info")" = 1 ] && UUID=$(jq -r .uuid "$WORK/info")
}
is_held() { grep -qxF "clone-$UUID" <<<"$(holds)"; }
remove() { # VOLUME: by hand, with its hold
	local tag
	if [ "$1" = "$DEVICE" ]; then
		dd if=/dev/zero of="$1" bs=1M count=64 oflag=direct status=none
	else
		rm -f "$POOL/$1.vol" "$POOL"/.*.new
	fi
	for tag in $(holds); do
		"$STORAGEOS" snapshot release db@old "$tag" >>"$WORK/said" 2>&1 || return
	done
}

# Holds of nobody are named where they are in the way, and can be released; others cannot.
verify() { # VOLUME
	local tag
	if is_clone "$1"; then
		linked=$((linked + 1))
		is_held || { echo "the clone's base is not held"; return 1; }
		! "$STORAGEOS" snapshot release db@old "clone-$UUID" >"$WORK/said" 2>&1 ||
			{ echo "the hold of a clone was released"; return 1; }
		grep -q "the linked clone .* needs it" "$WORK/said" || { cat "$WORK/said"; return 1; }
	elif [ -n "$(holds)" ]; then
		orphans=$((orphans + 1))
		tag=$(holds)
		! "$STORAGEOS" snapshot delete db@old >"$WORK/said" 2>&1 ||
			{ echo "a snapshot that is held was deleted"; return 1; }
		grep -q "storageos snapshot release default/db@old $tag" "$WORK/said" || { cat "$WORK/said"; return 1; }
		"$STORAGEOS" snapshot release db@old "$tag"
	fi
}

# sweep NAME VOLUME COMMAND...: kills the command at its first, second, ... of the $CALLS of each kind, until
# it comes to its end; of writes, at some.
sweep() {
	local name=$1 volume=$2 call n at every deaths=0 status
	shift 2
	linked=0 orphans=0
	for call in $CALLS; do
		every=1 status=
		[ "$call" != pwrite64 ] || every=$((120 / POINTS))
		for ((n = 0; n < 200; n++)); do
			at=$((n * every + 1 + RANDOM % every))
			prepare "$volume" >"$WORK/said" 2>&1 || { not_ok "$name" "prepare: $(<"$WORK/said")"; return; }
			{
				strace -f -qq -o "$WORK/trace" -e "trace=$call" \
					-e "inject=$call:signal=SIGKILL:when=$at" "$@" >"$WORK/out" 2>&1
				status=$?
			} 2>/dev/null # the shell says that it was killed
			[ $status = 137 ] || break
			deaths=$((deaths + 1))
			verify "$volume" >"$WORK/why" 2>&1 || { not_ok "$name" "$call $at: $(<"$WORK/why")"; return; }
		done
		[ "$status" = 0 ] || { not_ok "$name" "$call $at: status $status: $(<"$WORK/out")"; return; }
	done
	note "$name: $deaths deaths; after $linked there was a clone, after $orphans a hold alone"
	is "$name: there was no clone without a hold" "$(verify "$volume" 2>&1)" ""
	check "$name: deaths on both sides of the hold" test $orphans -gt 0 -a $orphans -lt $deaths
}

CALLS="flock fdatasync fsync renameat2 unlink ftruncate pwrite64"
for volume in test "$DEVICE"; do
	prepare() { remove "$1"; }
	sweep "clone to $volume" "$volume" "$STORAGEOS" clone --linked db@old "$volume"
	prepare() { is_clone "$1" || { remove "$1" && "$STORAGEOS" clone --linked db@old "$1"; }; }
	sweep "delete $volume" "$volume" "$STORAGEOS" delete "$volume"
	# A clone that was flattened and not released is there, and no clone.
	sweep "flatten $volume" "$volume" "$STORAGEOS" flatten "$volume"
	is "$volume has what the snapshot has" "$("$STORAGEOS" snapshot create "$volume@x" >/dev/null &&
		"$STORAGEOS" export "$volume@x" --format raw - 2>/dev/null | dd bs=1M skip=3 count=2 iflag=fullblock status=none | sha256sum)" "$data"
	is "and holds nothing" "$(holds)" ""
	check "$volume is whole" "$STORAGEOS" check "$volume"
done
check "the snapshot is not held by anybody" "$STORAGEOS" snapshot delete db@old
finish
