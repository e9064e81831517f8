#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A pool that fills: its event, the log line, the executables in pool.d, the metric; a full pool whose file system
# grows, while its volume is served.
. "$(dirname "$0")/../lib.sh"
need jq jq
need mkfs.ext4 e2fsprogs
need mkfs.xfs xfsprogs
need_root
need_fuse
need_loop
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
own_config

# Serves NAME, whose file is $WORK/mnt-NAME/NAME then; logs to $WORK/NAME.log.
serve() {
	mkdir "$WORK/mnt-$1"
	cleanup unmount_for_certain "$WORK/mnt-$1"
	"$STORAGEOS_FUSE" --foreground "small/$1" "$WORK/mnt-$1" 2>"$WORK/$1.log" 7>&- 8>&- 9>&- &
	wait_for 20 test -e "$WORK/mnt-$1/$1" || give_up "no server of $1: $(<"$WORK/$1.log")"
}
fill() { # NAME FIRST COUNT: random MiB of the volume
	dd if=/dev/urandom of="$WORK/mnt-$1/$1" bs=1M seek="$2" count="$3" conv=notrunc,fsync status=none
}
event() { jq -c "$1" "$WORK/run/pool-events/small"; }
has_event() { [ -e "$WORK/run/pool-events/small" ]; }
has_mark() { [ "$(event .mark 2>/dev/null)" = "$1" ]; }
lines() { cat "$WORK"/*.log | grep -c "$1"; }
free() { echo $(($(stat -f -c '%a * %S >> 20' "$WORK/small"))); } # MiB

# Growing ext4 online needs CAP_SYS_RESOURCE (bit 24), which a container may lack.
if (($(sed -n 's/^CapEff:\t*/0x/p' /proc/self/status) >> 24 & 1)); then
	pool_on_disk small "$WORK/small.img" 256M mkfs.ext4 -q -m 0
	grow() { resize2fs "$LOOP"; }
else
	note "no CAP_SYS_RESOURCE: xfs instead of ext4"
	pool_on_disk small "$WORK/small.img" 320M mkfs.xfs -q
	grow() { xfs_growfs "$WORK/small"; }
fi
must "a volume" "$STORAGEOS" create small/a --size 1G -q
must "and a neighbour" "$STORAGEOS" create small/b --size 1G -q
mkdir "$WORK/pool.d"
cat >"$WORK/pool.d/50-note" <<END
#!/bin/sh
echo "\$* \$POOL \$DIRECTION \$MARK \$BEFORE \$SIZE \$FREE \$PERCENT" >>$WORK/noted
END
chmod +x "$WORK/pool.d/50-note"
echo 'echo never' >"$WORK/pool.d/not-executable"
serve a
serve b

# ---- a mark is passed

sleep 6
check "no event of a pool that has room" test ! -e "$WORK/run/pool-events/small"
fill a 0 $(($(free) - 45)) || give_up "cannot fill the volume"
check "80 %: an event comes by itself" wait_for 20 has_event
is "the event names pool and mark" "$(event '[.pool, .mark, .before]')" '["small",80,0]'
percent=$(event .percent)
check "it says how full" [ "$percent" -ge 80 ] && [ "$percent" -lt 90 ]
is "it says the size" "$(event .size)" $(($(stat -f -c '%b * %S' "$WORK/small")))
sleep 6
is "one line of two servers" "$(lines 'pool small: .*warn=80')" 1
like "the line has the facts" "$(cat "$WORK"/*.log)" "pool small: $percent % of [0-9.]+ MiB are taken, [0-9.]+ MiB are free \(warn=80\)"
is "the metric" "$("$STORAGEOS" stats --prometheus | grep '^storageos_pool_mark_percent{pool="small"}')" \
	'storageos_pool_mark_percent{pool="small"} 80'
is "the list's JSON" "$("$STORAGEOS" pool list --json | jq '.[] | select(.pool == "small").mark')" 80
line='^pool small: [0-9]+ % of [0-9.]+ MiB are taken, [0-9.]+ MiB are free \(warn=80\)$'
like "top has a line of it" "$("$STORAGEOS" top --count 1)" "$line"
like "so has stats --watch" "$("$STORAGEOS" stats --watch --count 1)" "$line"
is "only of the pool that it is" "$("$STORAGEOS" top --count 1 | grep -c '^pool ')" 1
must "a volume in another pool" "$STORAGEOS" create other --size 32M -q
mkdir "$WORK/mnt-other"
cleanup unmount_for_certain "$WORK/mnt-other"
must "is served" "$STORAGEOS_FUSE" other "$WORK/mnt-other"
is "stats --watch of that volume has none" "$("$STORAGEOS" stats --watch --count 1 other | grep -c '^pool ')" 0
is "nor has its JSON" "$("$STORAGEOS" stats --watch --count 1 --json | grep -c '^pool ')" 0
unmount_for_certain "$WORK/mnt-other"
size=$(event .size) room=$(event .free)
like "the command says what it handles" "$("$STORAGEOS" pool events)" "^small: $percent % of .* free \(warn=80, before 0\)$"
is "the executable has run, with its environment" "$(<"$WORK/noted")" "up small small up 80 0 $size $room $percent"
is "once" "$("$STORAGEOS" pool events; wc -l <"$WORK/noted")" 1

# ---- the next one, and an executable that fails

fill b 0 $(($(free) - 10)) || give_up "cannot fill the neighbour"
# That of 90 % may come first; it is replaced.
check "95 %: an event" wait_for 20 has_mark 95
printf '#!/bin/sh\necho no mail; exit 3\n' >"$WORK/pool.d/10-fails"
chmod +x "$WORK/pool.d/10-fails"
refuses "an executable that fails makes the command fail" "pool events: $WORK/pool.d/10-fails: .*no mail" "$STORAGEOS" pool events
is "the others have run" "$(cut -d' ' -f1-5 "$WORK/noted" | tail -n 1)" "up small small up 95"
check "the event is taken all the same" test ! -e "$WORK/run/pool-events/small"
rm "$WORK/pool.d/10-fails"

# ---- full, then grown

refuses "the pool is full" 'No space left on device' fill a 300 60
is "pool show sees it" "$("$STORAGEOS" pool show small --json | jq '.[0].percent >= 99')" true
must "the disk grows" truncate -s 768M "$WORK/small.img"
must "its loop device" losetup -c "$LOOP"
must "its file system, online" grow
check "the volume goes on by itself" fill a 300 60
like "pool list sees the new size" "$("$STORAGEOS" pool list)" "^small +ready +(6[5-9]|7)[0-9.]+ MiB"
check "less than 80 %: an event" wait_for 20 has_event
is "downwards" "$(event '[.mark, .before]')" '[0,95]'
must "it is handled" "$STORAGEOS" pool events -q
is "top has no line of it any more" "$("$STORAGEOS" top --count 1 | grep -c '^pool small')" 0
is "the executable learns the direction" "$(cut -d' ' -f1-6 "$WORK/noted" | tail -n 1)" "down small small down 0 95"
check "the data is there" [ "$(dd if="$WORK/mnt-a/a" bs=1M skip=300 count=60 status=none | tr -d '\0' | wc -c)" -gt 60000000 ]

# ---- its configuration is followed

sed -i '/^\[pool small\]$/a warn=20,99' "$STORAGEOS_CONFIG"
check "a new mark" wait_for 20 has_event
is "is passed" "$(event '[.mark, .before]')" '[20,0]'
like "top has a line of it" "$("$STORAGEOS" top --count 1)" '^pool small: .*warn=20'
"$STORAGEOS" top --interval 1 >"$WORK/top" 2>&1 &
top=$!
cleanup stop $top
"$STORAGEOS" stats --watch >"$WORK/watch" 2>&1 &
watch=$!
cleanup stop $watch
ends() { tail -n 1 "$WORK/$1" | grep -q "^pool small: .*warn=$2"; }
for verb in top watch; do check "$verb that goes on has it" wait_for 20 ends $verb 20; done
sed -i 's/^warn=20,99$/warn=19,99/' "$STORAGEOS_CONFIG"
for verb in top watch; do check "and follows a change ($verb)" wait_for 20 ends $verb 19; done
stop $top
stop $watch
unmount_for_certain "$WORK/mnt-a"
unmount_for_certain "$WORK/mnt-b"
sed -i 's/^warn=19,99$/warn=98,99/' "$STORAGEOS_CONFIG"
is "nor when nobody has seen yet that it is not full" "$("$STORAGEOS" top --count 1 | grep -c '^pool small')" 0
check "the volume is whole" "$STORAGEOS" check small/a
check "and its neighbour" "$STORAGEOS" check small/b
finish
