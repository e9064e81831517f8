#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# list: columns, for people and for scripts, in bytes, sorted; what a volume has not, and what cannot be read.
. "$(dirname "$0")/../lib.sh"
need jq jq
need_root
need_fuse
need_loop
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
own_config
config_set frontend=fuse
cleanup attached_end

list() { "$STORAGEOS" list "$@"; }
words() { tr '\t\n' ' ;'; }

must "a volume" "$STORAGEOS" create b --size 64M
must "a larger one" "$STORAGEOS" create a --size 1G --block-size 4096
must "another pool" "$STORAGEOS" pool create fast "$WORK/fast"
must "with a volume" "$STORAGEOS" create fast/c --size 128M --write-cache off
must "properties" "$STORAGEOS" set b "description=the other one" label.team=db label.tier=1
must "attach" "$STORAGEOS" attach b
must "write" dd if=/dev/urandom of="$WORK/dev/default/b" bs=1M count=8 oflag=direct status=none
must "a snapshot" "$STORAGEOS" snapshot create b@monday --freeze never

is "columns for scripts" "$(list -H -o volume,name,pool,size | words)" \
	"default/a a default 1 GiB;default/b b default 64 MiB;fast/c c fast 128 MiB;"
is "in bytes" "$(list -H --bytes -o name,size,block_size | words)" "a 1073741824 4096;b 67108864 512;c 134217728 512;"
is "the sum of what they take" "$(list -H --bytes -o used | jq -s add)" "$(list --json | jq '[.[].allocated] | add')"
is "percent" "$(list -H --bytes -o name,percent fast | words)" \
	"c $(list fast --json | jq '.[0].allocated * 100 / .[0].size + 0.5 | floor');"
is "the columns of an attached volume" "$(list -H -o state,via,link,device default --sort via | head -n 1)" \
	"attached	FUSE	$WORK/dev/default/b	$(readlink -f "$WORK/dev/default/b")"
is "and of a detached one" "$(list -H -o state,via,link,device,base fast)" "detached	-	-	-	-"
is "UUID, file, write cache" "$(list -H -o uuid,path,write_cache fast)" \
	"$("$STORAGEOS" info fast/c --json | jq -r .uuid)	$WORK/fast/c.vol	off"
is "snapshots" "$(list -H -o name,snapshots | words)" "a 0;b 1;c 0;"
is "what they hold: nothing yet" "$(list -H --bytes -o held default | words)" "0;0;"
must "overwrite" dd if=/dev/urandom of="$WORK/dev/default/b" bs=1M count=4 oflag=direct conv=fsync status=none
must "with a checkpoint" "$STORAGEOS" snapshot create b@tuesday --freeze never
is "then what was overwritten" "$(list -H --bytes -o held --sort held -r default | head -n 1)" $((4 << 20))
is "bytes read and written, of what is served" \
	"$(list -H --bytes -o name,written --sort written -r | words)" "b $((12 << 20));a -;c -;"
must "read" dd if="$WORK/dev/default/b" of=/dev/null bs=1M count=2 iflag=direct status=none
check "what was read is counted, too" [ "$(list -H --bytes -o read default --sort read -r | head -n 1)" -ge $((2 << 20)) ]
is "properties" "$(list -H -o name,description,labels default | words)" "a - -;b the other one team=db,tier=1;"
is "any of them" "$(list -H -o label.team,scrub_rate default | words)" "- -;db -;"
is "never scrubbed" "$(list -H -o scrubbed fast)" -
before=$(date +%s)
must "scrub" "$STORAGEOS" scrub fast/c
check "the time of the scrub" [ "$(list -H --bytes -o scrubbed fast)" -ge "$before" ]

is "JSON has the properties, too" "$(list --json | jq -c '[.[].properties.description]')" '[null,"the other one",null]'
is "and the last scrub" "$(list --json | jq -c '[.[] | [.scrub_time > 0, .scrub_errors]]')" '[[false,0],[false,0],[true,0]]'

is "sorted by a number" "$(list -H -o name --sort size | xargs)" "b c a"
is "the greatest first" "$(list -H -o name --sort size --reverse | xargs)" "a c b"
is "by text" "$(list -H -o size --sort name -r | words)" "128 MiB;64 MiB;1 GiB;"
is "what has nothing is last" "$(list -H -o name --sort description | xargs) $(list -H -o name --sort description -r | xargs)" \
	"b a c b a c"
is "JSON is sorted, too" "$(list --json --sort size | jq -r '[.[].volume] | join(" ")')" "default/b fast/c default/a"

is "with a heading" "$(list -o name,percent,size fast | head -n 1 | xargs)" "NAME USED% SIZE"
is "and the pool's line" "$(list -o name fast | sed -n '3s/:.*//p')" "pool fast"
is "columns are as wide as what they have" "$(list -o description,name default | sed -n '2,3p' | cut -c16-)" $'a\nb'

echo x >"$WORK/fast/bad.vol"
is "what cannot be read" "$(list -H -o name,size,description,state fast 2>/dev/null | head -n 1 | cut -f1-3)" "bad	?	?"
is "fails" "$(list fast >/dev/null 2>&1; echo $?)" 1
rm "$WORK/fast/bad.vol"
like "an unknown column is refused with all names" "$(list -o name,colour 2>&1)" \
	"^storageos: list: no column 'colour' \\(volume, name, pool, size, .*, held, read, written, labels, description, label\\.NAME"
is "as a usage error" "$(list -o colour 2>/dev/null; echo $?) $(list --sort colour 2>/dev/null; echo $?)" "2 2"
is "no column" "$(list -o '' 2>/dev/null; echo $?) $(list -o name, 2>/dev/null; echo $?)" "2 2"
is "two columns to sort by" "$(list --sort name,size 2>/dev/null; echo $?)" 2
is "--reverse alone" "$(list --reverse 2>/dev/null; echo $?)" 2
is "--json with columns" "$(list --json -o name 2>/dev/null; echo $?) $(list --json -H 2>/dev/null; echo $?)" "2 2"

mv "$WORK/fast/c.vol" "$WORK/fast/.c.vol.moving"
like "a move that was interrupted is told" "$(list 2>&1 >/dev/null)" \
	'^storageos: list: the move of fast/c to another pool was interrupted \(to end that: storageos move fast/c POOL\)$'
refuses "its name is not free meanwhile" 'the move of a volume of that name was interrupted' "$STORAGEOS" create fast/c --size 1M
finish
