#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The output of list, info and status: readable with names of any length, and with all problems.
. "$(dirname "$0")/../lib.sh"
need jq jq
need python3 python3
need_root
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
own_config

must "create" "$STORAGEOS" create db --size 64M
long=$(printf 'long-%.0s' {1..12})end
must "create a volume with a long name" "$STORAGEOS" create "$long" --size 1G

# ---- list

listed=$("$STORAGEOS" list)
is "columns stand below their headings" \
	"$(awk '!/^pool/ { print match($0, / (STATE|detached)$/) }' <<<"$listed" | sort -u | wc -l)" 1
like "list shows a volume" "$listed" '^default/db +64 MiB +[0-9.]+ MiB +[0-9]+ %  detached$'
like "list shows the pool's space" "$listed" \
	'^pool default: 2 volumes, size 1.1 GiB, used [0-9.]+ MiB; file system: [0-9.]+ [GTM]iB of [0-9.]+ [GTM]iB free \([0-9]+ %\)$'
is "one volume is counted in the singular" "$("$STORAGEOS" delete -q "$long"; "$STORAGEOS" list | grep -o 'default: 1 volume,')" "default: 1 volume,"
is "list prints no warning" "$("$STORAGEOS" list 2>&1 >/dev/null)" ""
touch "$POOL/DB.vol" "$POOL/db copy.vol" "$POOL/notes.txt"
ln -s db.vol "$POOL/link.vol"
like "list warns of files that are not volumes, in one line" "$("$STORAGEOS" list 2>&1 >/dev/null)" \
	"^storageos: list: 3 files in $POOL are not volumes: '(DB|db copy|link).vol' and others \(a volume is a regular file NAME.vol; NAME is 1 to 63 "
is "the warning is no failure" "$("$STORAGEOS" list >/dev/null 2>&1; echo $?)" 0
rm "$POOL/DB.vol" "$POOL/link.vol"
like "a single such file is named" "$("$STORAGEOS" list 2>&1 >/dev/null)" "1 file in $POOL is not a volume: 'db copy.vol' \("
rm "$POOL/db copy.vol"
refuses "a volume in a pool's place" "^storageos: list: 'default/db' is a volume, not a pool \(see: storageos info default/db\)$" \
	"$STORAGEOS" list default/db
for verb in check info delete attach detach scrub status; do
	refuses "$verb of none" "default/none.*no such volume \($POOL/none.vol does not exist\); see: storageos list$" \
		"$STORAGEOS" $verb none
done
refuses "resize of a volume that does not exist" "no such volume \($POOL/none.vol does not exist\); see: storageos list$" "$STORAGEOS" resize none 1G

# ---- info

like "sizes for people first" "$("$STORAGEOS" info db)" '^size +64 MiB  \(67108864 bytes\)$'
like "info --bytes prints only bytes" "$("$STORAGEOS" info db --bytes)" '^size +67108864$'
like "info of a volume that was never scrubbed" "$("$STORAGEOS" info db)" '^last scrub +never$'
is "info prints one line about scrubs" "$("$STORAGEOS" info db | grep -c scrub)" 1
must "scrub" "$STORAGEOS" scrub db
like "info of a scrubbed volume" "$("$STORAGEOS" info db)" '^last scrub +20.*, 0 blocks, 0 errors, 0 copies repaired$'
is "info shows no trouble" "$("$STORAGEOS" info db --json | jq .trouble)" null

# ---- problems

mkdir "$WORK/mnt"
cleanup unmount_for_certain "$WORK/mnt"
random_file "$WORK/data" $((8 << 20))
put() { dd if="$WORK/data" of="$WORK/mnt/db" bs=1M count=8 conv=notrunc,fsync status=none; }
shows() { # NAME REGEX: list, info, status and their JSON match
	local verb
	like "list: $1" "$("$STORAGEOS" list | grep '^default/db')" "$2"
	is "list --json: $1" "$("$STORAGEOS" list --json | jq -r '.[0].trouble' | grep -cE "$2")" 1
	like "info: $1" "$("$STORAGEOS" info db | grep '^trouble')" "$2"
	like "status: $1" "$("$STORAGEOS" status db)" "$2"
	is "status --json: $1" "$("$STORAGEOS" status db --json | jq -r '.[0].trouble' | grep -cE "$2")" 1
}
must "serve" "$STORAGEOS_FUSE" db "$WORK/mnt"
must "write" put
must "flush and end" unmount "$WORK/mnt"
wait_for 10 "$STORAGEOS" check db
cp --sparse=always "$POOL/db.vol" "$WORK/whole.vol"
# A block of the data is damaged.
flip_bits "$POOL/db.vol" "$(python3 - "$WORK/data" "$POOL/db.vol" <<-'END'
	import sys
	data, volume = (open(name, "rb").read() for name in sys.argv[1:])
	print(volume.index(data[1000 * 4096:1001 * 4096]))
END
)"
must "serve it" "$STORAGEOS_FUSE" db "$WORK/mnt"
refuses "reading the damaged block fails" 'error' dd if="$WORK/mnt/db" of=/dev/null bs=4k iflag=direct
shows "a checksum error" '[12] checksum errors? since it was opened \(see: storageos scrub default/db --status\)'
must "end" unmount "$WORK/mnt"
wait_for 10 "$STORAGEOS" info db
"$STORAGEOS" scrub db >/dev/null
shows "what a scrub found" 'the last scrub found [12] errors? \(see: storageos scrub default/db\)'

cp --sparse=always "$WORK/whole.vol" "$POOL/db.vol"
truncate -s 100M "$POOL/db.vol"
shows "a file that was cut" 'the volume.s file ends at byte 104857600; everything beyond is lost \(see: storageos check default/db\)'
if [ -c /dev/loop-control ]; then
	cleanup "$STORAGEOS" detach db
	like "attach says it, too" "$("$STORAGEOS" attach db --frontend fuse 2>&1)" 'attach default/db: the volume.s file ends at byte 104857600'
	"$STORAGEOS" detach db
else
	skip "attach says it, too" "no loop devices"
fi
finish
