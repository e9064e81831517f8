#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What pools have and promise: `pool list`, `pool show`, the warnings of `create` and `resize`.
. "$(dirname "$0")/../lib.sh"
need jq jq
need setpriv util-linux
need_root
need_built "$STORAGEOS"
own_config

pool() { "$STORAGEOS" pool list --json | jq -r --arg pool "$1" ".[] | select(.pool == \$pool).$2"; }
warning() { "$STORAGEOS" "$@" --json 2>/dev/null | jq -r .warning; }
on_tmpfs() { # NAME SIZE
	mkdir "$WORK/$1"
	mount -t tmpfs -o "size=$2" tmpfs "$WORK/$1" || give_up "no tmpfs"
	cleanup unmount_for_certain "$WORK/$1"
	must "a pool of $2" "$STORAGEOS" pool create -q "$1" "$WORK/$1"
}

# ---- what it shows

on_tmpfs a 256M
must "a volume" "$STORAGEOS" create a/one --size 64M
must "and another" "$STORAGEOS" create a/two --size 32M
is "the state" "$(pool a state) $(pool a ready)" "ready true"
is "the size is the file system's" "$(pool a size)" $((256 << 20))
is "free is what the file system has free" "$(pool a free)" "$(($(stat -f -c '%a * %S' "$WORK/a")))"
is "used is what the volumes take" "$(pool a used)" "$("$STORAGEOS" list a --json | jq '[.[].allocated] | add')"
is "promised are the volumes' sizes" "$(pool a promised)" $((96 << 20))
is "how many" "$(pool a volumes)" 2
is "the file system and its mount" "$(pool a file_system) $(pool a mount)" "tmpfs $WORK/a"
dd if=/dev/zero of="$WORK/a/stranger" bs=1M count=128 status=none
percent=$(pool a percent)
check "full counts what others take" [ "$percent" -ge 50 ] && [ "$percent" -le 60 ]
like "a line of the list" "$("$STORAGEOS" pool list)" "^a +ready +256 MiB +[0-9.]+ MiB +[0-9.]+ MiB +$percent % +96 MiB +2 +$WORK/a$"
like "in bytes" "$("$STORAGEOS" pool list --bytes)" "^a +ready +268435456 .* 100663296 +2 "
is "show is the same as list" "$("$STORAGEOS" pool show a --json | jq -c '.[0] | del(.free)')" \
	"$("$STORAGEOS" pool list --json | jq -c '.[] | select(.pool == "a") | del(.free)')"
like "show for people" "$("$STORAGEOS" pool show a | tr -s ' ' | xargs)" \
	"pool a .* state ready size 256 MiB \(268435456 bytes\) .* full $percent % events at 80, 90, 95 % promised 96 MiB .* 38 % of the size volumes 2 file system tmpfs mounted on $WORK/a"
is "show of all" "$("$STORAGEOS" pool show | grep -c '^pool ')" 2
refuses "show of none" "pool show: no pool 'b' in $STORAGEOS_CONFIG" "$STORAGEOS" pool show b
like "list and pool list agree" "$("$STORAGEOS" list a)" "^pool a: 2 volumes, size 96 MiB, used .*; file system: .* of 256 MiB free \($((100 - percent - 1)) %\)|\($((100 - percent)) %\)"
rm "$WORK/a/stranger"
echo damaged >"$WORK/a/bad.vol"
is "a volume that cannot be read promises nothing" "$(pool a promised) $(pool a volumes)" "$((96 << 20)) 3"
rm "$WORK/a/bad.vol"

# ---- why a pool cannot be used

mv "$WORK/a/.storageos-pool" "$WORK/marker"
is "no marker" "$(pool a state) $(pool a ready) $(pool a size)" "no marker false null"
like "the list says so" "$("$STORAGEOS" pool list)" "^a +no marker +- .* $WORK/a: pool 'a': no marker .*is its file system mounted"
sed 's/"uuid": "[^"]*"/"uuid": "11111111-1111-1111-1111-111111111111"/' "$WORK/marker" >"$WORK/a/.storageos-pool"
is "another pool" "$(pool a state)" "another pool"
# As a disk from another host that is mounted and written into the configuration by hand.
sed 's/"name": "a"/"name": "theirs"/' "$WORK/marker" >"$WORK/a/.storageos-pool"
cp "$STORAGEOS_CONFIG" "$WORK/conf"
sed -i '/^\[pool a\]/,/^\[/{/^uuid=/d}' "$STORAGEOS_CONFIG"
is "a pool of another name" "$(pool a state)" "another pool"
like "its reason says how to have it" "$(pool a problem)" \
	"belongs to the pool 'theirs' \(to take it over: storageos pool create a $WORK/a --adopt\)$"
check "which works" "$STORAGEOS" pool create a "$WORK/a" --adopt -q
is "it is ready" "$(pool a state)" ready
cp "$WORK/conf" "$STORAGEOS_CONFIG"
echo nonsense >"$WORK/a/.storageos-pool"
is "a marker that is none" "$(pool a state)" unusable
mv "$WORK/marker" "$WORK/a/.storageos-pool"
is "it is ready again" "$(pool a state)" ready
printf '[pool gone]\npath=%s/gone\n' "$WORK" >>"$STORAGEOS_CONFIG"
is "no directory" "$(pool gone state)" "not there"
like "its reason" "$(pool gone problem)" "no marker $WORK/gone"
chmod 000 "$WORK/a"
chown 65534 "$WORK/a"
like "permission denied" "$(setpriv --inh-caps=-all --bounding-set=-all "$STORAGEOS" pool list)" "^a +permission denied .*Permission denied"
chown 0 "$WORK/a"
chmod 755 "$WORK/a"

# ---- what is promised and not there

on_tmpfs b 100M
is "enough for all" "$(warning create b/one --size 60M)" null
like "the second passes the size of the pool" "$("$STORAGEOS" create b/two --size 60M 2>&1 >/dev/null)" \
	"^storageos: create: the volumes of the pool 'b' may grow to 120 MiB together, 1.2 times its size of 100 MiB; writes fail when it is full$"
is "the third is silent" "$(warning create b/three --size 60M)" null
like "its double" "$(warning create b/four --size 60M)" "may grow to 240 MiB together, 2.4 times"
is "one line only" "$("$STORAGEOS" create b/five --size 70M 2>&1 >/dev/null | wc -l)" 1
is "a resize within the multiple is silent" "$(warning resize b/one 61M)" null
must "two more" "$STORAGEOS" create b/six --size 70M -q
must "of 85 MiB together" "$STORAGEOS" create b/seven --size 15M -q
like "a resize that passes the next one" "$(warning resize b/one 68M)" "may grow to 403 MiB together, 4.0 times"
like "a volume that has no room by itself" "$(warning create b/huge --size 1G)" "the volume may grow to 1 GiB, but the pool 'b' has only"
is "shrinking says nothing" "$(warning resize b/huge 900M)" null
is "the warning does not fail the command" "$("$STORAGEOS" create b/more --size 2G -q 2>/dev/null; echo $?)" 0
finish
