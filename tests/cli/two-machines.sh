#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# One disk under two devices, of two machines that are namespaces of this one: one of them opens the
# volume, the other is told which; it takes the volume when the first one is dead or stands still, and the
# first one notices when it goes on.
. "$(dirname "$0")/../lib.sh"
[ "$(id -u)" = 0 ] || skip_all "needs root"
[ -e /dev/fuse ] || skip_all "no /dev/fuse"
unshare --mount --uts true 2>/dev/null || skip_all "no namespaces here"

truncate -s 300M "$WORK/disk"
disk_of() { # NAME: another loop device over the one disk
	local device
	device=$(losetup --find --show "$WORK/disk") || give_up "no loop device"
	cleanup losetup -d "$device"
	printf -v "$1" %s "$device"
}
disk_of A
disk_of B

# on NAME COMMAND...: runs it as that machine.
on() {
	local name=$1
	shift
	# shellcheck disable=SC2016 # for the inner shell
	${become-} unshare --uts -- "$ROOT/tests/apart" "${WORK%/*}" bash -c '
		name=$1 work=$2
		shift 2
		hostname "$name"
		mount --bind "$work/$name.boot" /proc/sys/kernel/random/boot_id
		[ ! -e /etc/machine-id ] || mount --bind "$work/$name.machine" /etc/machine-id
		exec "$@"' on "$name" "$WORK" "$@"
}
for name in alpha beta; do
	cat /proc/sys/kernel/random/uuid >"$WORK/$name.boot"
	tr -d - </proc/sys/kernel/random/uuid >"$WORK/$name.machine"
	mkdir "$WORK/$name"
	printf '[storageos]\nrun_directory=%s\n' "$WORK/$name/run" >"$WORK/$name.conf"
done

# serve NAME DEVICE: sets $server, or fails with what it said in $WORK/NAME.log.
serve() {
	(become="exec" && on "$1" "$STORAGEOS_FUSE" --config "$WORK/$1.conf" --foreground "$2" "$WORK/$1/mnt") \
		>"$WORK/$1.log" 2>&1 &
	server=$!
	cleanup kill -9 "$server"
}
served() { grep -q ': served as ' "$WORK/$1.log"; }
ended() { ! kill -0 "$1" 2>/dev/null; }
# file NAME: the file that it serves, seen from outside its namespaces.
file() { echo "/proc/$server/root$WORK/$1/mnt/$(ls "/proc/$server/root$WORK/$1/mnt")"; }
mkdir "$WORK/alpha/mnt" "$WORK/beta/mnt"
info() { on "$1" "$STORAGEOS" info "$2" --config "$WORK/$1.conf" --json; }

must "a volume is made on one machine" on alpha "$STORAGEOS" create "$A" --size 64M --config "$WORK/alpha.conf"
like "nobody has it after that" "$(info beta "$B" | grep -c claimed_by)" '^0$'
serve alpha "$A"
alpha=$server
must "and served there" wait_for 30 served alpha
head -c 1M /dev/urandom >"$WORK/data"
must "data is written through it" dd if="$WORK/data" of="$(file alpha)" bs=1M conv=notrunc,fsync status=none

# ---- in use
like "the other machine sees whose it is" "$(info beta "$B")" "\"claimed_by\": *\"alpha \(process [0-9]+\)\""
like "and status says so" "$(on beta "$STORAGEOS" status "$B" --config "$WORK/beta.conf")" \
	'alpha \(process [0-9]+\) has its disk open, or has died with it'
like "and a check says that it says nothing" "$(on beta "$STORAGEOS" check "$B" --config "$WORK/beta.conf")" \
	'not given back by alpha \(process [0-9]+\): if it is in use there, all this says nothing'
began=$SECONDS
on beta "$STORAGEOS" set "$B" write_cache=off --config "$WORK/beta.conf" >"$WORK/set" 2>&1 &
set=$!
on beta "$STORAGEOS" delete "$B" --config "$WORK/beta.conf" >"$WORK/delete" 2>&1 &
delete=$!
on beta "$STORAGEOS" create "$B" --size 64M --force --config "$WORK/beta.conf" >"$WORK/create" 2>&1 &
create=$!
wait "$set" && not_ok "set changed it"
wait "$delete" && not_ok "delete deleted it"
wait "$create" && not_ok "create replaced it"
in_time "who opens it learns that it is in use within seconds" "$began" 12
for verb in set delete create; do
	like "$verb names the machine" "$(cat "$WORK/$verb")" 'in use (by (alpha|another process|process)|\(process)'
done
like "one of them saw the other machine" "$(cat "$WORK/set" "$WORK/delete" "$WORK/create")" \
	'is in use by alpha \(process [0-9]+\)'

# ---- standing still
kill -STOP "$alpha"
began=$SECONDS
serve beta "$B"
must "a machine that stands still loses it" wait_for 40 served beta
is "not before it was watched for 11 s" $((SECONDS - began >= 11)) 1
like "and the log says what was waited for" "$(cat "$WORK/beta.log")" \
	'was not given back by alpha \(process [0-9]+\): watching it for 11 s'
check "what it had flushed is there" cmp -n 1048576 "$WORK/data" "$(file beta)"
beta=$server
kill -CONT "$alpha"
failed() { grep -q "has FAILED: beta (process [0-9]*) has taken its disk" "$WORK/alpha.log"; }
check "it notices when it goes on" wait_for 10 failed
server=$alpha
dd if=/dev/zero of="$(file alpha)" bs=4k count=1 conv=notrunc,fsync status=none 2>/dev/null &&
	not_ok "it still takes writes"
server=$beta
check "the other one has all its data still" cmp -n 1048576 "$WORK/data" "$(file beta)"
must "and takes more" dd if=/dev/zero of="$(file beta)" bs=4k count=1 conv=notrunc,fsync status=none
kill "$alpha"
check "the first one ends" wait_for 30 ended "$alpha"

# ---- after a death
kill -9 "$beta"
wait "$beta" 2>/dev/null
began=$SECONDS
must "after a death, who is on the same machine does not wait" \
	on beta "$STORAGEOS" set "$B" write_cache=off --config "$WORK/beta.conf"
in_time "it took no longer than an open" "$began" 8
check "the volume is whole" on alpha "$STORAGEOS" check "$A" --config "$WORK/alpha.conf"
finish
