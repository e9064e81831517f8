# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# For tests in a whole machine: a fresh Debian, booted with Debian's own kernel in qemu.  The test's
# file runs twice: on this machine, where it boots the other machine for each phase, and in that
# machine, where it runs the phase.  On top of tests/lib.sh:
#
#     #!/bin/bash
#     # What this test proves, in one sentence.
#     . "$(dirname "$0")/machine.sh"
#     phase_install() { must "install" apt-get -y install storageos; }
#     phase_boot() { check "db is attached" test -b /dev/storageos/default/db; }
#     run_phases amd64 install:300 boot:200
#
#   run_phases MACHINE PHASE:SECONDS...   boots a machine of make-images, fresh for the first phase and
#                      rebooted for each later one, runs the function of each phase when the boot is
#                      complete, and ends the test.  A failure that ends a phase skips the phases after
#                      it.
#
# In the machine:
#   keep NAME VALUE | kept NAME    stores and prints a value for later phases; survives a power cut
#   cut_power                      ends the phase with a loss of power instead of a reboot
#   apt_install PACKAGE... | apt_do ARGUMENT...   apt-get, with its output in $APT_SAID
#   newer_packages                 makes the higher version of our packages visible to apt
#   boot_was_clean                 fails and names the units that have not started; also if systemd has ever found
#                                  its units in a cycle
#   value FILTER [VERB ARGUMENT...]  applies the jq filter to the output of `storageos VERB ... --json`
#
# $STORAGEOS_VM is the directory with the machines that make-images made (default: in the build
# directory).
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

VM_TESTS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
: "${STORAGEOS_VM:=$STORAGEOS_BUILD/vm}"
export DEBIAN_FRONTEND=noninteractive
APT_SAID=/run/apt-said
KEPT=/var/lib/vm-test

# ---- on this machine

# A job has this test, its libraries, and the name of the phase.
make_job() { # PHASE
	local tree=$WORK/job
	rm -rf "$tree"
	mkdir -p "$tree/tests/vm" && cp "$ROOT/tests/lib.sh" "$tree/tests/" &&
		cp "$VM_TESTS"/*.sh "$tree/tests/vm/" || return
	echo "STORAGEOS_PHASE=$1 STORAGEOS_TIME_FACTOR=$STORAGEOS_TIME_FACTOR" \
		"exec bash 'tests/vm/$(basename "$0")'" >"$tree/job"
	tar -C "$tree" -cf "$WORK/job.tar" .
}

# Prints the machine's results as they arrive, with the phase in their names.
take_results() { # PHASE
	local line name
	planned=no status=125
	while IFS= read -r line; do
		name="$1: ${line#*ok * - }"
		case $line in
		'ok '*' # SKIP '*) skip "${name%% # SKIP *}" "${line##* # SKIP }" ;;
		'ok '*) ok "$name" ;;
		'not ok '*) not_ok "$name" ;;
		1..*) planned=yes ;;
		'# qemu-run ended with '*) status=${line##* } ;;
		*) note "${line#\# }" ;;
		esac
	done
}

run_phase() { # MACHINE PHASE SECONDS
	local planned status
	make_job "$2" || give_up "cannot make the job"
	take_results "$2" < <(
		"$VM_TESTS/qemu-run" --timeout "$(limit "$3")" --console "$WORK/console" "$WORK/disk" "$STORAGEOS_VM/$1.vmlinuz" \
			"$STORAGEOS_VM/$1.initrd" "$STORAGEOS_VM/packages.disk" "$WORK/job.tar" 2>&1
		echo "# qemu-run ended with $?"
	)
	[ "$status" != 124 ] || give_up "$2 met $(limit_text "$3")"
	[ "$planned" = yes ] || give_up "$2 did not come to its end (status $status)"
	[ "$status" -lt 124 ] || give_up "$2: the machine did not go down (status $status)"
	# Also of the boot; what the job started and failed is not told there.
	is "$2: systemd tells of no failure on the console" "$(grep -a FAILED "$WORK/console")" ''
}

run_phases() {
	local machine=$1 phase
	shift
	[ -z "${STORAGEOS_PHASE-}" ] || do_phase
	need_root
	need qemu-system-x86_64 qemu-system-x86
	need_built "$STORAGEOS_VM/$machine.disk" "$STORAGEOS_VM/packages.disk"
	cp --sparse=always "$STORAGEOS_VM/$machine.disk" "$WORK/disk" || give_up "no room for a disk"
	for phase; do
		run_phase "$machine" "${phase%:*}" "${phase#*:}"
	done
	finish
}

# ---- in the machine

do_phase() {
	# If a phase ends early, print its journal, too.
	give_up() {
		note "$(journalctl -b --no-pager -n 120)"
		echo "Bail out! $*"
		exit 1
	}
	# Use the installed programs; there is no build directory.
	unset STORAGEOS STORAGEOS_FUSE STORAGEOS_PLUGIN STORAGEOS_BUILD STORAGEOS_VM
	mkdir -p "$KEPT"
	note "kernel $(uname -r)"
	"phase_$STORAGEOS_PHASE"
	[ "$tap_failed" = 0 ] || note "$(journalctl -b --no-pager -n 120)"
	finish
}

keep() { echo "$2" >"$KEPT/$1" && sync -f "$KEPT"; }
kept() { cat "$KEPT/$1"; }
cut_power() { touch /run/power-cut; }

apt_do() {
	apt-get -q -y -o Dpkg::Use-Pty=0 "$@" >"$APT_SAID" 2>&1 || { cat "$APT_SAID"; return 1; }
}

apt_install() { apt_do install "$@"; }

newer_packages() {
	echo 'deb [trusted=yes] file:/srv/packages/newer ./' >>/etc/apt/sources.list
	apt_do update
}

# Says why, where it fails.
systemctl() {
	local status word
	command systemctl "$@"
	status=$?
	case $status:$1 in
	0:*) ;;
	*:start | *:stop | *:restart | *:enable | *:disable)
		for word in "${@:2}"; do
			[[ $word == -* ]] || journalctl -b -q --no-pager -n 30 -u "$word"
		done
		;;
	esac
	return $status
}

boot_was_clean() {
	! journalctl -q -o cat _PID=1 | grep 'ordering cycle' || return
	systemctl is-system-running --wait && return
	systemctl --failed --no-legend --plain | tee "$WORK/failed"
	cut -d' ' -f1 "$WORK/failed" | xargs -n1 journalctl -b -q --no-pager -n 30 -u
	return 1
}

value() {
	local filter=$1
	shift
	storageos "$@" --json | jq -r "$filter"
}
