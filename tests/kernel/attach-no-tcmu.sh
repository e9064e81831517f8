#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# In a kernel without TCMU, `storageos attach` without options uses FUSE and prints the reason.
. "$(dirname "$0")/guest.sh"
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
need tcmu-runner tcmu-runner
need targetcli targetcli-fb
need mkfs.ext4 e2fsprogs
enter_guest --timeout 300 --no-tcmu
own_config

link=$WORK/dev/default/db
like "probe says what follows, and why" "$("$STORAGEOS" probe)" \
	'front end +fuse \(no TCMU: kernel .* lacks target_core_user\)'
is "probe --json, too" "$("$STORAGEOS" probe --json | jq -r '.frontend, .modules.target_core_user')" \
	$'fuse\nmissing'
must "make a volume" "$STORAGEOS" create db --size 256M
is "attach with no option prints the device" "$("$STORAGEOS" attach db 2>"$WORK/said")" "$link"
like "attach prints FUSE and the reason" "$(<"$WORK/said")" \
	'attached over FUSE \(no TCMU: kernel .* lacks target_core_user'
like "status keeps the reason" "$("$STORAGEOS" status db -v | tr -s ' \n' ' ')" \
	'attached FUSE .*no TCMU: kernel .* lacks target_core_user'
like "the device is a loop device" "$(readlink "$link")" '^/dev/loop'
is "the loop device uses direct I/O" "$(losetup -n -O DIO "$(readlink "$link")" | tr -d ' ')" 1

must "make a file system" mkfs.ext4 -q "$link"
mkdir "$WORK/mnt"
must "mount it" mount "$link" "$WORK/mnt"
cleanup umount -l "$WORK/mnt"
must "fill it" tree_fill "$WORK/mnt" 40
sum=$(tree_checksum "$WORK/mnt")
must "unmount" unmount "$WORK/mnt"
must "detach" "$STORAGEOS" detach db
must "attach again" "$STORAGEOS" attach db
must "mount it" mount "$link" "$WORK/mnt"
is "the files are there" "$(tree_checksum "$WORK/mnt")" "$sum"
must "unmount" unmount "$WORK/mnt"
must "detach" "$STORAGEOS" detach db
check "the volume is whole" "$STORAGEOS" check db

refuses "attach --frontend tcmu fails with the reason" 'lacks target_core_user' \
	"$STORAGEOS" attach db --frontend tcmu
check "the failed attach leaves nothing" test ! -e "$link"

# ---- exported by fileio, which keeps the file's initial size

modprobe -a target_core_file tcm_loop sd_mod || give_up "no fileio"
mkdir "$WORK/export"
cleanup umount -l "$WORK/export"
must "serve it" "$STORAGEOS_FUSE" db "$WORK/export"
must "a fileio backstore" targetcli "/backstores/fileio create name=exported file_or_dev=$WORK/export/db write_back=false"
cleanup targetcli /backstores/fileio delete exported
like "resize says what is left to be done" "$("$STORAGEOS" resize db +64M 2>&1)" \
	'the fileio backstore exported still has the old size: delete it and its LUNs, then create them again'
like "fileio keeps the old size" "$(targetcli /backstores/fileio/exported info)" '^size: 268435456$'
finish
