# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# For tests of a full backing, on top of tests/lib.sh: functions that fill a file system with files
# beside the volume's, and a model of the volume's content in pieces of 1 MiB.
#
#   space_use_up DIRECTORY    takes all space that is left in its file system
#   space_give_back DIRECTORY
#   model_new FILE PIECES     fills FILE, the $MODEL from then on, with random data for PIECES pieces
#   model_write FROM TO FUNCTION   calls FUNCTION PIECE for each piece from FROM to TO - 1; adds the
#                             pieces for which it succeeds to $WRITTEN, counts the others in $REFUSED,
#                             and keeps the longest duration of a call in $SLOWEST, milliseconds
#   model_same FILE           whether every piece in $WRITTEN is in the file or device

declare -A WRITTEN
REFUSED=0 SLOWEST=0

space_use_up() {
	local free
	sync -f "$1"
	free=$(stat -f -c '%f * %S' "$1") || return
	# fallocate fails if the file system keeps some of the free space for itself; dd takes the rest.
	fallocate -l $((free)) "$1/.filler" 2>/dev/null || fallocate -l $((free * 9 / 10)) "$1/.filler"
	! dd if=/dev/zero of="$1/.filler.rest" bs=64k 2>/dev/null
	! dd if=/dev/zero of="$1/.filler.more" bs=4k 2>/dev/null
}

space_give_back() {
	rm -f "$1"/.filler* && sync -f "$1"
}

model_new() {
	MODEL=$1
	random_file "$MODEL" $(($2 << 20))
}

model_write() {
	local i begun took
	for ((i = $1; i < $2; i++)); do
		begun=$(date +%s%3N)
		if "$3" "$i"; then
			WRITTEN[$i]=yes
		else
			REFUSED=$((REFUSED + 1))
		fi
		took=$(($(date +%s%3N) - begun))
		[ $took -le $SLOWEST ] || SLOWEST=$took
	done
}

model_same() {
	local i
	for i in "${!WRITTEN[@]}"; do
		cmp --ignore-initial=$((i << 20)) --bytes=$((1 << 20)) "$MODEL" "$1" || return
	done
}
