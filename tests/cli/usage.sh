#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What deleting snapshots frees: `snapshot list --usage` and `snapshot delete -n` say it beforehand, of a volume
# that is served and of one that is not, and it is what becomes free.
. "$(dirname "$0")/../lib.sh"
need jq jq
need python3 python3
need_root
need_fuse
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
own_config

snapshot() { "$STORAGEOS" snapshot "$@"; }
# put BLOCK N: writes that many random MiB to the served volume.
put() { dd if=/dev/urandom of="$WORK/mnt/db" bs=1M seek="$1" count="$2" conv=notrunc,fsync iflag=fullblock status=none; }
# unique NAME: what deleting it alone would free.
unique() { snapshot list db --usage --json | jq ".[] | select(.name == \"$1\").unique"; }
frees() { snapshot delete -n "$1" --json | jq .frees; }
used() { "$STORAGEOS" stats db --json | jq '.[0].space | .data + .metadata'; }
all_freed() { [ "$(snapshot list db --json | jq '[.[] | select(.state == "deleting")] | length')" = 0 ]; }
ask() {
	python3 - "$WORK/run/control/default:db" "$1" <<-'END'
	import json, socket, sys
	client = socket.socket(socket.AF_UNIX)
	client.connect(sys.argv[1])
	client.sendall(json.dumps({"version": 1, **json.loads(sys.argv[2])}).encode() + b"\n")
	answer = json.loads(client.makefile().readline())
	print(json.dumps(answer.get("data")) if answer["ok"] else answer["error"])
	sys.exit(not answer["ok"])
	END
}

mkdir "$WORK/mnt"
cleanup unmount_for_certain "$WORK/mnt"
must "create" "$STORAGEOS" create db --size 64M
must "serve" "$STORAGEOS_FUSE" --pid-file "$WORK/pid" db "$WORK/mnt"
server=$(<"$WORK/pid")
put 0 20
must "take one that stays" snapshot create db@stays
put 0 10
must "take a" snapshot create db@a
put 0 2
must "take b" snapshot create db@b
put 0 4

# ---- a served volume

a=$(unique a) b=$(unique b) run=$(frees db@a..b)
check "a has 2 MiB alone, and its metadata" [ $((2 << 20)) -lt "$a" -a "$a" -lt $((3 << 20)) ]
check "b has 2 MiB alone, and its metadata" [ $((2 << 20)) -lt "$b" -a "$b" -lt $((3 << 20)) ]
check "the run has what both share, too" [ $((6 << 20)) -lt "$run" -a "$run" -lt $((7 << 20)) -a $((a + b)) -lt "$run" ]
is "one alone, by delete -n" "$(frees db@a)" "$a"
is "a second time" "$(frees db@a..b)" "$run"
like "for people" "$(snapshot delete -n db@a..b)" '^default/db@a, default/db@b: would be deleted, frees 6\.[0-9] MiB$'
like "in the table" "$(snapshot list db --usage | tr -s ' ')" '^default/db@a .* 2\.[0-9] MiB ok'
like "the heading" "$(snapshot list db --usage | head -n 1)" 'WRITTEN +UNIQUE +STATE'
is "nothing is counted unless asked for" "$(snapshot list db --json | jq '.[0].unique')" null
is "nothing was written meanwhile" "$(snapshot delete -n db@a..b --json | jq -c '[.moving, .waiting, .deleted]')" '[false,0,false]'
refuses "of no snapshot" 'was deleted at this moment' ask '{"command": "snapshot-usage", "from": 1, "to": 4711}'
refuses "of a run the other way round" 'was deleted at this moment' \
	ask "$(snapshot list db --json | jq -c '{command: "snapshot-usage", from: .[2].generation, to: .[1].generation}')"

# ---- while it is written

put 40 10
must "take c" snapshot create db@c
c=$(unique c)
writing() { while [ ! -e "$WORK/stop" ]; do put $((40 + RANDOM % 10)) 1; done; }
writing &
writer=$!
for i in 1 2 3 4 5; do
	now=$(unique c)
	check "c does not get smaller: $i" [ "$now" -ge "$c" ]
	c=$now
done
touch "$WORK/stop"
wait $writer
check "in the end, at least as much" [ "$(unique c)" -ge "$c" ]

# ---- a volume that nobody serves

c=$(unique c)
must "end" unmount "$WORK/mnt"
must "it has ended" wait_for 10 gone "$server"
is "the same number for a" "$(unique a)" "$a"
is "for b" "$(unique b)" "$b"
is "for c" "$(unique c)" "$c"
is "for the run" "$(frees db@a..b)" "$run"

# ---- and so it is

must "serve" "$STORAGEOS_FUSE" --pid-file "$WORK/pid" db "$WORK/mnt"
before=$(used)
must "delete the run" snapshot delete db@a..b
check "it is freed" wait_for 60 all_freed
is "that much is freed" $((before - $(used))) "$run"

# ---- branches

server=$(<"$WORK/pid")
must "end" unmount "$WORK/mnt"
must "it has ended" wait_for 10 gone "$server"
must "go back" "$STORAGEOS" rollback db@stays
like "a branch point frees nothing yet" "$(snapshot delete -n db@stays)" \
	'would be deleted, frees 0.* .1 of them, branch points, free nothing until one branch is deleted.$'
is "which JSON says, too" "$(snapshot delete -n db@stays --json | jq -c '[.frees, .waiting]')" '[0,1]'
must "leave a bookmark of c" snapshot delete db@c --bookmark
is "a bookmark frees nothing" "$(frees db@c)" 0
finish
