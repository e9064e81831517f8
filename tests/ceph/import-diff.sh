#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Snapshots move to and from the images of a real Ceph cluster by its own tools, whole and as what changed: their
# bytes, sizes and names are the same on both sides.
. "$(dirname "$0")/../lib.sh"
need rbd ceph-common
need ceph-mon ceph-mon
need ceph-mgr ceph-mgr
need ceph-osd ceph-osd
need fio fio
need jq jq
need python3 python3
need_root
need_fuse
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
own_config

cluster=$ROOT/tests/ceph/cluster
export CEPH_CONF=$WORK/ceph/ceph.conf
cleanup "$cluster" stop "$WORK/ceph"
must "a Ceph cluster" within 120 "$cluster" start "$WORK/ceph"

# The bytes of a snapshot, of a volume and of an image.
content() { "$STORAGEOS" export "$1" --format raw - | sha256sum; }
image_content() { rbd export "$1" - | sha256sum; }
same() { is "$1" "$(content "$2")" "$(image_content "$3")"; } # NAME VOLUME@SNAPSHOT IMAGE@SNAPSHOT
snapshots() { "$STORAGEOS" snapshot list "$1" --json | jq -r '.[].name' | paste -sd' '; }
image_snapshots() { rbd snap ls "$1" --format json | jq -r '.[].name' | paste -sd' '; }
set -o pipefail
to_ceph() { "$STORAGEOS" export "$1" "${@:3}" --format rbd-diff | rbd import-diff - "$2"; } # VOLUME@SNAP IMAGE [OPTION...]
from_ceph() { rbd export-diff "${@:2}" - | "$STORAGEOS" import "$1" --format rbd-diff; } # VOLUME EXPORT-OPTION...

# ---- a volume, and what changes in it

mkdir "$WORK/mnt"
cleanup unmount_for_certain "$WORK/mnt"
must "a volume" "$STORAGEOS" create db --size 48M
must "served" "$STORAGEOS_FUSE" --pid-file "$WORK/pid" db "$WORK/mnt"
put() { dd if="${3-/dev/urandom}" of="$WORK/mnt/db" bs=512 seek="$1" count="$2" conv=notrunc,fsync iflag=fullblock status=none; }
take() { "$STORAGEOS" snapshot create "db@$1"; }
# Across the borders of RBD's objects of 4 MiB, single sectors, and up to the end.
must "data" put 0 50000
must "its last sector" put $((48 * 2048 - 1)) 1
must "snapshot one" take one
for at in 1 8191 8192 20000 65536; do
	must "three sectors at $at" put $at 3
done
must "zeros over data" put 30000 100 /dev/zero
must "a discard of a part of an object" fallocate -p -o 5M -l 1M "$WORK/mnt/db"
must "a discard of whole objects" fallocate -p -o 12M -l 8M "$WORK/mnt/db"
must "snapshot two" take two
server=$(<"$WORK/pid")
must "end" unmount "$WORK/mnt"
must "it has ended" wait_for 10 gone "$server"
must "another size" "$STORAGEOS" resize db 64M
must "served again" "$STORAGEOS_FUSE" --pid-file "$WORK/pid" db "$WORK/mnt"
must "data behind the old end" put $((63 * 2048)) 2048
must "snapshot three" take three
must "nothing changes" take four

# ---- to Ceph

must "an image" rbd create db --size 48M
must "all of one" to_ceph db@one db
must "what changed to two" to_ceph db@two db --from one
must "and to three, which is larger" to_ceph db@three db --from two
must "and to four, which is nothing" to_ceph db@four db --from three
is "the snapshots have their names" "$(image_snapshots db)" "one two three four"
for snapshot in one two three four; do
	same "$snapshot in Ceph: the same bytes" db@$snapshot db@$snapshot
done
refuses "once more" "exists" to_ceph db@four db --from three
must "in one step" eval 'rbd create step --size 1M && to_ceph db@one step && to_ceph db@four step --from one'
same "in one step: the same bytes" db@four step@four
must "one as a file" "$STORAGEOS" export db@one --format rbd-diff "$WORK/1"
must "what changed as a file" "$STORAGEOS" export db@two --from one --format rbd-diff "$WORK/2"
must "Ceph merges them" rbd merge-diff --no-progress "$WORK/1" "$WORK/2" "$WORK/1+2"
must "which is imported" "$STORAGEOS" import merged "$WORK/1+2" --format rbd-diff
same "merged by Ceph: the same bytes" merged@two db@two

# ---- a clone in Ceph, of what came there

must "protect it" rbd snap protect db@three
must "a clone" rbd clone db@three clone
load() { # IMAGE FIO-OPTION...: from within Ceph, at random places
	fio --name=load --ioengine=rbd --clientname=admin --pool=rbd --rbdname="$1" --iodepth=8 --size=64M \
		--randrepeat=0 "${@:2}" | grep -q 'err= 0'
}
must "is written" load clone --rw=randwrite --bsrange=512-128k --blockalign=512 --io_size=4M
must "its snapshot" rbd snap create clone@first
must "more is written" load clone --rw=randwrite --bsrange=512-64k --blockalign=512 --io_size=1M
must "and discarded" load clone --rw=randtrim --bs=64k --io_size=4M
must "its second" rbd snap create clone@second
must "it grows" rbd resize clone --size 80M
must "its third" rbd snap create clone@third

# ---- from Ceph

must "all of an image" from_ceph back db@one
must "what changed" from_ceph back db@three --from-snap one
is "the snapshots have their names" "$(snapshots back)" "one three"
same "one, and back" back@one db@one
same "three, and back" back@three db@three
is "which is what it was" "$(content back@three)" "$(content db@three)"
must "a clone with its parent's data" from_ceph clone clone@first
must "what changed in it" from_ceph clone clone@second --from-snap first
must "and its new size" from_ceph clone clone@third --from-snap second
for snapshot in first second third; do
	same "$snapshot of a clone: the same bytes" clone@$snapshot clone@$snapshot
done
for volume in back clone merged; do
	check "$volume is whole" "$STORAGEOS" check $volume
done

# Version 2 of the format is what `rbd export --export-format 2` has for each snapshot, behind the image's properties.
must "an image with its snapshots" rbd export --export-format 2 clone "$WORK/clone.v2"
must "in parts" python3 -c '
import sys
parts = open(sys.argv[1], "rb").read().split(b"rbd diff v2\n")[1:]
for number, part in enumerate(parts):
    open(f"{sys.argv[1]}.{number}", "wb").write(b"rbd diff v2\n" + part)
' "$WORK/clone.v2"
for number in 0 1 2; do
	must "version 2: part $number" "$STORAGEOS" import two "$WORK/clone.v2.$number" --format rbd-diff
done
is "version 2: the snapshots" "$(snapshots two)" "first second third"
for snapshot in first second third; do
	same "version 2: $snapshot: the same bytes" two@$snapshot clone@$snapshot
done

# ---- what does not fit

must "an image of an odd size" rbd create odd --size 3000001B
must "its snapshot" rbd snap create odd@one
refuses "is refused" "no volume can have 3000001 bytes .*multiple of 512" from_ceph odd odd@one
refuses "a snapshot that is not there" "snapshot 'first', which the volume does not have" \
	from_ceph back clone@second --from-snap first
must "end" unmount "$WORK/mnt"
finish
