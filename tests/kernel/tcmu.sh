#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The plugin in the packaged tcmu-runner in a real kernel: volumes are made by targetcli and used as disks.
. "$(dirname "$0")/guest.sh"
need_built "$STORAGEOS_PLUGIN" "$STORAGEOS"
need jq jq
need tcmu-runner tcmu-runner
need targetcli targetcli-fb
need sg_unmap sg3-utils
need fio fio
need mkfs.xfs xfsprogs
enter_guest --timeout 400

# ---- the plugin is loaded

exported=$(nm -D --defined-only "$STORAGEOS_PLUGIN" | awk '{print $3}')
is "the plugin exports handler_init and nothing else" "$exported" handler_init

plugin_install
must "tcmu-runner offers the backstore" runner_start
check "the plugin says which runner it found" runner_logged 'registered with .*generation G'

# ---- requests that are refused

check_config() {
	bus_call org.kernel.TCMUService1 /org/kernel/TCMUService1/storageos \
		org.kernel.TCMUService1.CheckConfig string:"$1" | xargs
}

like "a good cfgstring is accepted" "$(check_config 'storageos/default/db;create')" '^boolean true'
like "a cfgstring with only a name is accepted" "$(check_config storageos/db)" '^boolean true'
like "an unknown key is refused, by name" "$(check_config 'storageos/db;shape=round')" "^boolean false.*shape"
like "a name with bad characters is refused" "$(check_config 'storageos/../db')" '^boolean false'
like "an empty name is refused" "$(check_config 'storageos/')" '^boolean false'
like "another subtype that ours begins with is refused" "$(check_config 'stor/db')" '^boolean false'

refuses "targetcli cannot make a bad cfgstring" 'cfgstring invalid.*shape' \
	targetcli '/backstores/user:storageos create name=bad size=64M cfgstring=default/db;shape=round'
refuses "targetcli cannot make a volume that is not there" 'failed' \
	targetcli '/backstores/user:storageos create name=none size=64M cfgstring=default/none'
check "the log gives the reason" runner_logged 'open storageos/default/none: .*none'
is "nothing was made" "$(ls "$POOL")" ''

# ---- two volumes at the same time

must "targetcli makes a volume" targetcli \
	'/backstores/user:storageos create name=db size=1G cfgstring=default/db;create'
is "the volume is a file of the pool" "$(ls "$POOL")" db.vol
must "attach it through a loopback LUN" lun_add db 1
db=$(device_of db)
is "the disk has the size that was asked for" "$(blockdev --getsize64 "$db")" $((1 << 30))

must "targetcli makes a second one" targetcli \
	'/backstores/user:storageos create name=web size=512M cfgstring=web;create'
must "attach it through another LUN" lun_add web 2
web=$(device_of web)

# ---- blocks of 4096 bytes

must "make a volume of 4096-byte blocks" "$STORAGEOS" create big --size 64M --block-size 4096
refuses "targetcli refuses it with 512-byte blocks" failed \
	targetcli '/backstores/user:storageos create name=big size=64M cfgstring=default/big'
check "the log names the missing parameter" runner_logged 'give targetcli control=hw_block_size=4096'
example=$(sed -n 's/\\(aq/'"'"'/g; s/10G/64M/; s/default\/big;/default\/bigger;/; s/name=big/name=bigger/
	s/^targetcli .\(.*control=.*\).$/\1/p' "$ROOT/docs/man/storageos-cfgstring.7")
for line in '/backstores/user:storageos create name=big size=64M cfgstring=default/big control=hw_block_size=4096' \
	"$example"; do
	must "as the manual says: ${line##* name=}" targetcli "$line"
done
is "the backstore has 4096-byte blocks" "$(cat "$(backstore_state bigger)"/attrib/hw_block_size)" 4096
is "the new volume has 4096-byte blocks" "$("$STORAGEOS" info bigger --json | jq .logical_block_size)" 4096
for name in big bigger; do
	targetcli /backstores/user:storageos delete $name >/dev/null && "$STORAGEOS" delete -q $name
done

# ---- file systems

use_file_system() { # TYPE DEVICE MKFS-OPTION...
	local type=$1 device=$2 mount=$WORK/$1
	shift 2
	mkdir -p "$mount"
	"mkfs.$type" -q "$@" "$device" && mount "$device" "$mount" &&
		tree_fill "$mount" 16 && tree_checksum "$mount" >"$WORK/$type.sum"
}

same_files() { # TYPE DEVICE
	mount "$2" "$WORK/$1" && [ "$(tree_checksum "$WORK/$1")" = "$(cat "$WORK/$1.sum")" ] &&
		umount "$WORK/$1"
}

cleanup unmount_for_certain "$WORK/ext4"
cleanup unmount_for_certain "$WORK/xfs"
must "ext4 takes files" use_file_system ext4 "$db"
must "xfs takes files on the other disk, at the same time" use_file_system xfs "$web"

space_comes_back() { # TYPE VOLUME
	local mount=$WORK/$1 file=$POOL/$2.vol full
	head -c 64M /dev/zero | tr '\0' x >"$mount/large" && sync -f "$mount" || return
	full=$(allocated "$file")
	[ "$full" -gt $((64 * 1024)) ] || { echo "only $full KiB were taken"; return 1; }
	rm "$mount/large" && sync -f "$mount" && fstrim "$mount" || return
	wait_for 20 space_below "$file" $((full - 40 * 1024)) ||
		{ echo "of $full KiB $(allocated "$file") are still taken"; return 1; }
}

space_below() {
	[ "$(allocated "$1")" -lt "$2" ]
}

check "fstrim of ext4 gives the space back to the file system below" space_comes_back ext4 db
check "fstrim of xfs does, too" space_comes_back xfs web
check "ext4 is unmounted" umount "$WORK/ext4"
check "xfs is unmounted" umount "$WORK/xfs"
check "ext4 is sound" e2fsck -fn "$db"
check "xfs is sound" xfs_repair -n "$web"
check "ext4's files are what was written" same_files ext4 "$db"
check "xfs's files are what was written" same_files xfs "$web"

# ---- load, and a runner that dies

must "targetcli makes a disk for load" targetcli \
	'/backstores/user:storageos create name=load size=256M cfgstring=load;create'
must "attach it" lun_add load 3
load=$(device_of load)

load_run() { # MEGABYTES
	fio --name=load --filename="$load" --direct=1 --ioengine=libaio --iodepth=32 \
		--rw=randwrite --bsrange=4k-64k --size="$1M" --verify=crc32c --verify_fatal=1 \
		--randrepeat=0 --output="$WORK/fio.log" || { cat "$WORK/fio.log"; return 1; }
}

check "fio verifies what it wrote at queue depth 32" load_run 32
stats=$("$STORAGEOS" stats load --json)
is "stats are the runner's own" "$(jq -r '.[0] | .frontend + " " + (.pid | tostring)' <<<"$stats")" \
	"tcmu $(pidof tcmu-runner)"
is "stats tell of what fio wrote and read" "$(jq '.[0].operations | .write.bytes >= 33554432 and
	.read.bytes >= 33554432 and .write.errors == 0 and .read.errors == 0' <<<"$stats")" true
is "stats tell of every volume that the runner serves" \
	"$("$STORAGEOS" stats --json | jq -r '[.[].volume] | join(" ")')" \
	"default/db default/load default/web"

writes_done() {
	awk '{ print $5 }' "/sys/block/${load##*/}/stat"
}

writes_above() {
	[ "$(writes_done)" -gt "$1" ]
}

# Writes and verifies again and again, until it is stopped.
load_on() {
	while [ ! -e "$WORK/enough" ]; do
		load_run 32 || return
	done
}

load_on >"$WORK/fio.out" 2>&1 &
fio=$!
check "a load is running" wait_for 20 writes_above $(($(writes_done) + 200))
check "the runner is killed under it" runner_kill
before=$(writes_done)
check "the runner comes back" runner_start
check "the runner opens the volumes" wait_for 20 runner_logged 'default/load: open'
three_listed() { [ "$("$STORAGEOS" stats --json | jq length)" = 3 ]; }
check "stats lists the three volumes again" wait_for 20 three_listed
check "the initiator continues" wait_for 30 writes_above $((before + 100))
check "the runner ends in order under it, when told to" runner_stop
before=$(writes_done)
check "the runner starts again" runner_start
check "the initiator continues once more" wait_for 30 writes_above $((before + 100))
touch "$WORK/enough"
wait $fio
is "fio verifies what it wrote" "$?" 0
note "$(cat "$WORK/fio.out")"
check "ext4's files have outlived the runner" same_files ext4 "$db"
check "xfs's files have outlived the runner" same_files xfs "$web"

check "the runner is killed once more" runner_kill
mv "$POOL/web.vol" "$WORK/"
check "the runner starts while a volume is missing" runner_start
check "the runner waits for the volume" wait_for 20 runner_logged 'default/web: not ready, waiting'
ls "$POOL" >"$WORK/pool.list"
mv "$WORK/web.vol" "$POOL/"
check "the runner opens the volume when it is there" wait_for 20 runner_logged 'default/web: the volume is there now'
check "the runner makes no new volume meanwhile" eval "! grep -q web '$WORK/pool.list'"
check "xfs's files are there, too" same_files xfs "$web"

# ---- single commands

sg=$(sg_of "$load")
like "READ CAPACITY(16) tells that it is thin and that what is discarded reads as zeros" \
	"$(sg_readcap -l "$load")" 'lbpme=1.*lbprz=1'
limits=$(sg_vpd -p bl "$load")
like "the unit of discarding is a block of the volume" "$limits" 'Optimal unmap granularity: 8 '
like "the granularity is aligned" "$limits" 'Unmap granularity alignment: 0'
like "a transfer may have 1 MiB" "$limits" 'Maximum transfer length: 2048 '
is "the write cache is on" "$(cat "/sys/block/${load##*/}/queue/write_cache")" 'write back'

block_file() { # CHARACTER: makes a file of one block full of CHARACTER
	head -c 512 /dev/zero | tr '\0' "$1" >"$WORK/block.$1"
}

blocks() { # LBA COUNT: prints the blocks' checksum
	dd if="$load" iflag=direct,skip_bytes,count_bytes bs=64k skip=$(($1 * 512)) \
		count=$(($2 * 512)) status=none | sha256sum
}

pattern() { # CHARACTER COUNT: prints the checksum of COUNT blocks full of CHARACTER
	head -c $((512 * $2)) /dev/zero | tr '\0' "$1" | sha256sum
}

block_file a
block_file b
check "WRITE SAME(16) of a pattern" sg_write_same --16 --lba=1000 --num=5000 --in="$WORK/block.a" "$sg"
is "WRITE SAME writes the pattern" "$(blocks 1000 5000)" "$(pattern a 5000)"
check "WRITE SAME(10) of zeros" sg_write_same --10 --lba=2003 --num=1000 --in=/dev/zero --xferlen=512 "$sg"
is "WRITE SAME zeroes the range" "$(blocks 2003 1000)" "$(pattern '\0' 1000)"
is "WRITE SAME changes nothing before it" "$(blocks 1000 1003)" "$(pattern a 1003)"
is "WRITE SAME changes nothing behind it" "$(blocks 3003 2997)" "$(pattern a 2997)"
check "WRITE SAME(16) of zeros with UNMAP" sg_write_same --16 --unmap --lba=4000 --num=800 --in=/dev/zero --xferlen=512 "$sg"
is "WRITE SAME with UNMAP zeroes its range" "$(blocks 4000 800)" "$(pattern '\0' 800)"
check "WRITE SAME(16) of a pattern with UNMAP" sg_write_same --16 --unmap --lba=4000 --num=80 --in="$WORK/block.b" "$sg"
is "WRITE SAME with UNMAP writes the pattern" "$(blocks 4000 80)" "$(pattern b 80)"
check "UNMAP of several ranges" sg_unmap --force --lba=1000,1100,1203 --num=64,64,7 "$sg"
is "unmapped blocks read as zeros" "$(blocks 1000 64) $(blocks 1100 64) $(blocks 1203 7)" \
	"$(pattern '\0' 64) $(pattern '\0' 64) $(pattern '\0' 7)"
is "other blocks are unchanged" "$(blocks 1064 36) $(blocks 1164 39) $(blocks 1210 90)" \
	"$(pattern a 36) $(pattern a 39) $(pattern a 90)"
refuses "UNMAP beyond the end is refused" 'out of range|Illegal' sg_unmap --force --lba=524287 --num=2 "$sg"

cat "$WORK/block.a" "$WORK/block.b" >"$WORK/a-to-b"
check "COMPARE AND WRITE of a block that is as expected" \
	sg_compare_and_write --in="$WORK/a-to-b" --lba=1070 --num=1 --xferlen=1024 "$sg"
is "COMPARE AND WRITE writes the block" "$(blocks 1070 1)" "$(pattern b 1)"
{ head -c 100 "$WORK/block.b"; tail -c +101 "$WORK/block.a"; cat "$WORK/block.a"; } >"$WORK/differs"
miscompare=$(sg_compare_and_write -vv --in="$WORK/differs" --lba=1070 --num=1 --xferlen=1024 "$sg" 2>&1)
is "COMPARE AND WRITE of another block is a miscompare" "$?" 14
like "the miscompare names the place" "$miscompare" 'Info fld=0x64|byte offset.*(100|0x64)'
is "a miscompare writes nothing" "$(blocks 1070 1)" "$(pattern b 1)"
check "SYNCHRONIZE CACHE" sg_sync "$sg"
check "a write with FUA" sg_dd if="$WORK/block.a" of="$sg" bs=512 count=1 seek=1070 blk_sgio=1 fua=1
is "the write with FUA is there" "$(blocks 1070 1)" "$(pattern a 1)"
check "WRITE AND VERIFY(10)" sg_write_verify --lba=1070 --num=1 --in="$WORK/block.b" --ilen=512 "$sg"
is "WRITE AND VERIFY(10) writes the block" "$(blocks 1070 1)" "$(pattern b 1)"
check "the runner has outlived all of these" runner_alive

control=$(backstore_state load)/attrib/dev_size
resize() {
	echo $((128 << 20)) >"$control"
}
refuses "a smaller size is refused while the device is there" '.' resize
is "the device keeps its size" "$(cat "$control")" $((256 << 20))

# ---- the target's configuration is saved, cleared and restored

marker=$(head -c 24 /dev/urandom | base64)
marker_lba=80000
for ((i = 0; i < 128; i++)); do echo "$marker"; done | dd of="$load" bs=4096 count=1 seek=$((marker_lba / 8)) oflag=direct conv=sync iflag=fullblock status=none
marker_offsets=
target_cycle() { # COMMAND...: saves, clears, runs the command, restores
	targetcli <<-END || return
	saveconfig $WORK/target.json
	clearconfig confirm=True
	END
	[ -z "$(find "$CONFIGFS/core" -mindepth 2 -maxdepth 2 -path '*/user_*' -type d)" ] || { echo "not cleared"; return 1; }
	"$@" || return
	targetcli restoreconfig "$WORK/target.json" && wait_for 20 device_ready load &&
		wait_for 20 device_ready db && wait_for 20 device_ready web
}

flip_marked_byte() {
	marker_offsets=$(LC_ALL=C grep -aboF "$marker" "$POOL/load.vol" | cut -d: -f1)
	[ -n "$marker_offsets" ] || { echo "the marked block is not in the volume"; return 1; }
	local offset
	for offset in $marker_offsets; do
		printf '\0' | dd of="$POOL/load.vol" bs=1 seek="$offset" conv=notrunc status=none
	done
}

must "the target is cleared and restored from its saved configuration" target_cycle flip_marked_byte
db=$(device_of db) web=$(device_of web) load=$(device_of load) sg=$(sg_of "$(device_of load)")
check "ext4's files are there again" same_files ext4 "$db"
check "xfs's files are there again" same_files xfs "$web"
is "their write caches are still on" "$(cat "/sys/block/${load##*/}/queue/write_cache")" 'write back'
is "the blocks of single commands are there" "$(blocks 1164 39)" "$(pattern a 39)"

# ---- a block that was changed in the volume's file

dmesg -C
refuses "a block whose checksum is wrong cannot be read" 'No data available|Input/output error' \
	dd if="$load" iflag=direct bs=4096 skip=$((marker_lba / 8)) count=1 of=/dev/null
check "the initiator is told: medium error, and where" \
	wait_for 5 eval "dmesg | grep -E 'medium error.*sector $marker_lba '"
read_10=$(printf '28 00 00 %02x %02x %02x 00 00 08 00' \
	$((marker_lba >> 16)) $((marker_lba >> 8 & 255)) $((marker_lba & 255)))
# shellcheck disable=SC2086 # a word a byte
sense=$(sg_raw -r 4096 "$sg" $read_10 2>&1)
like "the sense key is medium error" "$sense" 'Medium Error'
like "the additional sense code is unrecovered read error" "$sense" 'Unrecovered read error'
like "the sense data names the block" "$sense" "$(printf 'Info fld=0x%x' $marker_lba)"
is "its neighbours can be read" "$(blocks 1164 39)" "$(pattern a 39)"
check "the block can be written again" dd if="$WORK/xfs.sum" of="$load" bs=4096 count=1 \
	seek=$((marker_lba / 8)) oflag=direct conv=sync
check "the block can be read again" dd if="$load" iflag=direct bs=4096 skip=$((marker_lba / 8)) count=1 of=/dev/null

# ---- FORMAT UNIT

check "FORMAT UNIT" sg_raw "$sg" 04 00 00 00 00 00
formatted() {
	[ "$(blocks 1000 5000)" = "$(pattern '\0' 5000)" ]
}
check "FORMAT UNIT zeroes the volume" wait_for 20 formatted
check "FORMAT UNIT gives the space back" wait_for 20 space_below "$POOL/load.vol" $((32 * 1024))

# ---- sizes that differ

targetcli '/backstores/user:storageos delete db' >/dev/null
refuses "a size that is not the volume's is refused" 'failed' \
	targetcli '/backstores/user:storageos create name=db size=2G cfgstring=db'
check "the log names both" runner_logged 'db: .*2147483648.*1073741824'
check "the volume can be attached with its own size" \
	targetcli '/backstores/user:storageos create name=db size=1G cfgstring=db'

# ---- a pool that is full

small=$WORK/small
mkdir "$small"
mount -t tmpfs -o size=48m tmpfs "$small"
cleanup unmount_for_certain "$small"
sed 's/default/small/' "$POOL/.storageos-pool" >"$small/.storageos-pool"
printf '\n[pool small]\npath=%s\n' "$small" >>/etc/storageos/storageos.conf
must "targetcli makes a volume larger than its pool" targetcli \
	'/backstores/user:storageos create name=thin size=1G cfgstring=small/thin;create'
must "attach it" lun_add thin 4
thin=$(device_of thin)
refuses "when the pool is full, writes fail for want of space" 'No space left' \
	dd if=/dev/urandom of="$thin" bs=1M count=64 oflag=direct
check "reads succeed on a full pool" dd if="$thin" of=/dev/null bs=1M count=4 iflag=direct
check "discarding gives the space back" blkdiscard "$thin"
written_again() {
	dd if=/dev/urandom of="$thin" bs=1M count=4 oflag=direct
}
check "writes succeed again" wait_for 20 written_again

targetcli clearconfig confirm=True >/dev/null
check "the runner ends in order" runner_stop
finish
