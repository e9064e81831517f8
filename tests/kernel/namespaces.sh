#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# LUNs are in use over loopback and over iSCSI from another network namespace, while tcmu-runner is
# stopped, restarted, killed and upgraded: users see only a delay.
. "$(dirname "$0")/guest.sh"
. "$(dirname "$0")/initiator.sh"
need_built "$STORAGEOS_PLUGIN" "$STORAGEOS"
need tcmu-runner tcmu-runner
need targetcli targetcli-fb
need iscsid open-iscsi
need fio fio
enter_guest --timeout 400

plugin_install
must "the runner starts" runner_start
must "set up a network and an initiator" target_start
must "make volumes" backstores_add 64M default/near default/far default/both
must "make LUNs over loopback" luns_add 1 near both
near=$(device_of near)
must "make a target" target_export far both
must "the initiator logs in" initiator_login far
far=$(device_of far)
like "the portal is in the target's namespace" "$(in_target ss -ltn)" ':3260'
is "the portal is in no other namespace" "$(ss -ltn | grep -c :3260)" 0

# One volume is visible over both: data that is written over one is read over the other.
disks_of() { # NAME: prints all disks of the backstore
	local serial device
	serial=$(sed 's/.*: //' "$(backstore_state "$1")/wwn/vpd_unit_serial")
	for device in /sys/block/sd*; do
		! grep -qaF "$serial" "$device/device/vpd_pg80" || echo "/dev/${device##*/}"
	done
}
read -r one other <<<"$(disks_of both | xargs)"
random_file "$WORK/data" $((4 << 20))
check "write on one side" dd if="$WORK/data" of="$one" bs=1M oflag=direct
check "the other side reads it" eval "dd if=$other bs=1M count=4 iflag=direct | cmp - $WORK/data"

dmesg --clear
verifier_start near "$near"
verifier_start far "$far"
go_on() {
	verifier_goes_on near && verifier_goes_on far
}
must "both are in use" go_on
check "the runner is stopped" runner_stop
sleep 1 # requests wait in the kernel meanwhile
check "the runner is started" runner_start
check "both loads continue" go_on
check "the runner is killed" runner_kill
check "the runner is started" runner_start
check "both loads continue" go_on

plugin=$(handler_directory)/handler_storageos.so
loaded() { # prints the inode of the plugin that the runner has loaded
	awk -v p="$plugin" '$6 == p { print $5; exit }' "/proc/$(cat "$WORK/runner.pid")/maps"
}
before=$(loaded)
cp "$plugin" "$WORK/handler.new"
cp "$WORK/handler.new" "${plugin%/*}/.handler.new" && mv "${plugin%/*}/.handler.new" "$plugin"
check "the plugin is exchanged under the runner, and both go on" go_on
check "the runner is restarted with it" eval "runner_stop && runner_start"
is "the runner has loaded the new plugin" "$(loaded)" "$(stat -c %i "$plugin")"
check "the runner has not loaded the old plugin" test "$(loaded)" != "$before"
check "both loads continue" go_on
check "near is as it was written" verifier_end near
check "far is as it was written" verifier_end far
is "nobody saw an error" "$(dmesg | grep -iE 'I/O error|offline|failed|abort')" ''
is "the data written on one side is still there" "$(dd if="$other" bs=1M count=4 iflag=direct status=none | sha256sum)" \
	"$(sha256sum <"$WORK/data")"
must "the initiator logs out" initiator_logout
targetcli clearconfig confirm=True >/dev/null
check "the runner ends in order" runner_stop
for name in near far both; do
	check "$name is whole" "$STORAGEOS" check "$name"
done
finish
