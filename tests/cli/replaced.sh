#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A served volume whose name now means another file, or none: every verb reports it, no verb changes it,
# and detach ends it.
. "$(dirname "$0")/../lib.sh"
need jq jq
need_root
need_fuse
need_loop
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
own_config
config_set frontend=fuse

file=$POOL/db.vol
link=$WORK/dev/default/db
state() { "$STORAGEOS" status db --json | jq -r ".[0].$1"; }
mark() { dd if="$link" bs=4k count=1 iflag=direct status=none | tr -d '\0'; }
write_mark() { # TEXT
	printf '%-4096s' "$1" | tr ' ' '\0' | dd of="$link" bs=4k count=1 oflag=direct conv=fsync status=none
}
uuid_of() { "$STORAGEOS" info db --json | jq -r .uuid; }

take_away() {
	unmount_for_certain "$POOL"
	"$STORAGEOS" detach db
	attached_end
	unmount_for_certain "$WORK/run/mnt/default/db"
}
cleanup take_away

fresh() { # MARK
	rm -f "$POOL"/*.vol
	must "make a volume" "$STORAGEOS" create db --size 64M
	must "attach it" "$STORAGEOS" attach db
	must "mark it" write_mark "$1"
	uuid=$(uuid_of)
	device=$(readlink "$link")
}

# told CASE REGEX: every verb refuses and names the served volume, which stays unchanged.
told() {
	local what="default/db is still served from a file that is $2 \(UUID $uuid\).*; detach it first"
	refuses "$1: attach" "$what" "$STORAGEOS" attach db
	refuses "$1: resize" "$what" "$STORAGEOS" resize db 128M
	refuses "$1: scrub" "$what" "$STORAGEOS" scrub db
	refuses "$1: scrub --status" "$what" "$STORAGEOS" scrub db --status
	refuses "$1: stats of it" "$what" "$STORAGEOS" stats db
	refuses "$1: stats of all" "$what" "$STORAGEOS" stats
	refuses "$1: set" '.' "$STORAGEOS" set db uuid=new
	refuses "$1: delete" '.' "$STORAGEOS" delete db
	is "$1: status: broken" "$(state state)" broken
	like "$1: and says so" "$(state problem)" "$what"
	is "$1: the device is what it was" "$(readlink "$link") $(mark) $(blockdev --getsize64 "$device")" \
		"$device old $((64 << 20))"
}

# ---- another file has the name

fresh old
mv "$file" "$POOL/aside.vol"
must "make another volume in its place" "$STORAGEOS" create db --size 32M
told "replaced" "no longer $file"
is "info shows the file that has the name now" "$("$STORAGEOS" info db --json | jq -r '"\(.size) \(.state)"')" \
	"$((32 << 20)) broken"
check "detach ends the served volume" "$STORAGEOS" detach db
must "attach" "$STORAGEOS" attach db
is "attach serves the file that has the name now" "$(blockdev --getsize64 "$link")" $((32 << 20))
must "detach" "$STORAGEOS" detach db
check "the volume that was served is whole" "$STORAGEOS" check aside

# ---- a copy of the volume has the name: the same UUID in another file

fresh old
must "make a backup" cp --sparse=always "$file" "$WORK/backup"
mv "$file" "$POOL/aside.vol"
must "put the backup in its place" cp --sparse=always "$WORK/backup" "$file"
told "replaced by its copy" "no longer $file"
check "detach ends the served volume" "$STORAGEOS" detach db

# ---- the file is overwritten in place

fresh new
must "detach" "$STORAGEOS" detach db
must "make a backup" cp --sparse=always "$file" "$WORK/backup"
fresh old
must "copy the backup over the volume in use" cp "$WORK/backup" "$file"
refuses "overwritten: attach" "is still served from a file that is no longer" "$STORAGEOS" attach db
refuses "overwritten: resize" "is still served from a file that is no longer" "$STORAGEOS" resize db 128M
check "detach ends the served volume" "$STORAGEOS" detach db

# ---- deleted, and made anew

fresh old
rm "$file"
told "deleted" "not there any more"
must "make a new volume" "$STORAGEOS" create db --size 32M
told "made anew" "no longer $file"
check "detach ends the served volume" "$STORAGEOS" detach db
check "the new volume can be attached" "$STORAGEOS" attach db
is "the device has the new volume's size" "$(blockdev --getsize64 "$link")" $((32 << 20))
must "detach" "$STORAGEOS" detach db

# ---- another disk is mounted over the pool

fresh old
must "mount a disk over the pool" mount -t tmpfs -o size=64M tmpfs "$POOL"
told "covered" "not there any more"
own_config
config_set frontend=fuse
# Remove the pool's UUID from the configuration; otherwise the other pool would be refused.
sed -i '/^uuid=/d' "$STORAGEOS_CONFIG"
told "covered by a pool" "not there any more"
must "make a volume of that name on the disk" "$STORAGEOS" create db --size 32M
told "covered by its namesake" "no longer $file"
check "detach ends the served volume" "$STORAGEOS" detach db
must "unmount the disk" umount "$POOL"
check "attach" "$STORAGEOS" attach db
is "the data of the served volume is there" "$(mark)" old
check "detach" "$STORAGEOS" detach db
check "the volume is whole" "$STORAGEOS" check db
finish
