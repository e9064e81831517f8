#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The starter of a server is killed, before the server serves and after.  No server without a user is left.
# shellcheck disable=SC2016 # what is in single quotes is for eval
. "$(dirname "$0")/server.sh"
need_loop
config_set frontend=fuse

real=$STORAGEOS_FUSE
mount=$WORK/run/mnt/default/db
is_mounted() { grep -q " $1 " /proc/mounts; }
servers() { pgrep -f "^$real .*$WORK"; } # their numbers
none() { ! servers; }
take_away() {
	STORAGEOS_FUSE=$real "$STORAGEOS" detach db
	servers | xargs -r kill -9
	unmount_for_certain "$mount"
}
cleanup take_away

new_volume db 64M

# ---- by hand, interrupted

# The child is stopped while it waits for the volume's lock, 0.3 s at most: before it serves.
interrupt() {
	local parent child lock
	for _ in {1..40}; do
		exec {lock}<"$POOL/db.vol"
		flock "$lock"
		"$real" db "$MOUNT" >/dev/null 2>&1 {lock}<&- &
		parent=$!
		until child=$(pgrep -P "$parent") || gone "$parent"; do :; done
		[ -z "$child" ] || kill -STOP "$child"
		exec {lock}<&-
		if [ -n "$child" ] && alive "$parent" && ! is_mounted "$MOUNT"; then
			kill -9 "$parent"
			wait "$parent" 2>/dev/null
			kill -CONT "$child"
			return 0
		fi
		[ -z "$child" ] || kill -CONT "$child"
		wait "$parent" 2>/dev/null # it was too quick
		! wait_for 5 is_mounted "$MOUNT" || unmount "$MOUNT"
		wait_for 30 none || return 1
	done
	return 1
}
check "storageos-fuse is killed while its server opens the volume" interrupt
check "the server ends by itself" wait_for 30 none
check "nothing is mounted" eval '! is_mounted "$MOUNT"'
verify_volume db "the volume is whole, and nobody's"

# ---- attach, killed when the server is there and its device is not

cat >"$WORK/wrapper" <<-END
#!/bin/sh
"$real" "\$@" || exit
kill -9 \$PPID
sleep 60 # attach must not see this program end
END
chmod +x "$WORK/wrapper"
attach_killed() {
	STORAGEOS_FUSE=$WORK/wrapper "$STORAGEOS" attach db >"$WORK/said" 2>&1
	[ $? = 137 ]
}
check "attach is killed" attach_killed
check "its server ends by itself" wait_for 30 none
check "its mount is gone" eval '! is_mounted "$mount"'
check "no loop device is left" eval '! losetup -n -O BACK-FILE | grep -F "$WORK"'
verify_volume db "the volume is whole, and nobody's again"

# ---- attach, not killed

must "attach" "$STORAGEOS" attach db
sleep 1 # a server without a user would end in this time
is "its server stays" "$(servers | wc -l)" 1
check "the device can be read" dd if="$WORK/dev/default/db" of=/dev/null bs=1M count=1 iflag=direct
must "detach" "$STORAGEOS" detach db
check "it is gone then" none
finish
