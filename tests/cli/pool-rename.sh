#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# pool rename: everything that knows the pool's name changes with it, or is listed; interrupted anywhere, it can be
# repeated.
. "$(dirname "$0")/../lib.sh"
need jq jq
need_root
need_fuse
need_built "$STORAGEOS" "$STORAGEOS_FUSE"

# /etc/fstab is this test's own.
own_namespace
own_config
echo "$WORK/dev/fast/db /srv/db xfs defaults 0 2" >"$WORK/fstab"
mount --bind "$WORK/fstab" /etc/fstab || give_up "cannot replace /etc/fstab"

uuid() { "$STORAGEOS" info "$1" --json | jq -r .uuid; }
registry() { (cd "$WORK/state/registry" && echo ./*); }
entries_of() { (cd "$WORK/state/registry" && ls) | grep -v '~' | grep -c "^$1:"; } # POOL: what a kill left is none
marker() { jq -r .name "$WORK/fast/.storageos-pool"; }

must "a pool" "$STORAGEOS" pool create fast "$WORK/fast" -q
must "a volume" "$STORAGEOS" create fast/db --size 32M -q
must "and another" "$STORAGEOS" create fast/log --size 32M -q
must "one that was deleted" "$STORAGEOS" create fast/gone --size 1M -q
must "it is" "$STORAGEOS" delete fast/gone -q
must "a snapshot" "$STORAGEOS" snapshot create fast/db@one -q
must "a linked clone of it" "$STORAGEOS" clone fast/db@one fast/linked --linked -q
must "a pool with that name" "$STORAGEOS" pool create slow "$WORK/slow" -q
printf '# mine\n[policy often]\nhourly=2\n[volume fast/db]\npolicy=often\n' >>"$STORAGEOS_CONFIG"
before=$(uuid fast/db)

# ---- what is refused

mkdir "$WORK/mnt"
cleanup unmount_for_certain "$WORK/mnt"
must "serve a volume" "$STORAGEOS_FUSE" fast/db "$WORK/mnt"
cp "$STORAGEOS_CONFIG" "$WORK/conf.before"
refuses "a pool with a volume in use" "pool rename fast: volume 'fast/db' is in use" "$STORAGEOS" pool rename fast quick
unmount_for_certain "$WORK/mnt"
refuses "a name that is taken" "there is a pool 'slow' already" "$STORAGEOS" pool rename fast slow
refuses "a bad name" "invalid pool name 'Quick'" "$STORAGEOS" pool rename fast Quick
refuses "a pool that is not there" "pool rename none: no such pool in" "$STORAGEOS" pool rename none quick
mv "$WORK/fast/.storageos-pool" "$WORK/marker"
refuses "a pool that is not mounted" "no marker" "$STORAGEOS" pool rename fast quick
mv "$WORK/marker" "$WORK/fast/.storageos-pool"
check "nothing has changed" cmp "$STORAGEOS_CONFIG" "$WORK/conf.before"
is "nor in the registry" "$(registry)" "./fast:db ./fast:gone ./fast:linked ./fast:log"

# ---- done

json=$("$STORAGEOS" pool rename fast quick --json 2>"$WORK/err")
is "it is done" "$(jq -r '"\(.pool) \(.before)"' <<<"$json")" "quick fast"
like "where the old name still is" "$(jq -r '.named_in[]' <<<"$json")" "^$WORK/dev/fast/db in line 1 of /etc/fstab$"
like "said as well" "$(<"$WORK/err")" "pool rename fast: the old name is still in: $WORK/dev/fast/db in line 1"
is "the volume is the same" "$(uuid quick/db)" "$before"
refuses "the old name is gone" "no pool 'fast'" "$STORAGEOS" info fast/db
like "the configuration" "$(<"$STORAGEOS_CONFIG")" '^\[pool quick\]$'
is "the groups of volumes, too" "$(grep '^\[volume' "$STORAGEOS_CONFIG")" "[volume quick/db]"
like "everything else stays" "$(<"$STORAGEOS_CONFIG")" '^# mine$'
is "the marker" "$(marker)" quick
is "the registry" "$(registry)" "./quick:db ./quick:gone ./quick:linked ./quick:log"
check "the linked clone finds its base" "$STORAGEOS" check quick/linked
is "with its names" "$("$STORAGEOS" status --json | jq -r '.[].state' | sort -u)" ""
refuses "once more" "no such pool" "$STORAGEOS" pool rename fast quick

# ---- interrupted: after each step the same command goes on

jq '.name = "fast"' "$WORK/fast/.storageos-pool" >"$WORK/marker" && cp "$WORK/marker" "$WORK/fast/.storageos-pool"
for file in "$WORK"/state/registry/quick:*; do cp "$file" "${file/quick:/fast:}"; done
check "after the configuration was replaced" "$STORAGEOS" pool rename fast quick
is "the marker is right" "$(marker)" quick
is "the registry is right" "$(registry)" "./quick:db ./quick:gone ./quick:linked ./quick:log"
cp "$WORK/state/registry/quick:log" "$WORK/state/registry/fast:log"
check "after the marker was replaced" "$STORAGEOS" pool rename fast quick
is "the registry forgets" "$(registry)" "./quick:db ./quick:gone ./quick:linked ./quick:log"
cp "$WORK/state/registry/quick:db" "$WORK/state/registry/fast:db"
check "before the configuration was replaced" "$STORAGEOS" pool rename quick fast
is "the volume is there" "$(uuid fast/db)" "$before"

# ---- killed at any moment

for i in $(seq 20); do
	to=n$i from=$(sed -n 's/^\[pool \(fast\|n[0-9]*\)\]$/\1/p' "$STORAGEOS_CONFIG")
	(timeout -s KILL "0.0$((i * 3 % 60 + 10))" "$STORAGEOS" pool rename "$from" "$to") >/dev/null 2>&1
	"$STORAGEOS" pool rename "$from" "$to" >/dev/null 2>&1
	[ "$(uuid "$to/db") $(marker) $(entries_of "$from")" = "$before $to 0" ] || break
done
is "killed 20 times, and repeated" "$i $(uuid "n$i/db")" "20 $before"

# ---- the default pool

must "a volume" "$STORAGEOS" create plain --size 1M -q
printf '[volume plain]\npolicy=often\n' >>"$STORAGEOS_CONFIG"
must "rename it" "$STORAGEOS" pool rename default main
is "its volume's group has the pool's name now" "$(grep '^\[volume.*plain' "$STORAGEOS_CONFIG")" "[volume main/plain]"
like "it is there" "$("$STORAGEOS" list main)" '^main/plain '
finish
