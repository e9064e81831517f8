#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Nothing that was acknowledged is lost when tcmu-runner is killed under load again and again: while it
# serves, makes checkpoints, or opens after the previous kill.  STORAGEOS_DEATHS: number of kills.
. "$(dirname "$0")/guest.sh"
. "$ROOT/tests/deaths/deaths.sh"
need_built "$STORAGEOS_PLUGIN" "$STORAGEOS" "$STAMPS"
need tcmu-runner tcmu-runner
need targetcli targetcli-fb
enter_guest --timeout $((400 + ${STORAGEOS_DEATHS:-0} * 10)) \
	--env "STORAGEOS_DEATHS=${STORAGEOS_DEATHS-}" --env "STORAGEOS_TEST_SEED=${STORAGEOS_TEST_SEED-}"
seeded 20
cleanup load_stop

plugin_install
# With so few nodes in memory, checkpoints never stop.
sed -i 's/^\[storageos\]$/&\nnode_cache=1MiB/' /etc/storageos/storageos.conf
must "tcmu-runner offers the backstore" runner_start
must "targetcli makes a volume" targetcli \
	'/backstores/user:storageos create name=db size=4G cfgstring=db;create'
must "attach it" lun_add db 1
DISK=$(device_of db)
kills=0 requests=0 longest=0

runner_spawn() {
	tcmu-runner >/dev/null 2>&1 &
	echo $! >"$WORK/runner.pid"
	disown
}

# Kills the runner while it opens the volume, or just after.
killed_opening() {
	runner_spawn
	draw 1500
	pause "$DRAWN"
	runner_kill
	kills=$((kills + 1))
}

# The kernel keeps requests under way for the next runner; the load makes no new requests meanwhile.
killed_serving() {
	load_start "$DISK" || return
	draw 700
	pause $((100 + DRAWN))
	runner_kill
	now
	killed=$NOW
	kills=$((kills + 1))
	kill -TERM "$LOAD"
}

# A later runner answered each request that was under way.
answered() {
	load_end 0 || return
	since "$killed"
	[ "$ELAPSED" -le "$longest" ] || longest=$ELAPSED
}

evidence() {
	since "$killed"
	echo "$ELAPSED ms after the kill the disk is $(cat "/sys/block/${DISK##*/}/device/state")"
	runner_alive && echo "a runner runs" || echo "no runner runs"
	dmesg | tail -n 60
	tail -n 60 "$RUNNER_LOG"
}

whole() {
	runner_kill
	kills=$((kills + 1))
	"$STORAGEOS" check db && runner_spawn
}

round() { # NUMBER
	fine "round $1: the load runs until the kill" killed_serving
	draw 3
	[ "$DRAWN" -gt 0 ] || killed_opening
	runner_spawn
	fine "round $1: the load ends in order" answered
	fine "round $1: everything acknowledged is there, and nothing else" disk_verify "$DISK"
	requests=$((requests + $(load_requests)))
	[ $(($1 % 8)) != 7 ] || fine "round $1: the volume is whole" whole
}

for ((i = 0; kills < DEATHS; i++)); do
	round $i
	[ -z "$STORAGEOS_DEATHS" ] || [ $((i % 50)) != 49 ] ||
		note "$kills kills under $requests requests so far, $SECONDS s"
done
ok "$kills kills: everything acknowledged is there, and nothing else"
note "$kills kills under $requests requests, answered after $longest ms at most"
targetcli clearconfig confirm=True >/dev/null
check "the runner ends in order" runner_stop
check "the volume is whole" "$STORAGEOS" check db
finish
