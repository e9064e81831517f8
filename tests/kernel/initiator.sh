# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# For tests that use volumes over iSCSI: the target is in a network namespace of its own, the initiator
# outside of it (the kernel's part of open-iscsi works only in the first namespace).  guest.sh must be
# sourced before; to be used after its plugin_install:
#
#   target_start             sets up the namespace, the link to it, iSCSI in the kernel, and the
#                            initiator's daemon
#   in_target COMMAND...     runs COMMAND in the target's namespace, in which a portal must be made
#   target_export NAME...    makes an iSCSI target with these backstores for the initiator
#   initiator_login NAME...  logs in, and waits until each backstore has its disk (device_of of guest.sh)
#   initiator_logout
#   verifier_start NAME DIRECTORY|DEVICE   starts fio, which writes and verifies again and again; at no
#                            more than $VERIFIER_RATE bytes a second if that is set, $VERIFIER_SIZE bytes each time
#   verifier_end NAME        stops it; fails if any data was not as it was written
#   verifier_goes_on NAME    whether it has made progress since the last call, or does so within a
#                            minute

TARGET=iqn.2026-01.com.example:target
INITIATOR=iqn.2026-01.com.example:initiator
PORTAL=10.99.0.1

in_target() {
	nsenter --net=/run/netns/target "$@"
}

network_start() {
	modprobe -a veth iscsi_target_mod iscsi_tcp && ip netns add target &&
		ip link add outside type veth peer name inside netns target &&
		ip address add 10.99.0.2/24 dev outside && ip link set outside up &&
		in_target ip address add $PORTAL/24 dev inside &&
		in_target ip link set inside up && in_target ip link set lo up
}

target_start() {
	network_start || return
	mkdir -p /etc/iscsi && echo "InitiatorName=$INITIATOR" >/etc/iscsi/initiatorname.iscsi
	iscsid && cleanup iscsiadm -k 0
}

target_export() {
	local name
	{
		echo "/iscsi create $TARGET"
		for name; do
			echo "/iscsi/$TARGET/tpg1/luns create /backstores/user:storageos/$name"
		done
		echo "/iscsi/$TARGET/tpg1/acls create $INITIATOR"
	} >"$WORK/.target"
	in_target targetcli <"$WORK/.target" >/dev/null
}

initiator_login() {
	local name
	iscsiadm -m discovery -t sendtargets -p $PORTAL && iscsiadm -m node -T $TARGET --login || return
	cleanup iscsiadm -m node -T $TARGET --logout
	for name; do
		wait_for 20 device_ready "$name" || return
	done
}

initiator_logout() {
	iscsiadm -m node -T $TARGET --logout
}

# ---- load

verifier_once() { # NAME WHERE OPTION...
	local name=$1 where=(--filename="$2")
	[ ! -d "$2" ] || where=(--directory="$2")
	shift 2
	fio --name="$name" "${where[@]}" --ioengine=libaio --iodepth=8 --rw=randwrite \
		--bsrange=4k-64k --size="${VERIFIER_SIZE:-4M}" --verify=crc32c --verify_fatal=1 --randrepeat=0 \
		${VERIFIER_RATE:+--rate="0,$VERIFIER_RATE"} "$@" \
		--output="$WORK/$name.fio" || { cat "$WORK/$name.fio"; return 1; }
}

# Alternates between direct I/O, and buffered I/O with flushes.
verifier_run() {
	while [ ! -e "$WORK/$1.enough" ]; do
		verifier_once "$1" "$2" --direct=1 || return
		echo >>"$WORK/$1.rounds"
		[ ! -e "$WORK/$1.enough" ] || break
		verifier_once "$1" "$2" --fsync=32 || return
		echo >>"$WORK/$1.rounds"
	done
}

declare -A verifiers verifier_rounds

verifier_start() {
	rm -f "$WORK/$1.enough"
	: >"$WORK/$1.rounds"
	verifier_run "$1" "$2" >"$WORK/$1.said" 2>&1 &
	verifiers[$1]=$!
	verifier_rounds[$1]=0
	cleanup touch "$WORK/$1.enough"
}

verifier_end() {
	touch "$WORK/$1.enough"
	wait "${verifiers[$1]}" && return
	cat "$WORK/$1.said"
	return 1
}

verifier_has_gone_on() {
	[ "$(wc -l <"$WORK/$1.rounds")" -gt "${verifier_rounds[$1]}" ]
}

verifier_goes_on() {
	wait_for 60 verifier_has_gone_on "$1" || return
	verifier_rounds[$1]=$(wc -l <"$WORK/$1.rounds")
}
