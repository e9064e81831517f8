#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A linked clone is flattened under load, while its server or `storageos flatten` is killed again and again:
# everything acknowledged is there, and what the clone has from its base; then a clone of that, and so on.
# STORAGEOS_DEATHS: how often.
. "$(dirname "$0")/server.sh"
. "$ROOT/tests/deaths/deaths.sh"
need jq jq
need_built "$STAMPS"
seeded 12

config_set node_cache=1MiB
cleanup load_stop
kills=0 requests=0 flattened=0 unfinished=0 number=0

# What no load touches, between two of its strips: every other clone is flattened so slowly, with half a minute
# between two steps of 8 MiB, that its two kills come first.
STILL=516 # MiB, where it begins
random_file "$WORK/still" $((24 << 20))
slow() { [ $((flattened % 2)) = 0 ]; }
is_still() { cmp -n $((24 << 20)) -i "$((STILL << 20)):0" "$FILE" "$WORK/still"; }

killed() {
	local flatten rate=0
	! slow || rate=256K
	load_start "$FILE" || return
	"$STORAGEOS" flatten "v$number" --rate "$rate" >"$WORK/flatten" 2>&1 &
	flatten=$!
	draw 600
	pause $((30 + DRAWN))
	if [ $((kills % 3)) = 2 ]; then
		kill -9 "$flatten" 2>/dev/null
		wait "$flatten"
		# The server and the load go on.
		pause 100
		kill -TERM "$LOAD"
		load_end 0 || return
	else
		kill_server
		load_end 4 || return
		! slow || kill -9 "$flatten" # one that began only now does it by itself, to its end
		wait "$flatten"
	fi
	kills=$((kills + 1))
}

linked() { [ "$("$STORAGEOS" info "$1" --json | jq -r '.depth // 0')" = 1 ]; }

holds() { "$STORAGEOS" snapshot list "v$((number - 1))" --json | jq -r '.[].holds[]'; }

# The next volume: a linked clone of what this one has now.
next_clone() {
	"$STORAGEOS" snapshot create "v$number@base" --freeze never &&
		"$STORAGEOS" clone --linked "v$number@base" "v$((number + 1))" || return
	number=$((number + 1))
}

new_volume v0 1G
serve v0
must "the load" load_start "$FILE"
sleep 3
kill -TERM "$LOAD"
must "ends" load_end 0
must "and data beside it" dd if="$WORK/still" of="$FILE" bs=1M seek=$STILL conv=notrunc,fsync status=none
stop_server
must "a linked clone" next_clone
serve "v$number"
while [ $kills -lt "$DEATHS" ]; do
	fine "the load runs until the kill" killed
	requests=$((requests + $(load_requests)))
	gone "$SERVER" && serve "v$number"
	fine "everything acknowledged is there, and nothing else" disk_verify "$FILE"
	[ $((kills % 2)) = 0 ] || continue
	fine "what no load touches is there" is_still
	! slow || is "v$number: it was killed before its end" "$(linked "v$number" && echo linked)" linked
	# One that was killed at its very end has left the hold, which can be released.
	if linked "v$number"; then
		unfinished=$((unfinished + 1))
		fine "flatten goes on, to the end" "$STORAGEOS" flatten "v$number" --rate 0
	else
		for tag in $(holds); do
			fine "a hold of nobody" "$STORAGEOS" snapshot release "v$((number - 1))@base" "$tag"
		done
	fi
	fine "and changed nothing" disk_verify "$FILE"
	fine "nor what no load touches" is_still
	is "v$number: it needs no base" "$(linked "v$number" && echo linked)" ""
	is "v$number: and holds none" "$(holds)" ""
	flattened=$((flattened + 1))
	stop_server
	verify_volume "v$number" "v$number: it is whole"
	verify_volume "v$((number - 1))" "v$number: so is its base"
	fine "a base that nobody needs is deleted" "$STORAGEOS" delete "v$((number - 1))"
	fine "a clone of the clone" next_clone
	serve "v$number"
done
ok "$kills kills: everything acknowledged is there, and nothing else"
note "$kills kills under $requests requests, $flattened clones flattened, $unfinished of them not before the second kill"
stop_server
finish
