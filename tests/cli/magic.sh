#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# file(1) knows volumes and streams by the fragment that is proposed to it, and takes nothing else for them.
. "$(dirname "$0")/../lib.sh"
need file file
need jq jq
need python3 python3
need_root
need_built "$STORAGEOS"
own_config

magic=$ROOT/docs/upstream/storageos.magic
says() { file -b -m "$magic" "$@"; }

check "file can compile it" eval "cd '$WORK' && file -C -m '$magic' 2>&1 | { ! grep -i -E 'warning|error'; }"
must "create" "$STORAGEOS" create db --size 64M
uuid=$("$STORAGEOS" info db --json | jq -r .uuid)
whole="storageos volume, format 2, 67108864 bytes, blocks of 512 bytes, UUID $uuid"
is "a volume" "$(says "$POOL/db.vol")" "$whole"
must "one of large blocks" "$STORAGEOS" create large --size 64M --block-size 4096
like "is one, too" "$(says "$POOL/large.vol")" ', blocks of 4096 bytes, '
must "a snapshot" "$STORAGEOS" snapshot create db@one --freeze never
must "a linked clone" "$STORAGEOS" clone db@one linked --linked
like "is called that" "$(says "$POOL/linked.vol")" ', linked clone$'
cp --sparse=always "$POOL/db.vol" "$WORK/first-lost"
dd if=/dev/zero of="$WORK/first-lost" bs=4096 count=1 conv=notrunc status=none
is "a volume by its second superblock" "$(says "$WORK/first-lost")" "(first superblock damaged) $whole"
python3 - "$WORK/first-lost" <<'END'
import sys
with open(sys.argv[1], "r+b") as f:
    f.seek(65536 + 68)
    f.write(b"\0")
END
like "one that was not closed" "$(says "$WORK/first-lost")" ', in use or not closed$'
must "a stream" "$STORAGEOS" export db@one "$WORK/one.stream"
is "is one" "$(says "$WORK/one.stream")" "storageos stream"
head -c 70000 /dev/zero >"$WORK/zeros"
is "zeros are not" "$(says "$WORK/zeros")" "data"
printf 'SOSTANYTHING ELSE THAT BEGINS SO AND IS LONG ENOUGH' >"$WORK/text"
like "nor is text" "$(says "$WORK/text")" "^ASCII text|^data"
finish
