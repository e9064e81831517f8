# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What the tests of storageos-fuse share: a pool of their own and a server on $MOUNT.
#
#   new_volume NAME SIZE
#   serve NAME           starts it in the background and waits until it serves; its number in
#                        $SERVER, the file in $FILE
#   serve_again          the same volume, after its end
#   kill_server          kill -9, and waits for its end
#   stop_server          SIGTERM, and waits for its end
#   verify_volume NAME TEXT   one result: `storageos check` finds nothing wrong
#
# shellcheck source=../lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

need_root
need_fuse
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
own_config

MOUNT=$WORK/mount
mkdir "$MOUNT"
cleanup unmount_for_certain "$MOUNT"

new_volume() {
	must "create the volume $1 of $2" "$STORAGEOS" create "$1" --size "$2"
}

serve() {
	SERVED=$1
	must "serve $1" "$STORAGEOS_FUSE" --pid-file "$WORK/pid" "$1" "$MOUNT"
	serve_found
}

serve_again() {
	must "serve $SERVED again" "$STORAGEOS_FUSE" --pid-file "$WORK/pid" "$SERVED" "$MOUNT"
	serve_found
}

serve_found() {
	SERVER=$(cat "$WORK/pid")
	# shellcheck disable=SC2034 # the tests use it
	FILE=$MOUNT/$SERVED
	cleanup stop "$SERVER"
}

kill_server() {
	kill -9 "$SERVER"
	wait_for 10 gone "$SERVER" || give_up "process $SERVER does not end"
}

stop_server() {
	kill -TERM "$SERVER"
	wait_for 30 gone "$SERVER" || give_up "storageos-fuse does not end after SIGTERM"
}

verify_volume() {
	check "$2" "$STORAGEOS" check "$1"
}
