#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A volume is exported over iSCSI as docs/operations.md describes, and used by an initiator, which waits
# while the runner is gone (STORAGEOS_OUTAGE: seconds of the outage).
. "$(dirname "$0")/guest.sh"
need_built "$STORAGEOS_PLUGIN" "$STORAGEOS"
need tcmu-runner tcmu-runner
need targetcli targetcli-fb
need iscsid open-iscsi
enter_guest --timeout $((300 + ${STORAGEOS_OUTAGE:-0})) --env "STORAGEOS_OUTAGE=${STORAGEOS_OUTAGE-}"

target=iqn.2026-01.com.example:db
client=iqn.2026-01.com.example:client

plugin_install
must "the runner starts" runner_start
must "load the kernel's iSCSI modules" modprobe -a iscsi_target_mod iscsi_tcp
must "storageos makes the volume" "$STORAGEOS" create db --size 128M
must "targetcli makes a backstore of it" targetcli \
	'/backstores/user:storageos create name=db size=128M cfgstring=default/db'
must "make a target" targetcli /iscsi create "$target"
must "make a LUN" targetcli "/iscsi/$target/tpg1/luns" create /backstores/user:storageos/db
must "let the initiator use it" targetcli "/iscsi/$target/tpg1/acls" create "$client"

must "set up a network" ip link set lo up
mkdir -p /etc/iscsi && echo "InitiatorName=$client" >/etc/iscsi/initiatorname.iscsi
must "start the initiator's daemon" iscsid
cleanup iscsiadm -k 0

disk() { # prints the SCSI disk of the session when it exists
	local found
	found=$(ls -d /sys/class/iscsi_session/session*/device/target*/*/block/* 2>/dev/null) &&
		echo "/dev/${found##*/}"
}

login() {
	iscsiadm -m node -T "$target" -p 127.0.0.1 --login && wait_for 20 disk
}

logout() {
	iscsiadm -m node -T "$target" -p 127.0.0.1 --logout
}

must "the target is found" iscsiadm -m discovery -t sendtargets -p 127.0.0.1
must "the initiator logs in" login
is "the disk has the volume's size" "$(blockdev --getsize64 "$(disk)")" $((128 << 20))
mkdir "$WORK/mnt"
cleanup unmount_for_certain "$WORK/mnt"
must "make a file system" mkfs.ext4 -q "$(disk)"
must "mount it" mount -o discard "$(disk)" "$WORK/mnt"
must "fill it with files" tree_fill "$WORK/mnt" 32
sum=$(tree_checksum "$WORK/mnt")
must "unmount it" umount "$WORK/mnt"
check "the file system is sound" e2fsck -fn "$(disk)"
must "the initiator logs out" logout
must "the initiator logs in again" login
must "the file system is mounted again" mount "$(disk)" "$WORK/mnt"
is "the files are the same" "$(tree_checksum "$WORK/mnt")" "$sum"
like "status tells that somebody else made the LUN" "$("$STORAGEOS" status db)" 'in use over TCMU by the backstore '
refuses "the volume is not deleted meanwhile" "is open|in use|attached|has it" \
	"$STORAGEOS" delete db

must "the runner is killed" runner_kill
dd if=/dev/urandom of="$WORK/mnt/late" bs=64k count=10 conv=fsync 2>"$WORK/dd.log" &
late=$!
sleep "${STORAGEOS_OUTAGE:-5}" # the outage
check "a file that is synced waits" alive $late
must "the next runner is there" runner_start
check "the file is written by the next runner" wait $late
check "the file system is used as before" dd if=/dev/zero of="$WORK/mnt/file" bs=64k count=10 conv=fsync
must "unmount it again" umount "$WORK/mnt"
must "the initiator logs out again" logout
must "delete the target" targetcli /iscsi delete "$target"
must "delete the backstore" targetcli /backstores/user:storageos delete db
check "the volume is whole" "$STORAGEOS" check db
finish
