#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Nothing that was acknowledged is lost when storageos-fuse is killed under load, however often:
# while it serves, makes checkpoints, or opens after the kill before.  STORAGEOS_DEATHS: how often.
. "$(dirname "$0")/server.sh"
. "$ROOT/tests/deaths/deaths.sh"
need mkfs.ext4 e2fsprogs
need losetup mount
need_built "$STAMPS"
seeded 40

# With so few nodes in memory checkpoints never stop.
config_set node_cache=1MiB

SERVER=
server_end() {
	[ -z "$SERVER" ] || stop "$SERVER"
}
cleanup server_end
cleanup load_stop

opened() {
	local start
	now
	start=$NOW
	"$STORAGEOS_FUSE" --pid-file "$WORK/pid" db "$MOUNT" || return
	since "$start"
	[ "$ELAPSED" -le "$slowest" ] || slowest=$ELAPSED
	SERVER=$(cat "$WORK/pid")
}

# Kills the server while it opens the volume, or just after.
killed_opening() {
	"$STORAGEOS_FUSE" --foreground db "$MOUNT" 2>"$WORK/opening" &
	SERVER=$!
	draw 60
	pause "$DRAWN"
	kill -9 $SERVER 2>/dev/null
	wait $SERVER 2>/dev/null
	kills=$((kills + 1))
}

killed_serving() { # DISK
	load_start "$1" || return
	draw 700
	pause $((30 + DRAWN))
	kill_server
	kills=$((kills + 1))
	load_end 4
}

round() { # NUMBER
	local disk=$FILE
	if [ $(($1 % 3)) = 2 ]; then
		fine "a loop device" loop_attach "$FILE"
		disk=$LOOP
	fi
	fine "round $1: the load runs until the kill" killed_serving "$disk"
	[ "$disk" = "$FILE" ] || fine "the loop device can be detached" loop_detach "$disk"
	draw 3
	[ "$DRAWN" -gt 0 ] || killed_opening
	fine "round $1: it opens" opened
	fine "round $1: everything acknowledged is there, and nothing else" disk_verify "$FILE"
	requests=$((requests + $(load_requests)))
	[ $(($1 % 8)) != 7 ] || whole "$1"
}

whole() {
	fine "round $1: it ends in order" stop_server
	fine "round $1: the volume is whole" "$STORAGEOS" check db
	fine "round $1: it opens again" opened
}

FILE=$MOUNT/db kills=0 requests=0 slowest=0
new_volume db 4G
must "serve it" opened
for ((i = 0; kills < DEATHS; i++)); do
	round $i
done
ok "$kills kills: everything acknowledged is there, and nothing else"
note "$kills kills under $requests requests; the slowest open took $slowest ms"
is "no open took 2 s" $((slowest < 2000)) 1
stop_server
verify_volume db "the volume is whole"

# ---- a file system, its files synced

new_volume files 512M
serve files
must "a loop device" loop_attach "$FILE"
DISK=$WORK/disk
mkdir "$DISK"
cleanup unmount_for_certain "$DISK"
must "mkfs" mkfs.ext4 -q "$LOOP"
must "mount" mount "$LOOP" "$DISK"
tree_fill "$DISK/synced" 40
check "sync" sync -f "$DISK"
sum=$(tree_checksum "$DISK/synced")
tree_fill "$DISK/later" 100 2>/dev/null &
sleep 0.5 # so that the kill finds files being written
kill_server
wait $!
unmount "$DISK"
loop_detach "$LOOP"
serve_again
must "a loop device after the kill" loop_attach "$FILE"
must "the file system mounts" mount "$LOOP" "$DISK"
is "the synced files are there" "$(tree_checksum "$DISK/synced")" "$sum"
check "umount" unmount "$DISK"
check "fsck" fsck.ext4 -fn "$LOOP"
check "detach" loop_detach "$LOOP"
stop_server
verify_volume files "that volume is whole, too"
finish
