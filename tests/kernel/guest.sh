# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# For tests that need a kernel of their own: runs the test again as root inside user-mode Linux
# (uml-run), with the packaged tcmu-runner and targetcli.  On top of tests/lib.sh:
#
#     #!/bin/bash
#     # What this test proves, in one sentence.
#     . "$(dirname "$0")/guest.sh"
#     enter_guest --timeout 300
#     ...                          from here on inside the guest
#
#   enter_guest [UML-RUN OPTION]...  outside of the guest: runs the test in a guest, and does not return;
#                                    inside: returns at once; --timeout is a limit as in tests/lib.sh.
#                                    targetcli and targetctl are those of warm/ then
#   plugin_install                   makes a pool and its configuration in /etc, puts the plugin into
#                                    tcmu-runner's directory, and loads the modules
#   runner_start | runner_kill | runner_stop | runner_alive    control tcmu-runner, whose log is $RUNNER_LOG
#   bus_call DEST OBJECT METHOD [ARGUMENT]...   calls it over D-Bus, and prints the answer's values
#   runner_on_bus                    whether tcmu-runner has its name there
#   runner_logged REGEX              whether the log since runner_start has a matching line
#   backstore_state NAME             prints the backstore's directory in configfs, or nothing
#   lun_add NAME NUMBER              makes a loopback target with the backstore as its LUN
#   backstores_add SIZE VOLUME...    makes these volumes as backstores that have their names (without
#                                    the pool), all at once; $CONTROL: further control parameters
#   luns_make NUMBER NAME...         makes one loopback target with these backstores as its LUNs
#   luns_add NUMBER NAME...          the same, and waits until each LUN has its disk
#   device_of NAME                   prints the block device of the backstore
#   sg_of DEVICE                     prints the device's /dev/sg*
#   sound TYPE DEVICE                whether the file system's own check finds nothing wrong
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

KERNEL_TESTS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CONFIGFS=/sys/kernel/config/target
RUNNER_LOG=/var/log/tcmu-runner.log

enter_guest() {
	if [ -n "${STORAGEOS_GUEST-}" ]; then
		PATH=$STORAGEOS_BUILD/tests/kernel/warm:$PATH
		return
	fi
	local script status seconds=600 options=()
	script=$(realpath "$0")
	cd / || give_up "no /"
	while [ $# -gt 0 ]; do
		case $1 in
		--timeout) seconds=$2 && shift ;;
		*) options+=("$1") ;;
		esac
		shift
	done
	# Programs built for coverage write their counts to their build directory.
	[ -z "${STORAGEOS_COVERAGE-}" ] || options+=(--rw "$STORAGEOS_BUILD")
	# At the time limit, the test gets SIGTERM, and prints what it was waiting for if it can.
	"$KERNEL_TESTS/uml-run" --env STORAGEOS_GUEST=yes --env "STORAGEOS_BUILD=$STORAGEOS_BUILD" \
		--env "STORAGEOS_TIME_FACTOR=$STORAGEOS_TIME_FACTOR" --timeout $(($(limit "$seconds") + 30)) \
		"${options[@]}" -- timeout --kill-after=15 "$(limit "$seconds")" bash "$script" \
		2>"$WORK/messages"
	status=$?
	[ ! -s "$WORK/messages" ] || note "$(cat "$WORK/messages")"
	case $status in
	77) skip_all "user-mode Linux cannot be run here" ;;
	124 | 137) give_up "the guest met $(limit_text "$seconds")" ;;
	125) give_up "the guest died" ;;
	esac
	tap_finished=yes # lib.sh has printed the results and the plan inside the guest
	exit $status
}

handler_directory() {
	local directory
	for directory in /usr/lib/*/tcmu-runner /usr/lib64/tcmu-runner /usr/lib/tcmu-runner; do
		[ ! -d "$directory" ] || { echo "$directory"; return; }
	done
	return 1
}

plugin_install() {
	local directory
	directory=$(handler_directory) || give_up "tcmu-runner has no directory of handlers"
	own_config
	mkdir -p /etc/storageos && cp "$STORAGEOS_CONFIG" /etc/storageos/storageos.conf &&
		unset STORAGEOS_CONFIG && cp "$STORAGEOS_PLUGIN" "$directory/" ||
		give_up "cannot install the plugin in $directory"
	modprobe -a target_core_user tcm_loop sd_mod sg || give_up "no target modules"
	# Only our plugin is needed; the others only take time to load.
	find "$directory" -name 'handler_*' ! -name handler_storageos.so -delete
}

# Not gdbus, whose start alone takes a guest as long as that of ten small programs.
bus_call() {
	dbus-send --system --print-reply=literal --dest="$1" "${@:2}"
}

runner_on_bus() {
	bus_call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus.GetNameOwner \
		string:org.kernel.TCMUService1
}

# Asks the bus first, because a call to the runner itself would make the bus start another one.
runner_listening() {
	runner_on_bus && bus_call org.kernel.TCMUService1 /org/kernel/TCMUService1 \
		org.freedesktop.DBus.ObjectManager.GetManagedObjects | grep -q storageos
}

runner_start() {
	: >"$RUNNER_LOG"
	tcmu-runner >/dev/null 2>&1 &
	echo $! >"$WORK/runner.pid"
	disown
	wait_for 30 runner_listening
}

runner_alive() {
	alive "$(cat "$WORK/runner.pid")"
}

runner_gone() {
	! runner_alive
}

runner_kill() {
	kill -9 "$(cat "$WORK/runner.pid")" && wait_for 20 runner_gone
}

runner_stop() {
	kill "$(cat "$WORK/runner.pid")" && wait_for 20 runner_gone
}

runner_logged() {
	grep -qE -- "$1" "$RUNNER_LOG"
}

backstore_state() {
	local directory
	for directory in "$CONFIGFS"/core/user_*/"$1"; do
		[ ! -d "$directory" ] || echo "$directory"
	done
}

device_of() {
	local serial device
	serial=$(sed 's/.*: //' "$(backstore_state "$1")/wwn/vpd_unit_serial") || return
	for device in /sys/block/sd*; do
		if grep -qaF "$serial" "$device/device/vpd_pg80" 2>/dev/null; then
			echo "/dev/${device##*/}"
			return
		fi
	done
	return 1
}

device_ready() {
	local device
	device=$(device_of "$1") && [ -b "$device" ] && blockdev --getsize64 "$device"
}

lun_add() {
	local wwn=naa.500140500000000$2
	targetcli <<-END >/dev/null
	/loopback create $wwn
	/loopback/$wwn/luns create /backstores/user:storageos/$1
	END
	wait_for 20 device_ready "$1"
}

backstores_add() {
	local size=$1 volume
	shift
	for volume; do
		echo "/backstores/user:storageos create name=${volume#*/} size=$size" \
			"cfgstring=$volume;create ${CONTROL-}"
	done >"$WORK/.backstores"
	targetcli <"$WORK/.backstores"
}

luns_make() {
	local wwn=naa.500140500000000$1
	shift
	{
		echo "/loopback create $wwn"
		printf "/loopback/$wwn/luns create /backstores/user:storageos/%s\n" "$@"
	} >"$WORK/.luns"
	targetcli <"$WORK/.luns" >/dev/null
}

luns_add() {
	local name
	luns_make "$@" || return
	shift
	for name; do
		wait_for 20 device_ready "$name" || return
	done
}

sg_of() {
	local sg
	for sg in "/sys/block/${1##*/}/device/scsi_generic"/sg*; do
		echo "/dev/${sg##*/}"
	done
}

sound() {
	case $1 in
	xfs) xfs_repair -n "$2" ;;
	ext4) e2fsck -fn "$2" ;;
	btrfs) btrfs check --readonly --check-data-csum "$2" ;;
	esac
}
