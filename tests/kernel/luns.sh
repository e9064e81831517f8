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
must "volumes" backstores_add 16M "${volumes[@]}"

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
must "the backstores are saved" targetctl save "$WORK/saved.json"
saved loopback naa.5001405000000001 two=2 one=1 zero=0
saved loopback naa.5001405000000002 three=3
must "and go" targetctl clear
must "they are restored, the LUNs as 2, 1, 0, and one target with LUN 3 alone" \
	targetctl restore "$WORK/saved.json"
for name in "${volumes[@]}"; do
	check "over loopback $name has its disk" wait_for 20 device_ready "$name"
done
lun_of() { # NAME
	local device
	device=$(device_of "$1") && device=$(readlink -f "/sys/block/${device##*/}/device") && echo "${device##*:}"
}
is "each with its number" "$(for name in "${volumes[@]}"; do lun_of "$name"; done | xargs)" "0 1 2 3"
must "they go" targetctl clear
must "and are restored once more" targetctl restore "$WORK/saved.json"
for name in "${volumes[@]}"; do
	check "$name has its disk again" wait_for 20 device_ready "$name"
done
must "they go for good" targetctl clear

# ---- iSCSI; the initiator does not scan by itself

must "a network, and the initiator's daemon" target_start
jq '.targets = []' "$WORK/saved.json" >"$WORK/saved.new" && mv "$WORK/saved.new" "$WORK/saved.json"
must "the backstores are restored" targetctl restore "$WORK/saved.json"
must "and exported" target_export "${volumes[@]}"
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
must "it logs in" login
is "and has no disk by itself" "$(disks)" ''
must "it looks for LUN 2 alone" look "0 0 2"
check "which has its disk" wait_for 20 device_ready two
is "and no other has" "$(disks)" two
must "it logs out" initiator_logout
must "it logs in again, to a target that it does not know any more" login
must "and looks for LUN 3" look "0 0 3"
check "which has its disk" wait_for 20 device_ready three
must "it logs out" initiator_logout
must "it logs in once more" login
must "and looks for all" look "- - -"
for name in "${volumes[@]}"; do
	check "over iSCSI $name has its disk" wait_for 20 device_ready "$name"
done
must "it logs out" initiator_logout
must "the target goes" targetctl clear
check "the runner ends in order" runner_stop
finish
