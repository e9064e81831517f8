#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# set reserve= on a disk that takes half a minute for the space: it goes on until it is done, by the volume's server and
# without one; Ctrl-C undoes it; when the command is killed, the space goes back all the same.
. "$(dirname "$0")/../lib.sh"
need jq jq
need_root
need_fuse
need_loop
need_strace
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
own_config
config_set frontend=fuse
cleanup attached_end

pool_on_disk disk "$WORK/disk.img" 5G
for volume in served still; do must "a volume, $volume" "$STORAGEOS" create disk/$volume --size 1536M; done
must "attach one" "$STORAGEOS" attach disk/served
server=$("$STORAGEOS" status disk/served --json | jq -r '.[0].pid')
must "its server runs" alive "$server"

# slow COUNT: so many calls of a thread for space are slow, later ones are not.  ext4 has each 128 MiB asked for twice, and
# the volumes need 13 of these.
slow() { echo "fallocate:delay_enter=1200000:when=1..$1"; }
tracer=
traced() { grep -q "^TracerPid:.$tracer$" /proc/"$server"/task/*/status; }
server_slow() { # COUNT
	[ -z "$tracer" ] || stop "$tracer"
	strace -f -qq -o /dev/null -e trace=fallocate -e inject="$(slow "$1")" -p "$server" &
	tracer=$!
	cleanup stop "$tracer"
	wait_for 10 traced
}
by_server() { exec env --default-signal "$STORAGEOS" set disk/served "$@"; }
here() { # COUNT ASSIGNMENT...
	exec env --default-signal strace -f -qq -o /dev/null -e trace=fallocate -e inject="$(slow "$1")" \
		"$STORAGEOS" set disk/still "${@:2}"
}
has() { stat -c '%b' "$WORK/disk/$1.vol"; }
is_small() { [ "$(has "$1")" -lt $((64 << 11)) ]; }
is_large() { [ "$(has "$1")" -gt $((256 << 11)) ]; }
property() { "$STORAGEOS" get "disk/$1" --json | jq -r ".properties.\"$2\""; }
space() { "$STORAGEOS" stats disk/served --json | jq -c ".[0].space | $1"; }

must "space for it takes long" server_slow 26
begun=$SECONDS
by_server reserve=full label.a=1 >"$WORK/served" 2>&1 &
served=$!
here 26 reserve=full label.a=1 >"$WORK/still" 2>&1 &
still=$!
must "space is allocated" wait_for 30 is_large served
check "meanwhile the server answers" within 5 "$STORAGEOS" stats disk/served
is "nothing is changed yet" "$(space .reserve) $(property served reserve)" "0 null"
check "and the volume can be written" dd if=/dev/zero of="$WORK/dev/disk/served" bs=4k count=10 oflag=direct status=none
wait $served
is "by the server it is done" "$? $(<"$WORK/served")" "0 disk/served: reserve full, was not set; label.a 1, was not set"
wait $still
is "without one, too" "$? $(<"$WORK/still")" "0 disk/still: reserve full, was not set; label.a 1, was not set"
check "in more than the 25 s for which a server waits" [ $((SECONDS - begun)) -gt 25 ]
is "both have it" "$(property served reserve) $(property still reserve)" "full full"
is "the space is there" "$(space '[.reserve, .reserve_ready]')" "[$((1536 << 20)),true]"

# ---- ended half way

# ends SIGNAL VOLUME COMMAND...: the command gets the signal when it has allocated something; its status is in $status.
ends() {
	local pid
	must "no reserve, $2" "$STORAGEOS" set "disk/$2" reserve=none -q
	must "and no space for one" is_small "$2"
	[ "$2" = still ] || must "its server is slow" server_slow 8
	"${@:3}" >"$WORK/out" 2>&1 &
	pid=$!
	must "space is allocated" wait_for 30 is_large "$2"
	kill -"$1" "$(pgrep -P $pid -x storageos || echo $pid)"
	wait $pid
	status=$?
}
for volume in served still; do
	[ $volume = served ] && command=by_server || command="here 8"
	# shellcheck disable=SC2086
	ends INT $volume $command reserve=full label.a=2
	is "Ctrl-C ends it, $volume" "$status $(<"$WORK/out")" "130 storageos: set disk/$volume: interrupted"
	check "its space is free again" is_small $volume
	is "nothing is changed" "$(property $volume reserve) $(property $volume label.a)" "null 1"
done
ends KILL served by_server reserve=full
is "killed" $status 137
check "the server gives the space back" wait_for 60 is_small served
is "and serves the volume as before" "$(space .reserve) $("$STORAGEOS" status disk/served --json | jq -r '.[0].state')" "0 attached"
ends KILL still here 8 reserve=full
is "killed" $status 137
is "the space is left" "$(is_large still; echo $?) $(property still reserve)" "0 null"
must "whoever opens the volume next" "$STORAGEOS" attach disk/still
check "gives it back" wait_for 20 is_small still

# ---- a volume with a reserve that grows

must "a reserve" "$STORAGEOS" set disk/still reserve=full -q
must "no reserve of the other" "$STORAGEOS" set disk/served reserve=none -q
before=$(has still)
server=$("$STORAGEOS" status disk/still --json | jq -r '.[0].pid')
must "its server is slow" server_slow 40
env --default-signal "$STORAGEOS" resize disk/still 3G >"$WORK/out" 2>&1 &
pid=$!
grows() { [ "$(has still)" -gt $((before + (64 << 11))) ]; }
must "space is allocated" wait_for 30 grows
kill -INT $pid
wait $pid
is "Ctrl-C ends the resize, which says so" "$? $(<"$WORK/out")" \
	"130 storageos: resize disk/still: interrupted before it was done; run resize again to complete it, its device, too"
stop "$tracer"
tracer=
check "the next one completes it" "$STORAGEOS" resize disk/still 3G
is "device and all" "$(blockdev --getsize64 "$WORK/dev/disk/still")" "$((3 << 30))"
for volume in served still; do must "detach $volume" "$STORAGEOS" detach disk/$volume; done
check "both are whole" "$STORAGEOS" check --all disk
finish
