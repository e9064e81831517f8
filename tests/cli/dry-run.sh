#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# --dry-run of the commands that change or overwrite what is there: says what would be done, with the checks, errors
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
must "and one whose name both have" "$STORAGEOS" create second/both --size 64M
must "as the first has" "$STORAGEOS" create both --size 64M
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

would "pool delete" "second: would be removed from $STORAGEOS_CONFIG; $WORK/second would keep its 2 volumes" pool delete second -n
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
must "a stream" "$STORAGEOS" export db@one "$WORK/one.stream"
before=$(everything)
would "import of a stream" "default/new: would be made, and would receive snapshot one, 64 MiB" import new "$WORK/one.stream" -n
would_not "into what is not empty" "it needs a new volume" import db "$WORK/one.stream"
would_not "into what is served" "in use" import served "$WORK/one.stream"
would_not "of no stream" "not a storageos stream" import new "$WORK/image.raw"
is "usage: of what is given up" "$("$STORAGEOS" import new --abort -n 2>/dev/null; echo $?)" 2
would "set" "default/free: would be set: description a b, is not set; scrub_rate 5 MiB, is not set (from the next scrub on)" \
	set free "description=a b" scrub_rate=5M -n
would "set of what is served" "default/served: would be set: label.x 1, is not set" set served label.x=1 -n
would_not "of what is not there" "no volume|no such volume|does not exist" set nope label.x=1
long=$(printf '%0255d' 0)
would_not "of more than there is room for" "2047 bytes" set free user.a="$long" user.b="$long" user.c="$long" user.d="$long" \
	user.e="$long" user.f="$long" user.g="$long" user.h="$long"
would "set uuid" "default/free: UUID would be new, is $("$STORAGEOS" info free --json | jq -r .uuid)" set free uuid=new -n
would "set write_cache" "default/free: write cache would be off, is on" set free write_cache=off -n
would_not "of what is served" "must be detached to change its UUID" set served uuid=new
would_not "of the base of a clone" "clone" set db uuid=new
would "rename" "default/other: would be renamed from default/free" rename free other -n
would_not "to a name that is taken" "is there already" rename free db
would_not "of what is served" "it must be detached" rename served other
would "move" "second/free: would be moved from default/free" move free second -n
would_not "to a name that is taken there" "is there already" move both second
would "flatten" "default/linked: would copy what it still reads from default/db@one, 0 B at most, and release that" flatten linked -n
would_not "of what is no clone" "is no linked clone" flatten db

must "and the real commands do it" "$STORAGEOS" rollback db@one --size-too
must "as they said" "$STORAGEOS" import free "$WORK/image.raw" --format raw --force
must "all of them" "$STORAGEOS" delete free
must "the pool, too" "$STORAGEOS" pool delete second
must "set" "$STORAGEOS" set db label.x=1
must "rename" "$STORAGEOS" rename db renamed
must "flatten" "$STORAGEOS" flatten linked

# ---- policies

list() { "$STORAGEOS" snapshot list served --json | jq -c '[.[] | select(.state != "deleting") | .name]'; }
printf '[policy often]\nhourly=1\n[volume default/served]\npolicy=often\n' >>"$STORAGEOS_CONFIG"
like "the first snapshot is due" "$("$STORAGEOS" snapshot run -n)" '^default/served: would take auto-[0-9]{8}t[0-9]{4}z$'
is "none is taken" "$(list)" "[]"
must "a snapshot" "$STORAGEOS" snapshot run
is "now none is due" "$("$STORAGEOS" snapshot run -n)" ""
must "end" unmount "$WORK/mnt"
finish
