#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Linked clones of ext4, xfs and btrfs, attached over TCMU beside their originals: both are written under fio, with
# the snapshot mounted beside them, while the runner is killed; and so they are while the clones are flattened, which
# is killed, too, and goes on.
# The kernel takes none for the other; all file systems are sound, and have what they had.
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
enter_guest --timeout 500 --disk 4G
types=(ext4 xfs btrfs)
plugin_install
printf 'device_directory=/dev/storageos\nrun_directory=/run/storageos\nfrontend=tcmu\n' >"$WORK/standard"
sed -i -e '/^\(run\|device\)_directory=/d' -e '/^\[storageos\]/r '"$WORK/standard" /etc/storageos/storageos.conf
ln -s "$STORAGEOS" /usr/bin/storageos
cp "$ROOT/packaging/udev/65-storageos.rules" /etc/udev/rules.d/
udevadm control --reload || give_up "no udev"
must "the runner starts" runner_start
unmount_all() {
	local directory
	for directory in "$WORK"/{mnt,clone,old}.*; do
		unmount_for_certain "$directory"
	done
}
cleanup unmount_all
link() { echo "/dev/storageos/default/$1"; }
settled() { udevadm settle --timeout=20; }

declare -A sums uuids
make() { # TYPE
	local type=$1 mount=$WORK/mnt.$1
	mkdir "$mount" "$WORK/clone.$type" "$WORK/old.$type" && storageos create "$type" --size 384M &&
		storageos attach "$type" && "mkfs.$type" -q "$(link "$type")" &&
		udevadm trigger --action=change "$(readlink -f "$(link "$type")")" && settled &&
		mount -o discard "$(link "$type")" "$mount" || return
	tree_fill "$mount/tree" 20 && sync -f "$mount"
	sums[$type]=$(tree_checksum "$mount/tree")
	uuids[$type]=$(blkid -p -o value -s UUID "$(link "$type")")
}
by_uuid() { readlink -f "/dev/disk/by-uuid/${uuids[$1]}"; } # TYPE
for type in "${types[@]}"; do
	must "$type" make "$type"
	is "$type: it has a link by its UUID" "$(by_uuid "$type")" "$(readlink -f "$(link "$type")")"
	verifier_start "$type" "$WORK/mnt.$type"
done
must "a snapshot of all, under load" storageos snapshot create "${types[@]/%/@base}" --freeze require

# ---- none is taken for the other

property() { udevadm info --query=property --name="$1" | sed -n "s/^$2=//p"; }
original_keeps_link() { # TYPE
	is "$1: the link by UUID stays the original's" "$(by_uuid "$1")" "$(readlink -f "$(link "$1")")"
}
for type in "${types[@]}"; do
	is "$type: a clone" "$(storageos clone "$type@base" "$type-clone" --json | jq -r .how)" linked
	is "$type: it is attached" "$(storageos attach "$type-clone")" "$(link "$type-clone")"
	must "$type: so is the snapshot" storageos attach "$type@base"
	settled
	original_keeps_link "$type"
	for name in "$type-clone" "$type@base"; do
		is "$name: desktops leave it alone" "$(property "$(link "$name")" UDISKS_IGNORE)" 1
	done
	is "$type: they are three disks" "$(for name in "$type" "$type-clone" "$type@base"; do
		readlink -f "$(link "$name")"
	done | sort -u | wc -l)" 3
done
for type in xfs btrfs; do
	refuses "$type: the kernel does not mount two of one UUID" 'mount: ' \
		mount "$(link "$type-clone")" "$WORK/clone.$type"
done
must "btrfs: the clone gets a UUID of its own" btrfstune -f -u "$(link btrfs-clone)"
settled
original_keeps_link btrfs
must "ext4: the clone is mounted" mount -o discard "$(link ext4-clone)" "$WORK/clone.ext4"
must "xfs: the clone is mounted" mount -o discard,nouuid "$(link xfs-clone)" "$WORK/clone.xfs"
must "btrfs: the clone is mounted" mount -o discard "$(link btrfs-clone)" "$WORK/clone.btrfs"
must "ext4: the snapshot is mounted, without recovery" mount -o ro "$(link ext4@base)" "$WORK/old.ext4"
must "xfs: so it is" mount -o ro,nouuid,norecovery "$(link xfs@base)" "$WORK/old.xfs"

# ---- all are written, the runner is killed, and the clones are flattened

restart() { runner_kill && runner_start; }
go_on() { # all of them
	local type
	for type in "${types[@]}"; do
		verifier_goes_on "$type" && verifier_goes_on "$type-clone" || return
	done
}
for type in "${types[@]}"; do
	is "$type: the clone has what there was" "$(tree_checksum "$WORK/clone.$type/tree")" "${sums[$type]}"
	verifier_start "$type-clone" "$WORK/clone.$type"
done
check "all are written" go_on
must "the runner is killed, and starts again" restart
check "all are written" go_on
depth() { storageos info "$1" --json | jq .depth; }
flatten_start() { # TYPE: so slowly that it takes minutes
	storageos flatten "$1-clone" --rate 128K >/dev/null 2>&1 &
	flattens+=($!)
}
flattens=()
for type in "${types[@]}"; do
	flatten_start "$type"
done
sleep 3
for type in "${types[@]}"; do
	is "$type: half flattened" "$(depth "$type-clone")" 1
done
must "the runner is killed meanwhile" restart
kill -9 "${flattens[@]}"
for type in "${types[@]}"; do
	is "$type: what was being flattened is a clone still" "$(depth "$type-clone")" 1
done
check "all are written" go_on
for type in "${types[@]}"; do
	check "$type: it goes on, to the end" storageos flatten "$type-clone" --rate 0
	is "$type: it is a clone no more" "$(depth "$type-clone")" null
	is "$type: and holds nothing" "$(storageos snapshot list "$type" --json | jq '[.[].holds[]] | length')" 0
done
check "all are written" go_on

# ---- sound, and what they were

echo 3 >/proc/sys/vm/drop_caches
for type in ext4 xfs; do
	is "$type: the snapshot has what there was" "$(tree_checksum "$WORK/old.$type/tree")" "${sums[$type]}"
	must "$type: unmount it" umount "$WORK/old.$type"
done
for type in "${types[@]}"; do
	must "$type: detach the snapshot" storageos detach "$type@base"
	check "$type: it can be deleted" storageos snapshot delete "$type@base"
done
check "all are written" go_on
for type in "${types[@]}"; do
	check "$type: fio finds what it wrote" verifier_end "$type"
	check "$type: in the clone, too" verifier_end "$type-clone"
	for name in mnt clone; do
		is "$type: $name: files are what they were" "$(tree_checksum "$WORK/$name.$type/tree")" "${sums[$type]}"
		must "$type: $name: unmounted" umount "$WORK/$name.$type"
	done
	for name in "$type" "$type-clone"; do
		check "$name: is sound" sound "$type" "$(link "$name")"
		must "$name: detached" storageos detach "$name"
		check "$name: the volume is whole" storageos check "$name"
	done
done
is "no file system saw an error" "$(dmesg | grep -v 'BTRFS info' | grep -iE \
	'I/O error|(EXT4-fs|JBD2|XFS|BTRFS).*(error|corrupt|fail|shut)|remount|aborted')" ''
finish
