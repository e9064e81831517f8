#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An administrator's day in a machine with TCMU and FUSE, with the packages and the tools that are used with them.
. "$(dirname "$0")/life.sh"

# ---- a terminal

terminals=0
terminal() { tmux -L "vm$terminals" -f /dev/null "$@"; }
screen() { terminal capture-pane -p; }
shows() { screen | grep -qE -- "$1"; }
typed() { terminal send-keys -l "$1" && terminal send-keys "$2"; }

# in_terminal COMMAND: runs it in a terminal of 120 x 24, and waits for a prompt.
in_terminal() {
	terminals=$((terminals + 1))
	terminal new-session -d -x 120 -y 24 "$1" && wait_for 60 shows '[#>] *$'
}

# completes NAME SHELL TYPED REGEX: what is typed in the shell, and a tab, become what matches.
completes() {
	must "$1: the shell is there" in_terminal "$2"
	typed "$3" Tab
	check "$1" wait_for 60 shows "$4" || note "$(screen)"
	terminal kill-server
}

# ---- pools

# make_pool NAME SIZE MKFS...: a pool on a file system of its own, which is mounted at boot.
make_pool() {
	truncate -s "$2" "/srv/$1.disk"
	must "$1: make a file system" "${@:3}" "/srv/$1.disk"
	mkdir "/srv/$1"
	echo "/srv/$1.disk /srv/$1 auto loop 0 0" >>/etc/fstab
	must "$1: mount it" mount "/srv/$1"
	must "$1: make the pool" storageos pool create "$1" "/srv/$1"
}

free() { echo $(($(stat -f -c '%a * %S >> 20' "/srv/$1"))); } # MiB
pool_is() { value ".[] | select(.pool == \"$1\") | $2" pool list; }
metric() { storageos stats --prometheus | awk -v m="storageos_$1" '$1 == m { print $2 }'; }
noted() { grep -qx -- "$1" /run/noted; }
random() { dd if=/dev/urandom of="$1" bs=1M seek="$2" count="$3" iflag=fullblock oflag=direct conv=notrunc status=none; }
is_ready() { [ "$(value '.[0].space.reserve_ready' stats "$1")" = true ]; }
no_complaint() {
	is "AppArmor has nothing to say" "$(journalctl -b -k -o cat | grep 'apparmor="[AD].*storageos')" ''
}

# ---- the phases

phase_install() {
	must "apt finds the packages" apt_do update
	must "install ours, with what they recommend" apt_install storageos
	note "$(storageos probe)"
	is "probe chooses TCMU" "$(value .frontend probe)" tcmu
	check "AppArmor has the profile" grep -qx 'storageos-fuse (complain)' /sys/kernel/security/apparmor/profiles

	local page
	for page in 5/storageos.conf 5/storageos-json 5/storageos-volume 7/storageos-cfgstring 8/storageos 8/storageos-fuse; do
		check "man finds ${page#*/}(${page%/*})" man -w "${page%/*}" "${page#*/}"
	done
	check "the guide that it names is there" eval 'zcat -f /usr/share/doc/storageos/operations.md* | grep -q "^# Operations"'
	like "man shows the page" "$(MANWIDTH=80 man storageos)" '^SYNOPSIS$'

	must "make the pool" storageos pool create default /var/lib/storageos/volumes
	must "make a volume" storageos create orders --size 256M
	export HOME=/root
	mkdir /run/zsh && echo 'autoload -U compinit; compinit' >/run/zsh/.zshrc
	local shell
	for shell in 'bash --login' 'ZDOTDIR=/run/zsh zsh' fish; do
		completes "a verb in $shell" "$shell" 'storageos atta' 'storageos attach *$'
		completes "a volume in $shell" "$shell" 'storageos attach or' 'storageos attach orders *$'
		completes "an option in $shell" "$shell" 'storageos attach --read' 'storageos attach --read-only *$'
	done
}

# The page, as Cockpit's server gives it to a browser.
page() {
	python3 -c 'import urllib.request as u; print(u.urlopen("http://127.0.0.1:9999/cockpit/@localhost/storageos/index.html").read().decode())'
}
has_page() { page | grep -q 'Block volumes'; }

phase_more() {
	check "the boot was clean" boot_was_clean

	# ---- Ceph, without a cluster
	must "install the module for Ceph" apt_install storageos-rbd
	is "systemd finds nothing wrong" "$(systemd-analyze verify tcmu-runner.service storageos-attach@a.service \
		storageos-fuse@a.service storageos-recover@a.service 2>&1)" ''
	like "the server may reach the network" "$(systemctl show storageos-fuse@a -P RestrictAddressFamilies)" 'AF_INET '
	is "and tcmu-runner have many threads" "$(systemctl show tcmu-runner -P TasksMax)" 32768
	check "AppArmor loads the profile" apparmor_parser -r /etc/apparmor.d/usr.bin.storageos-fuse
	must "start tcmu-runner again" systemctl restart tcmu-runner
	refuses "the module is used, without a cluster" 'Ceph has no configuration' storageos pool create cloud rbd:rbd

	# ---- Cockpit
	must "install the page for Cockpit" apt_install storageos-cockpit
	like "Cockpit finds it" "$(cockpit-bridge --packages 2>&1)" '^storageos +Block volumes +/usr/share/cockpit/storageos$'
	/usr/lib/cockpit/cockpit-ws --local-session=cockpit-bridge --no-tls --port 9999 --address 127.0.0.1 >/run/cockpit-ws.log 2>&1 &
	check "and shows it" wait_for 60 has_page
	kill $!
}

phase_space() {
	check "the boot was clean" boot_was_clean

	# ---- what there is
	make_pool small 400M mkfs.ext4 -q -m 0
	make_pool fast 400M mkfs.xfs -q
	like "pool list has them" "$(storageos pool list)" '^fast +ready +[0-9.]+ MiB +0 B +[0-9.]+ MiB +[0-9]+ % +0 B +0 +/srv/fast$'
	is "pool show says on what" "$(value '.[0] | [.file_system, .mount] | join(" ")' pool show fast)" "xfs /srv/fast"
	must "its file system is not mounted" umount /srv/fast
	is "then it has no marker" "$(pool_is fast .state)" "no marker"
	must "another one is" mount --bind /srv/small /srv/fast
	is "then it is another pool" "$(pool_is fast .state)" "another pool"
	must "both are as they were" eval 'umount /srv/fast && mount /srv/fast'
	is "and it is ready" "$(pool_is fast .state)" ready
	must "one more" storageos pool create archive /srv/archive
	like "another name for it" "$(storageos pool rename archive attic)" '^attic: pool renamed from archive$'
	must "with a volume" storageos create attic/old --size 16M
	is "nothing is done for show" "$(storageos pool delete attic --dry-run)" \
		"attic: would be removed from /etc/storageos/storageos.conf; /srv/archive would keep its 1 volume"
	must "it is taken out" storageos pool delete attic
	check "the volume stays" test -s /srv/archive/old.vol
	is "pools" "$(value '[.[].pool] | join(" ")' pool list)" "default small fast"

	# ---- promises
	must "a volume with a reserve" storageos create small/kept --size 96M --reserve --set frontend=tcmu
	like "a volume that is larger than its pool" "$(storageos create small/greedy --size 1G --set frontend=fuse 2>&1)" \
		"may grow to 1 GiB, but the pool 'small' has only [0-9.]+ MiB free; writes fail when it is full"
	check "what is promised shows" [ "$(pool_is small .promised)" = $((1120 << 20)) ]
	refuses "no reserve that there is no space for" 'the file system has .* free, the reserve needs .* more' \
		storageos create small/vast --size 1G --reserve

	# ---- a pool that fills up, and says so
	mkdir -p /etc/storageos/pool.d /etc/systemd/system/storageos-pool-events.service.d
	# shellcheck disable=SC2016 # for the executable
	printf '#!/bin/sh\necho "$DIRECTION $POOL $MARK $BEFORE" >>/run/noted\n' >/etc/storageos/pool.d/50-note
	chmod +x /etc/storageos/pool.d/50-note
	printf '[Unit]\nOnFailure=alarm.service\n' >/etc/systemd/system/storageos-pool-events.service.d/alarm.conf
	printf '[Service]\nType=oneshot\nExecStart=touch /run/alarm\n' >/etc/systemd/system/alarm.service
	systemctl daemon-reload
	must "look out for events" systemctl enable --now storageos-pool-events.path
	must "marks of its own" storageos pool set small warn=50,80
	must "attach the greedy one" storageos attach small/greedy
	must "fill half of the pool" random /dev/storageos/small/greedy 0 80
	check "the executable has run" wait_for 30 noted 'up small 50 0'
	is "the metric" "$(metric 'pool_mark_percent{pool="small"}')" 50
	like "the journal has it, by its field" "$(journalctl -b STORAGEOS_POOL=small -o cat)" \
		'^pool small: [0-9]+ % of [0-9.]+ MiB are taken, [0-9.]+ MiB are free \(warn=50\)$'
	is "as a warning" "$(journalctl -b STORAGEOS_POOL=small -p warning -o json | jq -r .SYSLOG_IDENTIFIER | sort -u)" storageos-fuse
	check "the alarm is silent" test ! -e /run/alarm
	printf '#!/bin/sh\necho no mail\nexit 1\n' >/etc/storageos/pool.d/90-mail
	chmod +x /etc/storageos/pool.d/90-mail

	# ---- it is full, and one volume goes on
	must "attach the other one at boot" systemctl enable --now storageos-attach@small-kept
	must "the reserve is there" wait_for 30 is_ready small/kept
	fio --name=kept --filename=/dev/storageos/small/kept --size=96M --rw=randwrite --bsrange=4k-256k --ioengine=psync \
		--direct=1 --fsync=16 --verify=crc32c --verify_fatal=1 --rate=3m --output=/run/fio >/dev/null &
	local writer=$!
	refuses "the greedy one fills the pool" 'No space left|Input/output' random /dev/storageos/small/greedy 80 400
	is "it is full" "$(value '.[0].state' status small/greedy)" full
	check "the other one is written on" alive "$writer"
	check "the next event" wait_for 30 noted 'up small 80 50'
	check "an executable that fails raises the alarm" wait_for 30 test -e /run/alarm
	like "the journal says why" "$(journalctl -b -u storageos-pool-events -o cat)" '90-mail: .*no mail'
	rm /etc/storageos/pool.d/90-mail
	check "the initiator is told, too" wait_for 30 eval \
		'journalctl -b -k -o cat | grep "reached a thin provisioning soft threshold"'
	wait "$writer"
	is "to its end, and verified" $? 0
	check "once more" random /dev/storageos/small/kept 0 96
	check "and again" random /dev/storageos/small/kept 0 96

	# ---- and is grown
	must "a larger disk" truncate -s 1G /srv/small.disk
	must "for the kernel, too" losetup -c "$(losetup -n -O NAME -j /srv/small.disk)"
	must "a larger file system" resize2fs "$(findmnt -n -o SOURCE /srv/small)"
	check "it is seen at once" [ "$(pool_is small .size)" -gt $((900 << 20)) ]
	check "the greedy one goes on by itself" random /dev/storageos/small/greedy 300 20
	# The kernel grows it by steps, and there may be an event between them.
	check "an event downwards" wait_for 30 noted 'down small 0 [58]0'
	must "no failure is left" systemctl reset-failed storageos-pool-events

	# ---- a quota
	must "a volume" storageos create fast/limited --size 200M
	must "attach it" storageos attach fast/limited
	must "a quota" storageos pool set fast quota=100M
	is "is the pool's size" "$(pool_is fast .size)" $((100 << 20))
	sleep 6
	refuses "it is kept" 'No space left|Input/output|error' random /dev/storageos/fast/limited 0 150
	must "a larger one" storageos pool set fast quota=300M
	check "is followed within seconds" wait_for 15 random /dev/storageos/fast/limited 100 50
	must "detach it" storageos detach fast/limited
	check "it is whole" storageos check fast/limited

	# ---- what is mounted by hand at the end of the day
	must "a volume" storageos create fast/hand --size 64M --set frontend=fuse
	must "attach it" storageos attach fast/hand
	must "make a file system" mkfs.ext4 -q /dev/storageos/fast/hand
	must "mount it" mount --mkdir /dev/storageos/fast/hand /srv/hand
	fill hand
	# Over TCMU, too, and a service that writes there when it ends.
	must "a volume" storageos create manual --size 64M --set frontend=tcmu
	must "attach it" storageos attach manual
	keep manual-disk "$(basename "$(readlink -f /dev/storageos/default/manual)")"
	must "make a file system" mkfs.ext4 -q /dev/storageos/default/manual
	must "mount it" mount --mkdir /dev/storageos/default/manual /srv/manual
	fill manual
	cat >/etc/systemd/system/late.service <<-'END'
		[Service]
		Type=oneshot
		RemainAfterExit=yes
		ExecStart=true
		ExecStop=sh -c 'sleep 5; echo late >/srv/manual/late'
	END
	systemctl daemon-reload
	must "start a service" systemctl start late
	no_complaint
}

phase_volumes() {
	check "the boot was clean" boot_was_clean

	# ---- as it was before the reboot
	check "the pools are mounted" eval 'mountpoint -q /srv/small && mountpoint -q /srv/fast'
	is "marks and quota stay" "$(value '[.[] | .warn, .quota | tojson] | join(" ")' pool show)" \
		"[80,90,95] null [50,80] null [80,90,95] 314572800"
	is "what is attached at boot is" "$(value '.[0] | [.state, .frontend] | join(" ")' status small/kept)" "attached tcmu"
	check "its reserve is there" wait_for 30 is_ready small/kept

	is "what was mounted by hand is not" "$(value '.[0].state' status fast/hand)" detached
	must "attach it" storageos attach fast/hand
	is "its file system was unmounted" "$(dumpe2fs -h /dev/storageos/fast/hand 2>&1 | grep needs_recovery)" ''
	must "mount it" mount -o ro /dev/storageos/fast/hand /srv/hand
	is "it has its data" "$(tree_checksum /srv/hand/tree)" "$(kept hand)"
	must "unmount it" umount /srv/hand
	must "detach it" storageos detach fast/hand

	is "nor is the other" "$(value '.[0].state' status manual)" detached
	is "no write to it was lost" "$(journalctl -q -b -1 -k -o cat | grep "$(kept manual-disk).*rror")" ''
	must "attach it" storageos attach manual
	is "its file system was unmounted" "$(dumpe2fs -h /dev/storageos/default/manual 2>&1 | grep needs_recovery)" ''
	must "mount it" mount -o ro /dev/storageos/default/manual /srv/manual
	is "it has its data" "$(tree_checksum /srv/manual/tree)" "$(kept manual)"
	is "and what the service wrote" "$(cat /srv/manual/late)" late
	must "unmount it" umount /srv/manual
	must "detach it" storageos detach manual
	must "delete it" storageos delete manual

	# ---- what is known of a volume
	must "describe it" storageos set orders description='orders, production' label.team=billing label.tier=1
	is "a change is told" "$(storageos set orders label.tier=2)" "default/orders: label.tier 2, was 1"
	is "get" "$(storageos get orders label.tier --json | jq -r '.properties["label.tier"]')" 2
	must "another volume" storageos create small/log --size 64M --set description=logs --set label.team=billing
	is "list for scripts" "$(storageos list -H --bytes -o volume,size,labels,description --sort size -r default | tr '\t' '|')" \
		"default/orders|268435456|team=billing,tier=2|orders, production"
	is "list for people" "$(storageos list -o name,description --sort name | sed -n 2,3p | xargs)" "greedy - hand -"

	# ---- a file system on it, by its unit and fstab
	must "attach it now and at boot" systemctl enable --now storageos-attach@default-orders
	must "make a file system" mkfs.ext4 -q /dev/storageos/default/orders
	must "mount it by fstab" in_fstab orders
	fill orders
	is "its unit has one line in the journal" "$(journalctl -b _SYSTEMD_UNIT=storageos-attach@default-orders.service -o cat)" \
		"attach default/orders: attached over TCMU (the kernel and tcmu-runner offer it)"
	is "what lsblk sees" "$(lsblk -n -o FSTYPE,MOUNTPOINT "$(readlink -f /dev/storageos/default/orders)" | xargs)" "ext4 /srv/orders"

	# ---- another name, another pool
	refuses "a volume in use keeps its name" 'default/orders is in use' storageos rename orders sales
	must "a snapshot" storageos snapshot create orders@before
	must "unmount" umount /srv/orders
	must "detach" systemctl disable --now storageos-attach@default-orders
	must "another name" storageos rename orders sales
	like "fstab has the old one still" "$(storageos rename sales orders 2>&1; storageos rename orders sales 2>&1)" \
		'the old name is still in: /dev/storageos/default/orders in line [0-9]+ of /etc/fstab'
	is "another pool" "$(storageos move sales fast 2>&1)" "fast/sales: moved from default/sales"
	refuses "the old name leads to the new one" 'it was renamed to fast/sales' storageos attach orders
	sed -i 's,^/dev/storageos/default/orders ,/dev/storageos/fast/sales ,' /etc/fstab
	systemctl daemon-reload
	must "attach it there now and at boot" systemctl enable --now storageos-attach@fast-sales
	must "mount it" mount /srv/orders
	is "it has its data" "$(tree_checksum /srv/orders/tree)" "$(kept orders)"
	is "its labels and its snapshot" "$(storageos list fast -H -o name,labels,snapshots --sort snapshots -r | head -n 1 | tr '\t' ' ')" \
		"sales team=billing,tier=2 1"

	# ---- a copy of it, while it is in use
	local before
	before=$(free fast)
	must "copy it" storageos copy fast/sales fast/trial
	check "a copy shares the data on xfs" [ $((before - $(free fast))) -lt 16 ]
	must "copy it elsewhere" storageos copy fast/sales@before trial
	check "they are two disks" [ "$(value .uuid info trial)" != "$(value .uuid info fast/sales)" ]
	storageos attach trial --read-only >/run/out 2>/run/err
	is "look at one" "$(cat /run/out)" /dev/storageos/default/trial
	like "it says how" "$(cat /run/err)" 'mount -o ro,noload /dev/storageos/default/trial DIRECTORY'
	must "mount it as it says" mount -o ro,noload /dev/storageos/default/trial /mnt
	is "it has the data" "$(tree_checksum /mnt/tree)" "$(kept orders)"
	refuses "the disk cannot be written" 'permitted|Read-only|Input/output' random /dev/storageos/default/trial 0 1
	must "unmount it" umount /mnt
	must "detach it" storageos detach trial

	# ---- several
	local name
	for name in a b c; do must "make $name" storageos create "$name" --size 64M; done
	is "attach three" "$(storageos attach a b c 2>/dev/null | xargs)" "/dev/storageos/default/a /dev/storageos/default/b /dev/storageos/default/c"
	must "write to one" random /dev/storageos/default/b 0 16
	is "stats of two" "$(value '[.[] | .volume] | join(" ")' stats c b)" "default/c default/b"
	check "scrub two" storageos scrub a b
	refuses "check one that is in use, and one that is not" 'default/a.*in use' storageos check a trial
	refuses "detach all: what is mounted stays" 'fast/sales: .*mounted on /srv/orders' storageos detach --all
	is "alone" "$(value '[.[] | select(.state == "attached").volume] | join(" ")' status)" fast/sales
	must "attach by the unit again" systemctl restart storageos-attach@small-kept
	check "check all, but what is in use" storageos check --all
	check "scrub all" storageos scrub --all
	like "what deleting would do" "$(storageos delete a b --dry-run)" '^default/b: would be deleted$'
	must "delete two" storageos delete a b
	is "they are gone" "$(storageos list default -H -o name | xargs)" "c trial"

	# ---- images
	truncate -s 256M /srv/image.raw
	must "an image with a file system" mkfs.ext4 -q -d /usr/share/perl /srv/image.raw
	must "as qcow2" qemu-img convert -O qcow2 /srv/image.raw /srv/image.qcow2
	like "what importing it would do" "$(storageos import web /srv/image.qcow2 --dry-run)" '^default/web: would be imported, 256 MiB'
	like "import it" "$(storageos import web /srv/image.qcow2 2>/dev/null)" '^default/web: imported, [0-9.]+ MiB of data in 256 MiB, verified$'
	check "it takes no more than the image" [ "$(value .data_bytes info web)" -le $(($(stat -c '%b * 512' /srv/image.qcow2))) ]
	check "compare: the same" storageos compare web /srv/image.qcow2
	must "attach it" storageos attach web
	must "mount it" mount /dev/storageos/default/web /mnt
	check "it has the files" diff -r --no-dereference /usr/share/perl /mnt --exclude lost+found
	echo more >/mnt/more
	must "unmount it" umount /mnt
	must "detach it" storageos detach web
	storageos compare web /srv/image.qcow2 >/run/out 2>/dev/null
	is "compare: not the same" $? 1
	like "where" "$(cat /run/out)" 'differ'
	must "export it as qcow2" storageos export web /srv/out.qcow2 --format qcow2
	must "and as raw, through a pipe" eval 'storageos export web - --format raw >/srv/out.raw'
	check "qemu-img finds both equal" qemu-img compare -f qcow2 -F raw /srv/out.qcow2 /srv/out.raw
	must "and back" eval 'storageos import back - --format raw </srv/out.raw'
	check "compare: the same again" storageos compare web back
	is "the map has all of it" "$(value 'map(.length) | add' map web)" $((256 << 20))
	is "in data and holes" "$(value '[.[].type] | unique | join(" ")' map web)" "data hole"
	rm /srv/image.* /srv/out.*
	must "away with them" storageos delete web back trial fast/trial

	# ---- a disk of its own
	truncate -s 256M /srv/disk
	loop_attach /srv/disk
	must "a volume on a disk" storageos create "$LOOP" --size 128M
	like "file knows it" "$(file -s -m /usr/share/storageos/storageos.magic "$LOOP")" 'storageos volume, format 2, 134217728 bytes'
	is "wipefs does not" "$(wipefs "$LOOP")" ''
	must "delete it" storageos delete "$LOOP"
	like "then there is none" "$(file -s -m /usr/share/storageos/storageos.magic "$LOOP")" ': data$'
	no_complaint
}

# iops DEVICE DEPTH read|write: what fio gets, once the burst is over.  It does not count what is in its queue at the
# end: with a deep queue, and few requests a second, that is little only of a long run.
iops() {
	local seconds=$(($2 > 1 ? 20 : 5))
	fio --name=rate --filename="$1" --iodepth="$2" --rw="rand$3" --ioengine=libaio --direct=1 --bs=4k --size=32M \
		--time_based --ramp_time=2 --runtime="$seconds" --output-format=json 2>/dev/null | jq ".jobs[0].$3.iops | floor"
}

# rate NAME LIMIT DEVICE DEPTH read|write: within 5 %.  A machine that is slow or busy may be slower, and never faster.
rate() {
	local got factor
	got=$(iops "${@:3}")
	factor=$(printf '%.0f' "$STORAGEOS_TIME_FACTOR")
	note "$1: $got requests a second"
	check "$1: $2 are kept" [ $((${got:-9999} * 100)) -le $(($2 * 105)) ]
	check "$1: and reached" [ $((${got:-0} * 100)) -ge $(($2 * 95 / (factor < 2 ? 1 : factor * factor))) ]
}

exporter() { python3 -c 'import urllib.request as u; print(u.urlopen("http://localhost:9100/metrics").read().decode())'; }
exporter_has() { exporter | grep -qF -- "$1"; }

phase_watch() {
	check "the boot was clean" boot_was_clean
	check "the file system is mounted" wait_for 60 mountpoint -q /srv/orders
	is "it has its data" "$(tree_checksum /srv/orders/tree)" "$(kept orders)"
	is "labels and description stay" "$(storageos list -H -o volume,description,labels --sort labels fast | head -n 1 | tr '\t' '|')" \
		"fast/sales|orders, production|team=billing,tier=2"
	check "the unit serves the volume" systemctl is-active storageos-attach@fast-sales

	# ---- limits.  In a machine that is emulated 1000 a second cannot be had, but 100.
	must "a volume over TCMU" storageos create lun --size 64M --set read_iops=100 --set write_iops=100 --set frontend=tcmu
	must "one over FUSE" storageos create file --size 64M --set frontend=fuse
	must "attach both" storageos attach lun file
	must "with data" eval 'random /dev/storageos/default/file 0 32; storageos set file read_iops=100 write_iops=100'
	is "front ends are those of the property" "$(value '[.[] | select(.volume | test("lun|file")).frontend] | join(" ")' status)" "fuse tcmu"
	local volume depth rw
	for volume in lun file; do
		for depth in 1 32; do
			for rw in read write; do
				rate "$volume, $rw, depth $depth" 100 "/dev/storageos/default/$volume" "$depth" "$rw"
			done
		done
		must "$volume: change it" storageos set "$volume" write_iops=200
		rate "$volume: write, depth 32" 200 "/dev/storageos/default/$volume" 32 write
	done
	like "stats shows it" "$(storageos stats lun)" 'write limit +200 requests/s; 0 wait'
	must "a low limit" storageos set lun write_iops=30
	fio --name=slow --filename=/dev/storageos/default/lun --iodepth=8 --rw=randwrite --ioengine=libaio --direct=1 --bs=4k \
		--size=32M --number_ios=3000 --output=/run/fio >/dev/null &
	local writer=$!
	sleep 5
	must "lift it meanwhile" storageos set lun write_iops=none
	# With the limit it would take 95 s, however slow the machine is.
	check "what waited goes on" timeout 90 tail --pid="$writer" -f /dev/null
	wait "$writer"
	is "without an error" $? 0
	must "a limit that stays" storageos set lun write_iops=150

	# ---- watching
	must "run top" in_terminal 'bash --norc'
	typed 'storageos top' Enter
	check "top shows what is served" wait_for 60 shows '^default/lun .* ok$'
	like "the attached, by requests" "$(screen)" '^storageos top .* volumes, by requests'
	terminal send-keys n
	check "a key sorts" wait_for 30 shows 'by name'
	terminal send-keys q
	check "q ends it" wait_for 30 eval '! shows "storageos top .* volumes"'
	terminal kill-server

	must "attach one at boot" systemctl enable storageos-attach@default-lun
	no_complaint
}

started() { systemctl show -P ExecMainStartTimestampMonotonic "$1"; }
again() { [ "$(started "$1")" != "$2" ] && [ "$(systemctl show -P Result,ActiveState "$1" | xargs)" = "success inactive" ]; }

phase_evening() {
	check "the boot was clean" boot_was_clean
	check "the file system is mounted" wait_for 60 mountpoint -q /srv/orders
	is "it has its data" "$(tree_checksum /srv/orders/tree)" "$(kept orders)"
	is "the limit stays" "$(value '.[0].limits.write.iops' stats lun)" 150
	rate "lun: write, depth 8" 150 /dev/storageos/default/lun 8 write

	# ---- as aa-enforce does
	sed -i 's/ flags=(complain)//' /etc/apparmor.d/usr.bin.storageos-fuse
	must "confine the servers over FUSE" apparmor_parser -r /etc/apparmor.d/usr.bin.storageos-fuse
	must "attach one" storageos attach file
	is "its server is confined" "$(cat /proc/"$(value '.[0].pid' status file)"/attr/current)" 'storageos-fuse (enforce)'
	check "it works" random /dev/storageos/default/file 0 8
	check "snapshots, too" storageos snapshot create file@one

	# ---- timers
	cat >>/etc/storageos/storageos.conf <<-END
		[policy often]
		hourly=24
		[volume fast/sales]
		policy=often
	END
	# What is overdue would wait for a random part of a week.
	mkdir /etc/systemd/system/storageos-scrub@.timer.d
	printf '[Timer]\nRandomizedDelaySec=0\n' >/etc/systemd/system/storageos-scrub@.timer.d/now.conf
	systemctl daemon-reload
	must "metrics each minute" systemctl enable --now storageos-metrics.timer
	must "snapshots, each quarter of an hour" systemctl enable --now storageos-snapshot.timer
	must "scrubs, each month" systemctl enable --now storageos-scrub@fast-sales.timer storageos-scrub@small-log.timer
	is "the timers wait" "$(systemctl list-timers --no-legend 'storageos-*' | awk '{ print $(NF - 1) }' | sort | xargs)" \
		"storageos-metrics.timer storageos-scrub@fast-sales.timer storageos-scrub@small-log.timer storageos-snapshot.timer"
	local metrics=/var/lib/prometheus/node-exporter/storageos.prom
	check "metrics are there after a minute" wait_for 90 test -s "$metrics"
	check "the exporter has them" wait_for 30 exporter_has 'storageos_volume_served{volume="fast/sales"} 1'
	check "no attachment is missing" exporter_has 'storageos_attachment_missing{volume="fast/sales"} 0'

	local unit units=(storageos-metrics storageos-snapshot storageos-scrub@fast-sales storageos-scrub@small-log)
	declare -A before
	for unit in "${units[@]}"; do
		check "start $unit.service" systemctl start "$unit"
		before[$unit]=$(started "$unit")
	done
	like "a snapshot by the policy" "$(storageos snapshot list fast/sales)" '^fast/sales@auto-'
	check "the volume in use is scrubbed" [ "$(metric 'scrub_timestamp_seconds{volume="fast/sales"}')" -gt 0 ]
	check "and the one that is not" [ "$(metric 'scrub_timestamp_seconds{volume="small/log"}')" -gt 0 ]

	# ---- damage
	must "a volume" storageos create rotten --size 64M
	must "attach it" storageos attach rotten
	must "with data" random /dev/storageos/default/rotten 0 32
	must "detach it" storageos detach rotten
	flip_bits "$VOLUMES/rotten.vol" $((20 << 20)) $((24 << 20)) $((28 << 20))
	refuses "a scrub that finds damage makes its unit fail" 'failed' systemctl start storageos-scrub@default-rotten
	like "the journal names it" "$(journalctl -b -u storageos-scrub@default-rotten -o cat)" 'default/rotten: .*3 errors'
	must "write the metrics" systemctl start storageos-metrics
	check "the exporter has it" wait_for 30 exporter_has 'storageos_scrub_errors{volume="default/rotten"} 3'
	must "no failure is left" systemctl reset-failed storageos-scrub@default-rotten

	# ---- the clock goes on, and each timer starts its service
	must "40 days later" date -s '+40 days'
	for unit in "${units[@]}"; do
		check "the timer has started $unit.service" wait_for 120 again "$unit" "${before[$unit]}"
	done
	no_complaint
}

run_phases administrator install:900 more:600 space:500 volumes:600 watch:600 evening:600
