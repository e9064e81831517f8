#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# At boot the target is restored, tcmu-runner starts and a pool's file system is mounted, in any order.
# The LUN is not ready until all three have happened, and then has its data.  Nothing is made in the
# pool's mount point before it is mounted.
. "$(dirname "$0")/guest.sh"
need_built "$STORAGEOS_PLUGIN" "$STORAGEOS"
need tcmu-runner tcmu-runner
need targetctl targetcli-fb
need sg_raw sg3-utils
enter_guest --timeout 400

plugin_install
must "load a module" modprobe loop
pool=$WORK/late
mkdir "$pool"
truncate -s 128M "$WORK/late.disk"
must "make a disk" loop_attach "$WORK/late.disk"
pool_mount() {
	mount "$LOOP" "$pool"
}
cleanup unmount_for_certain "$pool"
must "make a file system" mkfs.ext4 -q "$LOOP"
must "mount it" pool_mount
must "make a pool on it" "$STORAGEOS" pool create late "$pool"
must "make a volume in it" "$STORAGEOS" create late/db --size 64M
must "unmount it" umount "$pool"

# The configuration that targetcli saves for a volume made with `;create`, and for its LUN.
cat >"$WORK/saved.json" <<'END'
{ "fabric_modules": [],
  "storage_objects": [
    { "plugin": "user", "name": "db", "config": "storageos/late/db;create", "size": 67108864,
      "hw_max_sectors": null, "attributes": {},
      "wwn": "2d3ab2b2-9d8c-4a8f-8f4f-0c8d6d1a0001" } ],
  "targets": [
    { "fabric": "loopback", "wwn": "naa.5001405000000001",
      "tpgs": [
        { "luns": [ { "index": 0, "storage_object": "/backstores/user/db" } ] } ] } ] }
END

restore() {
	targetctl restore "$WORK/saved.json" >"$WORK/restore" 2>&1 &
	RESTORE=$!
}
restored() {
	wait "$RESTORE" && [ ! -s "$WORK/restore" ] || { cat "$WORK/restore"; return 1; }
}
not_ready() {
	local said
	wait_for 20 device_known || { echo "there is no disk"; return 1; }
	said=$(sg_turs -v "$SG" 2>&1)
	grep -qi 'becoming ready' <<<"$said" || { echo "$said"; return 1; }
}
device_known() {
	local sg
	for sg in /sys/class/scsi_generic/sg*; do
		[ "$(cat "$sg/device/vendor" 2>/dev/null)" = 'STORAGOS' ] || continue
		SG=/dev/${sg##*/}
		return
	done
	return 1
}
is_ready() {
	sg_turs "$SG"
}
data() {
	dd if="$(device_of db)" bs=1M count=4 iflag=direct status=none | sha256sum
}
nothing_made() {
	[ -z "$(ls -A "$pool")" ]
}
down() {
	targetctl clear && runner_stop && umount "$pool"
}

# ---- the target, then the runner, then the pool: no runner has served the target before

restore
must "the runner starts after the target is restored" runner_start
check "the target is restored" restored
check "the LUN is not ready" not_ready
check "the log says why" wait_for 20 runner_logged 'late/db: not ready, waiting.*is its file system mounted'
check "nothing is made where the pool is not mounted" nothing_made
must "the pool is mounted" pool_mount
check "the LUN becomes ready by itself" wait_for 20 is_ready
must "the disk is there" wait_for 30 device_ready db
random_file "$WORK/data" $((4 << 20))
must "write to it" dd if="$WORK/data" of="$(device_of db)" bs=1M oflag=direct conv=fsync
sum=$(data)
is "it has the data" "$sum" "$(sha256sum <"$WORK/data")"
must "all goes down" down

# ---- the runner, then the target, then the pool

must "the runner starts first" runner_start
restore
check "the target is restored" restored
check "the LUN is not ready" not_ready
check "nothing is made where the pool is not mounted" nothing_made
must "the pool is mounted" pool_mount
check "the LUN becomes ready" wait_for 20 is_ready
must "the disk is there" wait_for 30 device_ready db
is "the LUN has its data" "$(data)" "$sum"
must "all goes down" down

# ---- the target as soon as the runner is on the bus, when systemd takes it for started, although the
# kernel still refuses backstores

bus_has_runner() {
	gdbus call --system --dest org.freedesktop.DBus --object-path /org/freedesktop/DBus \
		--method org.freedesktop.DBus.NameHasOwner org.kernel.TCMUService1 2>/dev/null | grep -q true
}
wait_for_bus() {
	local end=$((SECONDS + 30))
	until bus_has_runner; do
		[ "$SECONDS" -lt "$end" ] || return
	done
}
must "the pool is mounted" pool_mount
for round in 1 2 3; do
	tcmu-runner >/dev/null 2>&1 &
	echo $! >"$WORK/runner.pid"
	disown
	must "the runner comes onto the bus" wait_for_bus
	restore
	check "the target is restored, round $round" restored
	check "the disk is there" wait_for 30 device_ready db
	must "target and runner go" eval 'targetctl clear && runner_stop'
done
must "unmount the pool" umount "$pool"

# ---- the pool, then the runner, then the target; and the pool once more, under the LUN

must "the pool is mounted" pool_mount
must "the runner starts" runner_start
restore
check "the target is restored" restored
must "the disk is there" wait_for 30 device_ready db
is "the LUN has its data" "$(data)" "$sum"
must "the runner is killed" runner_kill
must "unmount the pool" umount "$pool"
must "the runner starts without the pool" runner_start
check "the LUN is not ready" not_ready
check "nothing is made in the mount point" nothing_made
must "mount the pool again" pool_mount
check "the LUN becomes ready" wait_for 20 is_ready
is "the LUN has its data" "$(data)" "$sum"
is "one volume is in the pool" "$(ls "$pool"/*.vol)" "$pool/db.vol"
check "all goes down" down
must "the pool is mounted" pool_mount
check "the volume is whole" "$STORAGEOS" check late/db
finish
