#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# docs/operations.md, "Failover": two gateways serve an image of Ceph as one LUN to an initiator with two paths, over
# iSCSI.  The preferred gateway's runner dies, with and without a next one; it freezes and comes back; its path is cut;
# it is killed: writes go on within the promised time, nothing that was acknowledged is lost, and the LUN goes back once
# and not to and fro.  It takes eight minutes.
#
# Three user-mode Linux kernels, one, two and client, on two bridges in a network namespace of the test's own: iSCSI
# goes over 10.97.0.0/24, Ceph over 10.98.0.0/24, where the cluster is this machine.  This part of the test gives the
# orders; each kernel carries them out one after the other (tests/kernel/orders.sh).
if [ -z "${STORAGEOS_GUEST-}" ] && [ -z "${STORAGEOS_WIRED-}" ] && unshare --net true 2>/dev/null; then
	exec env STORAGEOS_WIRED=yes unshare --net bash "$0"
fi
. "$(dirname "$0")/guest.sh"
. "$(dirname "$0")/orders.sh"
. "$(dirname "$0")/initiator.sh"
. "$(dirname "$0")/../deaths/deaths.sh"
need_built "$STORAGEOS" "$STORAGEOS_PLUGIN" "$STAMPS"
need_root
need tcmu-runner tcmu-runner
need targetcli targetcli-fb
need iscsid open-iscsi
need multipathd multipath-tools
need fio fio
need rbd ceph-common
need ceph-mon ceph-mon
need ceph-mgr ceph-mgr
need ceph-osd ceph-osd
need ip iproute2
[ -n "${STORAGEOS_WIRED-}" ] || [ -n "${STORAGEOS_GUEST-}" ] || skip_all "no network namespaces here"
[ -e "$(echo /usr/lib/uml/modules/*/kernel/drivers/md/dm-multipath.ko)" ] ||
	skip_all "this user-mode Linux has no dm-multipath"
MODULES=$STORAGEOS_BUILD/common/rbd
[ -e "$MODULES/storageos-backing-rbd.so" ] || skip_all "librbd-dev was not there when it was built"

TARGET=iqn.2026-01.com.example:storageos
CLIENT=iqn.2026-01.com.example:client
LUNS=(files ticks stamps)

# ---- what a gateway does

gateway_setup() { # NUMBER
	ip addr add "10.97.0.$1/24" dev vec0 && ip link set vec0 up &&
		ip addr add "10.98.0.$1/24" dev vec1 && ip link set vec1 up || return
	plugin_install
	export STORAGEOS_MODULE_DIRECTORY=$MODULES
	modprobe iscsi_target_mod && mkdir -p /etc/rtslib-fb-target/{pr,alua} /var/target/{pr,alua} &&
		"$STORAGEOS" pool create ceph rbd:rbd --ceph-conf "$CEPH_CONF" &&
		sed -i '/^\[pool ceph\]/a failover=on' /etc/storageos/storageos.conf && runner_start
}

gateway_uuid() { # LUN
	"$STORAGEOS" info --json "ceph/$1" | jq -r '.uuid // .[0].uuid'
}

# The first gateway's path is the preferred one.
gateway_export() { # NUMBER
	local name i=0 state=0
	[ "$1" = 1 ] || state=1
	{
		echo "/iscsi create $TARGET"
		echo "/iscsi/$TARGET/tpg1/acls create $CLIENT"
	} | targetcli || return
	for name in "${LUNS[@]}"; do
		targetcli <<-END
		/backstores/user:storageos create name=$name size=64M cfgstring=ceph/$name wwn=$(gateway_uuid "$name")
		/backstores/user:storageos/$name set attribute emulate_pr=0
		/backstores/user:storageos/$name/alua create name=gateway$1 tag=$1
		/backstores/user:storageos/$name/alua/gateway$1 set alua alua_access_type=1
		/backstores/user:storageos/$name/alua/gateway$1 set alua alua_access_state=$state
		/iscsi/$TARGET/tpg1/luns create /backstores/user:storageos/$name
		/iscsi/$TARGET/tpg1/luns/lun$i set alua alua_tg_pt_gp_name=gateway$1
		END
		i=$((i + 1))
	done
}

runner_replace() {
	runner_kill && sleep 1 && runner_start
}

gateway_states() { # prints "STATE TAKEOVERS FENCINGS" of each LUN
	"$STORAGEOS" stats --json "${LUNS[@]/#/ceph/}" |
		jq -r '.. | .failover? | select(type == "object") | "\(.state) \(.takeovers) \(.fencings)"'
}

# ---- what the initiator does

# A file that docs/operations.md shows under "Failover", by how it begins.
documented() { # REGEX
	awk -v begin="^       $1" '/^### /{ here = /Failover/ } here && $0 ~ begin { on = 1 }
		!/^       / { on = 0 } on { print substr($0, 8) }' "$ROOT/docs/operations.md" | grep .
}

# As the documentation has it, but that this kernel has no scsi_dh_alua: implicit groups are only looked at, which
# multipathd does as well (prio alua).
client_setup() {
	ip addr add 10.97.0.3/24 dev vec0 && ip link set vec0 up &&
		modprobe -a iscsi_tcp dm-multipath dm-round-robin dm-service-time sd_mod sg || return
	mkdir -p /etc/iscsi /etc/multipath
	echo "InitiatorName=$CLIENT" >/etc/iscsi/initiatorname.iscsi
	documented 'node[.]' >/etc/iscsi/iscsid.conf && documented 'defaults {' |
		sed 's/\(hardware_handler\).*/\1 "0"/' >/etc/multipath.conf || return
	iscsid -f >"$SHARED/client/iscsid" 2>&1 &
	multipathd -d -v 2 >"$SHARED/client/multipathd" 2>&1 &
	disown -a
	wait_for 20 multipathd show status
}

client_login() {
	local gateway
	for gateway in 1 2; do
		iscsiadm -m discovery -t sendtargets -p "10.97.0.$gateway" &&
			iscsiadm -m node -p "10.97.0.$gateway" --login || return
	done
	wait_for 60 client_sees 2
}
# The disk of a LUN by a gateway, such as sda.
path_of() { # GATEWAY LUN
	local session disk number
	number=$(lun_number "$2")
	for session in /sys/class/iscsi_session/session*; do
		grep -qxF "10.97.0.$1" "$session"/device/connection*/iscsi_connection/connection*/persistent_address || continue
		for disk in "$session"/device/target*/*:"$number"/block/*; do
			[ ! -e "$disk" ] || echo "${disk##*/}"
		done
	done
}
lun_number() {
	local i
	for i in "${!LUNS[@]}"; do
		[ "${LUNS[i]}" != "$1" ] || echo "$i"
	done
}
map_of() { # LUN
	local uuid
	uuid=$(tr -d - <"$SHARED/$1.uuid") && readlink -f /dev/mapper/36001405"${uuid:0:25}"
}
paths() { # LUN: what multipath says of its paths
	multipath -ll "$(basename "$(find /dev/mapper -lname "*/$(basename "$(map_of "$1")")")")" | grep -E ' sd[a-z]+ '
}
client_sees() { # PATHS
	local name
	for name in "${LUNS[@]}"; do
		[ -b "$(map_of "$name")" ] && [ "$(paths "$name" | wc -l)" = "$1" ] || return
	done
}

write_by() { # GATEWAY SECONDS: prints how many of the writes were acknowledged
	local disk end=$((SECONDS + $2)) good=0
	disk=/dev/$(path_of "$1" ticks)
	while [ "$SECONDS" -lt "$end" ]; do
		! dd if=/dev/zero of="$disk" bs=4k count=1 seek=8192 oflag=direct status=none 2>/dev/null || good=$((good + 1))
	done
	echo "$good"
}

# All writes of the initiator: fio, which verifies; stamps; and a ticker, which tells how long it had to wait.
load_begin() {
	verifier_start files "$(map_of files)" && seeded 1 || return
	: >"$WORK/load"
	"$STAMPS" load "$(map_of stamps)" "$RECORD" "$SEED" 3600 >"$WORK/load" 2>&1 &
	LOAD=$!
	ticker "$(map_of ticks)" "$WORK/ticks" >"$WORK/ticker.said" 2>&1 &
	TICKER=$!
}
load_verify() {
	local missing
	kill "$TICKER"
	wait "$TICKER" 2>/dev/null
	cat "$WORK/ticker.said"
	kill "$LOAD"
	load_end 0 && disk_verify "$(map_of stamps)" && verifier_end files || return
	missing=$(ticker_verify "$(map_of ticks)" "$WORK/ticks")
	echo "of $(grep -vc '^#' "$WORK/ticks") acknowledged ticks, $missing are missing; stamps: $(load_requests)" |
		tee "$SHARED/client/verified"
	[ "$missing" = 0 ]
}
# How long nothing was acknowledged at most since a moment, seconds.
longest_wait() { # SINCE
	python3 - "$1" "$WORK/ticks" <<-'END'
	import sys, time
	begun = float(sys.argv[1])
	times = [float(line.split()[1]) for line in open(sys.argv[2]) if not line.startswith("#")]
	times = [begun] + [t for t in times if t >= begun] + [time.time()]
	print("%.1f" % max(b - a for a, b in zip(times, times[1:])))
	END
}
ticks_since() { # SINCE COUNT
	[ "$(awk -v since="$1" '!/^#/ && $2 >= since' "$WORK/ticks" | wc -l)" -ge "$2" ]
}
errors_since() { # SINCE
	awk -v since="$1" '/^#/ && $3 >= since' "$WORK/ticks" | wc -l
}

# A write each 50 ms, whose number goes into the block; the record has a line for each that was acknowledged.
ticker() { # DEVICE RECORD
	exec python3 - "$@" <<-'END'
	import mmap, os, struct, sys, time
	disk = os.open(sys.argv[1], os.O_RDWR | os.O_DIRECT)
	page = mmap.mmap(-1, 4096)
	n = 0
	with open(sys.argv[2], "w", buffering=1) as record:
	    while True:
	        n += 1
	        page[0:8] = struct.pack("<Q", n)
	        try:
	            os.pwrite(disk, page, n % 1024 * 4096)
	            record.write(f"{n} {time.time():.3f}\n")
	        except OSError as error:
	            record.write(f"# {n} {time.time():.3f} {error}\n")
	            n -= 1
	        time.sleep(0.05)
	END
}
ticker_verify() { # DEVICE RECORD: prints how many acknowledged writes are missing
	python3 - "$@" <<-'END'
	import os, struct, sys
	disk = os.open(sys.argv[1], os.O_RDONLY)
	last = {}
	for line in open(sys.argv[2]):
	    if not line.startswith("#"):
	        n = int(line.split()[0])
	        last[n % 1024] = n
	print(sum(struct.unpack("<Q", os.pread(disk, 8, block * 4096))[0] < n for block, n in last.items()))
	END
}

if [ -n "${STORAGEOS_GUEST-}" ]; then
	orders_obey
fi

# ---- the wires, the cluster, the machines

export SHARED=$WORK/shared CEPH_ADDRESS=10.98.0.254 CEPH_CONF=$WORK/ceph/ceph.conf
mkdir "$SHARED"
wire() { # BRIDGE TAP
	ip tuntap add "$2" mode tap && ip link set "$2" master "$1" && ip link set "$2" up
}
wires() {
	ip link set lo up && ip link add front type bridge && ip link add back type bridge &&
		ip link set front up && ip addr add "$CEPH_ADDRESS/24" dev back && ip link set back up &&
		wire front front1 && wire front front2 && wire front front3 && wire back back1 && wire back back2
}
must "wires between the machines" wires
cleanup "$ROOT/tests/ceph/cluster" stop "$WORK/ceph"
must "a Ceph cluster" within 120 "$ROOT/tests/ceph/cluster" start "$WORK/ceph"
for lun in "${LUNS[@]}"; do
	must "an image: $lun" rbd create "$lun" --size 64M
done

must "boots the first gateway" machine_start one --net tap:front1 --net tap:back1
must "boots the second gateway" machine_start two --net tap:front2 --net tap:back2
must "boots the initiator" machine_start client --mem 512 --net tap:front3
export ORDER_LIMIT=120
must "the first gateway is set up" on one gateway_setup 1
must "the second gateway is set up" on two gateway_setup 2
for lun in "${LUNS[@]}"; do
	on one gateway_uuid "$lun" >"$SHARED/$lun.uuid"
	like "$lun has a UUID" "$(cat "$SHARED/$lun.uuid")" '^[0-9a-f-]{36}$'
done
must "the first gateway exports the images" on one gateway_export 1
must "the second gateway exports them, too" on two gateway_export 2
must "the initiator is set up" on client client_setup
must "it has two paths to each" on client client_login

is_in_state() { # GATEWAY STATE: of all LUNs
	[ "$(on "$1" gateway_states | grep -c "^$2 ")" = ${#LUNS[@]} ] || { on "$1" gateway_states; return 1; }
}
takeovers() { # by both, of all LUNs
	{ on one gateway_states && on two gateway_states; } | awk '{ sum += $2 } END { print sum + 0 }'
}
for gateway in one two; do
	is "looked at, the LUNs stay on standby: $gateway" "$(on $gateway gateway_states | uniq -c | xargs)" \
		"${#LUNS[@]} standby 0 0"
done

# ---- one of them serves

must "the initiator writes" on client load_begin
check "the preferred gateway serves each LUN" wait_for 60 is_in_state one owner
check "and the other one none" is_in_state two standby
note "$(on client multipath -ll)"

moment() { MOMENT=$(on client date +%s.%N); }
goes_on() { wait_for 60 on client ticks_since "$MOMENT" 40; }
at_most() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a <= b) }'; }
check_goes_on() { # SECONDS WHAT
	local longest
	check "$2: writes go on" goes_on
	longest=$(on client longest_wait "$MOMENT")
	note "$2: nothing was acknowledged for $longest s"
	check "$2: within $1 s" at_most "$longest" "$(limit "$1")"
	is "$2: no write has failed" "$(on client errors_since "$MOMENT")" 0
}
# What follows from each loss of the preferred gateway.
check_moved() { # SECONDS WHAT
	check_goes_on "$@"
	check "$2: by the other gateway" wait_for 30 is_in_state two owner
}
both_paths() {
	local lun
	for lun in "${LUNS[@]}"; do
		[ "$(on client paths "$lun" | grep -c 'active ready')" = 2 ] || { on client multipath -ll; return 1; }
	done
}
# Both paths are there again, and the LUN goes back, once.
check_returned() { # WHAT
	local before
	check "$1: both paths are there again" wait_for 120 both_paths
	check "$1: the preferred gateway has it again" wait_for 60 is_in_state one owner
	check "$1: the other one is on standby" wait_for 30 is_in_state two standby
	before=$(takeovers)
	sleep 12 # longer than a gateway that was fenced off pauses
	check "$1: it stays there" is_in_state one owner
	is "$1: nothing was taken over meanwhile" "$(takeovers)" "$before"
}

# ---- its runner dies, and the next one is started, as its unit does (packaging/systemd/tcmu-runner.conf)

moment
must "the gateway's runner is killed, and started again" on one runner_replace
check_goes_on 15 "a runner that died"
check_returned "a new runner"

# ---- its runner dies, and none is started: what is under way there waits for time-outs of the initiator

moment
must "the gateway's runner is killed" on one runner_kill
check_moved 35 "no runner"
must "a new runner is started" on one runner_start
check_returned "a runner at last"

# ---- it freezes

moment
must "the gateway freezes" machine_freeze one
check_moved 15 "a frozen gateway"
must "it goes on" machine_thaw one
check_returned "a gateway that was frozen"
is "and it was fenced off" "$(on one gateway_states | awk '$3 > 0' | wc -l)" ${#LUNS[@]}

# ---- the initiator's path to it is cut, but not its path to Ceph: by the bridge, as a card of user-mode Linux whose tap
# refuses a packet never sends again

moment
must "the path is cut" ip link set front1 nomaster
check_moved 15 "a path that is cut"
must "the path is there again" ip link set front1 master front
check_returned "a path that was cut"

# ---- another initiator reaches the other one alone (tcmu-runner#341): by its path's own disk

before=$(takeovers)
is "what does not serve acknowledges nothing while the other one serves" "$(on client write_by 2 15)" 0
is "and takes nothing over" "$(takeovers)" "$before"
check "the preferred gateway serves as before" is_in_state one owner

# ---- it is killed

moment
must "the gateway is killed" machine_kill one
check_moved 15 "a dead gateway"

check "nothing that was acknowledged is missing, and nothing else is there" on client load_verify
note "$(on client tail -n 3 "$SHARED/client/verified")"
[ "$tap_failed" = 0 ] || note "$(tail -n 30 "$SHARED"/client/{iscsid,multipathd})"
finish
