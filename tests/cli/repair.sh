#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# storageos check --repair: its messages, questions, changes and exit status.
. "$(dirname "$0")/../lib.sh"
need jq jq
need python3 python3
need_root
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
need_fuse
own_config

vol=$POOL/db.vol
repair() { "$STORAGEOS" check db --repair "$@"; }
status() { "$@" >"$WORK/said" 2>&1 </dev/null; echo $?; }
flip() { flip_bits "$vol" "$@"; } # OFFSET...
put() { # CHARACTER BLOCK
	head -c 4096 /dev/zero | tr '\0' "$1" |
		dd of="$WORK/mnt/db" bs=4k seek="$2" oflag=direct iflag=fullblock conv=notrunc status=none
}
find_block() { # CHARACTER: prints the offset in the file of a block full of it
	python3 -c 'import mmap, sys
f = open(sys.argv[1], "rb")
print(mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ).find(sys.argv[2].encode() * 4096))' "$vol" "$1"
}
serve() { "$STORAGEOS_FUSE" --pid-file "$WORK/pid" db "$WORK/mnt" && server=$(<"$WORK/pid"); }
end() { unmount "$WORK/mnt" && wait_for 10 gone "$server"; }

must "create" "$STORAGEOS" create db --size 512M
mkdir "$WORK/mnt"
cleanup unmount_for_certain "$WORK/mnt"
must "serve" serve
for block in 0 1000 100000; do put a $block; done
put x 5
refuses "a served volume is not repaired" 'is in use by|open' repair --yes
must "end" end

# ---- nothing to do

is "whole: status" "$(status repair)" 0
like "whole: the message" "$(<"$WORK/said")" '^default/db: whole; '
is "usage: --yes without --repair" "$(status "$STORAGEOS" check db --yes)" 2
is "usage: --cut-journal without --repair" "$(status "$STORAGEOS" check db --cut-journal)" 2

# ---- structures that are kept twice: the same messages for each

find_node() { # BLOCK LEVEL: prints the offset in the file of the node over BLOCK; level -1: the block
	python3 - "$vol" "$1" "$2" <<-'END'
	import struct, sys
	data = open(sys.argv[1], "rb")
	block, level = int(sys.argv[2]), int(sys.argv[3])
	def at(offset, form):
	    data.seek(offset)
	    return struct.unpack(form, data.read(struct.calcsize(form)))[0]
	place = lambda pointer: at(88, "<Q") + (pointer & ((1 << 40) - 1)) * 4096
	now, node = at(12, "<I") - 1, place(at(128, "<Q"))
	while now > level:
	    node = place(at(node + (block >> 8 * now & 255) * 16, "<Q"))
	    now -= 1
	print(node)
	END
}
copy_damaged() { # WHAT OFFSET...
	local what=$1
	shift
	flip "$@"
	is "$what: status" "$(status "$STORAGEOS" check db)" 1
	like "$what: nothing is lost, and what mends it" "$(head -n 1 "$WORK/said")" \
		'^default/db: DAMAGED, but no data is lost \(damaged copies of metadata that is kept twice: 1; scrub or check --repair rewrites them\); '
	is "$what: and that alone" "$(wc -l <"$WORK/said")" 2
	is "$what: as JSON" "$("$STORAGEOS" check db --json | jq -c '[.whole, .errors, .copies_damaged, (.lost | length)]')" \
		'[false,1,1,0]'
	is "$what: a scrub mends and counts it" "$("$STORAGEOS" scrub db --json | jq -c '[.complete, .errors, .repaired]')" \
		'[true,0,1]'
	check "$what: whole again" "$STORAGEOS" check db
}
copy_damaged "a superblock" 60
copy_damaged "the other" $((65536 + 60))
copy_damaged "a node" "$(($(find_node 0 1) + 500))"
copy_damaged "its copy" "$(($(find_node 0 1) + 3264 * 4096 + 500))"
copy_damaged "a bitmap page" $((512 * 1024 + 100)) $((512 * 1024 + 4096 + 100))
copy_damaged "a durable-mark" $((128 * 1024 + 20))
copy_damaged "its copy" $((132 * 1024 + 20))

# ---- much damage at once

serve
head -c 1048576 /dev/urandom | dd of="$WORK/mnt/db" bs=1M seek=200 oflag=direct iflag=fullblock conv=notrunc status=none
end
cp --sparse=always "$vol" "$WORK/sound"
flip "$(($(find_node 51200 0) + 500))"
is "a lost leaf: status" "$(status "$STORAGEOS" check db)" 1
like "the first line says it" "$(head -n 1 "$WORK/said")" '^default/db: DAMAGED: 1 MiB of data is lost; '
like "the second says where" "$(sed -n 2p "$WORK/said")" '^default/db: lost: bytes 209715200-210763775$'
like "the third says why" "$(sed -n 3p "$WORK/said")" '^default/db: node 0/200 .*: checksum mismatch$'
like "neighbours are one line" "$(<"$WORK/said")" 'slots [0-9]+-[0-9]+: in use by the bitmap, but nothing refers'
check "the report is short" test "$(wc -l <"$WORK/said")" -le 12
cp --sparse=always "$WORK/sound" "$vol"
for i in {0..29}; do flip "$(find_node $((51200 + i * 2)) -1)"; done
is "every second block: status" "$(status "$STORAGEOS" check db)" 1
is "twenty lines, and how many more" "$(wc -l <"$WORK/said")" 21
is "the last line has the number of further lines" "$(tail -n 1 "$WORK/said")" 'default/db: and 41 more (--json lists all)'
like "both where and why" "$(<"$WORK/said")" 'block 51200 .*: checksum mismatch'
is "JSON has all of it" "$("$STORAGEOS" check db --json | jq -c '[.errors, (.messages | length), (.lost | length)]')" '[30,30,30]'
status "$STORAGEOS" scrub db >/dev/null
is "scrub lists as much" "$(grep -c 'lost: bytes' "$WORK/said")" 19
like "scrub prints the number of further ranges" "$(<"$WORK/said")" ': and 11 more \(--json lists all\)'
status repair --yes >/dev/null
is "repair lists as much" "$(grep -c 'lost (reads keep failing): bytes' "$WORK/said")" 20
cp --sparse=always "$WORK/sound" "$vol"
check "the volume is as before" "$STORAGEOS" check db

flip 60 $((512 * 1024 + 100)) $((512 * 1024 + 4096 + 100))
cp --sparse=always "$vol" "$WORK/damaged"
is "damaged: nobody can be asked: status" "$(status repair)" 1
like "repair without a terminal says what it would do" "$(<"$WORK/said")" 'would rewrite superblock A from B'
like "repair without a terminal lists all actions" "$(<"$WORK/said")" 'would rewrite copy 2 of the bitmap of group 0'
like "repair without a terminal names --yes" "$(<"$WORK/said")" '--yes repairs without asking'
check "nothing was written" cmp "$vol" "$WORK/damaged"
is "asked, and refused: status" "$(status script -qec "$STORAGEOS check db --repair" /dev/null)" 1
check "nothing was written after a refusal" cmp "$vol" "$WORK/damaged"
answer() {
	{
		wait_for 20 grep -q 'y/N' "$WORK/said"
		echo y
	} | script -qec "$STORAGEOS check db --repair" /dev/null
}
answer >"$WORK/said" 2>&1
is "asked, and agreed: status" $? 3
like "repair asked" "$(<"$WORK/said")" 'Repair\? \[y/N\]'
check "everything is whole" "$STORAGEOS" check db
is "again: nothing to do" "$(status repair --yes)" 0

# ---- bitmaps

group=$(python3 -c 'import struct; print(struct.unpack("<Q", open("'"$vol"'", "rb").read(96)[88:96])[0])')
flip $((512 * 1024 + 100)) $((512 * 1024 + 4096 + 100)) $((group + 100)) $((group + 4096 + 100))
refuses "no bitmap page is whole: it is not opened" 'bitmap' "$STORAGEOS_FUSE" db "$WORK/mnt"
repair --yes --json >"$WORK/json" 2>/dev/null
is "bitmaps made of the map: status" $? 3
is "the JSON shows what was done" "$(jq -r '.repaired, .whole, .errors, (.left | length)' "$WORK/json" | xargs)" \
	"true true 0 0"
like "an action" "$(jq -r '.actions[]' "$WORK/json")" '^rebuild the bitmap of group 0 from the map: '

# ---- blocks that are lost

flip "$(find_block x)"
is "a lost block: status" "$(status repair --yes)" 4
like "the lost block is listed" "$(<"$WORK/said")" '^default/db: lost: bytes 20480-24575$'
is "check lists the lost block" "$("$STORAGEOS" check db --json | jq -c .lost)" '[{"offset":20480,"length":4096}]'
must "serve it in spite of the lost block" serve
is "the block stays an error" "$(status dd if="$WORK/mnt/db" bs=4k count=1 skip=5 iflag=direct)" 1
is "its neighbours are right" \
	"$(dd if="$WORK/mnt/db" bs=4k count=1 skip=1000 iflag=direct status=none | tr -d a | wc -c)" 0
put y 5
must "ended" end
is "the volume is whole when the block is rewritten" "$(status repair)" 0

# ---- after a crash, and with a damaged journal

must "serve" serve
for i in 1 2 3 4; do
	put $i $i
	sync "$WORK/mnt/db"
done
kill -9 "$server"
must "the server is killed" wait_for 10 gone "$server"
unmount_for_certain "$WORK/mnt"
cp --sparse=always "$vol" "$WORK/killed"
is "not closed, and not damaged: status" "$(status repair --yes)" 0
like "repair announces the replay" "$(<"$WORK/said")" 'will replay the 4 records of the journal'
is "the volume is closed" "$("$STORAGEOS" check db --json | jq .clean)" true
cp --sparse=always "$WORK/killed" "$vol"
position=$(python3 -c 'import struct; d = open("'"$vol"'", "rb").read(168)
size, at = struct.unpack("<Q", d[80:88])[0], struct.unpack("<Q", d[160:168])[0]
print((1 << 20) + at % size + 115)')
flip "$position"
refuses "a flushed record is damaged: it is not opened" 'was flushed, and is damaged' \
	"$STORAGEOS_FUSE" db "$WORK/mnt"
is "a damaged flushed record is not cut off unasked: status" "$(status repair --yes)" 4
like "repair names the records that --cut-journal would discard" "$(<"$WORK/said")" '--cut-journal would discard record [0-9]+: write of bytes 12288-16383'
is "with --cut-journal: status" "$(status repair --yes --cut-journal)" 3
check "the volume is whole" "$STORAGEOS" check db
must "serve the volume" serve
is "data of earlier records is there" \
	"$(dd if="$WORK/mnt/db" bs=4k count=1 skip=1 iflag=direct status=none | tr -d 1 | wc -c)" 0
must "end" end

# ---- a file that was cut short

cp --sparse=always "$WORK/killed" "$vol"
truncate -s $((group + 4 * 4096)) "$vol"
refuses "all slots are gone, and flushed records name some: it is not opened" 'slots that are not there' \
	"$STORAGEOS_FUSE" db "$WORK/mnt"
is "lost slots are not repaired: status" "$(status repair --yes)" 4
like "repair reports the damaged record" "$(<"$WORK/said")" 'cannot be repaired: journal record [0-9]+ was flushed'
truncate -s 2M "$vol"
refuses "the journal is cut: it is not opened" 'ends at byte 2097152, before the journal does' \
	"$STORAGEOS_FUSE" db "$WORK/mnt"
is "a cut journal is not repaired: status" "$(status repair --yes)" 1
like "check says the same" "$(<"$WORK/said")" 'ends at byte 2097152, before the journal does'
finish
