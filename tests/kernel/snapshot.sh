#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A snapshot of a mounted file system, attached over TCMU beside the volume: the kernel sees a disk that
# cannot be written, with the content of one instant, and takes it for the original nowhere.
. "$(dirname "$0")/guest.sh"
need_built "$STORAGEOS" "$STORAGEOS_PLUGIN"
need jq jq
need tcmu-runner tcmu-runner
need targetcli targetcli-fb
need fio fio
need mkfs.ext4 e2fsprogs
need iscsi-test-cu libiscsi-bin
need sg_modes sg3-utils
enter_guest --timeout 500
plugin_install
printf 'device_directory=/dev/storageos\nrun_directory=/run/storageos\nfrontend=tcmu\n' >"$WORK/standard"
sed -i -e '/^\(run\|device\)_directory=/d' -e '/^\[storageos\]/r '"$WORK/standard" /etc/storageos/storageos.conf
ln -s "$STORAGEOS" /usr/bin/storageos
cp "$ROOT/packaging/udev/65-storageos.rules" /etc/udev/rules.d/
udevadm control --reload || give_up "no udev"

link=/dev/storageos/default/db
status() { storageos status "$1" --json | jq -r ".[0].$2"; }
settled() { udevadm settle --timeout=20; }
mkdir "$WORK/live" "$WORK/old"
cleanup umount -l "$WORK/old"
cleanup umount -l "$WORK/live"

must "make a volume" storageos create db --size 512M
must "attach it" storageos attach db
must "make a file system" mkfs.ext4 -q $link
settled
must "mount it" mount $link "$WORK/live"
filesystem=$(blkid -o value -s UUID $link)
check_file() { # DIRECTORY FIO-OPTION...
	fio --name=verified --filename="$1/verified" --size=64M --bs=64k --ioengine=psync --verify=crc32c "${@:2}"
}
must "write what fio verifies" check_file "$WORK/live" --rw=randwrite --do_verify=0 --end_fsync=1
random_file "$WORK/live/file" $((8 << 20))
sync -f "$WORK/live"
sum=$(checksum "$WORK/live/file")

# ---- the instant

fio --name=load --filename="$WORK/live/load" --size=64M --bs=4k --rw=randwrite --ioengine=psync --fsync=16 \
	--time_based --runtime=600 >/dev/null 2>&1 &
load=$!
cleanup kill $load
must "take a snapshot under load" storageos snapshot create db@monday --freeze never
random_file "$WORK/live/file" $((8 << 20))
rm "$WORK/live/verified"
is "attach it beside the volume" "$(storageos attach db@monday 2>"$WORK/said")" $link@monday
like "attach says how to mount it" "$(<"$WORK/said")" "mount -o ro,noload $link@monday DIRECTORY"
settled
device=$(readlink -f $link@monday)
like "it is a SCSI disk" "$device" '^/dev/sd'
check "another one than the volume's" test "$device" != "$(readlink -f $link)"

# ---- a disk that cannot be written

is "the kernel has it read-only" "$(blockdev --getro "$device")" 1
like "as MODE SENSE says" "$(sg_modes "$(sg_of "$device")")" 'WP=1'
refuses "a write ends" "not permitted|Read-only|error" \
	sg_dd if=/dev/zero of="$(sg_of "$device")" bs=512 count=1 blk_sgio=1
is "its serial number is the snapshot's UUID" \
	"$(tail -c +5 "/sys/block/${device##*/}/device/vpd_pg80" | tr -d "\0")" \
	"$(storageos snapshot list db --json | jq -r '.[0].uuid')"
is "its size is the volume's" "$(blockdev --getsize64 "$device")" $((512 << 20))
is "the links of the file system's UUID stay the original's" \
	"$(readlink -f "/dev/disk/by-uuid/$filesystem")" "$(readlink -f $link)"
property() { udevadm info --query=property --name="$1" | sed -n "s/^$2=//p"; }
is "desktops leave it alone" "$(property "$device" UDISKS_IGNORE)" 1
is "but not the volume" "$(property $link UDISKS_IGNORE)" ""

# ---- the content of the instant

must "mount it" mount -o ro,noload $link@monday "$WORK/old"
is "its file is as it was" "$(checksum "$WORK/old/file")" "$sum"
check "fio finds what it wrote" check_file "$WORK/old" --rw=randread --verify_only --readonly
kill $load && wait $load
check "the volume goes on" dd if=/dev/zero of="$WORK/live/after" bs=64k count=10 conv=fsync
is "status of the snapshot" "$(status db@monday state) $(status db@monday frontend)" "attached tcmu"
refuses "it is not deleted" 'in use by process [0-9]+ \(tcmu-runner\)' storageos snapshot delete db@monday

# ---- the runner dies

runner_dead() { ! pidof tcmu-runner; }
kill -9 "$(pidof tcmu-runner)"
must "kill -9 tcmu-runner" wait_for 10 runner_dead
is "status sees it" "$(status db@monday state)" broken
is "attach brings both back" "$(storageos attach db@monday 2>/dev/null)" $link@monday
echo 3 >/proc/sys/vm/drop_caches
is "the file is as it was" "$(checksum "$WORK/old/file")" "$sum"
check "the volume goes on" dd if=/dev/zero of="$WORK/live/after" bs=64k count=10 conv=fsync
must "unmount" unmount "$WORK/old"
check "detach" storageos detach db@monday
check "the snapshot is deleted" storageos snapshot delete db@monday
must "unmount the volume" unmount "$WORK/live"
check "detach it" storageos detach db

# ---- the conformance suite, as far as it writes nothing

must "take another" storageos snapshot create db@tuesday
must "targetcli makes it a backstore" \
	targetcli '/backstores/user:storageos create name=old size=512M cfgstring=default/db@tuesday'
refuses "but creates none" "failed|invalid" \
	targetcli '/backstores/user:storageos create name=new size=512M cfgstring=default/db@new;create'
target=iqn.2026-01.com.example:snapshot
initiator=iqn.2007-10.com.github:sahlberg:libiscsi:iscsi-test
mkdir -p /etc/rtslib-fb-target/{pr,alua} /var/target/{pr,alua}
must "load the kernel's iSCSI target" modprobe iscsi_target_mod
must "make a target" targetcli /iscsi create $target
must "make a LUN" targetcli "/iscsi/$target/tpg1/luns" create /backstores/user:storageos/old
must "let the suite use it" targetcli "/iscsi/$target/tpg1/acls" create $initiator
for suite in ReadOnly Mandatory TestUnitReady ReadCapacity10 ReadCapacity16 Read6 Read10.Simple Read12 Read16 \
	Prefetch10 Prefetch16 ReportSupportedOpcodes; do
	timeout "$(limit 60)" iscsi-test-cu --dataloss -V --test="ALL.$suite" iscsi://127.0.0.1/$target/0 \
		>"$WORK/suite.log" 2>&1 </dev/null
	is "the suite's $suite" "$(grep -cE '(^|\.\.\.)FAILED|[^]]FAILED$' "$WORK/suite.log") $(
		grep -cE '(^|\.\.\.)passed|passed$' "$WORK/suite.log" | sed 's/[1-9][0-9]*/some/')" "0 some"
	! grep -q FAILED "$WORK/suite.log" || note "$(cat "$WORK/suite.log")"
done
finish
