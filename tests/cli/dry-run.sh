#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# --dry-run of the commands that lose or overwrite something: says what would be done, with the checks, errors
# and status of the real command, and leaves every byte as it was.
. "$(dirname "$0")/../lib.sh"
need jq jq
need_root
need_fuse
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
own_config

must "create" "$STORAGEOS" create db --size 64M
must "a snapshot" "$STORAGEOS" snapshot create db@one --freeze never
must "another size" "$STORAGEOS" resize db 128M
random_file "$WORK/image.raw" $((2 << 20))
must "with data at its end" eval "{ head -c 126M /dev/zero; cat '$WORK/image.raw'; } | '$STORAGEOS' import db - --format raw --force"
must "a clone" "$STORAGEOS" clone db@one linked --linked
must "a second volume" "$STORAGEOS" create free --size 64M
must "a second pool" "$STORAGEOS" pool create second "$WORK/second"
must "with a volume" "$STORAGEOS" create second/one --size 64M
mkdir "$WORK/mnt"
cleanup unmount_for_certain "$WORK/mnt"
must "one that is served" "$STORAGEOS" create served --size 64M
must "serve it" "$STORAGEOS_FUSE" served "$WORK/mnt"

everything() { (cd "$WORK" && find pool second state storageos.conf -type f -exec sha256sum {} + | sort -k 2) | sha256sum; }
before=$(everything)
# would NAME OUTPUT COMMAND...: its dry run succeeds with this output, and changes nothing.
would() {
	local name=$1 wanted=$2 output
	shift 2
	output=$("$STORAGEOS" "$@" 2>&1)
	is "$name" "$? $output" "0 $wanted"
	is "$name: nothing is changed" "$(everything)" "$before"
}
# would_not NAME REGEX COMMAND...: it fails as the real command does, and changes nothing; opening a volume, as
# the real one does, writes a superblock.
would_not() {
	local name=$1 regex=$2
	shift 2
	refuses "$name: dry" "$regex" "$STORAGEOS" "$@" -n
	is "$name: nothing is changed" "$(everything)" "$before"
	refuses "$name: really" "$regex" "$STORAGEOS" "$@"
	before=$(everything)
}

would "pool delete" "second: would be removed from $STORAGEOS_CONFIG; $WORK/second would keep its 1 volume" pool delete second -n
would_not "of one that is in use" "'default/served' is in use" pool delete default
would_not "of none" "no such pool" pool delete nope
would "delete" "default/free: would be deleted" delete free --dry-run
is "delete --json" "$("$STORAGEOS" delete free -n --json | jq -c '[.volume, .dry_run]')" '["default/free",true]'
would_not "delete of what is not there" "no volume|no such volume|does not exist" delete nope
would_not "of what is served" "in use" delete served
would_not "of the base of a clone" "clone" delete db
would "resize" "default/db: would be 256 MiB, is 128 MiB" resize db 256M -n
would "a shrink that loses data" "default/db: would be 64 MiB, is 128 MiB; 2 MiB of data would be discarded" resize db 64M --force -n
would_not "without --force" "--force discards it" resize db 64M
would_not "of what is served" "only a detached volume can be shrunk" resize served 32M
would "rollback" "default/db: would be rolled back to one, leaving a snapshot of what it holds" rollback db@one --size-too -n
would_not "to another size" "the size must be allowed to change, too" rollback db@one
would_not "to what is not there" "no snapshot 'nope'" rollback db@nope
would_not "of what is served" "in use" rollback served@one
would "import" "default/new: would be imported, 2 MiB; the image has 2097152 bytes" import new "$WORK/image.raw" --format raw -n
would "import --force" "default/free: would be written over, 64 MiB; the image has 2097152 bytes" import free "$WORK/image.raw" --format raw --force -n
would_not "over what is there" "--force writes over" import free "$WORK/image.raw" --format raw
would_not "over what is served" "in use" import served "$WORK/image.raw" --format raw --force
would_not "of no file" "No such file" import new "$WORK/nope" --format raw
would_not "into no pool" "pool 'nope'" import nope/new "$WORK/image.raw" --format raw
truncate -s 65M "$WORK/large.raw"
would_not "of too much" "the image has 68157440 bytes, the volume 67108864" import free "$WORK/large.raw" --format raw --force
is "usage: of a stream" "$("$STORAGEOS" import new "$WORK/image.raw" -n 2>/dev/null; echo $?)" 2

must "and the real commands do it" "$STORAGEOS" rollback db@one --size-too
must "as they said" "$STORAGEOS" import free "$WORK/image.raw" --format raw --force
must "all of them" "$STORAGEOS" delete free
must "the pool, too" "$STORAGEOS" pool delete second
must "end" unmount "$WORK/mnt"
finish
