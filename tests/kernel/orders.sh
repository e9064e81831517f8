# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# For tests with several user-mode Linux kernels: one script gives the orders, each kernel carries them out, one after
# the other.  On top of guest.sh; $SHARED is a directory that all of them can write to.
#
#   machine_start NAME UML-RUN-OPTION...   boots a kernel that runs this test again, with $MACHINE set to NAME; its
#                                          output is $SHARED/NAME.log
#   orders_obey                            for that kernel: carries out orders, until it dies
#   on NAME COMMAND...                     has a kernel run a command or function, and waits (ORDER_LIMIT seconds, 60);
#                                          prints what it printed; its status, or 124
#   machine_freeze NAME | machine_thaw NAME   stops the kernel as it is, and lets it go on
#   machine_kill NAME                         ends it, as by the loss of its power

declare -A machines

machine_start() {
	local name=$1
	shift
	mkdir -p "$SHARED/$name" || return
	"$KERNEL_TESTS/uml-run" "$@" --rw "$SHARED" --timeout "$(limit 600)" --env STORAGEOS_GUEST=yes \
		--env "MACHINE=$name" --env "SHARED=$SHARED" --env "STORAGEOS_BUILD=$STORAGEOS_BUILD" \
		--env "CEPH_CONF=${CEPH_CONF-}" --env "STORAGEOS_TIME_FACTOR=$STORAGEOS_TIME_FACTOR" -- \
		bash "$(realpath "$0")" >"$SHARED/$name.log" 2>&1 &
	machines[$name]=$!
	cleanup kill "${machines[$name]}"
	hostname_is "$name"
}
hostname_is() {
	[ "$(ORDER_LIMIT=120 on "$1" hostname)" = "$1" ]
}

orders_obey() {
	local n=1 here=$SHARED/$MACHINE
	hostname "$MACHINE"
	while :; do
		until [ -e "$here/$n.order" ]; do sleep 0.05; done
		eval "$(cat "$here/$n.order")" >"$here/$n.said" 2>&1 </dev/null
		echo $? >"$here/$n.part" && mv "$here/$n.part" "$here/$n.status"
		n=$((n + 1))
	done
}

on() {
	local name=$1 n here=$SHARED/$1
	shift
	n=$(find "$here" -name '*.order' | wc -l)
	n=$((n + 1))
	printf '%q ' "$@" >"$here/$n.part" && mv "$here/$n.part" "$here/$n.order" || return
	if ! wait_for "${ORDER_LIMIT:-60}" test -e "$here/$n.status"; then
		echo "$name does not answer: $*"
		return 124
	fi
	cat "$here/$n.said"
	return "$(cat "$here/$n.status")"
}

# The kernel's own process.  What it runs are processes of their own, which it lets go on.
kernel_of() { # NAME
	local at=${machines[$1]} next
	while next=$(pgrep -P "$at" -x 'setsid|setpriv|unshare|sh|linux.uml' | head -n 1) && [ -n "$next" ]; do
		at=$next
		[ "$(cat "/proc/$at/comm")" != linux.uml ] || { echo "$at"; return; }
	done
	return 1
}

machine_freeze() {
	kill -STOP "$(kernel_of "$1")"
}

machine_thaw() {
	kill -CONT "$(kernel_of "$1")"
}

machine_kill() {
	kill -KILL "$(kernel_of "$1")"
}
