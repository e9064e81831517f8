#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A pool of Ceph that fills: its event, the log line, the executables in pool.d, the metric; Ceph's quota; a monitor that
# does not answer keeps nobody waiting.
. "$(dirname "$0")/../lib.sh"
need rbd ceph-common
need ceph-mon ceph-mon
need ceph-mgr ceph-mgr
need ceph-osd ceph-osd
need jq jq
need_root
need_fuse
need_loop
build=$STORAGEOS_BUILD
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
[ -e "$build/common/rbd/storageos-backing-rbd.so" ] || skip_all "librbd-dev was not there when it was built"
export STORAGEOS_MODULE_DIRECTORY=$build/common/rbd

own_config
cleanup attached_end
cluster=$ROOT/tests/ceph/cluster
export CEPH_CONF=$WORK/ceph/ceph.conf
cleanup "$cluster" stop "$WORK/ceph"
must "a Ceph cluster" within 120 "$cluster" start "$WORK/ceph"
must "a quota of Ceph's" ceph osd pool set-quota rbd max_bytes $((64 << 20))
must "a pool" "$STORAGEOS" pool create cloud rbd:rbd --ceph-conf "$CEPH_CONF"
must "a volume" "$STORAGEOS" create cloud/db --size 128M
mkdir "$WORK/pool.d"
cat >"$WORK/pool.d/50-note" <<END
#!/bin/sh
echo "\$* \$MARK \$BEFORE \$SIZE \$FREE \$PERCENT" >>$WORK/noted
END
chmod +x "$WORK/pool.d/50-note"

# Serves the volume; its log is $WORK/log.
serve() {
	mkdir -p "$WORK/mnt"
	"$STORAGEOS_FUSE" --foreground cloud/db "$WORK/mnt" 2>>"$WORK/log" 7>&- 8>&- 9>&- &
	server=$!
	wait_for 30 test -e "$WORK/mnt/db" || give_up "no server: $(<"$WORK/log")"
}
end_serving() {
	kill "$server"
	wait_for 30 gone "$server"
	unmount_for_certain "$WORK/mnt"
}
cleanup unmount_for_certain "$WORK/mnt"
of_pool() { "$STORAGEOS" pool list --json | jq -r ".[] | select(.pool == \"cloud\").$1"; }
percent_is() { [ "$(of_pool percent)" -ge "$1" ] && [ "$(of_pool percent)" -le "$2" ]; }
event() { jq -c "$1" "$WORK/run/pool-events/cloud"; }
has_event() { [ -e "$WORK/run/pool-events/cloud" ]; }

# ---- quotas are Ceph's

# The cluster has begun just now: its manager may know nothing of the pool yet.
size_is() { [ "$(of_pool size)" = "$1" ]; }
check "its size is what the quota leaves" wait_for 60 size_is $((64 << 20))
refuses "it has no quota of ours" "a pool of Ceph cannot have .see: ceph osd pool set-quota" "$STORAGEOS" pool set cloud quota=1G
check "it may have marks of its own" "$STORAGEOS" pool set cloud warn=80,99

# ---- a mark is passed, while its volume is served

serve
sleep 5
check "no event of a pool that has room" test ! -e "$WORK/run/pool-events/cloud"
must "filled" dd if=/dev/urandom of="$WORK/mnt/db" bs=1M count=54 oflag=direct conv=notrunc status=none
check "Ceph says how full" wait_for 30 percent_is 80 90
must "80 %: an event comes by itself" wait_for 75 has_event
is "the event names pool and mark" "$(event '[.pool, .mark, .before, .size]')" "[\"cloud\",80,0,$((64 << 20))]"
is "one line is logged" "$(grep -c 'pool cloud' "$WORK/log")" 1
like "with the facts" "$(cat "$WORK/log")" "pool cloud: 8[0-9] % of 64.* MiB are taken, [0-9.]+ MiB are free \(warn=80\)"
is "the metric" "$("$STORAGEOS" stats --prometheus | grep '^storageos_pool_mark_percent{pool="cloud"}')" \
	'storageos_pool_mark_percent{pool="cloud"} 80'
check "the event is handled" "$STORAGEOS" pool events
like "by the executable" "$(<"$WORK/noted")" "^up cloud 80 0 $((64 << 20)) [0-9]+ 8[0-9]$"

# ---- a monitor that does not answer

monitor=$(<"$WORK/ceph/run/mon.pid")
cleanup kill -CONT "$monitor"
must "the monitor stops" kill -STOP "$monitor"
sleep 62 # so that it was asked
began=$SECONDS
check "writes go on" dd if=/dev/urandom of="$WORK/mnt/db" bs=4k count=100 oflag=direct conv=notrunc status=none
in_time "at once" $began 5
check "the server can be asked" "$STORAGEOS" stats cloud/db
began=$SECONDS
check "it ends" end_serving
in_time "within 20 s" $began 20
must "the monitor goes on" kill -CONT "$monitor"
check "Ceph answers again" within 60 ceph osd stat

# ---- space is given back

serve
must "discarded" fallocate -p -o 0 -l $((48 << 20)) "$WORK/mnt/db"
check "Ceph says how full" wait_for 30 percent_is 0 20
end_serving
serve
check "an event, as it is served again" wait_for 20 has_event
is "downwards" "$(event '[.mark, .before]')" '[0,80]'
end_serving
is "no server has died" "$(grep -ciE 'terminate|fault|abort' "$WORK/log")" 0
finish
