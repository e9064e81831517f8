#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The udev rule makes /dev/storageos/POOL/NAME for devices made by anyone, and waits for no dead server.
. "$(dirname "$0")/guest.sh"
enter_guest --timeout 300
need jq jq
need_built "$STORAGEOS" "$STORAGEOS_FUSE" "$STORAGEOS_PLUGIN"
plugin_install
printf 'device_directory=/dev/storageos\nrun_directory=/run/storageos\n' >"$WORK/standard"
sed -i -e '/^\(run\|device\)_directory=/d' -e '/^\[storageos\]/r '"$WORK/standard" /etc/storageos/storageos.conf
ln -s "$STORAGEOS" /usr/bin/storageos
ln -s "$STORAGEOS_FUSE" /usr/bin/storageos-fuse
cp "$ROOT/packaging/udev/65-storageos.rules" /etc/udev/rules.d/
udevadm control --reload || give_up "no udev"
must "tcmu-runner starts" runner_start
must "make a second pool" storageos pool create fast "$WORK/fast"

link=/dev/storageos/default/db
property() { udevadm info --query=property --name="$1" | sed -n "s/^$2=//p"; }
settled() { udevadm settle --timeout=20; }

# ---- a device made by hand

must "targetcli makes a backstore" \
	targetcli '/backstores/user:storageos' create name=mine size=64M 'cfgstring=db;create'
must "make a LUN" lun_add mine 1
device=$(device_of mine)
settled
is "the rule makes the link, by the volume's name and not the backstore's" "$(readlink -f $link)" "$device"
is "udev knows the volume" "$(property "$device" STORAGEOS_VOLUME)" default/db
like "the link is udev's, which systemd waits for" "$(property "$device" DEVLINKS)" "(^| )$link( |$)"
like "names by serial number stay" "$(property "$device" DEVLINKS)" '/dev/disk/by-id/'
must "make a partition" sh -c "echo start=2048 | sfdisk -q $device"
settled
is "the partition has a link" "$(readlink -f "$link:part1")" "${device}1"
must "a second volume, of another pool" \
	targetcli '/backstores/user:storageos' create name=db size=64M 'cfgstring=fast/db;create'
must "make a LUN" lun_add db 2
settled
is "each has its own link" "$(readlink -f $link) $(readlink -f /dev/storageos/fast/db)" \
	"$device $(device_of db)"
is "no other disk has one" "$(find /dev/storageos -type l | wc -l)" 3
must "delete the LUN" targetcli /loopback delete naa.5001405000000001
settled
check "its link is gone" test ! -L $link
must "delete the backstore" targetcli '/backstores/user:storageos' delete mine

# ---- attach

is "attach has the link made" "$(storageos attach db --frontend tcmu 2>"$WORK/said")" $link
like "the rule made the link" "$(readlink $link)" '^\.\./\.\./sd'
is "status knows the attachment" "$(storageos status db --json | jq -r '.[0].state')" attached
check "detach" storageos detach db
check "the link is gone" test ! -L $link
is "attach has the link made over FUSE, too" "$(storageos attach db --frontend fuse 2>"$WORK/said")" $link
like "the rule made the link" "$(readlink $link)" '^\.\./\.\./loop'
is "udev knows the volume" "$(property $link STORAGEOS_VOLUME)" default/db
is "status: attached" "$(storageos status db --json | jq -r '.[0].state')" attached
truncate -s 1M "$WORK/file"
must "another loop device" loop_attach "$WORK/file"
settled
is "a foreign loop device has no volume" "$(property "$LOOP" STORAGEOS_VOLUME)" ""

# ---- dead servers

device=$(readlink -f $link)
must "kill -9 storageos-fuse" kill -9 "$(storageos status db --json | jq -r '.[0].pid')"
is "udev identifies a dead loop device at once" "$(within 2 storageos udev "$device" | head -n 1)" \
	STORAGEOS_VOLUME=default/db
check "detach" storageos detach db
must "kill -9 tcmu-runner" runner_kill
is "udev identifies the disk of a dead runner at once" "$(within 2 storageos udev "$(device_of db)" | tail -n 1)" \
	STORAGEOS_LINK=storageos/fast/db
must "the runner comes back" runner_start
is "nothing is printed for a device that does not exist" "$(storageos udev sdzz)$(storageos udev loop99)" ""
targetcli clearconfig confirm=True >/dev/null
finish
