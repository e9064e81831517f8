#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The quota of a pool: what its volumes may take together, whoever serves them.
. "$(dirname "$0")/../lib.sh"
need jq jq
need mkfs.ext4 e2fsprogs
need_root
need_fuse
need_loop
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
own_config

serve() { # NAME
	mkdir "$WORK/mnt-$1"
	cleanup unmount_for_certain "$WORK/mnt-$1"
	must "serve $1" "$STORAGEOS_FUSE" "q/$1" "$WORK/mnt-$1"
}
fill() { # NAME FIRST COUNT: random MiB of the volume
	dd if=/dev/urandom of="$WORK/mnt-$1/$1" bs=1M seek="$2" count="$3" conv=notrunc,fsync status=none
}
taken() { echo $(($(stat -c '%b' "$WORK"/q/*.vol | paste -sd+) >> 11)); } # MiB
show() { "$STORAGEOS" pool show q --json | jq -c ".[0] | $1"; }

pool_on_disk q "$WORK/q.img" 1G mkfs.ext4 -q
is "pool set" "$("$STORAGEOS" pool set q quota=100M)" "q: quota 100 MiB"
is "it is in the configuration" "$(grep -A1 '^\[pool q\]' "$STORAGEOS_CONFIG")" "[pool q]
quota=100M"
refuses "a bad size" "pool set: .*key 'quota' of \[pool q\]: 'lots' is not a size" "$STORAGEOS" pool set q quota=lots
refuses "a bad setting" "invalid setting 'size=1' \(usage: storageos pool set NAME \[quota=" "$STORAGEOS" pool set q size=1
is "several at once" "$("$STORAGEOS" pool set q warn=60,70 quota=200M)" "q: warn 60,70; quota 200 MiB"
is "both are in the configuration" "$(show '[.quota, .warn]')" "[$((200 << 20)),[60,70]]"
refuses "one that is bad changes none" "key 'warn' of \[pool q\]" "$STORAGEOS" pool set q quota=300M warn=70,60
refuses "nor does one that is unknown" "invalid setting 'size=1'" "$STORAGEOS" pool set q quota=300M size=1
refuses "nor one that is there twice" "'quota' is set twice" "$STORAGEOS" pool set q quota=300M quota=400M
is "they are as before" "$(show '[.quota, .warn]')" "[$((200 << 20)),[60,70]]"
is "and both can be taken back" "$("$STORAGEOS" pool set q quota=100M warn=default)" "q: quota 100 MiB; warn default"
refuses "a pool that is not there" "pool set: no pool 'x' in" "$STORAGEOS" pool set x quota=1G
is "the size of the pool is its quota" "$(show '[.size, .quota]')" "[$((100 << 20)),$((100 << 20))]"
is "create within it" "$("$STORAGEOS" create q/a --size 90M --json 2>/dev/null | jq -r .warning)" null
like "and warns" "$("$STORAGEOS" create q/b --size 90M --json 2>/dev/null | jq -r .warning)" "may grow to 180 MiB together, 1.8 times its size of 100 MiB"
is "free is what is left of it" "$(show '.size - .free - .used | . >= 0 and . <= 8192')" true # and the marker
like "list says what is free of what" "$("$STORAGEOS" list q)" "; quota: [0-9.]+ MiB of 100 MiB free"

# ---- it is kept

must "one with a reserve" "$STORAGEOS" create q/r --size 4M --reserve -q
serve a
serve b
serve r
check "there is room" fill a 0 30
check "in the reserve, too" fill r 0 4
sleep "$(limit 2)" # each server has measured what the other one wrote
refuses "there is no more" 'No space left on device' fill b 0 60
check "the quota is kept" [ "$(taken)" -le 101 ]
check "and used" [ "$(taken)" -ge 95 ]
note "quota of 100 MiB: the volumes take $(taken) MiB"
sleep "$(limit 2)" # the others know, too
refuses "other blocks of a volume need more" 'No space left on device' fill a 30 10
check "with a reserve, they can be overwritten" fill r 0 4
must "discard" fallocate --punch-hole --offset 0 --length 20M "$WORK/mnt-a/a"
check "what was discarded leaves space" wait_for 10 fill a 0 16
check "the quota is kept by all that" [ "$(taken)" -le 101 ]
like "a new volume is refused" "$("$STORAGEOS" create q/c --size 1M 2>&1)" "the quota of the pool 'q' is used up \(see: storageos pool show q\)"
is "it is a mark of 95 %" "$(show .mark)" 95
check "with its event" wait_for 20 test -e "$WORK/run/pool-events/q"

# ---- it changes while volumes are served

must "more" "$STORAGEOS" pool set q quota=160M -q
check "the volume goes on by itself, within seconds" wait_for 10 fill b 0 60
refuses "up to the new one" 'No space left on device' fill b 0 90
check "which is kept" [ "$(taken)" -le 161 ]
must "a little more" "$STORAGEOS" pool set q quota=200M -q
refuses "a volume with a reserve that it does not leave" 'the reserve needs .* more' "$STORAGEOS" create q/c --size 90M --reserve
random_file "$WORK/image" $((80 << 20))
refuses "an image that it does not leave" 'No space left on device' "$STORAGEOS" import q/c "$WORK/image" --format raw
check "both are kept out" [ "$(taken)" -le 161 ]
is "none" "$("$STORAGEOS" pool set q quota=none)" "q: quota none"
check "then only the file system counts" wait_for 10 fill b 0 90
is "the size of the pool is that of the file system" "$(show '[.size > 900000000, .quota]')" "[true,null]"

# ---- a volume that nobody serves

for name in a b r; do unmount_for_certain "$WORK/mnt-$name"; done
check "it is whole" "$STORAGEOS" check q/a
must "a quota that is exceeded" "$STORAGEOS" pool set q quota=120M -q
is "nothing is free" "$(show '[.free, .percent]')" "[0,100]"
status() { "$STORAGEOS" status q/a --json | jq -r '.[0] | "\(.state): \(.problem)"'; }
config_set frontend=fuse
cleanup attached_end
must "a volume is attached all the same" "$STORAGEOS" attach q/a
is "status says it" "$(status)" "full: the pool's quota is used up, or its file system is full"
must "no quota" "$STORAGEOS" pool set q quota=none -q
is "that is its end" "$(status)" "attached: null"
must "detach" "$STORAGEOS" detach q/a
is "marks of its own" "$("$STORAGEOS" pool set q warn=50,60 --json | jq -c .warn)" "[50,60]"
is "show has them" "$(show .warn)" "[50,60]"
is "none of them" "$("$STORAGEOS" pool set q warn=off --json | jq -c .warn)" "[]"
like "show says so" "$("$STORAGEOS" pool show q)" '^events at +none$'
is "the general ones again" "$("$STORAGEOS" pool set q warn=default --json | jq -c .warn)" "[80,90,95]"
finish
