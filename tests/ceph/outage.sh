#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A volume on Ceph, attached over FUSE, while the cluster does not answer for longer than half a minute, its server is
# killed, and its pool fills up: requests wait, none fails that need not, and nothing acknowledged is missing.
. "$(dirname "$0")/../lib.sh"
need rbd ceph-common
need ceph-mon ceph-mon
need ceph-mgr ceph-mgr
need ceph-osd ceph-osd
need fio fio
need jq jq
need_root
need_fuse
need_loop
build=$STORAGEOS_BUILD
plugin_outage=$build/tests/ceph/plugin-outage
need_built "$STORAGEOS" "$STORAGEOS_FUSE" "$STORAGEOS_PLUGIN" "$plugin_outage"
[ -e "$build/common/rbd/storageos-backing-rbd.so" ] || skip_all "librbd-dev was not there when it was built"
export STORAGEOS_MODULE_DIRECTORY=$build/common/rbd

own_config
cleanup attached_end
cluster=$ROOT/tests/ceph/cluster
export CEPH_CONF=$WORK/ceph/ceph.conf
cleanup "$cluster" stop "$WORK/ceph"
must "a Ceph cluster" within 120 "$cluster" start "$WORK/ceph"
must "a pool" "$STORAGEOS" pool create cloud rbd:rbd --ceph-conf "$CEPH_CONF"
must "a volume" "$STORAGEOS" create cloud/db --size 256M
must "attached" "$STORAGEOS" attach cloud/db --frontend fuse
device=$WORK/dev/cloud/db
osd=$(<"$WORK/ceph/run/osd.pid")
cleanup kill -CONT "$osd"

# fio keeps what was acknowledged, and reads it again at the end.
fio_job() { # NAME OPTION...
	fio --name="$1" --filename="$device" --ioengine=libaio --direct=1 --bs=4k --rw=randwrite --iodepth=16 \
		--size=128M --verify_state_save=0 --verify=crc32c --verify_backlog=64 --verify_fatal=1 --output="$WORK/$1.fio" "${@:2}"
}
requests() { "$STORAGEOS" stats cloud/db --json | jq "if type == \"array\" then .[0] else . end | .operations.write.$1"; }

fio_job outage --io_size=24M &
writer=$!
cleanup kill -9 $writer
wrote() { [ "$(requests count)" -gt "$1" ]; }
must "it is written to" wait_for 60 wrote 300
must "the OSD stops" kill -STOP "$osd"
sleep 3
before=$(requests count)
sleep 35
is "nothing is answered meanwhile, neither good nor bad" "$(requests count) $(requests errors)" "$before 0"
began=$SECONDS
check "its state can be asked for" "$STORAGEOS" status cloud/db
in_time "within 10 s" $began 14
must "the OSD goes on" "$cluster" go-on "$WORK/ceph"
check "and so do the requests" wait_for 60 wrote "$((before + 100))"
wait $writer
is "none has failed, and all reads back" "$?" 0
is "nor has any as the server sees it" "$(requests errors)" 0

# ---- the server dies, and is attached again

fio_job dies --time_based --runtime=300 >/dev/null 2>&1 &
writer=$!
cleanup kill -9 $writer
before=$(requests count)
must "it is written to" wait_for 60 wrote "$((before + 200))"
kill -9 "$("$STORAGEOS" status cloud/db --json | jq -r '.[0].pid')"
wait $writer
must "what is left is taken down" "$STORAGEOS" detach cloud/db
began=$SECONDS
must "it is attached again, once Ceph has forgotten the dead one" "$STORAGEOS" attach cloud/db --frontend fuse
note "after $((SECONDS - began)) s"
in_time "within 45 s" $began 45
check "and can be written to" fio_job again --io_size=4M

# ---- full

must "a quota" ceph osd pool set-quota rbd max_bytes $((8 << 20))
is_full() { ceph osd dump --format json | jq -e '.pools[] | select(.pool_name == "rbd") | .flags_names | test("full_quota")' >/dev/null; }
must "it is reached" wait_for 60 is_full
refuses "new space is refused at once" "No space|Input/output" \
	within 30 dd if=/dev/zero of="$device" bs=1M seek=200 count=8 oflag=direct conv=notrunc
check "what has space is overwritten" dd if=/dev/urandom of="$device" bs=4k count=4 oflag=direct conv=notrunc
check "and given back" blkdiscard -o 0 -l $((4 << 20)) "$device"
is "the volume has not failed" "$("$STORAGEOS" status cloud/db --json | jq -r '.[0].state')" attached
must "no quota" ceph osd pool set-quota rbd max_bytes 0
is_not_full() { ! is_full; }
must "there is space again" wait_for 60 is_not_full
check "and it is taken" wait_for 30 dd if=/dev/zero of="$device" bs=1M seek=200 count=8 oflag=direct conv=notrunc

# ---- the lock is another's

lock=$(rbd lock ls db --format json)
must "its lock is broken" rbd lock rm db "$(jq -r '.[0].id' <<<"$lock")" "$(jq -r '.[0].locker' <<<"$lock")"
state() { "$STORAGEOS" status cloud/db --json | jq -r '.[0].state'; }
has_failed() { [ "$(state)" = FAILED ]; }
check "the volume is FAILED" wait_for 5 has_failed
like "which says why" "$("$STORAGEOS" status cloud/db)" "another client broke its lock"
refuses "it takes no write" "Input/output" dd if=/dev/zero of="$device" bs=4k count=1 oflag=direct conv=notrunc
check "it can be detached" "$STORAGEOS" detach cloud/db
check "and attached again" "$STORAGEOS" attach cloud/db --frontend fuse
is "as good as ever" "$(state)" attached
check "it is detached" "$STORAGEOS" detach cloud/db

# ---- over TCMU, in a process that looks like tcmu-runner

"$plugin_outage" "$STORAGEOS_PLUGIN" storageos/cloud/db 256M "$osd" "'$cluster' go-on '$WORK/ceph' >&2" >"$WORK/plugin" 2>"$WORK/plugin.log"
is "the plugin answers BUSY meanwhile, and loses nothing" "$?" 0
note "$(cat "$WORK/plugin" "$WORK/plugin.log")"
finish
