#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# pool import: a pool that another machine has made is used here, under its name or another one; what is no pool, is one
# already, or is in use, is refused, and changes nothing.
. "$(dirname "$0")/../lib.sh"
need jq jq
need_root
need_fuse
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
own_config

# The other machine: a configuration and a state of its own.
sed "s,=$WORK/\(run\|state\|dev\)$,=$WORK/there-\1," "$STORAGEOS_CONFIG" >"$WORK/there.conf"
there() { STORAGEOS_CONFIG=$WORK/there.conf "$@"; }
for name in theirs more; do
	must "a pool of the other machine, $name" there "$STORAGEOS" pool create $name "$WORK/disk/$name" -q
	must "with a volume" there "$STORAGEOS" create $name/db --size 16M -q
done
must "and one of a name that is taken" there "$STORAGEOS" pool create theirs2 "$WORK/disk/theirs2" -q
sed -i 's/theirs2/theirs/' "$WORK/disk/theirs2/.storageos-pool"

import() { "$STORAGEOS" pool import "$@"; }
before=$(<"$STORAGEOS_CONFIG")
markers=$(checksum "$WORK"/disk/*/.storageos-pool)
mkdir "$WORK/empty"
refuses "a directory that is no pool" "pool import $WORK/empty: there is no pool: .*/.storageos-pool.*to make one: storageos pool create NAME $WORK/empty" \
	import "$WORK/empty"
refuses "nor is one that is not there" "there is no pool: " import "$WORK/nowhere"
is "neither is made one" "$(find "$WORK/empty" "$WORK/nowhere" 2>/dev/null)" "$WORK/empty"
is "what would be done" "$(import "$WORK/disk/theirs" -n)" "theirs: would be imported from $WORK/disk/theirs"
refuses "a bad name" "pool import: invalid pool name 'X': must be " import "$WORK/disk/theirs" --name X
is "is a wrong command line" "$(import "$WORK/disk/theirs" --name X >/dev/null 2>&1; echo $?)" 2
refuses "create says how" "belongs to the pool 'theirs'; to have it here as 'x': storageos pool import $WORK/disk/theirs --name x$" \
	"$STORAGEOS" pool create x "$WORK/disk/theirs"
refuses "the options of Ceph" "are for a pool of Ceph" import "$WORK/disk/theirs" --ceph-id x

# ---- in use

mkdir "$WORK/mnt"
cleanup unmount_for_certain "$WORK/mnt"
must "the other configuration serves its volume" there "$STORAGEOS_FUSE" theirs/db "$WORK/mnt"
refuses "then it is not imported" "$WORK/disk/theirs/db.vol is in use by process [0-9]+ \(storageos-fuse\), which does not have it from $STORAGEOS_CONFIG" \
	import "$WORK/disk/theirs"
must "it ends" unmount "$WORK/mnt"
is "nothing is changed" "$(<"$STORAGEOS_CONFIG")" "$before"

# ---- imported

is "as it was made" "$(cd "$WORK/disk" && wait_for 10 import theirs -n && import theirs)" "theirs: pool imported from $WORK/disk/theirs"
is "its volume is there" "$("$STORAGEOS" list theirs --json | jq -r '.[].volume')" theirs/db
refuses "it is no second pool" "$WORK/disk/theirs is the pool 'theirs' already" import "$WORK/disk/theirs"
refuses "under no other name either" "$WORK/disk/theirs is the pool 'theirs' already" import "$WORK/disk/theirs" --name other
refuses "another one of that name" "there is a pool 'theirs' already, at $WORK/disk/theirs; .*pool import $WORK/disk/theirs2 --name NAME" \
	import "$WORK/disk/theirs2"
is "has another one" "$(import "$WORK/disk/theirs2" --name mine)" "mine: pool imported from $WORK/disk/theirs2, made as 'theirs'"
check "and can be used" "$STORAGEOS" create mine/new --size 16M
cp -a "$WORK/disk/more" "$WORK/copy"
must "one more" import "$WORK/disk/more" -q
refuses "its copy is none" "it has the UUID of the pool 'more'" import "$WORK/copy" --name copy
mkdir "$WORK/disk/more/in"
cp "$WORK/copy/.storageos-pool" "$WORK/disk/more/in"
refuses "nor is what lies in it" "lies in the pool 'more'" import "$WORK/disk/more/in" --name in
echo damaged >"$WORK/copy/.storageos-pool"
refuses "nor what has a marker that is none" "is not a pool's marker" import "$WORK/copy"
is "the pools are as they were made" "$(checksum "$WORK"/disk/*/.storageos-pool)" "$markers"
is "these are the pools here" "$("$STORAGEOS" pool list --json | jq -r '[.[] | select(.ready) | .pool] | sort | join(" ")')" "default mine more theirs"
finish
