#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A block device that is not empty does not become a volume, and the refusal names its content.  The
# device's bytes decide: content that libblkid does not recognise is refused, too.
. "$(dirname "$0")/../lib.sh"
need mkfs.ext4 e2fsprogs
need mkfs.xfs xfsprogs
need sfdisk fdisk
need mkswap util-linux
need_built "$STORAGEOS"
own_config

truncate -s 400M "$WORK/disk"
must "have a block device" loop_attach "$WORK/disk"
empty() { dd if=/dev/zero of="$LOOP" bs=1M count=1 conv=fsync status=none &&
	dd if=/dev/zero of="$LOOP" bs=1M count=1 seek=399 conv=fsync status=none; }
refused="$LOOP is not empty: bytes [0-9]+ to [0-9]+ hold data \(wipe it, or use --force\)"

while IFS=: read -r what command; do
	must "empty it" empty
	must "put $what on it" bash -c "{ ${command//DEVICE/$LOOP}; } >/dev/null"
	refuses "$what" "$refused; it holds ${what//[()]/.}\$" "$STORAGEOS" create "$LOOP" --size 1G
done <<'END'
a file system (ext4):mkfs.ext4 -q -F DEVICE
a file system (xfs):mkfs.xfs -q -f DEVICE
a GPT partition table:echo 'label: gpt' | sfdisk -q DEVICE
an MBR partition table:echo 'label: dos' | sfdisk -q DEVICE
swap space:mkswap -q DEVICE
END

must "empty it" empty
printf 'nobody knows this' | dd of="$LOOP" bs=1 seek=700000 conv=notrunc,fsync status=none
refuses "data of an unknown kind" "$refused\$" "$STORAGEOS" create "$LOOP" --size 1G
must "empty it" empty
check "an empty device becomes a volume" "$STORAGEOS" create "$LOOP" --size 1G
refuses "a device that is a volume is not empty" "$refused" "$STORAGEOS" create "$LOOP" --size 1G

# ---- a file system that is mounted

mkdir "$WORK/a mount"
cleanup unmount_for_certain "$WORK/a mount"
# mounted DEVICE: what refuses the disk names where the file system on DEVICE is mounted.
mounted() {
	local verb
	# (Another test's mount namespace may have kept the one before for a moment.)
	must "a file system on $1" wait_for 20 mkfs.ext4 -q -F "$1"
	must "is mounted" mount "$1" "$WORK/a mount"
	for verb in "create --size 1G --force" "delete --force"; do
		# shellcheck disable=SC2086
		refuses "${verb%% *} says where it is mounted" \
			"$LOOP is in use by the file system that is mounted on $WORK/a mount" "$STORAGEOS" $verb "$LOOP"
	done
	must "it is unmounted" umount "$WORK/a mount"
}
mounted "$LOOP"
must "a partition table" sh -c "echo 1M,100M | sfdisk -q --no-reread --no-tell-kernel --label gpt $LOOP"
must "a partition" partx -a "$LOOP"
cleanup partx -d "$LOOP"
[ -e "${LOOP}p1" ] || must "its node" mknod "${LOOP}p1" b "$(cut -d: -f1 <"/sys/class/block/${LOOP##*/}p1/dev")" "$(cut -d: -f2 <"/sys/class/block/${LOOP##*/}p1/dev")"
mounted "${LOOP}p1"
finish
