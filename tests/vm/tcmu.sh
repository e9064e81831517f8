#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The packages in a machine with TCMU and linux-image-amd64, beside a tcmu-runner that serves a foreign
# disk.  One disk is made with targetcli, another is attached by its unit; both are in fstab.  The
# machine is rebooted and loses power; the packages are upgraded under load, removed and purged.
. "$(dirname "$0")/life.sh"

restart=(systemctl restart tcmu-runner)
runner_pid() { systemctl show -P MainPID tcmu-runner; }
other_runner() { [ "$(runner_pid)" != 0 ] && [ "$(runner_pid)" != "$1" ]; }
plugins() { find / -xdev -path '*/tcmu-runner/*' -name 'handler_storageos*' | wc -l; }

# A foreign disk, which is in use for as long as this machine exists.
other_lun() {
	mkdir -p /srv/other && truncate -s 64M /srv/other/disk &&
		targetcli "/backstores/user:fbo create name=other size=64M cfgstring=/srv/other/disk"
}

phase_install() {
	must "apt finds the packages" apt_do update
	must "install the packaged runner and targetcli" apt_install tcmu-runner targetcli-fb jq
	must "the runner runs" systemctl is-active tcmu-runner
	must "the runner serves a foreign disk" other_lun
	local runner
	runner=$(runner_pid)

	must "install ours" apt_install storageos
	note "$(grep -A5 '^storageos:' "$APT_SAID")"
	is "the plugin is installed" "$(plugins)" 1
	check "storageos-fuse is installed" command -v storageos-fuse
	is "the runner was left alone" "$(runner_pid)" "$runner"
	like "apt's output names the restart" "$(cat "$APT_SAID")" "${restart[*]}"
	like "probe names the same restart" "$(value .next_step probe)" "${restart[*]}"
	must "restart the runner as advised" "${restart[@]}"
	note "$(storageos probe)"
	like "probe knows the platform" "$(storageos probe)" 'Debian 9 to 12'
	is "probe chooses TCMU" "$(value .frontend probe)" tcmu

	must "make the pool" storageos pool create default /var/lib/storageos/volumes
	must "make a disk with targetcli" targetcli \
		'/backstores/user:storageos create name=db size=1G cfgstring=default/db;create'
	must "make a target for it" targetcli /loopback create naa.5001405000000001
	must "make the disk its LUN" targetcli \
		/loopback/naa.5001405000000001/luns create /backstores/user:storageos/db
	must "udev gives it its name" wait_for 30 test -b /dev/storageos/default/db
	must "make another disk" targetcli \
		'/backstores/user:storageos create name=hand size=128M cfgstring=default/hand;create'
	must "make it a LUN, too" targetcli \
		/loopback/naa.5001405000000001/luns create /backstores/user:storageos/hand
	must "it has its name" wait_for 30 test -b /dev/storageos/default/hand
	must "save the target's configuration" targetcli saveconfig

	must "make another volume" storageos create web --size 1G
	must "attach it now and at boot" systemctl enable --now storageos-attach@default-web
	must "the device appears" wait_for 10 test -b /dev/storageos/default/web
	is "the volume is served over TCMU" "$(value '.[0].frontend' status web)" tcmu
	for name in db web; do
		must "make a file system on $name" mkfs.ext4 -q "/dev/storageos/default/$name"
		must "mount it by fstab" in_fstab "$name"
	done
	must "make a file system on hand" mkfs.ext4 -q /dev/storageos/default/hand
	must "mount it by hand" mount --mkdir /dev/storageos/default/hand /srv/hand
	fill db
	fill web
	fill hand
}

phase_boot() {
	check "the boot was clean" boot_was_clean
	is_back db
	is_back web
	is "what was mounted by hand was unmounted" \
		"$(dumpe2fs -h /dev/storageos/default/hand 2>&1 | grep needs_recovery)" ''
	must "mount it" mount -o ro /dev/storageos/default/hand /srv/hand
	is "it has its data" "$(tree_checksum /srv/hand/tree)" "$(kept hand)"
	must "unmount it" umount /srv/hand
	must "delete the disk" eval 'targetcli /loopback/naa.5001405000000001/luns delete lun1 &&
		targetcli /backstores/user:storageos delete hand && targetcli saveconfig && storageos delete hand'
	check "web's unit is active" systemctl is-active storageos-attach@default-web
	is "the volume is served over TCMU" "$(value '.[0].frontend' status web)" tcmu
	write_more db
	start_load /srv/web
	check "the load is running" load_goes_on
	cut_power
}

phase_power_cut() {
	check "the boot was clean" boot_was_clean
	is_back db
	is_back web
	has_more db

	local runner
	start_load /srv/db
	runner=$(runner_pid)
	must "a newer version appears" newer_packages
	must "upgrade under load" apt_do upgrade
	note "$(grep -A5 '^storageos:' "$APT_SAID")"
	like "the version is the newer one" "$(dpkg-query -W tcmu-handler-storageos)" 'newer$'
	is "the runner was left alone" "$(runner_pid)" "$runner"
	like "apt's output names the restart" "$(cat "$APT_SAID")" "${restart[*]}"
	is "there is one plugin" "$(plugins)" 1
	check "the load continues" load_goes_on
	check "restart the runner as advised again" "${restart[@]}"
	check "the load continues" load_goes_on
	runner=$(runner_pid)
	check "kill -9 tcmu-runner" kill -9 "$runner"
	check "the unit starts another runner" wait_for 30 other_runner "$runner"
	check "the load continues" load_goes_on

	refuses "removal is refused, and the volumes are named" 'serves volumes:.*default/db' \
		apt_do remove tcmu-handler-storageos
	refuses "a purge of all packages is refused, too" 'serves volumes:.*default/db' apt_do purge "${OURS[@]}"
	check "the load continues" load_goes_on
	check "the load ends without an error" stop_load
	has_more db
	is "web's files are unchanged" "$(tree_checksum /srv/web/tree)" "$(kept web)"
	must "packages are whole" apt_install "${OURS[@]}"
}

phase_remove() {
	check "the boot was clean" boot_was_clean
	is_back db
	is_back web
	must "unmount" umount /srv/db /srv/web
	sed -i '/storageos/d' /etc/fstab
	check "detach by the unit" systemctl disable --now storageos-attach@default-web
	is "the volume is detached" "$(value '.[0].state' status web)" detached
	must "delete the target" targetcli /loopback delete naa.5001405000000001
	must "delete the disk" targetcli /backstores/user:storageos delete db
	check "its name is gone" wait_for 10 test ! -L /dev/storageos/default/db
	check "db is whole" storageos check db
	check "web is whole" storageos check web
	must "save the target's configuration" targetcli saveconfig
	purge_and_install_again tcmu
	is "there is one plugin" "$(plugins)" 1
}

run_phases amd64 install:900 boot:500 power_cut:700 remove:800
