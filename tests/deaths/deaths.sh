# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What the tests have in common that kill a server again and again (tests/deaths/stamps.c tells how
# the disk is looked at).  On top of tests/lib.sh, which is sourced before:
#
#   DEATHS       how many kills: from the environment (STORAGEOS_DEATHS), or what the test says
#   seeded N     draws, and prints, what all random instants come from (STORAGEOS_TEST_SEED); N: the
#                kills where STORAGEOS_DEATHS does not say
#   draw N       a random number below N in $DRAWN
#   pause N      sleeps that many milliseconds
#   load_start DISK        stamps it in the background; returns when the load is there
#   load_end STATUS        waits for that; fails if it did not end with this status
#   load_requests          how many it made
#   disk_verify DISK       everything acknowledged is there, and nothing else
#   since START            milliseconds since then, of `now`
#   fine TEXT COMMAND...   as check, but a result only where it fails: for what is done very often;
#                then also what the test's function `evidence` prints, if it has one

STAMPS=$STORAGEOS_BUILD/tests/deaths/stamps
RECORD=$WORK/record

seeded() {
	# shellcheck disable=SC2034 # the tests use it
	DEATHS=${STORAGEOS_DEATHS:-$1}
	SEED=${STORAGEOS_TEST_SEED:-$(od -An -N3 -tu4 /dev/urandom | tr -d ' ')}
	note "seed $SEED"
	RANDOM=$((SEED % 32768))
}

draw() {
	DRAWN=$(((RANDOM << 15 | RANDOM) % $1))
}

pause() {
	sleep "$(printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000)))"
}

now() {
	local seconds=${EPOCHREALTIME%.*} rest=${EPOCHREALTIME#*.}
	NOW=$((seconds * 1000 + 10#$rest / 1000))
}

since() {
	now
	# shellcheck disable=SC2034 # the tests use it
	ELAPSED=$((NOW - $1))
}

load_start() {
	draw 1000000
	: >"$WORK/load" # what is waited for must not be there from before
	"$STAMPS" load "$1" "$RECORD" $((SEED + DRAWN)) 60 >"$WORK/load" 2>&1 &
	LOAD=$!
	wait_for 20 grep -q loading "$WORK/load"
}

# How many requests it made.
load_requests() {
	tail -n 1 "$WORK/load" | cut -d' ' -f1
}

load_end() {
	local status
	wait "$LOAD"
	status=$?
	[ $status = "$1" ] && return
	echo "the load ended with status $status: $(cat "$WORK/load")"
	return 1
}

load_stop() {
	[ -z "${LOAD-}" ] || stop "$LOAD"
}

disk_verify() {
	"$STAMPS" verify "$1" "$RECORD"
}

fine() {
	local name=$1
	shift
	"$@" >"$WORK/.fine" 2>&1 </dev/null && return
	not_ok "$name" "'$*' failed:"$'\n'"$(cat "$WORK/.fine")"
	[ "$(type -t evidence)" != function ] || note "$(evidence 2>&1)"
	give_up "cannot go on after: $name; seed $SEED, ${kills-0} kills"
}
