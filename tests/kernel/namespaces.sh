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
must "a network, and an initiator" target_start
must "volumes" backstores_add 64M default/near default/far default/both
must "LUNs over loopback" luns_add 1 near both
near=$(device_of near)
must "a target" target_export far both
must "the initiator logs in" initiator_login far
far=$(device_of far)
like "the portal is in the target's namespace" "$(in_target ss -ltn)" ':3260'
is "and in no other" "$(ss -ltn | grep -c :3260)" 0

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
check "written on one side" dd if="$WORK/data" of="$one" bs=1M oflag=direct
check "read on the other" eval "dd if=$other bs=1M count=4 iflag=direct | cmp - $WORK/data"

dmesg --clear
verifier_start near "$near"
verifier_start far "$far"
go_on() {
	verifier_goes_on near && verifier_goes_on far
}
must "both are in use" go_on
check "the runner is stopped" runner_stop
sleep 1 # requests wait in the kernel meanwhile
check "and started" runner_start
check "both go on" go_on
check "the runner is killed" runner_kill
check "and started" runner_start
check "both go on" go_on

plugin=$(handler_directory)/handler_storageos.so
loaded() { # prints the inode of the plugin that the runner has loaded
	awk -v p="$plugin" '$6 == p { print $5; exit }' "/proc/$(cat "$WORK/runner.pid")/maps"
}
before=$(loaded)
cp "$plugin" "$WORK/handler.new"
cp "$WORK/handler.new" "${plugin%/*}/.handler.new" && mv "${plugin%/*}/.handler.new" "$plugin"
check "the plugin is exchanged under the runner, and both go on" go_on
check "the runner is restarted with it" eval "runner_stop && runner_start"
is "it has the new one" "$(loaded)" "$(stat -c %i "$plugin")"
check "and not the old one" test "$(loaded)" != "$before"
check "both go on" go_on
check "near is as it was written" verifier_end near
check "far, too" verifier_end far
is "nobody saw an error" "$(dmesg | grep -iE 'I/O error|offline|failed|abort')" ''
is "what was written on one side is there" "$(dd if="$other" bs=1M count=4 iflag=direct status=none | sha256sum)" \
	"$(sha256sum <"$WORK/data")"
must "the initiator logs out" initiator_logout
targetcli clearconfig confirm=True >/dev/null
check "the runner ends in order" runner_stop
for name in near far both; do
	check "$name is whole" "$STORAGEOS" check "$name"
done
finish
