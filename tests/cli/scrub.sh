#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# storageos scrub of a served volume, in the background and followed, and of a volume that is not served.
. "$(dirname "$0")/../lib.sh"
need jq jq
need python3 python3
need_root
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
need_fuse
own_config

scrub() { "$STORAGEOS" scrub db "$@"; }
of() { jq -r ".$1"; }
serve() {
	"$STORAGEOS_FUSE" --pid-file "$WORK/pid" db "$WORK/mnt" && server=$(<"$WORK/pid")
}
# put NUMBER: fills block NUMBER of the served volume with its own pattern.
pattern() { printf "%04d" "$1" | head -c 4 | { read -r p; yes "$p" | head -c 4096; }; }
put() { pattern "$1" | dd of="$WORK/mnt/db" bs=4k seek="$1" oflag=direct iflag=fullblock conv=notrunc status=none; }
# rot NUMBER: changes a byte of block NUMBER in the volume's file.
rot() {
	pattern "$1" >"$WORK/pattern"
	python3 - "$POOL/db.vol" "$WORK/pattern" <<-'END'
	import mmap, sys
	pattern = open(sys.argv[2], "rb").read()
	with open(sys.argv[1], "r+b") as f:
	    at = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ).find(pattern)
	    assert at > 0
	    f.seek(at + 1000)
	    f.write(b"#")
	END
}
running() { [ "$(scrub --status --json | of running)" = true ]; }
not_running() { ! running; }

must "create" "$STORAGEOS" create db --size 256M
is "info: never scrubbed" "$("$STORAGEOS" info db --json | of scrub_time)" 0

# ---- a volume that is not served

like "a scrub of an empty volume that is not served" "$(scrub)" \
	'^default/db: scrubbed; 0 blocks .*, 0 errors, 0 copies repaired$'
refuses "--background needs a served volume" 'nobody serves it' scrub --background
refuses "--status needs a served volume" 'nobody serves it' scrub --status

# ---- a served volume

mkdir "$WORK/mnt"
cleanup unmount_for_certain "$WORK/mnt"
must "serve" serve
is "status before the first scrub" "$(scrub --status)" "default/db: is not being scrubbed"
refuses "--stop without a scrub" 'it is not being scrubbed' scrub --stop
dd if=/dev/urandom of="$WORK/mnt/db" bs=1M count=40 seek=8 oflag=direct conv=notrunc,fsync status=none
for i in 0 1 5 600 40000; do put $i; done
scrub --rate 0 --json >"$WORK/first"
is "the scrub is complete" "$(of complete <"$WORK/first")" true
is "the scrub counts every block" "$(of blocks <"$WORK/first")" $((40 * 256 + 5))
is "the scrub counts no error" "$(of errors <"$WORK/first")" 0
is "the scrub repairs nothing" "$(of repaired <"$WORK/first")" 0
like "the scrub reads nodes" "$(of copies <"$WORK/first")" '^[1-9][0-9]+$'

must "in the background, slowly" scrub --background --rate 128K
must "the scrub is running" running
like "status shows the running scrub" "$(scrub --status)" '^default/db: is being scrubbed; [0-9]+ blocks '
like "status has the fraction that is done" "$(scrub --status --json | of fraction)" '^0\.?[0-9]*$'
is "the volume is served meanwhile" \
	"$(dd if="$WORK/mnt/db" bs=4k count=1 skip=600 iflag=direct status=none | sha256sum)" \
	"$(pattern 600 | sha256sum)"
"$STORAGEOS" scrub db >"$WORK/follows" 2>&1 &
follower=$!
check "another scrub follows the first" wait_for 10 grep -q 'a scrub is already running' "$WORK/follows"
stop $follower
must "the scrub is still running" running
like "a follower that is ended says that the scrub continues" "$(<"$WORK/follows")" \
	'scrub default/db: continues in the background \(to stop it: storageos scrub default/db --stop\)$'
env --default-signal=INT "$STORAGEOS" scrub db >"$WORK/follows" 2>&1 &
follower=$!
wait_for 10 grep -q 'a scrub is already running' "$WORK/follows"
kill -INT $follower
wait $follower
is "Ctrl-C ends a follower" $? 130
like "the follower says that the scrub continues" "$(<"$WORK/follows")" 'continues in the background'
must "the scrub continues" running
how_far() { scrub --status | grep -qE '; [0-9]+ %, [0-9.]+ [KM]iB, [0-9.]+ [KM]iB/s, [0-9]+ (s|min) left$'; }
check "status shows percent, speed and the remaining time" wait_for 20 how_far
like "stop" "$(scrub --stop)" '^default/db: scrub stopped early; '
must "the scrub has ended" not_running
start=$SECONDS
must "scrub at a rate" scrub --rate 20M
is "the scrub is not faster than its rate" $((SECONDS - start >= 1)) 1
in_time "nor slower" $start 4

# ---- rot

must "rot in block 5" rot 5
must "rot in block 40000" rot 40000
scrub --rate 0 >"$WORK/lost"
is "scrub exits with status 1 for lost blocks" $? 1
is "lost blocks are listed" "$(sed -n 's/.*lost: //p' "$WORK/lost" | xargs)" \
	"bytes 20480-24575 bytes 163840000-163844095"
like "lost blocks are counted" "$(tail -n 1 "$WORK/lost")" ' 2 errors, '
is "info shows the errors" "$("$STORAGEOS" info db --json | jq -c '[.scrub_time > 0, .scrub_blocks, .scrub_errors, .scrub_repaired]')" \
	"[true,$((40 * 256 + 5)),2,0]"
like "stats shows the errors" "$("$STORAGEOS" stats db --json | jq -c '.[0].scrub.errors')" '^2$'
put 5
put 40000
must "blocks that are rewritten are whole" scrub --rate 0

# ---- the server ends

must "scrub slowly again" scrub --background --rate 128K
start=$SECONDS
must "the server ends" unmount "$WORK/mnt"
must "the server ends promptly" wait_for 10 gone "$server"
in_time "in time" $start 4
is "the last complete result is kept" \
	"$("$STORAGEOS" info db --json | jq -c '[.scrub_time > 0, .scrub_errors]')" "[true,0]"
like "info prints the last result" "$("$STORAGEOS" info db)" '^last scrub +20[0-9][0-9]-.*, [0-9]+ blocks, 0 errors, 0 copies repaired$'
must "the volume is whole" "$STORAGEOS" check db
must "serve once more" serve
is "the result is kept over a restart" "$("$STORAGEOS" info db --json | of scrub_errors)" 0
must "end" unmount "$WORK/mnt"

# ---- structures that are kept twice

flip() { flip_bits "$POOL/db.vol" "$@"; } # OFFSET...
repaired() { "$STORAGEOS" stats db --json | jq .[0].copies_repaired; }
must "its server is gone" wait_for 10 gone "$server"
flip 60 $((512 * 1024 + 100)) $((512 * 1024 + 4096 + 100))
must "serve with a damaged superblock, and a bitmap page's copy" serve
is "the damaged superblock was rewritten and counted" "$(repaired)" 1
scrub --rate 0 --json >"$WORK/mended"
is "scrub finds the bitmap page and rewrites it" "$(jq -c '[.complete, .errors, .repaired]' <"$WORK/mended")" \
	"[true,0,1]"
is "the rewritten page is counted, too" "$(repaired)" 2
is "the count is kept" "$("$STORAGEOS" info db --json | of scrub_repaired)" 1
must "end" unmount "$WORK/mnt"
must "the server ends promptly" wait_for 10 gone "$server"
must "everything is whole" "$STORAGEOS" check db
flip $((512 * 1024 + 100)) $((512 * 1024 + 4096 + 100))
is "a scrub of a volume that is not served mends, too" "$(scrub --json | jq -c '[.complete, .errors, .repaired]')" "[true,0,1]"
must "the volume is whole again" "$STORAGEOS" check db

# ---- usage

is "an invalid rate" "$(scrub --rate fast 2>/dev/null; echo $?)" 2
is "two actions at the same time" "$(scrub --stop --status 2>/dev/null; echo $?)" 2
finish
