#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Names and UUIDs with a real runner: a copy is not served beside its original, over TCMU, FUSE or both;
# a restored target gets no empty disk in place of one that is gone; targetcli refuses a pool that the
# configuration does not have.
. "$(dirname "$0")/guest.sh"
need_built "$STORAGEOS_PLUGIN" "$STORAGEOS" "$STORAGEOS_FUSE"
need tcmu-runner tcmu-runner
need targetcli targetcli-fb
need jq jq
need sg_turs sg3-utils
enter_guest --timeout 400

plugin_install
must "load modules" modprobe -a loop fuse
must "tcmu-runner starts" runner_start

create() { # BACKSTORE CFGSTRING
	targetcli "/backstores/user:storageos create name=$1 size=16M cfgstring=$2"
}
delete() {
	targetcli "/backstores/user:storageos delete $1"
}
uuid_of() { "$STORAGEOS" info "$1" --json | jq -r .uuid; }

not_ready() { # BACKSTORE: whether its disk answers NOT READY
	local said
	said=$(sg_turs -v "$(sg_of "$(device_of "$1")")" 2>&1)
	grep -qi 'not ready' <<<"$said" || { echo "$said"; return 1; }
}

# ---- what targetcli reports

refuses "a pool that no configuration has is refused, with the step" \
	"no pool 'never' in /etc/storageos/storageos.conf \(storageos pool create never DIRECTORY" \
	create x 'never/x;create'
is "nothing is left of the refused backstore" "$(backstore_state x)" ""
must "make a volume" create db1 'db;create'
create db2 'db' >/dev/null 2>&1
is "a second backstore of it is refused" "$(backstore_state db2)" ""
check "the log names the holder of the volume" runner_logged \
	"db.vol is in use by process [0-9]+ \(tcmu-runner\): it is the backstore db1 already"
targetcli "/backstores/user:storageos create name=tiny size=1 cfgstring=tiny;create" >/dev/null 2>&1
check "a size of less than a block is refused by the volume's name, as it was given" runner_logged \
	"create volume 'default/tiny': tiny: size 1 is out of range"

# ---- copies


must "delete the backstore" delete db1
must "copy the volume" cp "$POOL/db.vol" "$POOL/copy.vol"
must "the volume is served again" create db1 db
create copy copy >/dev/null 2>&1
is "the copy is not served over TCMU" "$(backstore_state copy)" ""
check "the log gives the reason" runner_logged \
	"'default/copy': it has the UUID of default/db, which process [0-9]+ \(tcmu-runner\) serves as the backstore db1"
check "the log gives the next step" runner_logged 'a copy gets one of its own by'
mkdir "$WORK/mnt"
refuses "the copy is not served over FUSE" 'UUID of default/db, which process .* serves as the backstore db1' \
	"$STORAGEOS_FUSE" copy "$WORK/mnt"
refuses "the copy is not attached" 'UUID of default/db, which process' "$STORAGEOS" attach copy
must "delete the backstore" delete db1
must "the copy is served over FUSE" "$STORAGEOS_FUSE" copy "$WORK/mnt"
cleanup unmount_for_certain "$WORK/mnt"
create db1 db >/dev/null 2>&1
is "the original is not served over TCMU then" "$(backstore_state db1)" ""
check "the log gives the reason" runner_logged "it has the UUID of default/copy, which process [0-9]+ \(storageos-fuse\) serves"
must "unmount the copy" umount "$WORK/mnt"
must "give the copy a UUID of its own" wait_for 20 "$STORAGEOS" set copy uuid=new
check "both can be served" eval 'create db1 db && create copy copy'
check "delete both backstores" eval 'delete db1 && delete copy'

# ---- ;create, and a target that is restored

must "make a disk" create db1 'db;create'
must "save the target" targetcli saveconfig "$WORK/saved.json"
must "clear the target" targetctl clear
must "move the volume's file away" mv "$POOL/db.vol" "$WORK/db.vol"
targetctl restore "$WORK/saved.json" >"$WORK/said" 2>&1
is "a restored target gets no disk in its place" "$(backstore_state db1)" ""
is "no volume is made" "$(ls "$POOL")" copy.vol
check "the log names the former volume" runner_logged "'default/db': it was made on 20.* UTC \(UUID "
check "the log gives the reason, too" runner_logged ';create makes a volume once'
like "status names the former volume" "$("$STORAGEOS" status | tr -s ' \n' ' ')" "default/db missing - - .*; it was made on 20"
must "put the file back" mv "$WORK/db.vol" "$POOL/db.vol"
must "restore the target" targetctl restore "$WORK/saved.json"
check "the backstore exists" test -n "$(backstore_state db1)"
must "clear the target" targetctl clear
must "delete the volume" "$STORAGEOS" delete db
targetctl restore "$WORK/saved.json" >"$WORK/said" 2>&1
is "a restore does not make a deleted volume" "$(ls "$POOL")" copy.vol
check "the log says when it was deleted" runner_logged 'and deleted on 20'
must "make the volume anew" "$STORAGEOS" create db --size 16M
must "restore the target" targetctl restore "$WORK/saved.json"
check "the backstore exists" test -n "$(backstore_state db1)"
must "clear the target" targetctl clear

# ---- a pool is removed from the configuration under a device

must "make a pool" "$STORAGEOS" pool create fast "$WORK/fast"
must "make a volume in it" create fast1 'fast/db;create'
must "make a LUN of it" lun_add fast1 7
refuses "a pool in use is not removed from the configuration" "volume 'fast/db' is in use" "$STORAGEOS" pool delete fast
must "save the configuration" cp /etc/storageos/storageos.conf "$WORK/kept.conf"
must "remove the pool from the configuration by hand" sed -i '/^\[pool fast\]/Q' /etc/storageos/storageos.conf
must "the runner is killed" runner_kill
must "the runner starts again" runner_start
check "the device is not left without an answer" wait_for 20 runner_logged "fast/db: not ready, waiting for the volume: .*no pool 'fast'"
check "its initiators get an answer" not_ready fast1
must "restore the configuration" cp "$WORK/kept.conf" /etc/storageos/storageos.conf
must "delete the LUN" targetcli /loopback delete naa.5001405000000007
must "delete the device" delete fast1
check "the pool can be removed then" "$STORAGEOS" pool delete fast
check "the runner lives" runner_alive
finish
