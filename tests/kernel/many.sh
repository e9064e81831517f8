#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Many volumes are made, used and removed at the same time; other volumes are added and removed beside
# load.  Afterwards the runner has as many threads and descriptors as before.  STORAGEOS_VOLUMES:
# number of volumes (default 16); STORAGEOS_SECONDS: duration of the part beside load (default 8).
. "$(dirname "$0")/guest.sh"
. "$(dirname "$0")/initiator.sh"
need_built "$STORAGEOS_PLUGIN" "$STORAGEOS"
need tcmu-runner tcmu-runner
need targetcli targetcli-fb
need python3 python3
need fio fio
volumes=${STORAGEOS_VOLUMES:-16}
enter_guest --timeout 500 --env "STORAGEOS_VOLUMES=$volumes" \
	--env "STORAGEOS_SECONDS=${STORAGEOS_SECONDS-}"

plugin_install
must "the runner starts" runner_start

taken() { # prints the numbers of the runner's threads and descriptors
	local pid
	pid=$(cat "$WORK/runner.pid")
	echo "$(find "/proc/$pid/task" -mindepth 1 -maxdepth 1 | wc -l) threads," \
		"$(find "/proc/$pid/fd" -mindepth 1 | wc -l) descriptors"
}
resident() { # prints the runner's resident memory, KiB
	awk '/^VmRSS/ { print $2 }' "/proc/$(cat "$WORK/runner.pid")/status"
}
# Fewer are fine: threads that GLib keeps for the process end when they are idle.
has_taken() {
	local threads descriptors most_threads most_descriptors
	read -r most_threads _ most_descriptors _ <<<"$1"
	read -r threads _ descriptors _ <<<"$(taken)"
	[ "$threads" -le "$most_threads" ] && [ "$descriptors" -le "$most_descriptors" ]
}

# volumes make|remove FIRST COUNT: makes or removes v1, v2, ... as LUNs of a target, as targetcli does but
# ten times as fast.
volumes() {
	python3 - "$CONFIGFS" "$@" <<-'END'
	import os, sys
	top, verb, first, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
	target = f"{top}/loopback/naa.500140500000{first:04x}"
	def put(path, text):
	    with open(path, "w") as f:
	        f.write(text)
	def make(i, store, lun):
	    os.makedirs(store)
	    put(store + "/control",
	        f"dev_config=storageos/v{i};create,dev_size={16 << 20},cmd_ring_size_mb=1")
	    put(store + "/wwn/vpd_unit_serial", f"number-{i}")
	    put(store + "/enable", "1")
	    os.mkdir(lun)
	    os.symlink(store, lun + "/v")
	def remove(i, store, lun):
	    os.unlink(lun + "/v")
	    os.rmdir(lun)
	    os.rmdir(store)
	    os.rmdir(os.path.dirname(store))
	if verb == "make":
	    os.makedirs(target + "/tpgt_1")
	    put(target + "/tpgt_1/nexus", f"naa.600140500000{first:04x}")
	for i in range(first, first + count):
	    globals()[verb](i, f"{top}/core/user_{1000 + i}/v{i}", f"{target}/tpgt_1/lun/lun_{i - first}")
	if verb == "remove":
	    os.rmdir(target + "/tpgt_1")
	    os.rmdir(target)
	END
}

# use write|verify SEED: writes or verifies different data on every disk, at places that follow from SEED;
# prints the number of disks.
use() {
	python3 - "$@" <<-'END'
	import glob, mmap, os, random, sys
	verb, seed = sys.argv[1:]
	disks = glob.glob("/sys/block/sd*")
	for disk in disks:
	    serial = open(disk + "/device/vpd_pg80", "rb").read()[4:]
	    chance = random.Random(serial + seed.encode())
	    fd = os.open("/dev/" + os.path.basename(disk), os.O_RDWR | os.O_DIRECT)
	    for place in chance.sample(range(256), 4):
	        data = chance.randbytes(4096) * chance.choice((1, 4, 16))
	        memory = mmap.mmap(-1, len(data))
	        if verb == "write":
	            memory[:] = data
	            assert os.pwritev(fd, [memory], place << 16) == len(data)
	        else:
	            assert os.preadv(fd, [memory], place << 16) == len(data)
	            assert memory[:] == data, f"{disk}: wrong data at {place << 16}"
	    os.fsync(fd)
	    os.close(fd)
	print(len(disks))
	END
}

# ---- volumes are added and removed beside load

must "a volume for load" backstores_add 64M default/load
must "make a LUN of it" luns_add 2 load
load=$(device_of load)
before=$(taken)
verifier_start load "$load"
must "start the load" verifier_goes_on load
come_and_go() { # NUMBER
	local device
	volumes make "$1" 1 && wait_for 20 device_ready "v$1" && device=$(device_of "v$1") &&
		dd if="$WORK/data" of="$device" bs=1M oflag=direct conv=fsync &&
		dd if="$device" bs=1M count=4 iflag=direct | cmp - "$WORK/data" &&
		volumes remove "$1" 1 && "$STORAGEOS" check "v$1" && "$STORAGEOS" delete "v$1"
}
random_file "$WORK/data" $((4 << 20))
times=0
for ((end = SECONDS + ${STORAGEOS_SECONDS:-8}; SECONDS < end; times++)); do
	come_and_go $((1000 + times)) >"$WORK/said" 2>&1 || break
done
is "volumes are added and removed beside load" "$([ $SECONDS -ge $end ] || cat "$WORK/said")" ''
note "$times times"
check "the load continues" verifier_goes_on load
check "the load's data is as it was written" verifier_end load
check "the runner has what it had before" wait_for 40 has_taken "$before"
targetcli clearconfig confirm=True >/dev/null

# ---- many volumes at the same time

udevadm control --stop-exec-queue # udev's rules for all these disks would take minutes
before=$(taken) memory=$(resident)
note "$before, $memory KiB"
start=$SECONDS
must "$volumes volumes are made" volumes make 1 "$volumes"
note "in $((SECONDS - start)) s: $(taken), $(resident) KiB"
is "every disk is written" "$(use write 1)" "$volumes"
start=$SECONDS
check "the runner is told to end" kill "$(cat "$WORK/runner.pid")"
check "the runner ends" wait_for 90 runner_gone # systemd's time limit
note "in $((SECONDS - start)) s"
start=$SECONDS
runner_start
check "the next runner starts" wait_for 60 runner_listening
note "in $((SECONDS - start)) s"
is "every disk has its data" "$(use verify 1)" "$volumes"
start=$SECONDS
check "all are removed" volumes remove 1 "$volumes"
note "in $((SECONDS - start)) s: $(taken), $(resident) KiB"
check "the runner has what it had before" wait_for 40 has_taken "$before"
check "the runner has little more memory" test $(($(resident) - memory)) -lt $((volumes * 768))
whole() { # checks and deletes every tenth volume
	local i
	for ((i = 1; i <= volumes; i += 10)); do
		"$STORAGEOS" check "v$i" && "$STORAGEOS" delete "v$i" || return
	done
}
check "the volumes are whole, and can be deleted" whole

targetcli clearconfig confirm=True >/dev/null
check "the runner ends in order" runner_stop
check "the volume is whole" "$STORAGEOS" check load
finish
