#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The file reads and writes as a disk of its size does, at any offset.
. "$(dirname "$0")/server.sh"

size=$((64 << 20))
new_volume db 64M
serve db
random_file "$WORK/model" $size

# Writes a part of the model, whole or in pieces of BS bytes, to the same place of the file.
put() { # OFFSET LENGTH BS [DD OPTION...]
	local from=$1 length=$2 bs=$3
	shift 3
	dd if="$WORK/model" of="$FILE" bs="$bs" skip="$from" seek="$from" count="$length" \
		iflag=skip_bytes,count_bytes oflag=seek_bytes conv=notrunc status=none "$@"
}

same() { # OFFSET LENGTH
	cmp --ignore-initial="$1" --bytes="$2" "$WORK/model" "$FILE"
}

zeros() { # OFFSET LENGTH
	cmp --bytes="$2" --ignore-initial="$1:0" "$FILE" /dev/zero
}

check "a new volume reads as zeros" zeros 0 $size
check "large writes" put 0 $((size / 2)) 1M
check "read as written" same 0 $((size / 2))
check "what was not written reads as zeros" zeros $((size / 2)) $((size / 2))
check "direct I/O in sectors" \
	dd if="$FILE" of="$WORK/sector" bs=512 skip=12345 count=1 iflag=direct
check "reads as written" cmp --ignore-initial=$((12345 * 512)):0 --bytes=512 "$WORK/model" "$WORK/sector"

# ---- any offset

check "a byte" put $((size / 2 + 1)) 1 1
check "that changed nothing else: before" zeros $((size / 2)) 1
check "and after" zeros $((size / 2 + 2)) 8192
check "bytes across two sectors" put $((size / 2 + 1000)) 100 100
check "bytes across many blocks" put $((size / 2 + 5003)) 70001 70001
check "read as written" same $((size / 2 + 1000)) 100
check "read as written, too" same $((size / 2 + 5003)) 70001
check "zeros are left between them" zeros $((size / 2 + 1100)) 3900
check "one unaligned read" dd if="$FILE" of="$WORK/part" bs=9001 skip=777 count=1 iflag=skip_bytes
check "reads as written" cmp --ignore-initial=777:0 --bytes=9001 "$WORK/model" "$WORK/part"

# Neighbours in one sector at the same time: none undoes the other's bytes.
at=$((size - 65536))
writers=()
for ((i = 0; i < 8; i++)); do
	(for ((k = 0; k < 128; k++)); do put $((at + k * 512 + i * 64)) 64 64; done) &
	writers+=($!)
done
wait "${writers[@]}"
check "writers of parts of the same sectors do not undo each other" same $at 65536

# ---- its end

check "the last sector" put $((size - 512)) 512 512
check "reads as written" same $((size - 512)) 512
is "a read ends at the end" "$(tail -c 1000 "$FILE" | wc -c)" 1000
is "nothing is read behind it" "$(dd if="$FILE" bs=4096 skip=$((size / 4096)) status=none | wc -c)" 0
refuses "a write behind the end: no space, as a disk says" "No space left" \
	dd if=/dev/zero of="$FILE" bs=512 seek=$((size / 512)) count=1 conv=notrunc
dd if=/dev/zero of="$FILE" bs=1M seek=63 count=2 conv=notrunc 2>"$WORK/dd"
like "a write across it goes as far as it can" "$(cat "$WORK/dd")" '^1048576 bytes'
refuses "it cannot be cut" "not permitted" truncate -s 1M "$FILE"
refuses "nor made longer" "too large" truncate -s 65M "$FILE"
refuses "nor emptied by opening it" "not permitted" cp "$WORK/model" "$FILE"
is "it has its size still" "$(stat -c %s "$FILE")" $size
refuses "its mode is fixed" "not permitted" chmod 644 "$FILE"

# ---- space

space() {
	allocated "$POOL/db.vol"
}

check "fill it" put 0 $size 1M conv=notrunc,fsync
full=$(space)
check "punch a hole" fallocate --punch-hole --offset $((1 << 20)) --length $((32 << 20)) "$FILE"
check "it reads as zeros" zeros $((1 << 20)) $((32 << 20))
check "what is before it is as it was" same 0 $((1 << 20))
check "what is behind it is as it was" same $((33 << 20)) $((31 << 20))
space_fell() {
	[ "$(space)" -lt $((full - 24 * 1024)) ]
}
check "the space goes back to the file system" wait_for 60 space_fell
check "zero a range with odd ends" \
	fallocate --zero-range --keep-size --offset $(((40 << 20) + 100)) --length 1000001 "$FILE"
check "it reads as zeros" zeros $(((40 << 20) + 100)) 1000001
check "not a byte more at its start" same $((40 << 20)) 100
check "nor at its end" same $(((40 << 20) + 1000101)) 5000
check "punch all of it" fallocate --punch-hole --offset 0 --length $size "$FILE"
check "all is zeros" zeros 0 $size
refuses "space is not set aside" "not supported" fallocate --length $size "$FILE"

stop_server
verify_volume db "the volume is whole"
finish
