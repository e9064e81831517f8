#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The file system below a LUN fills up: only writes fail, and their sense data reports the lack of space.
# When space is back, writes succeed again.  The pool's event is there meanwhile.  A quota that is used up is the same
# to an initiator.
. "$(dirname "$0")/guest.sh"
. "$ROOT/tests/faults/space.sh"
need_built "$STORAGEOS_PLUGIN" "$STORAGEOS"
need jq jq
need tcmu-runner tcmu-runner
need targetcli targetcli-fb
need sg_raw sg3-utils
need journalctl systemd
enter_guest --timeout 300 --disk 96M

plugin_install
# Not in the file system that is filled.
sed -i 's,^run_directory=.*,run_directory=/run/storageos,' /etc/storageos/storageos.conf
mkdir -p /run/log/journal /etc/storageos/pool.d
cat >/etc/storageos/pool.d/note <<'END'
#!/bin/sh
echo "$* $MARK" >>/run/noted
END
chmod +x /etc/storageos/pool.d/note
# It looks for its control group.
mount -t cgroup2 none /sys/fs/cgroup
/lib/systemd/systemd-journald 2>/run/journald.log &
must "there is a journal" wait_for 20 test -S /run/systemd/journal/socket
must "tcmu-runner offers the backstore" runner_start
must "targetcli makes a volume" targetcli \
	'/backstores/user:storageos create name=db size=256M cfgstring=db;create'
must "attach it" lun_add db 1
disk=$(device_of db)
sg=$(sg_of "$disk")

# WRITE(10) of 1 MiB, past the initiator's block layer.  $WORK is the full file system.
put() { # PIECE
	local lba
	lba=$(printf '%08x' $(($1 * 2048)))
	dd if="$MODEL" bs=1M skip="$1" count=1 of=/run/piece status=none
	sg_raw -s $((1 << 20)) -i /run/piece "$sg" 2a 00 \
		"${lba:0:2}" "${lba:2:2}" "${lba:4:2}" "${lba:6:2}" 00 08 00 00 >>/run/sg 2>&1
}

told() { # prints how often the initiator got sense 07h/27h/07h
	tr -s ' \n' ' ' </run/sg | grep -oE 'Data Protect[^:]*: Space allocation failed write protect' | wc -l
}

zeros() { # OFFSET LENGTH
	dd if="$disk" iflag=direct,skip_bytes,count_bytes bs=64k skip="$1" count="$2" status=none |
		cmp --bytes="$2" - /dev/zero
}

state() {
	"$STORAGEOS" stats db --json | jq -r '.[0].state'
}

# Past the page cache, which may hold older content.
same() {
	sync && echo 1 >/proc/sys/vm/drop_caches && model_same "$disk"
}

model_new "$WORK/model" 16
model_write 0 8 put
is "pieces are written" "${#WRITTEN[@]} $REFUSED" "8 0"
must "the file system is used up" space_use_up "$WORK"
sleep 5.2 # after 5 s, a write makes the plugin ask for the free space again
put 0
: >/run/sg
refuses "the initiator is told that space is scarce" 'soft threshold reached' sg_turs -v "$sg"
check "the initiator is told only once" sg_turs "$sg"
check "the pool's event is there" wait_for 20 test -e /run/storageos/pool-events/default
check "the runner's log has its line" wait_for 20 runner_logged 'pool default: [0-9]+ % of .* are taken, .* free \(warn=95\)'
like "pool events handles it" "$("$STORAGEOS" pool events)" '^default: 9[5-9] % of .* \(warn=95, |^default: 100 % '
is "by the executables in pool.d" "$(tail -n 1 /run/noted)" "up default 95"
journalctl --sync || note "$(cat /run/journald.log)"
events() { journalctl --directory=/run/log/journal -o json STORAGEOS_EVENT=pool-mark | jq -r '[.SYSLOG_IDENTIFIER, .STORAGEOS_POOL, .PRIORITY] | join(" ")'; }
is "the journal has it with its fields" "$(events | tail -n 1)" "storageos default 4"
model_write 8 14 put
note "${#WRITTEN[@]} pieces written, $REFUSED refused, $SLOWEST ms at most"
check "writes are refused" test $REFUSED -ge 4
is "each refusal has sense 07h/27h/07h" "$(told)" "$REFUSED"
refuses "users of the disk see that there is no space" 'No space left on device' \
	dd if="$MODEL" of="$disk" bs=1M skip=15 seek=15 count=1 oflag=direct
check "acknowledged data can be read" same
check "SYNCHRONIZE CACHE succeeds" sg_sync "$sg"
check "UNMAP succeeds" sg_unmap --lba=0 --num=2048 "$sg"
check "unmapped blocks read as zeros" zeros 0 $((1 << 20))
unset 'WRITTEN[0]'
is "the volume has not failed" "$(state)" ok

must "give the space back" space_give_back "$WORK"
REFUSED=0
model_write 0 16 put
is "writes succeed again" "${#WRITTEN[@]} $REFUSED" "16 0"
check "SYNCHRONIZE CACHE succeeds" sg_sync "$sg"
check "all data is there" same
is "the volume has not failed" "$(state)" ok

# ---- a quota

# Writes a new MiB there, again where the initiator was told first that space is scarce.
more() { # PIECE
	local lba
	lba=$(printf '%08x' $(($1 * 2048)))
	dd if=/dev/urandom of=/run/piece bs=1M count=1 iflag=fullblock status=none
	for _ in 1 2; do
		sg_raw -s $((1 << 20)) -i /run/piece "$sg" 2a 00 \
			"${lba:0:2}" "${lba:2:2}" "${lba:4:2}" "${lba:6:2}" 00 08 00 00 >/run/sg 2>&1 && return
		grep -q 'soft threshold reached' /run/sg || return 1
		scarce=yes
	done
}
more_until_refused() { # PIECE
	for ((piece = $1; piece < 200; piece++)); do more "$piece" || return 0; done
	return 1
}
taken() { echo $(($(stat -c %b "$POOL"/*.vol) >> 11)); } # MiB
scarce=no
quota=$(($(taken) + 8))
must "a quota" "$STORAGEOS" pool set default quota=${quota}M -q
sleep "$(limit 7)" # the runner looks at its configuration each 5 s
check "writes are refused when it is used up" more_until_refused 100
is "with the sense data of a full disk" "$(told)" 1
check "there was room" [ "$piece" -ge 104 ]
check "the quota is kept" [ "$(taken)" -le $((quota + 1)) ]
note "quota of $quota MiB: $((piece - 100)) MiB written, the volume takes $(taken) MiB"
sleep 5.2
more "$piece"
sg_turs -v "$sg" >>/run/sg 2>&1
grep -q 'soft threshold reached' /run/sg && scarce=yes
is "the initiator is told that space is scarce" $scarce yes
check "SYNCHRONIZE CACHE succeeds" sg_sync "$sg"
is "the volume has not failed" "$(state)" ok
must "more" "$STORAGEOS" pool set default quota=none -q
check "writes go on by themselves" wait_for 20 more "$piece"
must "what is written" dd if="$disk" of=/run/read iflag=direct bs=1M skip="$piece" count=1 status=none
check "is there" cmp /run/read /run/piece
check "SYNCHRONIZE CACHE succeeds" sg_sync "$sg"
check "all data is there" same
check "the runner ends" runner_stop
check "the volume is whole" "$STORAGEOS" check db
finish
