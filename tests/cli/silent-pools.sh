#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Pools that have passed a mark and whose file systems do not answer: `top` and `stats --watch` wait for all of them
# together, and once; they see one that answers again.
. "$(dirname "$0")/../lib.sh"
need jq jq
need_root
need_fuse
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
own_config

# A pool's file system that does not answer: a server over FUSE that is stopped, over the directory of the pool.  The
# server is of another run directory, so that it is none of those that `top` asks.
sed "s,^run_directory=.*,run_directory=$WORK/away," "$STORAGEOS_CONFIG" >"$WORK/away.conf"
away() { STORAGEOS_CONFIG=$WORK/away.conf "$@"; }
mkdir -p "$WORK/run/pools"
for pool in a b c; do
	must "a pool, $pool" "$STORAGEOS" pool create $pool "$WORK/$pool" -q
	must "with a mark" "$STORAGEOS" pool set $pool warn=1 -q
	echo "{\"pool\": \"$pool\", \"mark\": 1, \"before\": 0, \"percent\": 50}" >"$WORK/run/pools/$pool"
done
lines() { "$STORAGEOS" top --count 1 | grep -c "^pool .: $1"; }
is "they are past their marks" "$(lines "[0-9]* % of .* are taken, .* are free (warn=1)")" 3
for pool in a b c; do
	must "a volume, $pool" away "$STORAGEOS" create v$pool --size 16M
	cleanup unmount_for_certain "$WORK/$pool"
	must "serve it over the pool" away "$STORAGEOS_FUSE" v$pool "$WORK/$pool"
	server=$(away "$STORAGEOS" info v$pool --json | jq -r .open_in | sed 's,^process \([0-9]*\) .*,\1,')
	must "stop its server" kill -STOP "$server"
	cleanup kill -9 "$server"
done

# One by one they would take 30 s, whatever the machine.
begun=$SECONDS
is "top says which do not answer" "$(lines "it does not answer")" 3
check "within the time for one" [ $((SECONDS - begun)) -lt 25 ]
begun=$SECONDS
is "so does stats --watch, in each interval" "$("$STORAGEOS" stats --watch --count 3 | grep -c "^pool .: it does not answer")" 9
check "and waits once" [ $((SECONDS - begun)) -lt 25 ]

"$STORAGEOS" top --interval 1 >"$WORK/top" 2>&1 &
top=$!
cleanup stop $top
says() { tail -n 3 "$WORK/top" | grep -q "^pool $1: $2"; }
must "all are silent" wait_for 20 says a "it does not answer"
must "one answers again" umount -l "$WORK/a"
check "top sees it" wait_for 60 says a "[0-9]* % of"
check "the others are silent still" says b "it does not answer"
stop $top
finish
