#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Target port groups: INQUIRY agrees with REPORT TARGET PORT GROUPS, and reads and writes work with a
# group of the type with which groups are made, whenever it is made.
. "$(dirname "$0")/guest.sh"
. "$(dirname "$0")/initiator.sh"
need_built "$STORAGEOS_PLUGIN" "$STORAGEOS"
need tcmu-runner tcmu-runner
need targetcli targetcli-fb
need iscsid open-iscsi
need sg_rtpg sg3-utils
need ip iproute2
enter_guest --timeout 300

plugin_install
# The kernel's directories for persistent state.
mkdir -p /etc/rtslib-fb-target/{pr,alua} /var/target/{pr,alua}
must "the runner starts" runner_start
must "make volumes" backstores_add 16M local remote

tpgs() {
	sg_inq "$SG" | grep -o 'TPGS=[0-3]'
}
names_unit() {
	sg_vpd -p di "$SG" | grep -A 2 'NAA' | grep -o '0x6001405[0-9a-f]*'
}
io() {
	dd if=/dev/urandom of="$DISK" bs=4k count=4 oflag=direct conv=fsync status=none &&
		dd if="$DISK" of=/dev/null bs=4k count=4 iflag=direct status=none && sg_unmap --force --lba=0 --num=8 "$SG"
}
group_make() { # BACKSTORE: as targetcli does
	GROUP=$(backstore_state "$1")/alua/paths
	mkdir "$GROUP" && echo 7 >"$GROUP/tg_pt_gp_id"
}

groups_make() {
	local i
	for i in {11..30}; do
		mkdir "${GROUP%/*}/a$i" && echo "$i" >"${GROUP%/*}/a$i/tg_pt_gp_id" &&
			echo 1 >"${GROUP%/*}/a$i/alua_access_type" || return
	done
}
until_exists() { # FILE COMMAND...: runs it again and again
	local file=$1
	shift
	until [ -e "$file" ]; do "$@" >/dev/null 2>&1; done
}
ask() {
	sg_vpd -p di "$SG"
	sg_rtpg "$SG"
}
change_type() { # from and to the type with which groups are made
	echo 1 >"$GROUP/alua_access_type"
	echo 3 >"$GROUP/alua_access_type"
}
writes_for() { # SECONDS
	local end=$((SECONDS + $1))
	while [ "$SECONDS" -lt "$end" ]; do
		dd if=/dev/zero of="$DISK" bs=4k count=20 oflag=direct status=none || return
	done
}

told() { # whether the kernel has told the initiator that the groups changed
	sg_turs "$SG" >/dev/null 2>&1
	wait_for 10 sg_turs "$SG"
}

# ---- over loopback, in the default group

must "a loopback LUN" lun_add local 1
DISK=$(device_of local) SG=$(sg_of "$(device_of local)")
is "over loopback, INQUIRY reports no groups" "$(tpgs)" TPGS=0
refuses "REPORT TARGET PORT GROUPS is refused" 'Illegal request|not supported' sg_rtpg "$SG"
check "reads and writes" io
name=$(names_unit)
like "the unit has a name" "$name" '^0x6001405[0-9a-f]{25}$'
must "make another group" group_make local
is "the group has the type that the runner cannot handle" "$(cat "$GROUP/alua_access_type")" 'Implicit and Explicit'
is "INQUIRY reports no groups" "$(tpgs)" TPGS=0
refuses "REPORT TARGET PORT GROUPS is refused" 'Illegal request|not supported' sg_rtpg "$SG"
is "the unit has the same name" "$(names_unit)" "$name"
check "reads, writes and discards work" io
check "put the port into the group" eval "echo paths >'$CONFIGFS'/loopback/naa.*/tpgt_1/lun/lun_0/alua_tg_pt_gp"
check "the initiator is told" told
is "INQUIRY reports no groups" "$(tpgs)" TPGS=0
refuses "REPORT TARGET PORT GROUPS is refused" 'Illegal request|not supported' sg_rtpg "$SG"
is "the unit has the same name" "$(names_unit)" "$name"
check "reads, writes and discards work" io

# ---- over iSCSI

must "set up a network and the initiator's daemon" target_start
must "make a target" target_export remote
must "the initiator logs in" initiator_login remote
DISK=$(device_of remote) SG=$(sg_of "$(device_of remote)")
is "over iSCSI, INQUIRY reports no groups" "$(tpgs)" TPGS=0
refuses "REPORT TARGET PORT GROUPS is refused" 'Illegal request|not supported' sg_rtpg "$SG"
name=$(names_unit)
must "make another group" group_make remote
check "put the port into the group" eval "echo paths >'$CONFIGFS/iscsi/$TARGET/tpgt_1/lun/lun_0/alua_tg_pt_gp'"
check "the initiator is told" told
is "INQUIRY reports no groups" "$(tpgs)" TPGS=0
refuses "REPORT TARGET PORT GROUPS is refused" 'Illegal request|not supported' sg_rtpg "$SG"
is "the unit has the same name" "$(names_unit)" "$name"
check "reads, writes and discards work" io
must "give the group a type that the runner handles" eval "echo 1 >'$GROUP/alua_access_type'"
is "INQUIRY reports the group" "$(tpgs)" TPGS=1
like "REPORT TARGET PORT GROUPS lists it" "$(sg_rtpg -d "$SG")" 'target port group id : 0x7'
is "the unit has the same name" "$(names_unit)" "$name"
like "the port's identification has the group" "$(sg_vpd -p di "$SG")" 'Target port group: 0x7'
check "reads, writes and discards work" io
must "give the group the other type again" eval "echo 3 >'$GROUP/alua_access_type'"
refuses "REPORT TARGET PORT GROUPS is refused again" 'Illegal request|not supported' sg_rtpg "$SG"
check "reads, writes and discards work" io

# ---- while initiators ask

# With many groups, whose files the runner would read one after the other, the type changes meanwhile.
must "make many groups" groups_make
until_exists "$WORK/enough" ask &
until_exists "$WORK/enough" change_type &
check "writes work while an initiator asks for the groups and the type changes" writes_for 10
touch "$WORK/enough"
wait
check "reads, writes and discards work" io

# ---- when the runner is started

# It looks at the groups by itself then.
must "the runner is killed and started again" eval "runner_kill && runner_start"
check "the log tells what to do" runner_logged 'remote.*: a target port group has the access type "Implicit and Explicit"'
must "give the group a type that the runner handles" eval "echo 1 >'$GROUP/alua_access_type'"
check "the volume is served" told
like "the port's identification has the group" "$(sg_vpd -p di "$SG")" 'Target port group: 0x7'
check "reads, writes and discards work" io
finish
