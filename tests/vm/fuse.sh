#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The packages in a machine with FUSE, linux-image-cloud-amd64 and no tcmu-runner.  Volumes are attached
# by the packages' unit and listed in fstab.  The machine is rebooted and loses power; the server is
# killed; the packages are upgraded under load, removed and purged.
. "$(dirname "$0")/life.sh"

server() { value '.[0].pid' status db; }

phase_install() {
	must "apt finds the packages" apt_do update
	must "install what is wanted of ours" apt_install --no-install-recommends \
		storageos storageos-fuse jq
	note "$(storageos probe)"
	like "probe knows the kernel" "$(storageos probe)" 'kernel for clouds'
	is "probe chooses FUSE" "$(value .frontend probe)" fuse
	like "probe says what TCMU lacks" "$(value .reason probe)" 'tcmu-runner is not installed'

	must "make the pool" storageos pool create default /var/lib/storageos/volumes
	must "make a volume" storageos create db --size 1G
	must "attach it now and at boot" systemctl enable --now storageos-attach@default-db
	must "the device appears" wait_for 10 test -b /dev/storageos/default/db
	is "the volume is served over FUSE" "$(value '.[0].frontend' status db)" fuse
	check "the server's unit is active" systemctl is-active storageos-fuse@default-db
	must "make a file system on it" mkfs.ext4 -q /dev/storageos/default/db
	must "mount it by fstab" in_fstab db
	fill db
}

served_again() { # PID of the previous server
	[ "$(value '.[0].state' status db)" = attached ] && [ "$(server)" != "$1" ]
}

phase_boot() {
	check "the boot was clean" boot_was_clean
	is_back db
	check "the volume's unit is active" systemctl is-active storageos-attach@default-db
	is "the volume is served over FUSE" "$(value '.[0].frontend' status db)" fuse
	write_more db

	local before
	before=$(server)
	must "unmount" umount /srv/db
	must "kill -9 storageos-fuse" kill -9 "$before"
	check "systemd brings the volume back" wait_for 90 served_again "$before"
	must "mount" mount /srv/db
	has_more db

	before=$(server)
	must "kill -9 storageos-fuse under the mounted file system" kill -9 "$before"
	must "unmount the dead file system" umount -l /srv/db
	check "systemd brings the volume back" wait_for 90 served_again "$before"
	must "mount" mount /srv/db
	has_more db
	start_load /srv/db
	check "the load is running" load_goes_on
	cut_power
}

phase_power_cut() {
	check "the boot was clean" boot_was_clean
	is_back db
	has_more db

	local before
	start_load /srv/db
	before=$(server)
	must "a newer version appears" newer_packages
	must "upgrade under load" apt_do upgrade
	note "$(grep -A5 '^storageos' "$APT_SAID")"
	like "the version is the newer one" "$(dpkg-query -W storageos-fuse)" 'newer$'
	is "the server was left alone" "$(server)" "$before"
	check "the load continues" load_goes_on
	refuses "removal is refused, and the volume is named" 'serves volumes:.*default/db' \
		apt_do remove storageos-fuse
	refuses "a purge of all packages is refused, too" 'serves volumes:.*default/db' apt_do purge 'storageos*'
	check "the load continues" load_goes_on
	check "the load ends without an error" stop_load
	is "the other files are unchanged" "$(tree_checksum /srv/db/tree)" "$(kept db)"
	must "packages are whole" apt_install storageos storageos-fuse
}

phase_remove() {
	check "the boot was clean" boot_was_clean
	is_back db
	must "unmount" umount /srv/db
	sed -i '/storageos/d' /etc/fstab
	check "detach by the unit" systemctl disable --now storageos-attach@default-db
	is "the volume is detached" "$(value '.[0].state' status db)" detached
	check "its name is gone" wait_for 10 test ! -L /dev/storageos/default/db
	check "no server is left" eval '! systemctl is-active storageos-fuse@default-db'
	check "the volume is whole" storageos check db
	purge_and_install_again fuse
}

run_phases cloud-amd64 install:700 boot:600 power_cut:600 remove:600
