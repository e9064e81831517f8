#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# storageos clone: on xfs and btrfs, where files can share extents, and refused on ext4; of a volume in use.
. "$(dirname "$0")/../lib.sh"
need jq jq
need mkfs.ext4 e2fsprogs
need mkfs.xfs xfsprogs
need mkfs.btrfs btrfs-progs
need_root
need_fuse
need_loop
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
own_config
for type in xfs btrfs; do
	grep -qw $type /proc/filesystems || modprobe $type 2>/dev/null || skip_all "this kernel has no $type"
done

mkdir "$WORK/mnt" "$WORK/clone"
cleanup unmount_for_certain "$WORK/mnt"
cleanup unmount_for_certain "$WORK/clone"
pool_on_disk fast "$WORK/xfs.img" 512M mkfs.xfs -q -m reflink=1
pool_on_disk tree "$WORK/btrfs.img" 512M mkfs.btrfs -q
pool_on_disk plain "$WORK/ext4.img" 128M

serve() { "$STORAGEOS_FUSE" --pid-file "$WORK/$2.pid" "$1" "$WORK/$2"; } # VOLUME DIRECTORY
unserve() { # DIRECTORY
	local server
	server=$(<"$WORK/$1.pid")
	umount "$WORK/$1" && wait_for 10 gone "$server"
}
put() { dd if="$2" of="$1" bs=1M oflag=direct conv=notrunc,fsync status=none; } # FILE DATA
sum() { dd if="$1" bs=1M count=8 iflag=direct status=none | sha256sum; }
used() { df --output=used -k "$1" | tail -n 1; }

random_file "$WORK/old" $((8 << 20))
random_file "$WORK/new" $((8 << 20))
old=$(sha256sum <"$WORK/old") new=$(sha256sum <"$WORK/new")

for pool in fast tree; do
	must "$pool: a volume" "$STORAGEOS" create $pool/db --size 64M
	must "$pool: it is served" serve $pool/db mnt
	must "$pool: with data" put "$WORK/mnt/db" "$WORK/old"
	must "$pool: a snapshot" "$STORAGEOS" snapshot create $pool/db@old --freeze never
	must "$pool: which is held" "$STORAGEOS" snapshot hold $pool/db@old test
	must "$pool: other data" put "$WORK/mnt/db" "$WORK/new"
	sync -f "$WORK/$pool"
	before=$(used "$WORK/$pool")
	is "$pool: clone" "$("$STORAGEOS" clone $pool/db@old $pool/copy)" "$pool/copy: cloned from $pool/db@old"
	like "$pool: it is known as a clone" "$(<"$WORK/state/registry/$pool:copy")" '"clone": *true'
	sync -f "$WORK/$pool"
	grown=$(($(used "$WORK/$pool") - before))
	note "$pool: the clone took $grown KiB"
	check "$pool: the clone shares the data" test $grown -lt $((14 << 10))
	must "$pool: the clone is served beside the original" serve $pool/copy clone
	is "$pool: it has what the snapshot has" "$(sum "$WORK/clone/copy")" "$old"
	is "$pool: the original has what it had" "$(sum "$WORK/mnt/db")" "$new"
	is "$pool: the clone has no snapshots" \
		"$("$STORAGEOS" snapshot list $pool/copy --json | jq '[.[] | select(.state != "deleting")] | length')" 0
	is "$pool: the original still has" "$("$STORAGEOS" snapshot list $pool/db --json | jq -r ".[].name")" old
	must "$pool: write to the clone" put "$WORK/clone/copy" "$WORK/new"
	must "$pool: and to the original" put "$WORK/mnt/db" "$WORK/old"
	is "$pool: the clone has its own" "$(sum "$WORK/clone/copy")" "$new"
	is "$pool: so has the original" "$(sum "$WORK/mnt/db")" "$old"
	check "$pool: the clone is let go" unserve clone
	check "$pool: the original, too" unserve mnt
	check "$pool: the clone is whole" "$STORAGEOS" check $pool/copy
	check "$pool: the original, too" "$STORAGEOS" check $pool/db
	check "$pool: the UUIDs differ" test "$("$STORAGEOS" info $pool/db --json | jq -r .uuid)" != \
		"$("$STORAGEOS" info $pool/copy --json | jq -r .uuid)"
	is "$pool: a clone of a detached volume, --json" \
		"$("$STORAGEOS" clone $pool/db@old $pool/again --json | jq -r '.volume + " " + .snapshot')" \
		"$pool/again $pool/db@old"
done

# ---- refused, and nothing is left

refuses "a name that is taken" 'copy.vol is there already' "$STORAGEOS" clone fast/db@old fast/copy
refuses "a snapshot that there is not" 'nope' "$STORAGEOS" clone fast/db@nope fast/other
refuses "a volume that there is not" 'nope' "$STORAGEOS" clone fast/nope@old fast/other
refuses "a pool that there is not" 'nope' "$STORAGEOS" clone fast/db@old nope/other
refuses "a volume instead of a snapshot" 'names no snapshot' "$STORAGEOS" clone fast/db fast/other
refuses "a snapshot as the clone" 'name of a snapshot' "$STORAGEOS" clone fast/db@old fast/other@x
refuses "another file system" 'cannot share extents' "$STORAGEOS" clone --reflink fast/db@old tree/other
must "a volume on ext4" "$STORAGEOS" create plain/db --size 16M
must "with a snapshot" "$STORAGEOS" snapshot create plain/db@old
refuses "a file system that cannot" 'cannot share extents .*xfs and btrfs can' "$STORAGEOS" clone --reflink plain/db@old plain/other
is "nothing is left" "$(find "$WORK/fast" "$WORK/tree" "$WORK/plain" -name '*other*' -o -name '.*.new')" ""
finish
