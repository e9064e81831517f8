#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tests/bench/fuse measures the file and the loop device, prints their ratios, and leaves nothing behind.
. "$(dirname "$0")/../lib.sh"
need python3 python3
need ninja ninja-build
need fio fio
need losetup mount
need_root
[ -c /dev/fuse ] || modprobe fuse 2>/dev/null || skip_all "this kernel has no FUSE"
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
export BUILD=$STORAGEOS_BUILD
mkdir "$WORK/bench"

"$ROOT/tests/bench/fuse" --directory "$WORK/bench" --size 64M --seconds 0.2 --reps 1 --retries 0 --goals \
	--cells "4k random overwrite, depth 32" "1M read, aged" >"$WORK/table" 2>"$WORK/notes"
is "measuring" "$?" 0
like "the tables have ratios" "$(grep -m 1 '^cell' "$WORK/table")" '^cell +raw .*ours +ours/raw .*goal +met$'
number='[0-9][0-9,.]*'
for path in File "Loop device"; do
	like "$path: numbers" "$(sed -n "/^== $path: requests/,/^\$/p" "$WORK/table")" \
		"^4k random overwrite, depth 32 +$number +$number.* >= 1 +(yes|no)\$"
done
is "no run failed" "$(grep -v -e '^# left out' -e '^# repetition' "$WORK/notes")" ""
is "nothing is left" "$(ls "$WORK/bench")" ""
is "nor mounted" "$(grep -F "$WORK/bench" /proc/mounts)" ""
finish
