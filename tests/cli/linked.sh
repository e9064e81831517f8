#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Linked clones by the command line: made by themselves on ext4, written beside the original, protected
# against the loss of their base, flattened in use; and copies.
. "$(dirname "$0")/../lib.sh"
need jq jq
need mkfs.ext4 e2fsprogs
need_root
need_fuse
need_loop
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
own_config

mkdir "$WORK/mnt" "$WORK/clone"
cleanup unmount_for_certain "$WORK/mnt"
cleanup unmount_for_certain "$WORK/clone"
pool_on_disk plain "$WORK/ext4.img" 512M mkfs.ext4 -q

serve() { "$STORAGEOS_FUSE" --pid-file "$WORK/$2.pid" "$1" "$WORK/$2"; } # VOLUME DIRECTORY
unserve() { # DIRECTORY
	local server
	server=$(<"$WORK/$1.pid")
	umount "$WORK/$1" && wait_for 10 gone "$server"
}
put() { dd if="$2" of="$1" bs=1M oflag=direct conv=notrunc,fsync status=none; } # FILE DATA
sum() { dd if="$1" bs=1M count=8 iflag=direct status=none | sha256sum; }
holds() { "$STORAGEOS" snapshot list plain/db --json | jq -r '[.[].holds[]] | length'; }

random_file "$WORK/old" $((8 << 20))
random_file "$WORK/new" $((8 << 20))
old=$(sha256sum <"$WORK/old") new=$(sha256sum <"$WORK/new")

must "a volume" "$STORAGEOS" create plain/db --size 64M
must "it is served" serve plain/db mnt
must "with data" put "$WORK/mnt/db" "$WORK/old"
must "a snapshot" "$STORAGEOS" snapshot create plain/db@old --freeze never
must "other data" put "$WORK/mnt/db" "$WORK/new"

# What is flushed is in the file, but the server goes on: a copy for later.
must "a copy of the file" cp "$WORK/plain/db.vol" "$WORK/before"

# ---- made, written, read

is "a clone on ext4 is linked by itself" "$("$STORAGEOS" clone plain/db@old plain/test --json | jq -r .how)" linked
is "the base is held" "$(holds)" 1
check "the clone takes next to nothing" test "$(du -k "$WORK/plain/test.vol" | cut -f1)" -lt 8192
is "list tells the base" "$("$STORAGEOS" list --json | jq -r '.. | objects | select(.volume == "plain/test") | .base')" plain/db@old
is "and the depth" "$("$STORAGEOS" info plain/test --json | jq .depth)" 1
must "it is served beside the original" serve plain/test clone
is "it has what the snapshot has" "$(sum "$WORK/clone/test")" "$old"
is "stats tells the base" "$("$STORAGEOS" stats plain/test --json | jq -r '.. | .base? // empty | .name?' | head -n 1)" plain/db@old
must "write to the clone" dd if="$WORK/new" of="$WORK/clone/test" bs=64k count=16 conv=notrunc,fsync status=none
must "discard in the clone" fallocate -p -o $((4 << 20)) -l $((2 << 20)) "$WORK/clone/test"
cp "$WORK/old" "$WORK/want"
dd if="$WORK/new" of="$WORK/want" bs=64k count=16 conv=notrunc status=none
dd if=/dev/zero of="$WORK/want" bs=1M seek=4 count=2 conv=notrunc status=none
want=$(sha256sum <"$WORK/want")
is "the clone has its own" "$(sum "$WORK/clone/test")" "$want"
is "the original has what it had" "$(sum "$WORK/mnt/db")" "$new"

# ---- a snapshot of the clone, a clone of that, a stream of it

must "a snapshot of the clone" "$STORAGEOS" snapshot create plain/test@mine --freeze never
is "its image is the clone's" "$("$STORAGEOS" export plain/test@mine --format raw - | head -c $((8 << 20)) | sha256sum)" "$want"
stream() { "$STORAGEOS" export plain/test@mine | "$STORAGEOS" import plain/sent; }
set -o pipefail
check "a stream of it has everything" stream
is "at the other end, too" "$("$STORAGEOS" export plain/sent@mine --format raw - | head -c $((8 << 20)) | sha256sum)" "$want"
is "a clone of the clone's snapshot" "$("$STORAGEOS" clone plain/test@mine plain/second --json | jq -r .how)" linked
is "is two deep" "$("$STORAGEOS" info plain/second --json | jq .depth)" 2
check "check finds nothing wrong with it" "$STORAGEOS" check plain/second
is "a copy needs nobody" "$("$STORAGEOS" clone --copy plain/test@mine plain/copy --json | jq -r .how)" copy
is "and has everything" "$("$STORAGEOS" snapshot create plain/copy@now >/dev/null &&
	"$STORAGEOS" export plain/copy@now --format raw - | head -c $((8 << 20)) | sha256sum)" "$want"
is "of itself" "$("$STORAGEOS" info plain/copy --json | jq .depth)" null

# ---- the base is protected

refuses "the snapshot is not deleted" 'is in use by|needed by the linked clone plain/test' "$STORAGEOS" snapshot delete plain/db@old
check "the clone is let go" unserve clone
refuses "not then either, and the clone is named" 'needed by the linked clone plain/test .*storageos flatten plain/test' \
	"$STORAGEOS" snapshot delete plain/db@old
tag=$("$STORAGEOS" snapshot list plain/db --json | jq -r '.[].holds[0]')
refuses "the hold is not released by hand" 'the linked clone plain/test needs it' "$STORAGEOS" snapshot release plain/db@old "$tag"
check "the original is let go" unserve mnt
refuses "the volume is not deleted" "linked clones need its snapshots: 'old' by plain/test" "$STORAGEOS" delete plain/db
refuses "the volume keeps its UUID, by which the clone finds it" "linked clones need its snapshots: 'old' by plain/test" \
	"$STORAGEOS" set plain/db uuid=new
refuses "so does the clone" 'it is a linked clone, and its base knows it by its UUID' "$STORAGEOS" set plain/test uuid=new
must "a copy of the volume" cp "$WORK/plain/db.vol" "$WORK/plain/twin.vol"
check "may have a UUID of its own" "$STORAGEOS" set plain/twin uuid=new
rm "$WORK/plain/twin.vol"
must "a base that moves" mv "$WORK/plain/db.vol" "$WORK/plain/moved.vol"
is "is found by its UUID" "$("$STORAGEOS" info plain/test --json | jq -r .error)" null
must "a base that is missing" mv "$WORK/plain/moved.vol" "$WORK/gone"
refuses "is an error that says so" "base 'plain/db@old' is missing" serve plain/test clone
refuses "check tells it, too" "base 'plain/db@old' is missing" "$STORAGEOS" check plain/test
must "is back" mv "$WORK/gone" "$WORK/plain/db.vol"
check "with it, check finds nothing wrong" "$STORAGEOS" check plain/test
must "another file of the base" cp "$WORK/plain/db.vol" "$WORK/kept"
must "from before the clone" cp "$WORK/before" "$WORK/plain/db.vol"
refuses "has no hold, which check tells" "base 'plain/db@old' is not held for it.*snapshot hold plain/db@old clone-" \
	"$STORAGEOS" check plain/test
is "in its JSON, too" "$("$STORAGEOS" check plain/test --json 2>/dev/null | jq -r .base_problem | cut -c1-45)" \
	"its base 'plain/db@old' is not held for it, a"
must "the right one is back" mv "$WORK/kept" "$WORK/plain/db.vol"

# ---- the end of the link

refuses "no flatten while snapshots may need the base" "snapshot 'mine' may need the base" "$STORAGEOS" flatten plain/test
is "the base is still held" "$(holds)" 1
must "the second clone goes" "$STORAGEOS" delete plain/second
must "its base, too" "$STORAGEOS" snapshot delete plain/test@mine
must "the original is served again" serve plain/db mnt
must "so is the clone" serve plain/test clone
check "flatten, in use" "$STORAGEOS" flatten plain/test --rate 0
is "the clone has what it had" "$(sum "$WORK/clone/test")" "$want"
is "the base is not held any more" "$(holds)" 0
check "the snapshot can be deleted" "$STORAGEOS" snapshot delete plain/db@old
refuses "there is nothing more to flatten" 'is no linked clone' "$STORAGEOS" flatten plain/test
check "the clone is let go again" unserve clone
check "the clone is whole" "$STORAGEOS" check plain/test
is "and of itself" "$("$STORAGEOS" info plain/test --json | jq .depth)" null

# ---- deleting a clone

must "another snapshot" "$STORAGEOS" snapshot create plain/db@new --freeze never
must "another clone" "$STORAGEOS" clone --linked plain/db@new plain/short
is "holds it" "$(holds)" 1
must "is copied to move it" cp "$WORK/plain/short.vol" "$WORK/plain/moved.vol"
like "and deleted where it was, which leaves its base held" "$("$STORAGEOS" delete plain/short 2>&1)" \
	'stays held: plain/moved has the same UUID, and needs it'
is "for the copy" "$(holds)" 1
must "which is deleted, too" "$STORAGEOS" delete plain/moved
is "and holds nothing" "$(holds)" 0
must "a clone that is copied" "$STORAGEOS" clone --linked plain/db@new plain/first
must "with the same UUID" cp "$WORK/plain/first.vol" "$WORK/plain/second.vol"
like "the copy is flattened, which leaves the base held" "$("$STORAGEOS" flatten plain/second 2>&1)" \
	'stays held: plain/first has the same UUID, and needs it'
is "for the other" "$(holds)" 1
check "which check finds as it should be" "$STORAGEOS" check plain/first
check "and which is flattened, too" "$STORAGEOS" flatten plain/first
is "nobody needs the base" "$(holds)" 0
must "one whose file is removed" "$STORAGEOS" clone --linked plain/db@new plain/short2
rm "$WORK/plain/short2.vol"
tag=$("$STORAGEOS" snapshot list plain/db --json | jq -r '.[].holds[0]')
refuses "still holds, and the message says how to go on" "storageos snapshot release plain/db@new $tag" \
	"$STORAGEOS" snapshot delete plain/db@new
check "until it is released by hand" "$STORAGEOS" snapshot release plain/db@new "$tag"
check "which lets the snapshot go" "$STORAGEOS" snapshot delete plain/db@new
refuses "two ways at once" 'exclude each other' "$STORAGEOS" clone --linked --copy plain/db@new plain/x
# Some files, as a file system that is all but full may refuse the last large one.
fill() { for i in 1 2 3 4 5 6 7 8; do fallocate -l $(($(stat -f -c '%a*%S' "$WORK/plain") * 3 / 4)) "$WORK/plain/filler$i"; done; }
must "a file system that is all but full" fill
refuses "lets no snapshot be taken" 'only .* are free, and a snapshot keeps all .*: delete snapshots' \
	"$STORAGEOS" snapshot create plain/db@full --freeze never
rm "$WORK/plain"/filler*
check "but again when there is room" "$STORAGEOS" snapshot create plain/db@full --freeze never
check "the original is let go at last" unserve mnt
check "the original is whole" "$STORAGEOS" check plain/db
finish
