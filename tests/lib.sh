# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# The library of all shell tests: TAP output, clean-up, small helpers.
#
# A test is a bash script that starts so, and says at its end how many results it gave:
#
#     #!/bin/bash
#     # What this proves, in a sentence.
#     . "$(dirname "$0")/../lib.sh"
#     need mkfs.ext4 e2fsprogs
#     check "a volume can be made" "$STORAGEOS" create db --size 1G
#     finish
#
# Results
#   ok NAME | not_ok NAME [DETAIL]  one result, as it is
#   check NAME COMMAND...           ok if the command succeeds; its output is shown where it does not
#   refuses NAME REGEX COMMAND...   ok if it fails and its output matches (grep -E)
#   is NAME GOT WANTED              ok if equal
#   like NAME TEXT REGEX            ok if it matches (grep -E)
#   skip NAME REASON                one result that could not be had here
#   skip_all REASON                 the whole test cannot be run here: ends it
#   must NAME COMMAND...            as check, and ends the test where it fails
#   give_up REASON                  ends the test as failed
#   finish                          prints the plan; a test that ends without it has failed
#   note TEXT                       a line for the reader
#
# Clean-up: `cleanup COMMAND ARG...` puts a command on a stack that is run, last first, however the
# test ends (its end, a signal, a timeout).
#
# Time: whatever a test waits for has a limit in seconds, as for an idle machine with two processors;
# `limit SECONDS` is what that means on this one (see tests/time-factor), and a limit that is met says
# what it was.  $STORAGEOS_TIME_FACTOR is the factor; it is measured where it is not set.
#   wait_for SECONDS COMMAND...  tries the command until it succeeds; fails at the limit
#   nap SECONDS                  waits so long
#   within SECONDS COMMAND...    runs it, and kills it at the limit
#   in_time NAME BEGUN SECONDS   ok if no more than that has passed since $SECONDS was BEGUN
#
# Set for the test
#   $ROOT             the top of the source tree
#   $STORAGEOS_BUILD  the build directory (from the environment; `build` in the tree otherwise)
#   $STORAGEOS, $STORAGEOS_FUSE, $STORAGEOS_PLUGIN   what was built there
#   $WORK             an empty directory of its own, removed at the end; in $SCRATCH if that is set

set -u
export LC_ALL=C
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
: "${STORAGEOS_BUILD:=$ROOT/build}"
export STORAGEOS_BUILD
export STORAGEOS=$STORAGEOS_BUILD/cli/storageos
export STORAGEOS_FUSE=$STORAGEOS_BUILD/fuse-fallback/storageos-fuse
export STORAGEOS_PLUGIN=$STORAGEOS_BUILD/handler/handler_storageos.so

if [ -z "${STORAGEOS_TIME_FACTOR-}" ]; then
	STORAGEOS_TIME_FACTOR=$("$ROOT/tests/time-factor") || STORAGEOS_TIME_FACTOR=1.0
	export STORAGEOS_TIME_FACTOR
fi

tap_count=0 tap_failed=0 tap_finished=no
cleanup_stack=() waiting_for='' checking=''

# ---- results

note() {
	printf '%s\n' "$*" | sed 's/^/# /'
}

ok() {
	tap_count=$((tap_count + 1))
	echo "ok $tap_count - $1"
}

not_ok() {
	tap_count=$((tap_count + 1)) tap_failed=$((tap_failed + 1))
	echo "not ok $tap_count - $1"
	[ $# -lt 2 ] || note "$2"
}

skip() {
	tap_count=$((tap_count + 1))
	echo "ok $tap_count - $1 # SKIP $2"
}

skip_all() {
	[ $tap_count = 0 ] || give_up "skip_all after results: $1"
	echo "1..0 # SKIP $1"
	tap_finished=yes
	exit 0
}

check() {
	local name=$1 status
	shift
	checking=$name
	# In this shell, so that functions can set variables and call cleanup.
	"$@" >"$WORK/.output" 2>&1 </dev/null
	status=$?
	checking=
	if [ $status = 0 ]; then
		ok "$name"
	else
		not_ok "$name" "'$*' ended with status $status:"$'\n'"$(cat "$WORK/.output")"
	fi
	return $status
}

must() {
	check "$@" || give_up "cannot go on after: $1"
}

# matches TEXT REGEX: as grep -E, mostly without a process.
matches() {
	local line
	if [ ${#1} -lt 4000 ]; then
		while IFS= read -r line; do
			[[ ! $line =~ $2 ]] || return 0
		done <<<"$1"
	fi
	grep -qE -- "$2" <<<"$1"
}

refuses() {
	local name=$1 regex=$2 output status
	shift 2
	output=$("$@" 2>&1 </dev/null)
	status=$?
	if [ $status = 0 ]; then
		not_ok "$name" "'$*' succeeded: $output"
	elif matches "$output" "$regex"; then
		ok "$name"
	else
		not_ok "$name" "'$*' failed as it should, but its output does not match /$regex/:"$'\n'"$output"
	fi
}

is() {
	if [ "$2" = "$3" ]; then
		ok "$1"
	else
		not_ok "$1" "got '$2', wanted '$3'"
	fi
}

like() {
	if matches "$2" "$3"; then
		ok "$1"
	else
		not_ok "$1" "'$2' does not match /$3/"
	fi
}

give_up() {
	echo "Bail out! $*"
	exit 1
}

finish() {
	echo "1..$tap_count"
	tap_finished=yes
	[ $tap_failed = 0 ]
	exit
}

# ---- clean-up

cleanup() {
	cleanup_stack+=("$(printf '%q ' "$@")")
}

run_cleanups() {
	local status=$? i
	trap - EXIT
	trap '' INT TERM HUP
	for ((i = ${#cleanup_stack[@]} - 1; i >= 0; i--)); do
		eval "${cleanup_stack[i]}" >/dev/null 2>&1 </dev/null
	done
	if [ $tap_finished = no ] && [ $status = 0 ]; then
		echo "Bail out! the test ended without calling finish"
		status=1
	fi
	exit $status
}
# Whoever stops a test has waited too long for it: what was it doing?  `check` may have the output of
# what it runs go elsewhere, just then.
tap_output=$(readlink /proc/$$/fd/1)
stopped() {
	local at=$BASH_COMMAND
	[ ! -w "$tap_output" ] || exec >>"$tap_output"
	echo "Bail out! stopped by a signal after result $tap_count${checking:+ ($checking)}," \
		"${waiting_for:+waiting for }${waiting_for:-at: $at}"
	exit 143
}
trap run_cleanups EXIT
trap stopped INT TERM HUP

WORK=$(mktemp -d -p "${SCRATCH:-${TMPDIR:-/var/tmp}}" storageos-test.XXXXXX) || give_up "no \$WORK"
cleanup rm -rf --one-file-system "$WORK"
mkfifo "$WORK/.silence" || give_up "cannot make a FIFO" # nobody writes there

# ---- namespaces

# apart COMMAND...: in a mount namespace of its own, without what other tests have mounted.
apart() {
	"$ROOT/tests/apart" "${WORK%/*}" "$@"
}

# own_namespace: the whole test is apart; first in it, after what may skip it.
own_namespace() {
	[ -z "${STORAGEOS_OWN_NAMESPACE-}" ] || return 0
	tap_finished=yes
	STORAGEOS_OWN_NAMESPACE=yes apart bash "$0"
	exit
}

# ---- time

# limit SECONDS: in whole seconds, rounded up.
limit() {
	local tenths=${STORAGEOS_TIME_FACTOR/./}
	[[ $STORAGEOS_TIME_FACTOR == *.* ]] || tenths=${tenths}0
	echo $((($1 * tenths + 9) / 10))
}

limit_text() { # SECONDS
	echo "its limit of $(limit "$1") s ($1 s, time factor $STORAGEOS_TIME_FACTOR)"
}

# attended VOLUME: its server over FUSE has seen that somebody came for it (attendance.h).  Before that it
# would end by itself where its loop device is taken away.
attended() {
	! grep -qsx storageos-watch /proc/"$("$STORAGEOS" status "$1" --json | jq -r '.[0].pid')"/task/*/comm
}

# nap SECONDS: as sleep, without a process.
nap() {
	read -rt "$1" <>"$WORK/.silence"
}

wait_for() {
	local seconds=$1 end
	end=$((SECONDS + $(limit "$1")))
	shift
	waiting_for="$*"
	until "$@" >/dev/null 2>&1 </dev/null; do
		if [ $SECONDS -gt $end ]; then
			echo "'$waiting_for' did not succeed within $(limit_text "$seconds")" >&2
			waiting_for=
			return 1
		fi
		nap 0.1
	done
	waiting_for=
}

within() {
	local seconds=$1 status
	shift
	timeout --kill-after=5 "$(limit "$seconds")" "$@"
	status=$?
	[ $status != 124 ] || echo "'$*' did not end within $(limit_text "$seconds")" >&2
	return $status
}

in_time() {
	local took=$((SECONDS - $2))
	if [ $took -le "$(limit "$3")" ]; then
		ok "$1"
	else
		not_ok "$1" "it took $took s: $(limit_text "$3") was met"
	fi
}

# limited NAME LEAST MOST COMMAND...: COMMAND prints a rate, which a limit holds at MOST.  A machine that is busy may be
# slower for a while, and never faster: one of five tries must reach LEAST, and none pass MOST.
limited() {
	local name=$1 least=$2 most=$3 best=0 got
	shift 3
	for _ in {1..5}; do
		got=$("$@")
		note "$name: ${got:-nothing}"
		[ "${got:-0}" -le "$best" ] || best=$got
		[ "$best" -lt "$least" ] || break
	done
	check "$name: at least $least" [ "$best" -ge "$least" ]
	check "$name: and at most $most" [ "$best" -le "$most" ]
}

# ---- what the test needs

# need COMMAND PACKAGE: without it the whole test is skipped.
need() {
	command -v "$1" >/dev/null || skip_all "$1 is not installed (package $2)"
}

# need_strace: processes can be traced, and stopped at their calls.
need_strace() {
	need strace strace
	strace -o "$WORK/trace" true 2>/dev/null || skip_all "processes cannot be traced here"
}

# seed_random: $RANDOM goes by $STORAGEOS_TEST_SEED, or by a seed that is told.
seed_random() {
	local seed=${STORAGEOS_TEST_SEED:-$RANDOM}
	note "seed $seed"
	RANDOM=$seed
}

need_root() {
	[ "$(id -u)" = 0 ] || skip_all "needs root"
}

need_fuse() {
	[ -c /dev/fuse ] || modprobe fuse 2>/dev/null || skip_all "this kernel has no FUSE"
}

need_loop() {
	[ -c /dev/loop-control ] || modprobe loop 2>/dev/null || skip_all "this kernel has no loop devices"
}

# need_built FILE...: what must have been built; it is a failure and not a skip where it was not.
need_built() {
	local file
	for file; do
		[ -e "$file" ] || give_up "$file was not built: ninja -C $STORAGEOS_BUILD"
	done
}

# ---- helpers

# A configuration and a default pool of the test's own, in $WORK, which every program then uses.
own_config() {
	export STORAGEOS_CONFIG=$WORK/storageos.conf
	POOL=$WORK/pool
	mkdir -p "$POOL" "$WORK/run" "$WORK/dev" "$WORK/state" || give_up "cannot make $POOL"
	[ -e "$POOL/.storageos-pool" ] ||
		printf '{ "format": 1, "uuid": "%s", "name": "default" }\n' \
			"$(cat /proc/sys/kernel/random/uuid)" >"$POOL/.storageos-pool"
	cat >"$STORAGEOS_CONFIG" <<-END
	[storageos]
	run_directory=$WORK/run
	state_directory=$WORK/state
	device_directory=$WORK/dev

	[pool default]
	path=$POOL
	uuid=$(sed 's/.*"uuid": "\([^"]*\)".*/\1/' "$POOL/.storageos-pool")
	END
}

# config_set KEY=VALUE: a general setting of that configuration.
config_set() {
	sed -i "/^\\[storageos\\]\$/a $1" "$STORAGEOS_CONFIG"
}

# pool_on_disk NAME FILE SIZE [MKFS...]: makes a pool in $WORK/NAME, on a file system of its own (ext4) in
# FILE.
pool_on_disk() {
	local name=$1 file=$2 size=$3
	shift 3
	[ $# -gt 0 ] || set -- mkfs.ext4 -q
	truncate -s "$size" "$file" && mkdir "$WORK/$name" || give_up "cannot make $file"
	must "make a file system for the pool $name" "$@" "$file"
	must "attach its disk" loop_attach "$file"
	cleanup unmount_for_certain "$WORK/$name"
	must "mount it" mount "$LOOP" "$WORK/$name"
	must "make the pool $name" "$STORAGEOS" pool create "$name" "$WORK/$name"
}

# For clean-up: kills the servers of volumes that are attached over FUSE, and takes away their loop devices and mounts.
attached_end() {
	local device mount
	cat "$WORK"/run/state/*.pid | xargs -r kill -9
	losetup -n -O NAME,BACK-FILE | grep -F "$WORK/run" | while read -r device _; do losetup -d "$device"; done
	awk -v d="$WORK/run/mnt/" 'index($2, d) == 1 { print $2 }' /proc/mounts |
		while read -r mount; do unmount_for_certain "$mount"; done
}

# random_file FILE BYTES: fills it with bytes that do not repeat.
random_file() {
	head -c "$2" /dev/urandom >"$1"
}

# flip_bits FILE OFFSET...: changes a bit of each of these bytes.
flip_bits() {
	python3 - "$@" <<-'END'
	import sys
	with open(sys.argv[1], "r+b") as f:
	    for at in map(int, sys.argv[2:]):
	        f.seek(at)
	        byte = f.read(1)[0]
	        f.seek(at)
	        f.write(bytes([byte ^ 4]))
	END
}

# checksum FILE...: one line for each, comparable between directories.
checksum() {
	local file
	for file; do
		sha256sum <"$file" | cut -d' ' -f1
	done
}

# tree_fill DIRECTORY MIB: files of many sizes, in subdirectories, about so much together.
tree_fill() {
	local directory=$1 left=$(($2 * 1024)) i=0 kib
	while [ $left -gt 0 ]; do
		kib=$((1 + (i * 7919) % 3001))
		[ $kib -le $left ] || kib=$left
		mkdir -p "$directory/d$((i % 7))" || return 1
		random_file "$directory/d$((i % 7))/f$i" $((kib * 1024 - i % 100)) || return 1
		left=$((left - kib)) i=$((i + 1))
	done
}

# tree_checksum DIRECTORY: one line that changes when any file in it does.
tree_checksum() {
	(cd "$1" && find . -type f -print0 | sort -z | xargs -0 -r sha256sum) |
		sha256sum | cut -d' ' -f1
}

# allocated FILE: how many KiB of the file system it takes.
allocated() {
	sync -f "$1"
	du -k "$1" | cut -f1
}

# alive PID: whether it runs (one that has ended and was not waited for does not).  Of one that is
# being killed the first thread may have ended before others, which have its files open still.
alive() {
	local tasks=("/proc/$1/task"/*) stat
	stat=$(cat "/proc/$1/stat" 2>/dev/null) && # read once: it may end now
		{ [ ${#tasks[@]} -gt 1 ] || [[ ${stat##*) } != Z* ]]; }
}

gone() {
	! alive "$1"
}

# stop PID: ends a process that this test started, gently and then not.
stop() {
	kill "$1" 2>/dev/null || return 0
	wait_for 10 gone "$1" || kill -9 "$1" 2>/dev/null
}

# unmount DIRECTORY: also where something still closes its files.
unmount() {
	wait_for 10 umount "$1"
}

# For clean-up: whatever is mounted there, and however often, is gone afterwards.
unmount_for_certain() {
	while awk -v d="$1" '$2 == d { found = 1 } END { exit !found }' /proc/mounts; do
		umount "$1" 2>/dev/null || umount -l "$1" || return
	done
}

# loop_attach FILE [LOSETUP OPTION...]: a loop device with direct I/O; its path in $LOOP.
loop_attach() {
	local file=$1
	shift
	LOOP=$(losetup --find --show --direct-io=on "$@" "$file") || return
	cleanup loop_detach "$LOOP" "$file"
}

# loop_detach DEVICE [FILE]: detaches it (if it still belongs to FILE) and waits until it is free.
loop_detach() {
	if [ $# -gt 1 ] && ! losetup -n -O BACK-FILE "$1" 2>/dev/null | grep -qF "$2"; then
		return 0
	fi
	losetup -d "$1" || return
	wait_for 10 loop_is_free "$1"
}

loop_is_free() {
	! losetup "$1"
}
