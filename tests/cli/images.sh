#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# storageos import, export, map and compare of images, raw and in qemu's formats: the same bytes and holes come
# back, qemu itself finds them equal; damaged, cut and hostile images, full pools and signals leave nothing.
. "$(dirname "$0")/../lib.sh"
need jq jq
need python3 python3
need qemu-img qemu-utils
need qemu-nbd qemu-utils
need mkfs.ext4 e2fsprogs
need_strace
need_root
need_fuse
need_loop
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
own_config

export_() { "$STORAGEOS" export "$@"; }
import() { "$STORAGEOS" import "$@"; }
# put FILE MIB N: writes that many random MiB.
put() { dd if=/dev/urandom of="$1" bs=1M seek="$2" count="$3" conv=notrunc iflag=fullblock status=none; }
used() { "$STORAGEOS" info "$1" --json | jq .data_bytes; }
# volumes: what is in the pool, also under a temporary name.
volumes() { find "$POOL" -name '*.vol*' -printf '%f\n' | sort | tr '\n' ' '; }
temporary() { find / -xdev -maxdepth 2 -name 'storageos-??????' 2>/dev/null; }

image=$WORK/image.raw
truncate -s 256M "$image"
put "$image" 0 3
put "$image" 100 20
put "$image" 255 1
dd if=/dev/urandom of="$image" bs=4k seek=50000 count=3 conv=notrunc status=none
data=$((24 * 1024 + 12))
before=$(temporary)

# ---- raw

like "a raw image" "$(import raw "$image" --format raw)" '^default/raw: imported, 24.0 MiB of data in 256 MiB, verified$'
must "is a whole volume" "$STORAGEOS" check raw
is "takes the data alone" "$(used raw)" $((data * 1024))
is "of its size" "$("$STORAGEOS" info raw --json | jq .size)" $((256 << 20))
refuses "a name that is taken" "is there already.*--force" import raw "$image" --format raw
must "back to a file" export_ raw "$WORK/raw.raw" --format raw
check "the same bytes" cmp "$image" "$WORK/raw.raw"
is "and holes" $(($(allocated "$WORK/raw.raw") <= data + 64)) 1
is "the snapshot of that is gone" "$("$STORAGEOS" snapshot list raw --json | jq length)" 0
piped() { import pipe - --format raw <"$image"; }
like "from standard input" "$(piped)" '^default/pipe: imported, 24.0 MiB of data in 256 MiB, verified$'
is "zeros in a pipe take no space" "$(used pipe)" $((data * 1024))
is "to standard output" "$(export_ pipe - --format raw | sha256sum)" "$(sha256sum <"$image")"
is "the volume has the image's size" "$("$STORAGEOS" info pipe --json | jq .size)" $((256 << 20))
large() { { cat "$image" "$image" "$image" "$image" "$image"; head -c 1000; } </dev/urandom | import large - --format raw; }
like "a pipe that brings more than was thought" "$(large)" 'of data in 1.3 GiB, verified .the image has 1342178280 bytes'
is "has all of it" "$(export_ large - --format raw | head -c 1342178280 | tail -c $((256 << 20 | 1000)) | head -c $((256 << 20)) | sha256sum)" \
	"$(sha256sum <"$image")"
must "give it up" "$STORAGEOS" delete large
random_file "$WORK/small" 1000
like "a small file" "$(import small "$WORK/small" --format raw)" '^default/small: imported, 1 KiB of data in 1 MiB, verified .the image has 1000 bytes.$'
is "is filled up with zeros" "$(export_ small - --format raw | sha256sum)" "$({ cat "$WORK/small"; head -c $(((1 << 20) - 1000)) /dev/zero; } | sha256sum)"
must "--size" import sized "$WORK/small" --format raw --size 64M
is "is the volume's" "$("$STORAGEOS" info sized --json | jq .size)" $((64 << 20))
must "--block-size" import blocks "$WORK/small" --format raw --block-size 4096 --size 2M
is "is the volume's" "$("$STORAGEOS" info blocks --json | jq -c '[.logical_block_size, .size]')" "[4096,$((2 << 20))]"
head -c $(((1 << 20) + 512)) "$image" >"$WORK/odd"
must "of an image that ends within a block" eval "import odd - --format raw --block-size 4k <'$WORK/odd'"
is "is filled up" "$("$STORAGEOS" info odd --json | jq .size)" $(((1 << 20) + 4096))
is "usage: a bad block size" "$(import x "$image" --format raw --block-size 1024 2>&1; echo $?)" \
	"storageos: import: invalid block size '1024' (512 or 4096)
2"
is "usage: a size that is no multiple" "$(import x "$image" --format raw --block-size 4096 --size 1025K 2>&1; echo $?)" \
	"storageos: import: the size is not a multiple of the block size of 4096
2"
is "usage: of a volume that is there" "$(import blocks "$image" --format raw --block-size 4096 --force 2>/dev/null; echo $?)" 2
must "away with them" "$STORAGEOS" delete blocks odd
refuses "an empty pipe" "standard input is empty" import nothing - --format raw
is "a raw image is not guessed" "$(import guess "$image" 2>&1 | grep -c 'not a storageos stream')" 1
is "nothing else is there" "$(volumes)" "pipe.vol raw.vol sized.vol small.vol "

# ---- qcow2 and others

must "to qcow2" export_ raw "$WORK/a.qcow2" --format qcow2
check "equal, says qemu-img" qemu-img compare -f qcow2 -F raw "$WORK/a.qcow2" "$image"
is "holes stay holes" $(($(allocated "$WORK/a.qcow2") <= data + 1024)) 1
flushes() { strace -f -y -qq -e trace=pwrite64,pwritev,fsync,fdatasync "$STORAGEOS" export raw "$WORK/b.qcow2" --format qcow2 2>&1 |
	sed -n 's/.* \([a-z0-9]*\)([0-9]*<.*b\.qcow2>.*/\1/p' | sed 's/^pwrite.*/write/' | uniq | tail -n 2 | xargs; }
is "it is flushed when it is whole" "$(flushes)" "write fsync"
check "and is equal then, too" qemu-img compare -f qcow2 -F raw "$WORK/b.qcow2" "$image"
refuses "a file that is there" "File exists" export_ raw "$WORK/a.qcow2" --format qcow2
like "from qcow2, by its magic" "$(import q "$WORK/a.qcow2")" '^default/q: imported, 24.0 MiB of data in 256 MiB, verified$'
is "takes the data alone" "$(used q)" $((data * 1024))
is "the same bytes" "$(export_ q - --format raw | sha256sum)" "$(sha256sum <"$image")"
qemu-img convert -c -O qcow2 "$image" "$WORK/compressed.qcow2"
must "a compressed one" import compressed "$WORK/compressed.qcow2" --no-verify
must "is equal" "$STORAGEOS" export compressed "$WORK/compressed.raw" --format raw
check "byte for byte" cmp "$image" "$WORK/compressed.raw"
for format in vdi vhdx vpc; do
	must "to $format" export_ raw "$WORK/a.$format" --format "$format"
	check "equal, says qemu-img ($format)" qemu-img compare -f "$format" -F raw "$WORK/a.$format" "$image"
	must "from $format" import "of-$format" "$WORK/a.$format" --format "$format"
	is "the same bytes ($format)" "$(export_ "of-$format" - --format raw | head -c $((256 << 20)) | sha256sum)" "$(sha256sum <"$image")"
	must "away with it" "$STORAGEOS" delete "of-$format"
done
is "usage: no such format" "$(import x "$image" --format nbd 2>/dev/null; echo $?)" 2
is "usage: qcow2 through a pipe" "$(export_ raw - --format qcow2 2>/dev/null; echo $?)" 2
refuses "qcow2 from a pipe" "qemu reads qcow2 from a file only" import x - --format qcow2
without() { mkdir -p "$WORK/bin" && PATH=$WORK/bin "$STORAGEOS" "$@"; }
refuses "without qemu" "qemu-img is not installed .package qemu-utils" without import x "$WORK/a.qcow2"
refuses "nor for an export" "qemu-img is not installed" without export raw "$WORK/x.qcow2" --format qcow2
is "which leaves no file" "$(ls "$WORK"/x.* 2>/dev/null)" ""
check "raw needs no qemu" without import noqemu "$image" --format raw
must "away with it" "$STORAGEOS" delete noqemu
kept=$(volumes)

# ---- images that are damaged, or hostile

head -c $((12 << 20)) "$WORK/a.qcow2" >"$WORK/cut.qcow2"
refuses "a qcow2 that was cut" "cut.qcow2.*(damaged|qemu-img)" import bad "$WORK/cut.qcow2"
head -c 200 "$WORK/a.qcow2" >"$WORK/cut.qcow2"
refuses "after its header" "cut.qcow2.*qemu-img" import bad "$WORK/cut.qcow2"
cp "$WORK/compressed.qcow2" "$WORK/bad.qcow2"
python3 - "$WORK/bad.qcow2" <<'END'
import struct, sys
# The offset of the first cluster's data, behind the end of the file.
with open(sys.argv[1], "r+b") as f:
    f.seek(40)
    l1, = struct.unpack(">Q", f.read(8))
    f.seek(l1)
    l2 = struct.unpack(">Q", f.read(8))[0] & 0x00fffffffffffe00
    f.seek(l2)
    f.write(struct.pack(">Q", 1 << 63 | 1 << 40))
END
refuses "an image whose map leads nowhere" "bad.qcow2 is damaged" import bad "$WORK/bad.qcow2"
refuses "a file of another format" "qemu-img" import bad "$image" --format qcow2

echo "secret of another" >"$WORK/secret"
truncate -s 1M "$WORK/secret"
qemu-img create -q -f qcow2 -b "$WORK/secret" -F raw "$WORK/overlay.qcow2" 1M
refuses "a backing file" "names another file, its backing file '$WORK/secret'" import bad "$WORK/overlay.qcow2"
(cd "$WORK" && qemu-img create -q -f qcow2 -o data_file=data,data_file_raw=on with-data.qcow2 1M)
refuses "a data file" "names another file, its data file 'data'" import bad "$WORK/with-data.qcow2"
qemu-img create -q -f vmdk -o subformat=monolithicFlat "$WORK/flat.vmdk" 1M
refuses "an extent" "names another file, its extent '$WORK/flat-flat.vmdk'" import bad "$WORK/flat.vmdk" --format vmdk
cp "$WORK/a.qcow2" "$WORK/json:{}.qcow2"
check "a name that qemu would take for something else" import odd "$WORK/json:{}.qcow2"
must "away with it" "$STORAGEOS" delete odd
is "nothing is left of these" "$(volumes)" "$kept"
must "--allow-backing" import overlay "$WORK/overlay.qcow2" --allow-backing
is "has the backing file's content" "$(export_ overlay - --format raw 2>/dev/null | head -c 17)" "secret of another"
must "away with it" "$STORAGEOS" delete overlay

# ---- a volume that is there

must "--force" import q "$WORK/small" --format raw --force
is "has the image and zeros" "$(export_ q - --format raw | sha256sum)" "$({ cat "$WORK/small"; head -c $(((256 << 20) - 1000)) /dev/zero; } | sha256sum)"
undo=$("$STORAGEOS" snapshot list q --json | jq -r '.[].name')
like "what it held is a snapshot" "$undo" '^before-import-[0-9]{8}t[0-9]{6}z$'
is "with the bytes" "$(export_ "q@$undo" - --format raw | sha256sum)" "$(sha256sum <"$image")"
refuses "into one that is too small" "the image has 268435456 bytes, the volume 1048576" import small "$image" --format raw --force
is "which keeps what it held" "$(export_ small - --format raw 2>/dev/null | head -c 1000 | cmp - "$WORK/small" && echo same)" same
must "again" "$STORAGEOS" rollback "q@$undo" --discard
must "without the snapshot" "$STORAGEOS" snapshot delete "q@$undo"
long() { cat "$WORK/small" "$image" | import q - --format raw --force; }
check "a pipe that brings too much" eval '! long'
is "the volume is as before" "$(export_ q - --format raw | sha256sum)" "$(sha256sum <"$image")"
is "and has no snapshot" "$("$STORAGEOS" snapshot list q --json | jq length)" 0
must "and is whole" "$STORAGEOS" check q

# ---- what is mapped, and what differs

compared() { "$STORAGEOS" compare "$@"; echo $?; }
is "map" "$("$STORAGEOS" map raw)" "data 0 3145728
hole 3145728 101711872
data 104857600 20971520
hole 125829120 78970880
data 204800000 12288
hole 204812288 62574592
data 267386880 1048576"
is "map --json" "$("$STORAGEOS" map small --json | jq -c '[.[] | [.type, .offset, .length]]')" \
	'[["data",0,4096],["hole",4096,1044480]]'
is "equal" "$(compared raw pipe)" "raw and pipe are equal, 24.0 MiB of data
0"
is "a volume and an image" "$(compared raw "$WORK/a.qcow2")" "raw and $WORK/a.qcow2 are equal, 24.1 MiB of data
0"
is "of another size" "$(compared "$WORK/small" small)" "$WORK/small and small are equal, 4 KiB of data, but have 1000 and 1048576 bytes: the rest is zeros
0"
cp --sparse=always "$image" "$WORK/other.raw"
flip_bits "$WORK/other.raw" 104857700 110000000 200000000
is "what differs" "$(compared raw "$WORK/other.raw")" "raw and $WORK/other.raw differ in 3 bytes, the first of them byte 104857700
1"
is "compare --json" "$("$STORAGEOS" compare raw "$WORK/other.raw" --json | jq -c '[.equal, .differ, .first]')" \
	'[false,3,104857700]'
truncate -s 300M "$WORK/other.raw"
flip_bits "$WORK/other.raw" 104857700 110000000 200000000 290000000
is "behind the end of one" "$(compared "$WORK/other.raw" pipe --quiet; compared pipe "$WORK/other.raw" --json | head -n -1 | jq .first)" "1
290000000"
is "what is not there" "$(compared raw nope 2>/dev/null)" 3

# ---- one that is in use

mkdir "$WORK/mnt"
cleanup unmount_for_certain "$WORK/mnt"
must "serve" "$STORAGEOS_FUSE" --pid-file "$WORK/pid" q "$WORK/mnt"
is "is mapped by a snapshot" "$("$STORAGEOS" map q)" "$("$STORAGEOS" map raw)"
is "and compared" "$(compared raw q)" "raw and q are equal, 24.0 MiB of data
0"
is "with itself, too" "$(compared q q --quiet)" 0
is "which leaves no snapshot" "$("$STORAGEOS" snapshot list q --json | jq length)" 0
refuses "is not written over" "in use" import q "$image" --format raw --force
must "its snapshot" "$STORAGEOS" snapshot create q@monday
put "$WORK/mnt/q" 5 1
must "is exported meanwhile" export_ q@monday "$WORK/monday.qcow2" --format qcow2
check "as it was" qemu-img compare -f qcow2 -F raw "$WORK/monday.qcow2" "$image"
must "so is the volume" export_ q "$WORK/now.raw" --format raw
check "as it is now" cmp "$WORK/now.raw" "$WORK/mnt/q"
is "no other snapshot is left" "$("$STORAGEOS" snapshot list q --json | jq -c '[.[].name]')" '["monday"]'
unserve() {
	local server
	server=$(<"$WORK/pid")
	unmount "$WORK/mnt" && wait_for 10 gone "$server"
}
must "end" unserve
must "serve it for reading only" "$STORAGEOS_FUSE" --read-only --pid-file "$WORK/pid" q "$WORK/mnt"
is "is mapped as it is" "$("$STORAGEOS" map q | head -n 3)" "data 0 3145728
hole 3145728 2097152
data 5242880 1048576"
must "end that" unserve

# ---- signals

# signalled SIGNAL COMMAND...: sends the signal once the command has had time to begin; its status.
signalled() {
	local signal=$1 child status
	shift
	env --default-signal "$@" >"$WORK/said" 2>&1 </dev/null &
	child=$!
	sleep 0.3
	kill -"$signal" "$child"
	wait "$child"
	status=$?
	[ "$status" -gt 128 ]
}
mkfifo "$WORK/fifo"
exec 5<>"$WORK/fifo"
put "$WORK/fifo-data" 0 1
begun() { [ -n "$(find "$POOL" -name '.slow.vol.*.new')" ]; }
kept=$(volumes)
for signal in INT TERM; do
	head -c 60000 "$WORK/fifo-data" >&5
	env --default-signal "$STORAGEOS" import slow - --format raw >"$WORK/said" 2>&1 <"$WORK/fifo" &
	child=$!
	check "an import waits ($signal)" wait_for 10 begun
	kill -$signal $child
	wait $child
	is "it ends by the signal ($signal)" $? $((128 + $(kill -l $signal)))
	is "and nothing is left ($signal)" "$(volumes)" "$kept"
	like "it says so ($signal)" "$(cat "$WORK/said")" "interrupted"
done
exec 5>&-
truncate -s 1G "$WORK/big.raw"
put "$WORK/big.raw" 0 400
qemu-img convert -O qcow2 "$WORK/big.raw" "$WORK/big.qcow2"
check "an import of qcow2 is interrupted" signalled INT "$STORAGEOS" import slow "$WORK/big.qcow2"
is "and leaves nothing" "$(volumes)" "$kept"
must "a large volume" import big "$WORK/big.raw" --format raw --no-verify
check "an export of it is interrupted" signalled TERM "$STORAGEOS" export big "$WORK/x.qcow2" --format qcow2
is "and leaves no file" "$(ls "$WORK"/x.* 2>/dev/null)" ""
is "nor a snapshot" "$("$STORAGEOS" snapshot list big --json | jq length)" 0
is "nor a directory of a socket" "$(temporary)" "$before"
must "away with it" "$STORAGEOS" delete big
killed() {
	"$STORAGEOS" import slow "$WORK/big.raw" --format raw >/dev/null 2>&1 &
	wait_for 10 begun
	kill -9 $!
	wait $!
	[ ! -e "$POOL/slow.vol" ]
}
check "one that is killed leaves no volume of that name" killed
must "and the name is free" import slow "$image" --format raw

# ---- a pool that fills up

pool_on_disk full "$WORK/full.img" 100M
refuses "a pool that is too small" "No space left" import full/big "$WORK/big.raw" --format raw
is "nothing is left there" "$(find "$WORK/full" -name '*.vol*')" ""
must "a smaller one has room" import full/small "$image" --format raw
finish
