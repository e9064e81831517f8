#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What qemu-img reads from a snapshot agrees with it: exported as an image, converted from the attached snapshot to
# qcow2, from its file over FUSE with its holes; and a virtual disk of others becomes a volume and goes back.
. "$(dirname "$0")/../lib.sh"
need jq jq
need qemu-img qemu-utils
need_root
need_fuse
need_loop
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
own_config
config_set frontend=fuse
take_away() {
	local v
	for v in db@one db@two db new; do "$STORAGEOS" detach "$v"; done
	attached_end
}
cleanup take_away

agree() { check "$1: qemu-img compare" qemu-img compare -f "$2" -F "$4" "$3" "$5"; } # NAME FORMAT FILE FORMAT FILE
differ() { refuses "$1: qemu-img sees it" "Content mismatch at offset $2|Images are not identical" qemu-img compare "${@:3}"; }

must "a volume" "$STORAGEOS" create db --size 96M
must "attached" "$STORAGEOS" attach db
device=$WORK/dev/default/db
put() { dd if="${3-/dev/urandom}" of="$device" bs=4k seek="$1" count="$2" oflag=direct iflag=fullblock status=none; }
must "data, a hole, and data at the end" eval 'put 0 5000 && put 24000 576'
must "zeros over data" put 1000 10 /dev/zero
must "a discard" blkdiscard -o 8M -l 2M "$device"
must "a snapshot" "$STORAGEOS" snapshot create db@one --freeze never
must "other data" put 100 4000
must "another snapshot" "$STORAGEOS" snapshot create db@two --freeze never

# ---- out

for name in one two; do
	must "$name: exported" "$STORAGEOS" export db@$name --format raw "$WORK/$name.raw"
	must "$name: attached" "$STORAGEOS" attach db@$name
	must "$name: converted from its device" qemu-img convert -f raw -O qcow2 "$device@$name" "$WORK/$name.qcow2"
	agree "$name: the export and the device" raw "$WORK/$name.raw" raw "$device@$name"
	agree "$name: the qcow2 and the device" qcow2 "$WORK/$name.qcow2" raw "$device@$name"
	agree "$name: the qcow2 and the export" qcow2 "$WORK/$name.qcow2" raw "$WORK/$name.raw"
	check "$name: the qcow2 is sound" qemu-img check -q "$WORK/$name.qcow2"
	must "$name: detached" "$STORAGEOS" detach db@$name
	must "$name: converted from the export" qemu-img convert -f raw -O qcow2 -c "$WORK/$name.raw" "$WORK/$name.small"
	agree "$name: the compressed qcow2 and the export" qcow2 "$WORK/$name.small" raw "$WORK/$name.raw"
done
differ "one is not two" 409600 -f raw -F qcow2 "$WORK/one.raw" "$WORK/two.qcow2"
must "detached" "$STORAGEOS" detach db

# Its file over FUSE says where its holes are, and qemu-img copies what is between them.
mkdir "$WORK/mnt"
cleanup unmount_for_certain "$WORK/mnt"
must "served as a file" "$STORAGEOS_FUSE" --pid-file "$WORK/pid" db@one "$WORK/mnt"
file=$(find "$WORK/mnt" -type f)
holes=$(qemu-img map --output=json -f raw "$file" | jq '[.[] | select(.data | not) | .length] | add')
is "qemu-img sees the holes" "$(qemu-img map --output=json -f raw "$WORK/one.raw" |
	jq '[.[] | select(.data | not) | .length] | add')" "$holes"
check "most of what was never written" test "$holes" -ge $((70 << 20))
must "converted from the file" qemu-img convert -f raw -O qcow2 "$file" "$WORK/file.qcow2"
agree "the qcow2 of the file and the export" qcow2 "$WORK/file.qcow2" raw "$WORK/one.raw"
must "no longer" unmount "$WORK/mnt"

# ---- in: onto a volume's device

must "a volume for it" "$STORAGEOS" create new --size 96M
must "attached" "$STORAGEOS" attach new
must "qemu-img writes a qcow2 onto it" qemu-img convert -n -f qcow2 -O raw "$WORK/two.qcow2" "$WORK/dev/default/new"
agree "the volume and the qcow2" raw "$WORK/dev/default/new" qcow2 "$WORK/two.qcow2"
must "detached" "$STORAGEOS" detach new
check "it is whole" "$STORAGEOS" check new
finish
