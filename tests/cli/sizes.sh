#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Sizes as people write them are accepted; others are refused with the reason.  A volume larger than the
# space of its pool causes a warning.
. "$(dirname "$0")/../lib.sh"
need jq jq
need_root
need_built "$STORAGEOS"
own_config
size_of() { "$STORAGEOS" info "$1" --json | jq "$2"; }

while read -r text bytes; do
	check "create --size $text" "$STORAGEOS" create v --size "$text"
	is "$text is so many bytes" "$(size_of v .size)" "$bytes"
	"$STORAGEOS" delete -q v
done <<-'END'
	10Gi 10737418240
	10GiB 10737418240
	10G 10737418240
	512mi 536870912
	1.5M 1572864
	2097152 2097152
END
while IFS='|' read -r text regex; do
	refuses "create --size $text" "$regex" "$STORAGEOS" create v --size "$text"
	is "create --size $text is usage" "$("$STORAGEOS" create v --size "$text" 2>/dev/null; echo $?)" 2
done <<-'END'
	1.3M|'1.3M' is 1363148 bytes, not a multiple of 512 \(the next multiple is 1363456\)
	1048577|not a multiple of 512 \(the next multiple is 1049088\)
	10Gx|invalid volume size '10Gx'
	1Gii|invalid volume size '1Gii'
	-1G|invalid volume size '-1G'
	1k|invalid volume size '1k' \(1MiB to 64TiB
END
for text in 4k 4K 4KiB 4096 512; do
	check "--block-size $text" "$STORAGEOS" create v --size 1M --block-size $text
	is "--block-size $text is so many bytes" "$(size_of v .logical_block_size)" "$([ $text = 512 ] && echo 512 || echo 4096)"
	"$STORAGEOS" delete -q v
done
refuses "--block-size 8k" "invalid block size '8k' \(512 or 4096\)" "$STORAGEOS" create v --size 1M --block-size 8k
refuses "a file's name for a volume's" "must not end in '.vol' \(its file name does\): use v" \
	"$STORAGEOS" create v.vol --size 1M

must "create" "$STORAGEOS" create db --size 1.5G
is "resize prints both sizes" "$("$STORAGEOS" resize db 1.75G)" "default/db: 1.75 GiB, was 1.50 GiB"
is "resize by an increment" "$("$STORAGEOS" resize db +256M)" "default/db: 2 GiB, was 1.75 GiB"
is "the volume has the new size" "$(size_of db .size)" $((2 << 30))
refuses "a size beyond the maximum" 'exceed the maximum volume size of 64 TiB' "$STORAGEOS" resize db +64T
refuses "an invalid increment" "invalid size to add '\+x'" "$STORAGEOS" resize db +x
refuses "an increment that is not a multiple of a sector" "invalid size to add '\+100'" "$STORAGEOS" resize db +100

# ---- volumes that promise more space than there is

mkdir "$WORK/small"
mount -t tmpfs -o size=64M tmpfs "$WORK/small" || give_up "no tmpfs"
cleanup unmount_for_certain "$WORK/small"
must "a pool on a small file system" "$STORAGEOS" pool create -q small "$WORK/small"
like "create warns of a size beyond the free space" "$("$STORAGEOS" create small/db --size 1G 2>&1 >/dev/null)" \
	"^storageos: create: the volume may grow to 1 GiB, but the pool 'small' has only [0-9.]+ MiB free; writes fail when it is full$"
like "resize warns of a size beyond the free space" "$("$STORAGEOS" resize small/db 64T 2>&1 >/dev/null)" 'resize: the volume may grow to 64 TiB'
is "resize is done in spite of the warning" "$(size_of small/db .size)" $((64 << 40))
is "no warning when the space suffices" "$("$STORAGEOS" create small/little --size 8M 2>&1)" "small/little: created, 8 MiB"
finish
