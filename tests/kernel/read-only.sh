#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# attach --read-only over TCMU: the kernel sees a disk that cannot be written, before and after tcmu-runner died, and
# nothing is written to the volume's file; targetcli's cfgstring ";read_only" is the same.
. "$(dirname "$0")/guest.sh"
need_built "$STORAGEOS" "$STORAGEOS_PLUGIN"
need jq jq
need tcmu-runner tcmu-runner
need targetcli targetcli-fb
need mkfs.ext4 e2fsprogs
need sg_modes sg3-utils
enter_guest --timeout 300
plugin_install
printf 'device_directory=/dev/storageos\nrun_directory=/run/storageos\nfrontend=tcmu\n' >"$WORK/standard"
sed -i -e '/^\(run\|device\)_directory=/d' -e '/^\[storageos\]/r '"$WORK/standard" /etc/storageos/storageos.conf
ln -s "$STORAGEOS" /usr/bin/storageos
cp "$ROOT/packaging/udev/65-storageos.rules" /etc/udev/rules.d/
udevadm control --reload || give_up "no udev"

link=/dev/storageos/default/db
status() { storageos status "$1" --json | jq -r ".[0].$2"; }
mkdir "$WORK/mnt"
cleanup umount -l "$WORK/mnt"

must "make a volume" storageos create db --size 256M
file=$(storageos info db --json | jq -r .path)
must "attach it" storageos attach db
must "make a file system" mkfs.ext4 -q $link
must "mount it" mount $link "$WORK/mnt"
random_file "$WORK/mnt/file" $((8 << 20))
sum=$(checksum "$WORK/mnt/file")
must "unmount it" unmount "$WORK/mnt"
must "detach it" storageos detach db
before=$(checksum "$file")

is "attach it for reading only" "$(storageos attach db --read-only 2>"$WORK/said")" $link
like "it says so" "$(<"$WORK/said")" 'attached for reading only over TCMU'
device=$(readlink -f $link)
like "it is a SCSI disk" "$device" '^/dev/sd'
is "the kernel has it read-only" "$(blockdev --getro "$device")" 1
like "as MODE SENSE says" "$(sg_modes "$(sg_of "$device")")" 'WP=1'
refuses "a write ends" "not permitted|Read-only|error" sg_dd if=/dev/zero of="$(sg_of "$device")" bs=512 count=1 blk_sgio=1
must "mount it" mount -o ro,noload $link "$WORK/mnt"
is "its file is there" "$(checksum "$WORK/mnt/file")" "$sum"
is "status says so" "$(status db read_only) $(status db state) $(status db frontend)" "true attached tcmu"
check "it can be checked meanwhile" storageos check db

runner_dead() { ! pidof tcmu-runner; }
kill -9 "$(pidof tcmu-runner)"
must "kill -9 tcmu-runner" wait_for 10 runner_dead
is "attach brings it back" "$(storageos attach db --read-only 2>/dev/null)" $link
echo 3 >/proc/sys/vm/drop_caches
is "the file is there" "$(checksum "$WORK/mnt/file")" "$sum"
refuses "a write ends" "not permitted|Read-only|error" \
	sg_dd if=/dev/zero of="$(sg_of "$(readlink -f $link)")" bs=512 count=1 blk_sgio=1
must "unmount it" unmount "$WORK/mnt"
must "detach it" storageos detach db
is "nothing was written to its file" "$(checksum "$file")" "$before"

must "targetcli, with the key" targetcli '/backstores/user:storageos create name=look size=256M cfgstring=default/db;read_only'
refuses "nobody writes to it meanwhile" 'in use' storageos attach db
must "delete the backstore" targetcli '/backstores/user:storageos delete look'
is "nothing was written" "$(checksum "$file")" "$before"
must "attach it for writing" storageos attach db
is "it is" "$(blockdev --getro "$(readlink -f $link)") $(status db read_only)" "0 null"
must "detach it" storageos detach db
finish
