#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# xfs, ext4 and btrfs, mounted with `discard`, on LUNs over iSCSI, under fsx and fio, while the
# runner is restarted and killed: no file system sees an error, and nothing is lost.
# STORAGEOS_SECONDS: duration (default 10); STORAGEOS_RESTARTS: number of restarts (default 2).
. "$(dirname "$0")/guest.sh"
. "$(dirname "$0")/initiator.sh"
FSX=$STORAGEOS_BUILD/tests/kernel/fsx
need_built "$STORAGEOS_PLUGIN" "$STORAGEOS" "$FSX"
need tcmu-runner tcmu-runner
need targetcli targetcli-fb
need iscsid open-iscsi
need fio fio
need mkfs.xfs xfsprogs
need mkfs.ext4 e2fsprogs
need mkfs.btrfs btrfs-progs
seconds=${STORAGEOS_SECONDS:-10} restarts=${STORAGEOS_RESTARTS:-2}
enter_guest --timeout $((400 + 2 * seconds)) --disk 3G --env "STORAGEOS_SECONDS=$seconds" \
	--env "STORAGEOS_RESTARTS=$restarts" --env "STORAGEOS_TEST_SEED=${STORAGEOS_TEST_SEED-}"
seed=${STORAGEOS_TEST_SEED:-$(od -An -N3 -tu4 /dev/urandom | tr -d ' ')}
note "seed $seed"
types=(xfs ext4 btrfs)

plugin_install
must "the runner starts" runner_start
must "set up a network and an initiator" target_start
must "make volumes" backstores_add 512M "${types[@]/#/default/}"
must "make a target" target_export "${types[@]}"
must "the initiator logs in" initiator_login "${types[@]}"

declare -A device sums fsx
make() { # TYPE
	local type=$1 mount=$WORK/mnt.$1
	device[$type]=$(device_of "$type")
	mkdir "$mount" && "mkfs.$type" -q "${device[$type]}" &&
		mount -o discard "${device[$type]}" "$mount" || return
	cleanup unmount_for_certain "$mount"
	tree_fill "$mount/tree" 8 && sync -f "$mount"
	sums[$type]=$(tree_checksum "$mount/tree")
}
for type in "${types[@]}"; do
	must "$type" make "$type"
done

dmesg --clear
end=$((SECONDS + seconds))
for type in "${types[@]}"; do
	"$FSX" "$WORK/mnt.$type/fsx" $((8 << 20)) "$seconds" $((seed++)) >"$WORK/$type.fsx" 2>&1 &
	fsx[$type]=$!
	verifier_start "$type" "$WORK/mnt.$type"
done

restart() { # NUMBER
	if [ $(($1 % 2)) = 0 ]; then runner_stop; else runner_kill; fi
	runner_start
}
for ((i = 0; i < restarts; i++)); do
	sleep $(((end - SECONDS) / (restarts - i + 1) + 1)) # spreads the restarts over the load
	check "restart $((i + 1)) under load" restart "$i"
done
for type in "${types[@]}"; do
	wait "${fsx[$type]}"
	status=$?
	note "$type: fsx: $(cat "$WORK/$type.fsx")"
	is "$type: fsx finds what it wrote" "$status" 0
	check "$type: fio, too" verifier_end "$type"
	note "$type: fio: $(wc -l <"$WORK/$type.rounds") times 4 MiB"
done

again() { # TYPE
	umount "$WORK/mnt.$1" && mount -o discard "${device[$1]}" "$WORK/mnt.$1"
}
for type in "${types[@]}"; do
	check "$type: mounted again" again "$type"
	is "$type: files are what they were" "$(tree_checksum "$WORK/mnt.$type/tree")" "${sums[$type]}"
	must "$type: unmounted" umount "$WORK/mnt.$type"
	check "$type: is sound" sound "$type" "${device[$type]}"
done
is "no file system saw an error" "$(dmesg | grep -v 'BTRFS info' | grep -iE \
	'I/O error|(EXT4-fs|JBD2|XFS|BTRFS).*(error|warn|corrupt|fail|shut)|remount|checksum|aborted')" ''
must "the initiator logs out" initiator_logout
targetcli clearconfig confirm=True >/dev/null
check "the runner ends in order" runner_stop
for type in "${types[@]}"; do
	check "$type: the volume is whole" "$STORAGEOS" check "$type"
done
finish
