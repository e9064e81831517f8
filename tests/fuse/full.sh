#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The file system below a volume fills up, from outside: writes are refused for want of space and
# nothing else is; the volume can be closed and opened so; and when space is back writes go on.
. "$(dirname "$0")/server.sh"
. "$ROOT/tests/faults/space.sh"
need mkfs.ext4 e2fsprogs
need jq jq

put() { # PIECE
	dd if="$MODEL" of="$FILE" bs=1M skip="$1" seek="$1" count=1 conv=notrunc,fsync \
		2>>"$WORK/dd"
}

zeros() { # OFFSET LENGTH
	cmp --bytes="$2" --ignore-initial="$1:0" "$FILE" /dev/zero
}

state() {
	"$STORAGEOS" stats db --json | jq -r '.[0].state'
}

# The pool becomes a small file system of this type.
small_pool() { # TYPE
	if [ "$1" = tmpfs ]; then
		mount -t tmpfs -o size=96M tmpfs "$POOL"
	else
		truncate -s 96M "$WORK/small" && mkfs.ext4 -q -m 0 "$WORK/small" &&
			mount -o loop "$WORK/small" "$POOL"
	fi && own_config
}

use_on() { # TYPE
	WRITTEN=() REFUSED=0 SLOWEST=0
	: >"$WORK/dd"
	must "$1: a small file system" small_pool "$1"
	new_volume db 256M
	serve db
	model_write 0 12 put
	is "$1: pieces are written" "${#WRITTEN[@]} $REFUSED" "12 0"
	must "$1: the file system is used up" space_use_up "$POOL"
	# More than a load that flushes much is given ahead (16 MiB).
	model_write 12 44 put
	note "$1: ${#WRITTEN[@]} pieces written, $REFUSED refused, $SLOWEST ms at most"
	check "$1: writes are refused" test $REFUSED -ge 6
	is "$1: all of them for want of space" \
		"$(grep -v -e records -e copied "$WORK/dd" | grep -vc 'No space left on device')" 0
	check "$1: each at once" test $SLOWEST -lt "$(limit 3)000"
	check "$1: what was written can be read" model_same "$FILE"
	check "$1: a flush succeeds" sync "$FILE"
	check "$1: so does punching a hole" \
		fallocate --punch-hole --offset 0 --length $((2 << 20)) "$FILE"
	check "$1: which reads as zeros" zeros 0 $((2 << 20))
	unset 'WRITTEN[0]' 'WRITTEN[1]'
	is "$1: the volume is well" "$(state)" ok

	stop_server
	check "$1: closed on the full file system it is whole" "$STORAGEOS" check db
	serve_again
	check "$1: and there when it is opened there" model_same "$FILE"
	check "$1: what was punched has made room" put 0
	kill_server
	serve_again
	WRITTEN[0]=yes
	check "$1: nothing is lost when the server is killed" model_same "$FILE"

	must "$1: space is back" space_give_back "$POOL"
	REFUSED=0
	model_write 0 44 put
	is "$1: and writes go on" "${#WRITTEN[@]} $REFUSED" "44 0"
	check "$1: all is there" model_same "$FILE"
	is "$1: the volume is well" "$(state)" ok
	stop_server
	verify_volume db "$1: and whole"
	check "$1: nothing holds on to the file system" unmount "$POOL"
}

cleanup unmount_for_certain "$POOL"
cleanup unmount_for_certain "$MOUNT"
model_new "$WORK/model" 44
use_on ext4
use_on tmpfs
finish
