# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Common functions of the tests that kill a server again and again (tests/deaths/stamps.c describes
# how the disk is verified).  On top of tests/lib.sh, which must be sourced before:
#
#   DEATHS       the number of kills: $STORAGEOS_DEATHS, or the test's default
#   seeded N     chooses and prints the seed of all random instants ($STORAGEOS_TEST_SEED if set);
#                N: the number of kills if $STORAGEOS_DEATHS is not set
#   draw N       sets $DRAWN to a random number below N
#   pause N      sleeps N milliseconds
#   load_start DISK        starts the load on DISK in the background; returns when it runs
#   load_end STATUS        waits for the load; fails if it does not end with STATUS
#   load_requests          prints the number of requests that the load made
#   disk_verify DISK       verifies that DISK has everything that was acknowledged, and nothing else
#   since START            sets $ELAPSED to the milliseconds since START (a $NOW of `now`)
#   fine TEXT COMMAND...   like check, but prints a result only on failure, for frequent checks;
#                then also prints the output of the test's function `evidence`, if it has one

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
	: >"$WORK/load" # an old file may hold the word that is waited for
	"$STAMPS" load "$1" "$RECORD" $((SEED + DRAWN)) 60 >"$WORK/load" 2>&1 &
	LOAD=$!
	wait_for 20 grep -q loading "$WORK/load"
}

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
