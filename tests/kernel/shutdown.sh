#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# systemd ends the units of a volume over FUSE, on which a file system was mounted by hand: storageos-attach@ leaves it to
# storageos-fuse@, which unmounts and detaches it, and none of them fails.  It does not leave it at any other time.
. "$(dirname "$0")/guest.sh"
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
need systemctl systemd
need jq jq
enter_guest --timeout 120
own_config
config_set frontend=fuse
must "load modules" modprobe -a fuse loop
volume=default/d-b
unit=$(systemd-escape --template=storageos-attach@.service $volume)
link=$WORK/dev/$volume

# ---- a systemd that has our units and the targets of a shutdown

units=/etc/systemd/system
mkdir -p /etc/storageos /srv/db $units /run/systemd/system
cp "$STORAGEOS_CONFIG" /etc/storageos/storageos.conf
cp "$STORAGEOS" "$STORAGEOS_FUSE" /usr/bin/
unset STORAGEOS_CONFIG STORAGEOS_FUSE
rm -rf ${units:?}/*
for target in basic final local-fs local-fs-pre paths poweroff remote-fs-pre shutdown slices sockets swap sysinit timers umount; do
	cp "/lib/systemd/system/$target.target" $units/
done
cp /lib/systemd/system/systemd-poweroff.service $units/
for template in attach fuse; do
	cp "$ROOT/packaging/systemd/storageos-$template@.service" $units/
	mkdir $units/storageos-$template@.service.d
	cat >$units/storageos-$template@.service.d/ended.conf <<-END
		[Service]
		ExecStopPost=/bin/sh -c 'echo "%p: \$SERVICE_RESULT, mounts: \$\$(grep -c /srv/db /proc/mounts)" >>"$WORK/ended"'
		StandardError=append:$WORK/said
	END
done
ln -s basic.target $units/default.target
mkdir -p /sys/fs/cgroup
must "mount the control groups" mount -t cgroup2 cgroup2 /sys/fs/cgroup
env container=test SYSTEMD_UNIT_PATH=$units:/run/systemd/system SYSTEMD_GENERATOR_PATH=/none \
	unshare --pid --fork --mount-proc --propagation shared /lib/systemd/systemd --system >/dev/null 2>&1 </dev/null &
systemd=$!
inside() { nsenter -t "$(pgrep -P $systemd)" -m -p "$@"; }
must "systemd runs" wait_for 30 inside systemctl is-active basic.target

# ---- by hand

must "a volume" storageos create $volume --size 64M
must "attach it" inside systemctl start "$unit"
must "make a file system" mkfs.ext4 -q "$link"
must "mount it by hand" inside mount "$link" /srv/db
must "write a file" inside cp /etc/passwd /srv/db/file
inside systemctl stop "$unit"
is "what is mounted stays, which is a failure" "$(<"$WORK/ended")" 'storageos-attach: exit-code, mounts: 1'
like "it is told" "$(<"$WORK/said")" "detach $volume: it is in use: .* is mounted on /srv/db$"
must "start the unit again" inside systemctl start "$unit"

# ---- at a shutdown

rm "$WORK/ended"
must "shut down" inside systemctl start --no-block poweroff.target
must "systemd ends" wait_for 60 gone $systemd
is "first one unit, then the other" "$(<"$WORK/ended")" \
	$'storageos-attach: success, mounts: 1\nstorageos-fuse: success, mounts: 0'
like "it is told" "$(tail -1 "$WORK/said")" '^storageos-fuse@default-d.x2db will detach it$'
is "it is detached" "$(storageos status $volume --json | jq -r '.[0].state')" detached
check "it is whole" storageos check $volume
rm -r /run/systemd/system
must "attach it" storageos attach $volume
is "the file system was closed" "$(dumpe2fs -h "$link" 2>&1 | grep needs_recovery)" ''
must "mount it" mount -o ro "$link" /srv/db
check "it has the file" cmp /etc/passwd /srv/db/file
must "unmount it" umount /srv/db
check "detach it" storageos detach $volume
finish
