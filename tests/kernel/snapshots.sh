#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Snapshots of ext4, xfs and btrfs on attached volumes, of all three at one instant, under fio, while the runner
# is killed; old ones are deleted meanwhile.  Those that are left have what was there, and mount without
# recovery; a rollback brings it back.
# STORAGEOS_SECONDS: duration (default 40); STORAGEOS_INTERVAL: from one snapshot to the next (default 6).
. "$(dirname "$0")/guest.sh"
. "$(dirname "$0")/initiator.sh"
need_built "$STORAGEOS_PLUGIN" "$STORAGEOS"
need tcmu-runner tcmu-runner
need targetcli targetcli-fb
need jq jq
need fio fio
need mkfs.xfs xfsprogs
need mkfs.ext4 e2fsprogs
need mkfs.btrfs btrfs-progs
seconds=${STORAGEOS_SECONDS:-40} interval=${STORAGEOS_INTERVAL:-6}
enter_guest --timeout $((500 + 3 * seconds)) --disk 6G --env "STORAGEOS_SECONDS=$seconds" \
	--env "STORAGEOS_INTERVAL=$interval"
types=(ext4 xfs btrfs)
keep=3
plugin_install
must "the runner starts" runner_start

make() { # TYPE
	local type=$1 mount=$WORK/mnt.$1
	"$STORAGEOS" create "$type" --size 512M && link[$type]=$("$STORAGEOS" attach "$type") &&
		mkdir "$mount" && "mkfs.$type" -q "${link[$type]}" &&
		mount -o discard "${link[$type]}" "$mount" || return
	cleanup unmount_for_certain "$mount"
	tree_fill "$mount/tree" 8 && sync -f "$mount"
	sums[$type]=$(tree_checksum "$mount/tree")
}
declare -A link sums
for type in "${types[@]}"; do
	must "$type" make "$type"
done

# take NUMBER: writes the number to each file system, and takes a snapshot of all.
take() {
	local names=()
	for type in "${types[@]}"; do
		echo "$1" >"$WORK/mnt.$type/stamp" || return
		names+=("$type@s$1")
	done
	"$STORAGEOS" snapshot create "${names[@]}" --freeze require
}
# drop NUMBER: deletes the snapshots of that number.
drop() {
	for type in "${types[@]}"; do
		"$STORAGEOS" snapshot delete "$type@s$1" || return
	done
}

dmesg --clear
for type in "${types[@]}"; do
	verifier_start "$type" "$WORK/mnt.$type"
done
restart() { runner_kill && runner_start; }
end=$((SECONDS + seconds)) number=0 killed=no taken=()
while [ $SECONDS -lt $end ]; do
	next=$((SECONDS + interval)) number=$((number + 1))
	if take $number >"$WORK/taken" 2>&1; then
		taken+=("$number")
	else
		not_ok "snapshot $number" "$(<"$WORK/taken")"
	fi
	if [ ${#taken[@]} -gt $keep ]; then
		drop "${taken[0]}" >"$WORK/dropped" 2>&1 || not_ok "delete ${taken[0]}" "$(<"$WORK/dropped")"
		taken=("${taken[@]:1}")
	fi
	if [ $killed = no ] && [ $SECONDS -gt $((end - seconds / 2)) ]; then
		killed=yes
		check "the runner is killed under load, and starts again" restart
	fi
	while [ $SECONDS -lt $next ]; do sleep 0.2; done
done
note "$number snapshots of three volumes; left: ${taken[*]}"
check "snapshots were taken all the time" test $number -ge $((seconds / interval / 2 + 1))
for type in "${types[@]}"; do
	check "$type: fio finds what it wrote" verifier_end "$type"
	is "$type: the list has those that are left" \
		"$("$STORAGEOS" snapshot list "$type" --json | jq -r '.[] | select(.state == "ok") | .name' | paste -sd' ')" \
		"$(printf 's%s ' "${taken[@]}" | sed 's/ $//')"
done

# ---- each that is left, beside the original

# What the mount needs on a disk that cannot be written to.  ext4 would refuse a journal that has to be
# recovered.  xfs makes its log dirty at each freeze, when everything else is written, so that a crash of the frozen
# file system is recovered from; and it refuses a second file system with the same UUID.  btrfs mixes up the devices
# with one UUID, and so is mounted alone.
options() { # TYPE
	case $1 in
	xfs) echo ro,nouuid,norecovery ;;
	*) echo ro ;;
	esac
}
verify() { # TYPE NUMBER
	local snapshot=$1@s$2 device mount=$WORK/snapshot
	mkdir -p "$mount"
	device=$("$STORAGEOS" attach "$snapshot") && mount -o "$(options "$1")" "$device" "$mount" || return
	cleanup unmount_for_certain "$mount"
	[ "$(cat "$mount/stamp")" = "$2" ] && [ "$(tree_checksum "$mount/tree")" = "${sums[$1]}" ]
	local status=$?
	umount "$mount" && "$STORAGEOS" detach "$snapshot" && return "$status"
}
must "btrfs: unmounted" umount "$WORK/mnt.btrfs"
must "btrfs: detached" "$STORAGEOS" detach btrfs
for type in "${types[@]}"; do
	for number in "${taken[@]}"; do
		check "$type: snapshot $number mounts without recovery, and has what was there" \
			verify "$type" "$number"
	done
done

# ---- back to the oldest

for type in ext4 xfs; do
	echo new >"$WORK/mnt.$type/stamp"
	must "$type: unmounted" umount "$WORK/mnt.$type"
	must "$type: detached" "$STORAGEOS" detach "$type"
	undo=$("$STORAGEOS" rollback "$type@s${taken[0]}" --json | jq -r .undo)
	like "$type: rolled back" "$undo" '^before-rollback-'
	must "$type: attached" "$STORAGEOS" attach "$type"
	must "$type: mounted" mount "${link[$type]}" "$WORK/mnt.$type"
	is "$type: has what was there then" "$(cat "$WORK/mnt.$type/stamp")" "${taken[0]}"
	is "$type: all of it" "$(tree_checksum "$WORK/mnt.$type/tree")" "${sums[$type]}"
	must "$type: unmounted again" umount "$WORK/mnt.$type"
	must "$type: detached again" "$STORAGEOS" detach "$type"
	must "$type: the rollback is undone" "$STORAGEOS" rollback "$type@$undo" --discard
	must "$type: attached once more" "$STORAGEOS" attach "$type"
	must "$type: mounted once more" mount "${link[$type]}" "$WORK/mnt.$type"
	is "$type: has what was there before" "$(cat "$WORK/mnt.$type/stamp")" new
	must "$type: unmounted for the last time" umount "$WORK/mnt.$type"
	must "$type: detached for the last time" "$STORAGEOS" detach "$type"
done
is "no file system saw an error" "$(dmesg | grep -v 'BTRFS info' | grep -iE \
	'I/O error|(EXT4-fs|JBD2|XFS|BTRFS).*(error|corrupt|fail|shut)|remount|aborted')" ''
for type in "${types[@]}"; do
	check "$type: the volume is whole" "$STORAGEOS" check "$type"
done
finish
