#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every LUN of a target gets its disk, whatever its number is and whichever LUN the initiator finds first:
# restored over loopback, and found by manual scans over iSCSI.
. "$(dirname "$0")/guest.sh"
. "$(dirname "$0")/initiator.sh"
need_built "$STORAGEOS_PLUGIN" "$STORAGEOS"
need tcmu-runner tcmu-runner
need targetctl targetcli-fb
need iscsid open-iscsi
need jq jq
need ip iproute2
enter_guest --timeout 300

plugin_install
must "the runner starts" runner_start
volumes=(zero one two three)
must "make volumes" backstores_add 16M "${volumes[@]}"

saved() { # FABRIC WWN NAME=LUN...: prints a saved configuration with the LUNs in this order
	local target="{\"fabric\": \"$1\", \"wwn\": \"$2\", \"tpgs\": [{\"enable\": true, \"luns\": []}]}" lun
	for lun in "${@:3}"; do
		target=$(jq -c ".tpgs[0].luns += [{\"index\": ${lun#*=},
			\"storage_object\": \"/backstores/user/${lun%=*}\"}]" <<<"$target")
	done
	jq --argjson target "$target" '.targets += [$target]' "$WORK/saved.json" >"$WORK/saved.new" &&
		mv "$WORK/saved.new" "$WORK/saved.json"
}

# As after a reboot, the kernel has no target.
must "save the backstores" targetctl save "$WORK/saved.json"
saved loopback naa.5001405000000001 two=2 one=1 zero=0
saved loopback naa.5001405000000002 three=3
must "clear the target" targetctl clear
must "they are restored, the LUNs as 2, 1, 0, and one target with LUN 3 alone" \
	targetctl restore "$WORK/saved.json"
for name in "${volumes[@]}"; do
	check "over loopback $name has its disk" wait_for 20 device_ready "$name"
done
lun_of() { # NAME
	local device
	device=$(device_of "$1") && device=$(readlink -f "/sys/block/${device##*/}/device") && echo "${device##*:}"
}
is "each LUN has its number" "$(for name in "${volumes[@]}"; do lun_of "$name"; done | xargs)" "0 1 2 3"
must "clear the target again" targetctl clear
must "restore it once more" targetctl restore "$WORK/saved.json"
for name in "${volumes[@]}"; do
	check "$name has its disk again" wait_for 20 device_ready "$name"
done
must "clear the target for good" targetctl clear

# ---- iSCSI; the initiator does not scan by itself

must "set up a network and the initiator's daemon" target_start
jq '.targets = []' "$WORK/saved.json" >"$WORK/saved.new" && mv "$WORK/saved.new" "$WORK/saved.json"
must "the backstores are restored" targetctl restore "$WORK/saved.json"
must "export the backstores" target_export "${volumes[@]}"
must "the target is found" iscsiadm -m discovery -t sendtargets -p $PORTAL
must "the initiator scans by hand" iscsiadm -m node -T $TARGET -o update -n node.session.scan -v manual
login() {
	iscsiadm -m node -T "$TARGET" --login
}
look() { # SCAN
	local host
	for host in /sys/class/iscsi_host/host*; do
		echo "$1" >"/sys/class/scsi_host/${host##*/}/scan" || return
	done
}
disks() {
	local name
	for name in "${volumes[@]}"; do
		! device_of "$name" >/dev/null || echo "$name"
	done | xargs
}
must "the initiator logs in" login
is "the initiator has no disk without a scan" "$(disks)" ''
must "scan for LUN 2 only" look "0 0 2"
check "the LUN has its disk" wait_for 20 device_ready two
is "no other LUN has a disk" "$(disks)" two
must "the initiator logs out" initiator_logout
must "the initiator logs in to the forgotten target again" login
must "scan for LUN 3" look "0 0 3"
check "the LUN has its disk" wait_for 20 device_ready three
must "the initiator logs out" initiator_logout
must "the initiator logs in once more" login
must "scan for all LUNs" look "- - -"
for name in "${volumes[@]}"; do
	check "over iSCSI $name has its disk" wait_for 20 device_ready "$name"
done
must "the initiator logs out" initiator_logout
must "clear the target" targetctl clear
check "the runner ends in order" runner_stop
finish
