#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# storageos diff, export and import: snapshots of a served volume go through pipes and files to other
# volumes, also through pipes that break, onto disks that fill up, and in the formats of others.
. "$(dirname "$0")/../lib.sh"
need jq jq
need python3 python3
need mkfs.ext4 e2fsprogs
need_root
need_fuse
need_loop
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
own_config

export_() { "$STORAGEOS" export "$@"; }
import() { "$STORAGEOS" import "$@"; }
token() { import "$1" --token; }
# content VOLUME@SNAP: the checksum of what it holds.
content() { export_ "$1" --format raw - | sha256sum | cut -d' ' -f1; }
same() { is "$1: the same bytes" "$(content "$3")" "$(content "$2")"; }
# put BLOCK N: writes that many random blocks of 1 MiB to the served volume.
put() { dd if=/dev/urandom of="$WORK/mnt/db" bs=1M seek="$1" count="$2" conv=notrunc,fsync iflag=fullblock status=none; }
punch() { fallocate -p -o "$1" -l "$2" "$WORK/mnt/db"; }
take() { "$STORAGEOS" snapshot create "db@$1" >/dev/null; }

mkdir "$WORK/mnt"
cleanup unmount_for_certain "$WORK/mnt"
must "create" "$STORAGEOS" create db --size 512M
must "serve" "$STORAGEOS_FUSE" --pid-file "$WORK/pid" db "$WORK/mnt"
put 0 330
sha256sum <"$WORK/mnt/db" >"$WORK/a"
must "take a" take a
put 5 3
put 100 1
dd if=/dev/urandom of="$WORK/mnt/db" bs=4k seek=100000 count=1 conv=notrunc,fsync status=none
punch 50M 1M
sha256sum <"$WORK/mnt/db" >"$WORK/b"
must "take b" take b
put 8 1
must "take c" take c
put 0 20

# ---- images, and what changed

is "an image in a pipe" "$(content db@a)" "$(cut -d' ' -f1 "$WORK/a")"
like "an image in a file" "$(export_ db@b --format raw "$WORK/b.raw")" "^default/db@b: exported to $WORK/b.raw, 3[0-9.]+ MiB\$"
is "has the content" "$(sha256sum <"$WORK/b.raw")" "$(cat "$WORK/b")"
is "and holes" $(($(stat -c %b "$WORK/b.raw") * 512 < 400 << 20)) 1
refuses "a file that is there is not overwritten" "$WORK/b.raw: File exists" export_ db@a --format raw "$WORK/b.raw"
is "diff --json" "$("$STORAGEOS" diff a db@b --json | jq -c '[.[] | [.type, .offset / 1048576, .length / 1048576]]')" \
	'[["data",5,3],["zero",50,1],["data",100,1],["data",390.625,0.00390625]]'
is "diff for scripts" "$("$STORAGEOS" diff db@b db@c)" "data 8388608 1048576"
is "diff of a snapshot with itself" "$("$STORAGEOS" diff a db@a --json | jq -c .)" "[]"
refuses "an unknown snapshot" "there is no snapshot 'default/db@nope'" "$STORAGEOS" diff a db@nope
refuses "another volume's" "is a snapshot of another volume" "$STORAGEOS" diff other@a db@b

# ---- a chain, through pipes

set -o pipefail
whole() { export_ db@a | import copy; }
must "all of a" whole
like "the stream of what changed is small" "$(export_ db@b --from a "$WORK/b.stream" --json | jq .bytes)" '^419[0-9]{4}$'
is "import says so" "$(import copy "$WORK/b.stream")" "default/copy: imported, 4.0 MiB"
next() { export_ db@c --from "$("$STORAGEOS" snapshot list db --json | jq -r '.[] | select(.name == "b").uuid')" - | import copy -; }
must "c, from b by its UUID" next
same "a" db@a copy@a
same "b" db@b copy@b
same "c" db@c copy@c
is "the UUIDs are the sender's" "$("$STORAGEOS" snapshot list copy --json | jq -r '.[].uuid')" \
	"$("$STORAGEOS" snapshot list db --json | jq -r '.[].uuid')"
must "the copy is whole" "$STORAGEOS" check copy

# ---- what is refused

refuses "once more" "there is a snapshot 'b' already, which is this one" import copy "$WORK/b.stream" --force
refuses "in the wrong order" "there is a snapshot 'b' already, which is this one" \
	import copy "$WORK/b.stream"
must "another volume" "$STORAGEOS" create other --size 64M
refuses "the wrong volume" "goes on from snapshot 'a' .*which the volume does not have" import other "$WORK/b.stream"
refuses "no volume" "open volume 'default/none': no such volume" import none "$WORK/b.stream"
refuses "no stream" "frame 0: not a storageos stream" import other "$WORK/b.raw"
printf '\050\265\057\375' | cat - "$WORK/b.raw" | head -c 4096 >"$WORK/b.zst"
refuses "a compressed file" "compressed with zstd .zstd -dc FILE . storageos import VOLUME" import other "$WORK/b.zst"
refuses "one that is served" "default/db.*(in use|served|open|locked|process)" import db "$WORK/b.stream"
export_ db@a | head -c 3M >"$WORK/damaged"
flip_bits "$WORK/damaged" 1500000
refuses "a damaged stream" "frame 2: its content is damaged" import damaged "$WORK/damaged"
must "which is given up" import damaged --abort
is "usage" "$(export_ db 2>/dev/null; echo $?)" 2
is "usage: --format" "$(export_ db@a --format qcow2 2>/dev/null; echo $?)" 2
is "usage: a token" "$(export_ db@a --resume x 2>/dev/null; echo $?)" 2

# A volume that has changed, as one that was attached.
must "copy goes back to a" "$STORAGEOS" rollback copy@a --discard
must "b is not there" "$STORAGEOS" snapshot delete copy@b
must "nor c" "$STORAGEOS" snapshot delete copy@c
mkdir "$WORK/copy"
cleanup unmount_for_certain "$WORK/copy"
must "serve the copy" "$STORAGEOS_FUSE" --pid-file "$WORK/copy.pid" copy "$WORK/copy"
server=$(<"$WORK/copy.pid")
head -c 4096 /dev/urandom | dd of="$WORK/copy/copy" conv=notrunc,fsync status=none
must "end" unmount "$WORK/copy"
must "it has ended" wait_for 10 gone "$server"
refuses "a changed volume" "has changed since snapshot 'a'.*--force" import copy "$WORK/b.stream"
must "unless --force" import copy "$WORK/b.stream" --force
same "b, after --force" db@b copy@b
like "what there was is kept" "$("$STORAGEOS" snapshot list copy)" '@before-rollback-'

# ---- a pipe that is cut three times

broken() { export_ db@a | head -c "$1" | import slow; }
check "cut before the first mark" eval '! broken 100M'
is "the token says from the start" "$(token slow | sed 's/.*\.//')" 0
refuses "half of a stream is not served" "snapshot 'a' is being received.*storageos import default/slow --abort" "$STORAGEOS_FUSE" slow "$WORK/copy"
check "cut behind a mark" eval '! broken 300M'
token=$(token slow)
is "the token says from 256 MiB" "${token##*.}" $((256 << 8))
resumed() { export_ db@a --resume "$token" | head -c "${1-1G}" | import slow; }
stray() { export_ db@a --resume "$token" | import stray; }
refuses "the rest makes no volume" "no such volume" stray
is "none is there" "$("$STORAGEOS" list --json | jq '[.[].volume | select(endswith("/stray"))] | length' 2>&1)" 0
check "cut once more" eval '! resumed 5M'
is "the token is the same" "$(token slow)" "$token"
must "the rest" resumed
same "after three cuts" db@a slow@a
refuses "nothing is under way any more" 'no stream is being received' token slow
must "it is whole" "$STORAGEOS" check slow

# ---- a sender that dies

mkfifo "$WORK/pipe"
dying() {
	local sender
	"$STORAGEOS" export db@a >"$WORK/pipe" &
	sender=$!
	{ head -c 50M && kill -9 "$sender" && cat; } <"$WORK/pipe" | import dead
}
check "a sender that is killed" eval '! dying'
rest() { export_ db@a --resume "$(token dead)" | import dead; }
must "goes on" rest
same "after the death" db@a dead@a

# ---- what is sent cannot be deleted, until the sender is gone

must "take d" take d
"$STORAGEOS" export db@d --from c >"$WORK/pipe" &
sender=$!
exec 5<"$WORK/pipe"
head -c 1 <&5 >/dev/null
refuses "the snapshot that is sent" "is in use by process $sender" "$STORAGEOS" snapshot delete db@d
refuses "the one from which it is sent" "is in use by process $sender" "$STORAGEOS" snapshot delete db@c
kill -9 $sender
wait $sender 2>/dev/null
exec 5<&-
must "then it can be deleted" "$STORAGEOS" snapshot delete db@d

# ---- a receiver that is killed, and one that gives up

killed() { export_ db@b --from a | { timeout -s KILL 0.05 "$STORAGEOS" import dead; true; } && token dead; }
killed >"$WORK/killed" 2>&1
if token dead >/dev/null 2>&1; then
	is "give it up" "$(import dead --abort)" "default/dead: gave the import up, and went back to what it began with"
fi
"$STORAGEOS" snapshot list dead --json | jq -e '.[] | select(.name == "b")' >/dev/null ||
	must "again" eval 'export_ db@b --from a | import dead'
same "b, after all" db@b dead@b
check "a stream of all that is cut" eval '! (export_ db@a | head -c 1M | import gone)'
is "and given up" "$(import gone --abort)" \
	"default/gone: gave the import up; the volume is empty (to delete it: storageos delete default/gone)"
must "what is empty can receive again" eval 'export_ db@a | import gone'
same "all of it" db@a gone@a
must "a volume made by hand" "$STORAGEOS" create hand --size 64M
check "receives, and is interrupted" eval '! (export_ db@a | head -c 1M | import hand)'
is "and given up" "$(import hand --abort --json | jq .empty)" true
must "it is still there" "$STORAGEOS" check hand

# ---- a disk that fills up

pool_on_disk small "$WORK/small.img" 200M
check "the disk is too small" eval '! (export_ db@a | import small/full)'
token=$(token small/full)
like "the token is kept" "$token" '^1\.[0-9a-f-]{36}\.all\.0$'
must "given up" import small/full --abort
must "and whole" "$STORAGEOS" check small/full

# ---- Ceph

must "for Ceph" export_ db@a --format rbd-diff "$WORK/a.rbd"
is "is version 1" "$(head -n 1 "$WORK/a.rbd" | tr -d '\0')" "rbd diff v1"
must "what changed" export_ db@b --from a --format rbd-diff "$WORK/b.rbd"
must "back" import ceph "$WORK/a.rbd" --format rbd-diff
must "and what changed" import ceph "$WORK/b.rbd" --format rbd-diff
same "a, by way of Ceph's format" db@a ceph@a
same "b, by way of Ceph's format" db@b ceph@b
refuses "once more" "there is a snapshot .b. already" import ceph "$WORK/b.rbd" --format rbd-diff
refuses "as a stream" "not a storageos stream" import ceph "$WORK/b.rbd"

must "end" unmount "$WORK/mnt"

# ---- a server that is just beginning has the volume, and does not answer yet

begin_late() {
	flock "$POOL/db.vol" sleep 2 &
	sleep 0.5
	"$STORAGEOS" "$@"
	local status=$?
	wait $!
	return "$status"
}
check "export asks it again" begin_late export db@a "$WORK/late.stream"
check "so do other commands on snapshots" begin_late snapshot rename db@a first
check "so does resize" begin_late resize db +1M
check "so does scrub" begin_late scrub db
finish
