#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The limits (ulimit) that a program is started with: writes beyond the limit of a file's size fail, and
# succeed once it is raised; no limit ends the server.
. "$(dirname "$0")/server.sh"
need prlimit util-linux

limited() { # ULIMIT-OPTIONS COMMAND...
	local options=$1
	shift
	# shellcheck disable=SC2086 # words
	(ulimit $options && exec "$@")
}
serve_limited() { # ULIMIT-OPTIONS
	# shellcheck disable=SC2034 # server.sh does
	SERVED=db
	must "serve with ulimit $1" limited "$1" "$STORAGEOS_FUSE" --pid-file "$WORK/pid" db "$MOUNT"
	serve_found
}
limit_of() { # NAME: the server's
	sed -n "s/^Max $1  *\([^ ]*\).*/\1/p" "/proc/$SERVER/limits"
}
put() { # MIB SEEK
	dd if="$WORK/data" of="$FILE" bs=1M count="$1" seek="$2" oflag=direct conv=notrunc status=none
}

# ---- the size of a file

# What is asked for has space in the file already, and lies beyond the limit.
new_volume db 128M
random_file "$WORK/data" $((32 << 20))
serve db
must "write" put 32 0
stop_server
serve_limited "-S -f 16384"
check "it reads beyond the limit" cmp -n $((32 << 20)) "$WORK/data" "$FILE"
refuses "a write beyond it fails" "No space left on device" put 32 32
check "the server lives" alive "$SERVER"
check "what was written before is there" cmp -n $((32 << 20)) "$WORK/data" "$FILE"
check "a flush is one" sync "$FILE"
prlimit --pid "$SERVER" --fsize=unlimited:
check "when it may, it writes" put 32 32
prlimit --pid "$SERVER" --fsize=6291456:
refuses "the same where the limit comes while it serves" "No space left" put 32 64
check "the server lives still" alive "$SERVER"
check "and reads" cmp -i 0:$((32 << 20)) -n $((32 << 20)) "$WORK/data" "$FILE"
prlimit --pid "$SERVER" --fsize=unlimited:
check "and writes when it may" put 32 64
check "all of it is there" cmp -i 0:$((64 << 20)) -n $((32 << 20)) "$WORK/data" "$FILE"
stop_server
verify_volume db "the volume is whole"

limited "-S -f 64" "$STORAGEOS" create other --size 64M >"$WORK/said" 2>&1
is "a volume that may not be made: status" $? 1
like "it says why" "$(cat "$WORK/said")" "No space left on device|File too large"
is "and leaves nothing" "$(cd "$POOL" && echo .s* ./*)" ".storageos-pool ./db.vol"
limited "-S -f 6144" "$STORAGEOS" resize db 1G >"$WORK/said" 2>&1
is "no program is killed for it" "$(($? < 128))" 1
verify_volume db "the volume is whole after that"

# ---- what ends a process, or fails its every allocation

serve_limited "-S -t 1 -v 400000 -d 400000 -s 256 -n 24"
is "time of a processor is not limited" "$(limit_of 'cpu time')" unlimited
is "nor are addresses" "$(limit_of 'address space')" unlimited
is "nor is data" "$(limit_of 'data size')" unlimited
check "it writes" put 32 0
check "it reads" cmp -n $((32 << 20)) "$WORK/data" "$FILE"
check "with few descriptors and a small stack it can be asked" "$STORAGEOS" stats db
stop_server
verify_volume db "the volume is whole at the end"
finish
