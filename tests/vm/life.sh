# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Common functions of fuse.sh and tcmu.sh inside the machine; on top of machine.sh:
#
#   in_fstab NAME              adds a plain line for the volume's file system on /srv/NAME to fstab
#   fill NAME                  writes files there without synchronising them, and remembers them
#   is_back NAME               verifies that the file system was mounted by itself, with these files
#   write_more NAME, has_more NAME   the same with files that are synchronised
#   start_load DIRECTORY | load_goes_on | stop_load   a load of files in DIRECTORY, each with an fsync
#   purge_and_install_again FRONTEND   to be called with `db` detached: verifies that a purge leaves
#                              only the volumes, and that a new installation restores everything
. "$(dirname "${BASH_SOURCE[0]}")/machine.sh"

VOLUMES=/var/lib/storageos/volumes
OURS=(storageos storageos-fuse tcmu-handler-storageos)

in_fstab() {
	mkdir -p "/srv/$1"
	echo "/dev/storageos/default/$1 /srv/$1 ext4 defaults 0 2" >>/etc/fstab
	systemctl daemon-reload
	mount "/srv/$1"
}

fill() {
	must "fill $1" tree_fill "/srv/$1/tree" 24
	keep "$1" "$(tree_checksum "/srv/$1/tree")"
}

mounted() {
	[ "$(findmnt -n -o SOURCE "/srv/$1")" = "$(readlink -f "/dev/storageos/default/$1")" ]
}

is_back() {
	check "/srv/$1 is mounted by itself" wait_for 60 mounted "$1"
	is "$1 has its data" "$(tree_checksum "/srv/$1/tree")" "$(kept "$1")"
}

write_more() {
	must "write more to $1" tree_fill "/srv/$1/more" 8
	sync -f "/srv/$1"
	keep "$1-more" "$(tree_checksum "/srv/$1/more")"
}

has_more() {
	is "synchronised files are there" "$(tree_checksum "/srv/$1/more")" "$(kept "$1-more")"
}

start_load() {
	mkdir -p "$1/load"
	rm -f /run/load-*
	echo 0 >/run/load-count
	(
		i=0
		until [ -e /run/load-stop ]; do
			dd if=/dev/urandom of="$1/load/$((i % 8))" bs=256k count=4 conv=fsync status=none ||
				{ touch /run/load-failed; exit 1; }
			i=$((i + 1))
			echo $i >/run/load-count
		done
	) >/dev/null 2>&1 &
	load=$!
}

load_beyond() {
	[ "$(cat /run/load-count)" -gt "$1" ]
}

load_goes_on() {
	wait_for 60 load_beyond $(($(cat /run/load-count) + 2)) && [ ! -e /run/load-failed ]
}

stop_load() {
	touch /run/load-stop
	wait "$load"
}

left_of_ours() {
	find / -xdev \( -path /proc -o -path /srv -o -path /run -o -path /sys -o -path /var/log \
		-o -path /var/tmp -o -path "$VOLUMES" -o -path /var/lib/systemd \) -prune -o -name '*storageos*' -print
}

purge_and_install_again() {
	mkdir -p /etc/storageos
	echo '# mine' >>/etc/storageos/storageos.conf
	check "remove" apt_do remove "${OURS[@]}"
	check "configuration stays" grep -q '^# mine' /etc/storageos/storageos.conf
	check "volumes stay" test -s $VOLUMES/db.vol
	check "purge" apt_do purge "${OURS[@]}"
	check "configuration is gone" test ! -e /etc/storageos
	check "volumes are never removed" test -s $VOLUMES/db.vol
	is "nothing else is left of ours" "$(left_of_ours)" /var/lib/storageos
	is "no unit is left" "$(systemctl list-unit-files --no-legend 'storageos*')" ''
	if [ "$1" = tcmu ]; then
		must "install again" apt_install storageos tcmu-handler-storageos
		must "start the runner with it" systemctl restart tcmu-runner
	else
		must "install again" apt_install --no-install-recommends storageos storageos-fuse
	fi
	must "attach" storageos attach db
	is "the volume is served by the same front end" "$(value '.[0].frontend' status db)" "$1"
	must "mount" mount /dev/storageos/default/db /mnt
	is "the data is there" "$(tree_checksum /mnt/tree)" "$(kept db)"
	check "unmount" umount /mnt
	check "detach" storageos detach db
}
