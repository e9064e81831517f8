#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# storageos-fuse starts, or says why it cannot, and ends without leaving anything behind.
. "$(dirname "$0")/server.sh"

mounted() {
	grep -qF " $MOUNT fuse.storageos " /proc/mounts
}

one_line() {
	[ "$(wc -l <<<"$1")" = 1 ]
}

# The command in the foreground, once it serves; its log in $WORK/log.  (What a shell starts in its
# own background ignores SIGINT, unless told.)
serve_in_foreground() {
	env --default-signal=INT "$STORAGEOS_FUSE" --foreground "$1" "$MOUNT" 2>"$WORK/log" &
	SERVER=$!
	cleanup stop $SERVER
	wait_for 10 test -e "$MOUNT/$1"
}

new_volume db 1G

# ---- the command line

check "--help" "$STORAGEOS_FUSE" --help
like "--version" "$("$STORAGEOS_FUSE" --version)" '^storageos-fuse [0-9]'
"$STORAGEOS_FUSE" db >/dev/null 2>&1
is "without a directory: usage" $? 2
"$STORAGEOS_FUSE" --nonsense db "$MOUNT" >/dev/null 2>&1
is "an unknown option: usage" $? 2

output=$("$STORAGEOS_FUSE" none "$MOUNT" 2>&1)
is "a volume that is not there fails" $? 1
like "and is named" "$output" "^storageos-fuse: .*'default/none'"
check "in one line" one_line "$output"
refuses "a bad name" "storageos-fuse: .*no/such/name" "$STORAGEOS_FUSE" no/such/name "$MOUNT"
refuses "a pool that is not known" "storageos-fuse: .*'other'" "$STORAGEOS_FUSE" other/db "$MOUNT"
refuses "a configuration that is not there" "storageos-fuse: .*/none.conf" \
	"$STORAGEOS_FUSE" --config "$WORK/none.conf" db "$MOUNT"
refuses "a mount point that is not there" "'default/db'.*$WORK/none: No such file" \
	"$STORAGEOS_FUSE" db "$WORK/none"
refuses "a mount point that is a file" "$WORK/storageos.conf: not a directory" \
	"$STORAGEOS_FUSE" db "$WORK/storageos.conf"
refuses "the same in the foreground" "storageos-fuse: .*'default/none'" \
	"$STORAGEOS_FUSE" -f none "$MOUNT"

# ---- what it shows

serve db
check "it is mounted when the command returns" mounted
is "the directory holds one file" "$(ls -A "$MOUNT")" db
is "of the volume's size, for root alone" "$(stat -c '%s %a %u' "$MOUNT/db")" "$((1 << 30)) 600 0"
is "a new volume takes no space" "$(stat -c %b "$MOUNT/db")" 0
check "another user sees nothing" sh -c "! setpriv --reuid 65534 --clear-groups ls '$MOUNT'"
check "the command has let go of its output" \
	sh -c "! readlink /proc/$SERVER/fd/[012] | grep -v '^/dev/null$'"
is "it keeps no directory busy" "$(readlink "/proc/$SERVER/cwd")" /
refuses "no other file can be made" "touch" touch "$MOUNT/other"

# ---- one at a time

mkdir "$WORK/second"
output=$("$STORAGEOS_FUSE" db "$WORK/second" 2>&1)
is "a second server of the volume is refused" $? 1
like "naming the first" "$output" "process $SERVER\b"
check "in one line" one_line "$output"
new_volume other 16M
refuses "another volume on the same mount point is refused" "mounted there already" \
	"$STORAGEOS_FUSE" other "$MOUNT"

# ---- the end, four ways

random_file "$WORK/data" 8388608
check "data goes in" dd if="$WORK/data" of="$FILE" bs=1M conv=notrunc oflag=direct
stop_server
check "SIGTERM unmounts" eval '! mounted'
check "the pid file is gone" test ! -e "$WORK/pid"
verify_volume db "the volume is whole after SIGTERM"

serve db
check "the data is there" cmp -n 8388608 "$WORK/data" "$FILE"
check "umount" umount "$MOUNT"
check "an unmount ends the server" wait_for 30 gone "$SERVER"
verify_volume db "the volume is whole after an unmount"

serve_in_foreground db
like "the log names the volume" "$(cat "$WORK/log")" "volume 'default/db'.*$MOUNT/db"
kill -INT "$SERVER"
wait "$SERVER"
is "SIGINT in the foreground: exit status 0" $? 0
check "and nothing is mounted" eval '! mounted'

serve_in_foreground db
exec 9<"$MOUNT/db"
kill -TERM "$SERVER"
wait "$SERVER"
is "SIGTERM while the file is open: exit status 0" $? 0
check "nothing is mounted then, too" eval '! mounted'
exec 9<&-

# ---- killed

serve_in_foreground db
kill_server
wait "$SERVER" 2>/dev/null
refuses "after kill -9 the mount is dead" "not connected" ls "$MOUNT"
serve db
check "the next start takes it away and serves" cmp -n 8388608 "$WORK/data" "$FILE"
is "there is one mount" "$(grep -cF " $MOUNT " /proc/mounts)" 1
stop_server
check "and none after its end" eval '! mounted'
verify_volume db "the volume is whole after all that"

finish
