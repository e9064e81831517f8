#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# attach --read-only: a device that can only be read, of a volume to whose file nothing is written: also after a crash,
# in a pool that is mounted read-only, and of a damaged copy.
. "$(dirname "$0")/../lib.sh"
need jq jq
need mkfs.ext4 e2fsprogs
need_root
need_fuse
need_loop
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
own_config
config_set frontend=fuse
cleanup attached_end

dev=$WORK/dev/default
sum() { sha256sum <"$POOL/$1.vol"; }
of_status() { "$STORAGEOS" status "$1" --json | jq -r ".[0].$2"; }
read_text() { dd if="$1" bs=4096 count=1 iflag=direct status=none | tr -d '\0'; }

must "a volume" "$STORAGEOS" create db --size 256M
must "attach it" "$STORAGEOS" attach db
must "a file system" mkfs.ext4 -q "$dev/db"
mkdir "$WORK/mnt"
cleanup unmount_for_certain "$WORK/mnt"
must "mount it" mount "$dev/db" "$WORK/mnt"
echo "what was written" >"$WORK/mnt/file"
must "unmount it" umount "$WORK/mnt"
refuses "an attached volume is not made read-only" 'default/db: it is attached for writing already .*detach default/db\)$' \
	"$STORAGEOS" attach db --read-only
must "detach it" "$STORAGEOS" detach db

before=$(sum db)
"$STORAGEOS" attach db --read-only >"$WORK/out" 2>"$WORK/err"
is "attach --read-only prints the link" "$(<"$WORK/out")" "$dev/db"
like "it says so" "$(<"$WORK/err")" 'attach default/db: attached for reading only over FUSE'
like "and how to mount it" "$(<"$WORK/err")" "mount -o ro,noload $dev/db DIRECTORY"
is "the kernel knows" "$(blockdev --getro "$dev/db")" 1
refuses "a write is refused" '' dd if=/dev/zero of="$dev/db" bs=4096 count=1 oflag=direct
must "mount it" mount -o ro "$dev/db" "$WORK/mnt"
refuses "a mount for writing is refused" 'write-protected|read-only' mount -o remount,rw "$WORK/mnt"
is "its file is there" "$(<"$WORK/mnt/file")" "what was written"
like "status says so" "$("$STORAGEOS" status)" '^    for reading only$'
is "in JSON, too" "$(of_status db read_only) $(of_status db state)" "true attached"
refuses "detach knows the mount" 'detach default/db: .*mounted on .*/mnt' "$STORAGEOS" detach db
must "unmount it" umount "$WORK/mnt"
refuses "no snapshot is taken" 'read' "$STORAGEOS" snapshot create db@now --freeze never
refuses "it is not scrubbed" 'it is open for reading only' "$STORAGEOS" scrub db
refuses "nor grown" 'Read-only' "$STORAGEOS" resize db 512M
check "but can be checked meanwhile" "$STORAGEOS" check db
refuses "nobody else writes to it" 'in use' "$STORAGEOS" set db uuid=new
refuses "it is not attached for writing" 'it is attached for reading only already' "$STORAGEOS" attach db
is "it can be copied" "$("$STORAGEOS" copy db copied --json | jq -r .how)" copy
must "the copy" "$STORAGEOS" attach copied
check "has what it has" cmp "$dev/db" "$dev/copied"
must "detach the copy" "$STORAGEOS" detach copied
check "and is whole" "$STORAGEOS" check copied
is "no snapshot was taken" "$("$STORAGEOS" snapshot list copied --json | jq length)" 0
must "delete the copy" "$STORAGEOS" delete copied
for format in raw qcow2; do
	is "it can be exported ($format)" "$("$STORAGEOS" export db "$WORK/db.$format" --format $format --json | jq -r .snapshot)" default/db
	check "as what it has ($format)" "$STORAGEOS" compare db "$WORK/db.$format"
done
check "to a pipe, too" cmp <("$STORAGEOS" export db --format raw) "$WORK/db.raw"
check "again, read-only: nothing to do" "$STORAGEOS" attach db --read-only
must "detach it" "$STORAGEOS" detach db
is "nothing was written to its file" "$(sum db)" "$before"
is "nothing is left" "$(cd "$WORK/run/state" && echo *)" "*"
must "attach it for writing" "$STORAGEOS" attach db
is "it is" "$(blockdev --getro "$dev/db") $(of_status db read_only)" "0 null"

# ---- after a crash: the journal is replayed in memory

must "write" dd if=/dev/zero of="$dev/db" bs=4096 seek=1000 count=100 oflag=direct status=none
printf 'last words' | dd of="$dev/db" bs=4096 seek=30000 conv=sync,notrunc oflag=direct status=none
server=$(of_status db pid)
kill -9 "$server"
wait_for 10 [ ! -e "/proc/$server" ]
"$STORAGEOS" detach db >/dev/null 2>&1
before=$(sum db)
must "attach what was not closed" "$STORAGEOS" attach db --read-only
is "what was acknowledged is there" "$(dd if="$dev/db" bs=4096 skip=30000 count=1 iflag=direct status=none | tr -d '\0')" "last words"
must "copy it" "$STORAGEOS" copy db replayed
check "the copy has it, too" "$STORAGEOS" compare db replayed
must "export it" "$STORAGEOS" export db "$WORK/replayed.raw" --format raw
check "the image has it, too" "$STORAGEOS" compare db "$WORK/replayed.raw"
must "delete the copy" "$STORAGEOS" delete replayed

# A server that dies is replaced as it was, as storageos-recover@ does.
server=$(of_status db pid)
kill -9 "$server"
wait_for 10 [ ! -e "/proc/$server" ]
must "attach again" "$STORAGEOS" attach --again db
is "for reading only" "$(blockdev --getro "$dev/db") $(of_status db read_only)" "1 true"
must "detach it" "$STORAGEOS" detach db
is "nothing was written to its file" "$(sum db)" "$before"

# ---- a pool that is mounted read-only

must "mount the pool" mount --bind "$POOL" "$POOL"
cleanup unmount_for_certain "$POOL"
must "read-only" mount -o remount,ro,bind "$POOL"
refuses "a volume in it cannot be attached" '[Rr]ead-only file system' "$STORAGEOS" attach db
must "but for reading" "$STORAGEOS" attach db --read-only
is "it has its data" "$(dd if="$dev/db" bs=4096 skip=30000 count=1 iflag=direct status=none | tr -d '\0')" "last words"
must "detach it" "$STORAGEOS" detach db
must "a pool elsewhere" "$STORAGEOS" pool create elsewhere "$WORK/elsewhere"
must "what nobody has open can be copied there, too" "$STORAGEOS" copy db elsewhere/db
check "as it is" "$STORAGEOS" compare db elsewhere/db
must "the pool can be written again" umount "$POOL"

# ---- a damaged copy

must "another volume" "$STORAGEOS" create hurt --size 64M
must "attach it" "$STORAGEOS" attach hurt
for n in 0 1 2; do printf 'needle %s in the hay' $n | dd of="$dev/hurt" bs=4096 seek=$n conv=sync oflag=direct status=none; done
must "detach it" "$STORAGEOS" detach hurt
offset=$(grep -abo 'needle 1 in' "$POOL/hurt.vol" | head -n 1 | cut -d: -f1)
printf X | dd of="$POOL/hurt.vol" bs=1 seek="$offset" conv=notrunc status=none
before=$(sum hurt)
must "attach it to look at it" "$STORAGEOS" attach hurt --read-only
is "what is whole can be read" "$(read_text "$dev/hurt")" "needle 0 in the hay"
refuses "what is damaged cannot" 'Input/output error' dd if="$dev/hurt" bs=4096 skip=1 count=1 iflag=direct of=/dev/null
must "detach it" "$STORAGEOS" detach hurt
is "it is as it was" "$(sum hurt)" "$before"

# ---- snapshots, and the server alone

must "a snapshot" "$STORAGEOS" snapshot create hurt@one --freeze never
check "a snapshot is read-only anyway" "$STORAGEOS" attach hurt@one --read-only
check "and is attached already" "$STORAGEOS" attach hurt@one
must "detach it" "$STORAGEOS" detach hurt@one
mkdir "$WORK/served"
cleanup unmount_for_certain "$WORK/served"
before=$(sum hurt)
must "storageos-fuse --read-only" "$STORAGEOS_FUSE" --read-only hurt "$WORK/served"
is "serves it" "$(read_text "$WORK/served/hurt")" "needle 0 in the hay"
refuses "for reading" '' dd if=/dev/zero of="$WORK/served/hurt" bs=4096 count=1 conv=notrunc
umount "$WORK/served"
is "and writes nothing" "$(sum hurt)" "$before"
finish
