#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The programs of sg3_utils on a loopback LUN: each has the effect that its manual promises.
. "$(dirname "$0")/guest.sh"
need_built "$STORAGEOS_PLUGIN" "$STORAGEOS"
need tcmu-runner tcmu-runner
need targetcli targetcli-fb
need sg_opcodes sg3-utils
enter_guest --timeout 300

plugin_install
must "the runner starts" runner_start
must "targetcli makes a volume" targetcli \
	'/backstores/user:storageos create name=disk size=64M cfgstring=disk;create'
must "attach it" lun_add disk 1
disk=$(device_of disk)
sg=$(sg_of "$disk")
blocks=131072

pattern() { # CHARACTER COUNT: prints COUNT blocks full of CHARACTER
	head -c $((512 * $2)) /dev/zero | tr '\0' "$1"
}

put() { # LBA CHARACTER COUNT
	pattern "$2" "$3" | dd of="$disk" bs=512 seek="$1" oflag=direct iflag=fullblock conv=notrunc \
		status=none
}

holds() { # LBA CHARACTER COUNT
	dd if="$disk" iflag=direct,skip_bytes,count_bytes bs=64k skip=$(($1 * 512)) \
		count=$(($3 * 512)) status=none of="$WORK/have" && pattern "$2" "$3" >"$WORK/want" &&
		cmp "$WORK/have" "$WORK/want"
}

# ---- identity and capabilities

inquiry=$(sg_inq "$sg")
like "INQUIRY names the vendor" "$inquiry" 'Vendor identification: STORAGOS'
like "INQUIRY names the standards" "$(sg_inq -d "$sg")" 'SBC-3'
serial=$(sed 's/.*: //' "$(backstore_state disk)/wwn/vpd_unit_serial")
like "the serial number is the backstore's" "$(sg_vpd -p sn "$sg")" "$serial"
like "the designator is made of it, as the kernel does" "$(sg_vpd -p di "$sg")" \
	"0x6001405$(tr -d - <<<"$serial" | head -c 9)"
like "the pages are listed" "$(sg_vpd "$sg")" '[Ll]ogical block provisioning'
limits=$(sg_vpd -p bl "$sg")
like "a comparison may have 255 blocks" "$limits" 'Maximum compare and write length: 255 '
like "an atomic write 1 MiB" "$limits" 'Maximum atomic transfer length: 2048'
like "the disk does not rotate" "$(sg_vpd -p bdc "$sg")" 'Non-rotating'
like "the disk is thinly provisioned" "$(sg_vpd -p lbpv "$sg")" 'Provisioning type: 2'
like "physical blocks have 4 KiB" "$(sg_readcap -l "$sg")" 'per physical block.*=3|\[so physical block length=4096'
like "the disk has a write cache" "$(sg_modes -p 8 "$sg" | tr '\n' ' ')" '08 12 04'
like "the disk supports FUA and DPO" "$(sg_modes -p 8 "$sg")" 'DpoFua=1'
check "a mode page that does not exist is refused" eval "! sg_modes -p 7 '$sg'"
like "software write protection can be turned on" "$(sg_modes -c 1 -p 0xa "$sg" | tr '\n' ' ')" \
	'0a 0a 00 00 08'
like "log pages are listed" "$(sg_logs "$sg")" '0x0c'
like "a log page reports the space" "$(sg_logs -p 0xc "$sg")" 'Available'
like "the commands are listed, with times" "$(sg_opcodes -R "$sg")" 'Compare and write'
opcode=$(sg_opcodes --opcode=0x89 "$sg")
like "each operation code is reported by itself" "$opcode" 'Usage data: 89 fa ff'
like "an unsupported operation code is reported as such" "$(sg_opcodes --opcode=0xc1 "$sg")" 'NOT supported'
like "functions of task management are listed" "$(sg_opcodes -t "$sg")" 'Abort task'
check "TEST UNIT READY succeeds" sg_turs "$sg"
like "REQUEST SENSE returns no sense data" "$(sg_requests "$sg" 2>&1)" 'No Sense'

# ---- mapped and unmapped blocks

check "UNMAP of everything" sg_unmap --force --all="0,$blocks" "$sg"
like "nothing is mapped then" "$(sg_get_lba_status "$sg")" \
	'LBA: 0x0* +blocks: +131072 +deallocated'
must "write blocks" put 800 x 64
like "then they are" "$(sg_get_lba_status --lba=800 "$sg")" 'LBA: 0x0*320 +blocks: +64 +mapped'
like "the following blocks are not mapped" "$(sg_get_lba_status --lba=864 "$sg")" \
	'LBA: 0x0*360 .*deallocated'
check "UNMAP of a part of a physical block" sg_unmap --lba=801 --num=3 "$sg"
check "it zeroes the part" holds 801 '\0' 3
check "it changes nothing before the part" holds 800 x 1
check "it changes nothing behind the part" holds 804 x 60

# ---- compare, verify

for c in a b x; do
	pattern $c 200 >"$WORK/$c"
done
must "write a pattern" put 2000 a 200
cat "$WORK/a" "$WORK/b" >"$WORK/a-to-b"
check "COMPARE AND WRITE of 200 blocks" sg_compare_and_write --in="$WORK/a-to-b" --lba=2000 \
	--num=200 --xferlen=204800 "$sg"
check "COMPARE AND WRITE writes the blocks" holds 2000 b 200
sg_compare_and_write --in="$WORK/a-to-b" --lba=2000 --num=200 --xferlen=204800 "$sg" >"$WORK/out" 2>&1
is "again it miscompares" "$?" 14
check "VERIFY(10) without data" sg_verify --lba=2000 --count=200 "$sg"
check "VERIFY(16) with data" sg_verify --16 --lba=2000 --count=100 --ndo=51200 --in="$WORK/b" "$sg"
sg_verify --16 --lba=2000 --count=100 --ndo=51200 --in="$WORK/a" "$sg" >"$WORK/out" 2>&1
is "VERIFY of something else miscompares" "$?" 14
check "WRITE AND VERIFY(16)" sg_write_verify --16 --lba=3000 --num=50 --ilen=25600 \
	--in="$WORK/a" "$sg"
check "WRITE AND VERIFY(16) writes the blocks" holds 3000 a 50

# ---- WRITE SAME, WRITE ATOMIC, EXTENDED COPY

check "WRITE SAME(16) without data" sg_write_same --16 --ndob --lba=2010 --num=20 "$sg"
check "WRITE SAME writes zeros" holds 2010 '\0' 20
check "WRITE SAME changes nothing else" eval "holds 2000 b 10 && holds 2030 b 170"
check "WRITE ATOMIC(16)" sg_write_x --atomic=0 --in="$WORK/x" --lba=4096 --num=64 "$sg"
check "WRITE ATOMIC(16) writes the blocks" holds 4096 x 64
refuses "not from the middle of a physical block" 'Illegal|field' \
	sg_write_x --atomic=0 --in="$WORK/x" --lba=4097 --num=8 "$sg"
like "copying has limits" "$(sg_copy_results --params "$sg")" 'Maximum segment descriptor count: 16'
check "EXTENDED COPY" sg_xcopy if="$sg" of="$sg" bs=512 skip=4096 seek=6000 count=64
check "EXTENDED COPY copies the blocks" holds 6000 x 64

# ---- SANITIZE

must "write blocks again" put 0 x 64
check "SANITIZE with a pattern" sg_sanitize --overwrite --pattern="$WORK/a" --ipl=512 --quick \
	--wait "$sg"
check "SANITIZE overwrites everything" eval "holds 0 a 64 && holds $((blocks - 64)) a 64"
check "SANITIZE: block erase" sg_sanitize --block --quick --wait "$sg"
check "SANITIZE leaves zeros" holds 0 '\0' 64
like "SANITIZE leaves nothing mapped" "$(sg_get_lba_status "$sg")" 'blocks: +131072 +deallocated'
# ---- threads: the device's threads write pages back, and must not wait for I/O that they carry out

# Prints the names of the runner's threads that are I/O flushers (PF_MEMALLOC_NOIO).  One may end meanwhile.
flushers() {
	local thread flags
	for thread in "/proc/$(<"$WORK/runner.pid")/task"/*; do
		flags=$(sed 's/.*) //' "$thread/stat" | cut -d' ' -f7)
		[ $((${flags:-0} & 0x80000)) = 0 ] || cat "$thread/comm"
	done 2>/dev/null
}
# The threads of a device that is idle end.
while [ ! -e "$WORK/looked" ]; do put 0 f 8 && sg_sync "$sg"; done &
writing=$!
for _ in {1..20}; do
	flushers >"$WORK/flushers"
	! grep -q '^storageos-io' "$WORK/flushers" || ! grep -q '^storageos-sync' "$WORK/flushers" || break
done
touch "$WORK/looked"
wait $writing
for name in storageos-io storageos-sync storageos-cp; do
	check "$name does not wait for its own I/O" grep -q "^$name" "$WORK/flushers"
done
check "the device's own thread does not wait for its own I/O" grep -qv '^storageos-' "$WORK/flushers"
runner_flags=$(sed 's/.*) //' "/proc/$(<"$WORK/runner.pid")/stat" | cut -d' ' -f7)
is "the runner's main thread is left alone" $((runner_flags & 0x80000)) 0

# ---- attributes

attributes=$(backstore_state disk)/attrib
set_attribute() { # NAME VALUE
	echo "$2" >"$attributes/$1"
}
refuses "the write cache of a disk in use cannot be turned off" 'not supported' set_attribute emulate_write_cache 0
check "the log gives the reason" runner_logged 'the write cache stays on'
like "the write cache stays on" "$(sg_modes -p 8 "$sg" | tr '\n' ' ')" '08 12 04'
like "reservations are among the commands" "$(sg_opcodes "$sg")" 'Persistent reserve'
must "switch them off" set_attribute emulate_pr 0
is "reservations are no longer reported" "$(sg_opcodes "$sg" | grep -c -i reserve)" 0

check "the runner has outlived all of these" runner_alive

targetcli clearconfig confirm=True >/dev/null
check "the runner ends in order" runner_stop
finish
