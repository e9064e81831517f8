#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A volume whose server is the unit storageos-fuse@: what systemd is told, so that at a shutdown the file systems on
# the volume, the server, and the file system of the pool end in this order; and that `detach --unmount` lets services
# end first, then unmounts what is left, and synchronises what it cannot unmount, even if the configuration is wrong.
. "$(dirname "$0")/../lib.sh"
need jq jq
need systemd-escape systemd
need mkfs.ext4 e2fsprogs
need_root
need_fuse
need_loop
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
# Units read the configuration in its default place.
own_namespace
own_config
for directory in /etc/storageos /etc/systemd/system; do
	[ -d $directory ] || { mkdir -p $directory && cleanup rmdir $directory; }
	must "a $directory of the test's own" mount -t tmpfs none $directory
	cleanup umount $directory
done
must "a /run" mount -t tmpfs none /run
config_set frontend=fuse
cp "$STORAGEOS_CONFIG" /etc/storageos/storageos.conf
mkdir -p "$WORK/bin" /run/systemd/system /run/fs-1
ln -s "$STORAGEOS_FUSE" "$WORK/bin/storageos-fuse"
PATH=$WORK/bin:$PATH
unset STORAGEOS_CONFIG STORAGEOS_FUSE
cleanup attached_end
: >/etc/systemd/system/storageos-fuse@.service

# What systemd answers is in these files.
echo "umount.target local-fs.target" >"$WORK/Before"
echo no >"$WORK/NeedDaemonReload"
echo running >"$WORK/system"
: >"$WORK/jobs"
cat >"$WORK/bin/systemctl" <<END
#!/bin/sh
case \$1 in
show) cat "$WORK/\$4" ;;
is-system-running) cat "$WORK/system" ;;
list-jobs) cat "$WORK/jobs" ;;
start) "$STORAGEOS" serve "\$(systemd-escape --unescape "\$(expr "\$2" : '.*@\(.*\)\.service')")" ;;
*) echo "\$*" >>"$WORK/told" ;;
esac
END
chmod +x "$WORK/bin/systemctl"

must "a file system" mount -t tmpfs none /run/fs-1
cleanup umount /run/fs-1
must "with a pool" "$STORAGEOS" pool create fast /run/fs-1/pool
must "a volume there" "$STORAGEOS" create fast/d-b --size 64M
must "one elsewhere" "$STORAGEOS" create other --size 64M
drop_in="/run/systemd/system/$(systemd-escape --template=storageos-fuse@.service fast/d-b).d/50-storageos.conf"

# ---- the server, before the file system of its pool

is "attach" "$("$STORAGEOS" attach fast/d-b 2>/dev/null)" "$WORK/dev/fast/d-b"
is "the server ends before its pool's file system is unmounted" "$(cat "$drop_in")" \
	$'[Unit]\nAfter='"$(systemd-escape --path --suffix=mount /run/fs-1)"
check "systemd has nothing to read again" test ! -e "$WORK/told"
must "detach" "$STORAGEOS" detach fast/d-b
check "that is gone with it" test ! -e "${drop_in%/*}"
echo yes >"$WORK/NeedDaemonReload"
must "attach where systemd knows the unit" "$STORAGEOS" attach fast/d-b
is "systemd is told to read it" "$(cat "$WORK/told")" daemon-reload
must "detach" "$STORAGEOS" detach fast/d-b
echo no >"$WORK/NeedDaemonReload"
echo umount.target remote-fs.target >"$WORK/Before"
must "attach where the pool is not part of local-fs.target" "$STORAGEOS" attach fast/d-b
check "there is no order" test ! -e "${drop_in%/*}"
must "detach" "$STORAGEOS" detach fast/d-b
echo local-fs.target >"$WORK/Before"

must "a snapshot" "$STORAGEOS" snapshot create fast/d-b@s
must "a linked clone in another pool" "$STORAGEOS" clone fast/d-b@s clone --linked
must "attach it" "$STORAGEOS" attach clone
like "it ends before its base's file system is unmounted, too" \
	"$(cat /run/systemd/system/storageos-fuse@default-clone.service.d/50-storageos.conf)" '^After=run-fs\\x2d1\.mount$'
must "detach it" "$STORAGEOS" detach clone

# ---- before that, what is mounted on the device

attach_and_mount() {
	must "attach" "$STORAGEOS" attach other
	is "the file system was closed" "$(dumpe2fs -h "$WORK/dev/default/other" 2>&1 | grep needs_recovery)" ''
	must "mount it" mount "$WORK/dev/default/other" /run/mounted
}
must "attach" "$STORAGEOS" attach other
must "make a file system" mkfs.ext4 -q "$WORK/dev/default/other"
mkdir /run/mounted
must "mount it" mount "$WORK/dev/default/other" /run/mounted
cleanup unmount_for_certain /run/mounted
refuses "what is mounted is not detached" 'other: .*mounted on /run/mounted' "$STORAGEOS" detach other
echo stopping >"$WORK/system"
printf '%s\n' '11 storageos-fuse@default-other.service stop running' '12 app.service stop running' \
	'13 local-fs.target stop waiting' >"$WORK/jobs"
"$STORAGEOS" detach --unmount other 2>"$WORK/said" &
detach=$!
sleep 4
check "while a service still ends, nothing is unmounted" mountpoint -q /run/mounted
is "and the volume is served" "$("$STORAGEOS" status other --json | jq -r '.[0].state')" attached
sed -i /app/d "$WORK/jobs"
wait $detach
is "then it is detached" $? 0
check "and unmounted" eval '! mountpoint -q /run/mounted'
is "without a word" "$(<"$WORK/said")" ''
is "status says so" "$("$STORAGEOS" status other --json | jq -r '.[0].state')" detached
check "the volume is whole" "$STORAGEOS" check other

# ---- all that can be on it

echo running >"$WORK/system"
attach_and_mount
mkdir -p /run/bound /run/mounted/{below,dir}
must "a part of it elsewhere" mount --bind /run/mounted/dir /run/bound
must "another file system below it" mount -t tmpfs none /run/mounted/below
must "one in a directory of that" mount --mkdir -t tmpfs none /run/mounted/below/deep
echo data >/run/mounted/dir/file
check "detach --unmount takes all of it" "$STORAGEOS" detach --unmount other
is "nothing is mounted" "$(grep -cE '/run/(mounted|bound)' /proc/self/mountinfo)" 0
attach_and_mount
is "it has the data" "$(</run/mounted/dir/file)" data

# ---- with a configuration that cannot be read, or not all of it

conf=/etc/storageos/storageos.conf
cp $conf "$WORK/good.conf"
sed '/^\[storageos\]$/a workers=lots' $conf >"$WORK/bad.conf"
on="detach goes on without what could not be read"
saying() { "$@" 2>"$WORK/said"; }
cp "$WORK/bad.conf" $conf
device=$("$STORAGEOS" udev "$(readlink "$WORK/dev/default/other")" 2>"$WORK/said")
is "udev is told the volume" "$device" STORAGEOS_VOLUME=default/other
like "and why not more" "$(<"$WORK/said")" "^storageos: configuration $conf: .*'lots'.*; udev goes on"
refuses "attach needs all of it" "configuration $conf: .*'lots'" "$STORAGEOS" attach other
check "detach --unmount goes on" saying "$STORAGEOS" detach --unmount other
like "saying what is wrong" "$(<"$WORK/said")" "^storageos: configuration $conf: .*'lots'.*; $on$"
is "once" "$(wc -l <"$WORK/said")" 1
check "it is unmounted" eval '! mountpoint -q /run/mounted'
cp "$WORK/good.conf" $conf
attach_and_mount
cp "$WORK/bad.conf" $conf
refuses "so does detach --all, which cannot tell whether that is all" 'volumes over FUSE may be left' \
	"$STORAGEOS" detach --all --unmount
check "it is unmounted" eval '! mountpoint -q /run/mounted'
for broken in 'frontend fuse' '[storageos'; do
	echo "$broken" >$conf
	check "over TCMU, '$broken' is no failure" saying "$STORAGEOS" detach --all --unmount --frontend tcmu
	like "it is told" "$(<"$WORK/said")" "^storageos: configuration $conf: .*; $on$"
done
refuses "a configuration that is named must be right" '^storageos: configuration [^;]*$' \
	"$STORAGEOS" detach --all --unmount --frontend tcmu --config $conf
cp "$WORK/good.conf" $conf
is "status says so" "$("$STORAGEOS" status other --json | jq -r '.[0].state')" detached
attach_and_mount

# ---- what is busy

# Begins to detach it while a process has a file of it open.
detach_busy() {
	sleep 1000 9</run/mounted/dir/file &
	user=$!
	cleanup kill $user
	"$STORAGEOS" detach --unmount other 2>"$WORK/said" &
	detach=$!
	sleep 3
}
detach_busy
check "what is busy stays" mountpoint -q /run/mounted
kill $user
wait $detach
is "and is unmounted once it is idle" $? 0
attach_and_mount
detach_busy
kill -TERM $detach
wait $detach
is "a signal ends the attempts" $? 143
like "what stays mounted is named, and synchronised" "$(<"$WORK/said")" \
	'^storageos: /dev/loop[0-9]+ on /run/mounted is in use and stays mounted: synchronised$'
is "the volume is served" "$("$STORAGEOS" status other --json | jq -r '.[0].state')" attached
kill $user
wait $user 2>/dev/null
check "detach all over FUSE" "$STORAGEOS" detach --all --unmount --frontend fuse
is "status says so" "$("$STORAGEOS" status other --json | jq -r '.[0].state')" detached
refuses "--frontend is for --all" 'needs --all' "$STORAGEOS" detach other --frontend fuse
check "the volume is whole" "$STORAGEOS" check other
finish
