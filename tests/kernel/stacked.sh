#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# LVM and dm-crypt on a volume's device, over either front end: what refuses calls them by the names that their own tools
# have for them, as does a command that would make a volume of a disk on which they are.
. "$(dirname "$0")/guest.sh"
need_built "$STORAGEOS" "$STORAGEOS_FUSE" "$STORAGEOS_PLUGIN"
need tcmu-runner tcmu-runner
need jq jq
need lvcreate lvm2
need cryptsetup cryptsetup-bin
need sfdisk fdisk
enter_guest --timeout 300
plugin_install
# LVM knows only disks below /dev.
sed -i '/^device_directory=/d' /etc/storageos/storageos.conf
must "load modules" modprobe -a loop fuse dm_mod dm_crypt

quiet() { "$@" >"$WORK/said" 2>&1 || { cat "$WORK/said"; return 1; }; }
stop_server() { local p; p=$("$STORAGEOS" status "$1" --json | jq '.[0].pid') && kill -9 "$p" && wait_for 10 gone "$p"; }
link=/dev/storageos/default/db

for frontend in tcmu fuse; do
	must "$frontend: a volume" "$STORAGEOS" create db --size 128M
	must "attach it" "$STORAGEOS" attach db --frontend $frontend
	device=$(readlink $link)
	must "a physical volume" quiet pvcreate --yes $link
	must "a volume group" quiet vgcreate my-group $link
	must "a logical volume" quiet lvcreate --yes -n lv -l 8 my-group
	refuses "$frontend: detach names the logical volume" \
		"detach default/db: it is in use: /dev/mapper/my--group-lv is stacked on $device$" "$STORAGEOS" detach db
	refuses "delete: it is attached" 'still attached' "$STORAGEOS" delete db
	must "deactivate the group" quiet vgchange -an my-group
	check "$frontend: detach" "$STORAGEOS" detach db
	must "attach it" "$STORAGEOS" attach db --frontend $frontend
	must "activate the group" quiet vgchange -ay my-group
	must "deactivate the group" quiet vgchange -an my-group
	must "away with it" quiet wipefs -a $link

	must "an encrypted disk" quiet cryptsetup open --type plain --key-file /dev/urandom --key-size 256 $link secret
	refuses "$frontend: detach names dm-crypt's" "it is in use: /dev/mapper/secret is stacked on $device$" "$STORAGEOS" detach db
	if [ $frontend = fuse ]; then
		must "its server dies" stop_server db
		refuses "attach names it, too" "still in use: /dev/mapper/secret is stacked on $device" "$STORAGEOS" attach db
		refuses "so does detach" "it is in use: /dev/mapper/secret is stacked on $device" "$STORAGEOS" detach db
	fi
	must "close it" quiet cryptsetup close secret
	check "$frontend: detach" "$STORAGEOS" detach db
	must "delete" "$STORAGEOS" delete db
done

# ---- on a partition

must "a volume" "$STORAGEOS" create db --size 64M
must "attach it" "$STORAGEOS" attach db --frontend tcmu
device=$(readlink $link)
must "a partition" eval "echo 2048 | quiet sfdisk $link"
must "it is there" wait_for 10 test -b "${device}1"
must "an encrypted partition" quiet cryptsetup open --type plain --key-file /dev/urandom --key-size 256 "${device}1" secret
refuses "detach names both" "it is in use: /dev/mapper/secret is stacked on ${device}1$" "$STORAGEOS" detach db
must "close it" quiet cryptsetup close secret
check "detach" "$STORAGEOS" detach db

# ---- all of it, from the top

must "attach it" "$STORAGEOS" attach db --frontend tcmu
must "no partition" quiet wipefs -a $link
must "a physical volume" quiet pvcreate --yes $link
must "a volume group" quiet vgcreate my-group $link
for lv in fs secret; do must "a logical volume" quiet lvcreate --yes -n $lv -l 6 my-group; done
must "a file system on one" mkfs.ext4 -q /dev/my-group/fs
mkdir "$WORK/mnt"
must "mount it" mount /dev/my-group/fs "$WORK/mnt"
cleanup unmount_for_certain "$WORK/mnt"
echo data >"$WORK/mnt/file"
must "an encrypted disk on the other" quiet cryptsetup open --type plain --key-file /dev/urandom --key-size 256 /dev/my-group/secret secret
check "detach --unmount" "$STORAGEOS" detach db --unmount
is "no device mapper is left" "$(find /sys/block -name "dm-*")" ""
must "attach it" "$STORAGEOS" attach db --frontend tcmu
must "activate the group" quiet vgchange -ay my-group
is "the file system was closed" "$(dumpe2fs -h /dev/my-group/fs 2>&1 | grep needs_recovery)" ''
must "mount it" mount /dev/my-group/fs "$WORK/mnt"
is "the file has its data" "$(<"$WORK/mnt/file")" data
cp /etc/storageos/storageos.conf "$WORK/good.conf"
echo 'frontend tcmu' >/etc/storageos/storageos.conf
check "detach all, with a wrong configuration" "$STORAGEOS" detach --all --unmount --frontend tcmu
cp "$WORK/good.conf" /etc/storageos/storageos.conf
is "nothing is mounted" "$(grep -c "$WORK/mnt" /proc/self/mounts)" 0

# ---- what targetcli made

must "a LUN of targetcli's" eval 'backstores_add 64M default/db && luns_add 1 db'
must "a file system" mkfs.ext4 -q "$(device_of db)"
must "mount it" mount "$(device_of db)" "$WORK/mnt"
echo more >"$WORK/mnt/file"
sleep 1000 9<"$WORK/mnt/file" &
user=$!
"$STORAGEOS" detach --all --unmount --frontend tcmu &
detach=$!
sleep 3
check "what is busy stays" mountpoint -q "$WORK/mnt"
kill $user
wait $detach
is "all is unmounted" "$?:$(grep -c "$WORK/mnt" /proc/self/mounts)" 0:0
check "the LUN stays" device_ready db
is "its file system was closed" "$(dumpe2fs -h "$(device_of db)" 2>&1 | grep needs_recovery)" ''

# ---- a disk that is to be a volume

truncate -s 64M "$WORK/disk"
must "a disk" loop_attach "$WORK/disk"
must "an encrypted disk" quiet cryptsetup open --type plain --key-file /dev/urandom --key-size 256 "$LOOP" secret
refuses "create --force names what is on it" "$LOOP is in use by /dev/mapper/secret$" "$STORAGEOS" create "$LOOP" --size 1G --force
must "close it" quiet cryptsetup close secret
check "it becomes a volume then" "$STORAGEOS" create "$LOOP" --size 1G --force
finish
