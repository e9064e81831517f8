#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# docs/operations.md, "Two machines": two kernels with DRBD between them.  Volumes move from one to the other
# and back; then the power of the one that serves them is cut.  Without a write cache the other one has all
# that was acknowledged; with one, all that was flushed.

# The cable between them is a pair of sockets, which this shell has as 8 and 9.
if [ -z "${STORAGEOS_GUEST-}" ] && [ -z "${STORAGEOS_CABLE-}" ]; then
	exec python3 -c '
import os, socket, sys
for end, fd in zip(socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM), (8, 9)):
    os.dup2(end.fileno(), fd)
os.environ["STORAGEOS_CABLE"] = "8 9"
os.execv("/bin/bash", ["bash", *sys.argv[1:]])' "$0"
fi
. "$(dirname "$0")/guest.sh"
need_built "$STORAGEOS" "$STORAGEOS_PLUGIN" "$STORAGEOS_FUSE"
need tcmu-runner tcmu-runner
need targetcli targetcli-fb
need drbdadm drbd-utils
[ -e "$(echo /usr/lib/uml/modules/*/kernel/drivers/block/drbd/drbd.ko)" ] ||
	skip_all "this user-mode Linux has no DRBD"

# alpha serves the volumes first; beta takes over, and gives the results.  What they tell each other is in
# $SHARED, on this machine: files without content, and the writers' records.
if [ -z "${STORAGEOS_GUEST-}" ]; then
	export SHARED=$WORK/shared
	mkdir "$SHARED"
	"$KERNEL_TESTS/uml-run" --net 8 --rw "$SHARED" --timeout "$(limit 400)" --env STORAGEOS_GUEST=yes \
		--env MACHINE=alpha --env "SHARED=$SHARED" --env "STORAGEOS_BUILD=$STORAGEOS_BUILD" \
		--env "STORAGEOS_TIME_FACTOR=$STORAGEOS_TIME_FACTOR" -- bash "$(realpath "$0")" \
		>"$SHARED/alpha.log" 2>&1 9>&- &
	alpha=$!
	cleanup kill "$alpha"
	(
		until [ -e "$SHARED/cut" ]; do sleep 0.1; done
		kill "$alpha" # uml-run then kills its kernel and all of its processes in one blow
	) 8>&- 9>&- &
	cleanup kill $!
	enter_guest --net 9 --rw "$SHARED" --env MACHINE=beta --env "SHARED=$SHARED" --timeout 400
fi

# tell WORD | told WORD: to and from the other machine.
tell() { : >"$SHARED/$1"; }
told() { [ -e "$SHARED/$1" ]; }
await() { # WORD
	wait_for 120 told "$1" && return
	note "$(tail -n 40 "$SHARED/alpha.log")"
	give_up "$MACHINE waited for '$1'"
}

hostname "$MACHINE"
plugin_install
[ "$MACHINE" = alpha ] && address=10.77.0.1 || address=10.77.0.2
must "the network is up" ip addr add "$address/24" dev vec0
ip link set vec0 up

# ---- two DRBD devices, each on a disk in memory

resource() { # NUMBER
	cat <<-END
	resource r$1 {
		net { protocol C; ping-int 1; timeout 20; }
		device /dev/drbd$1; disk /dev/ram$1; meta-disk internal;
		on alpha { address 10.77.0.1:778$1; }
		on beta { address 10.77.0.2:778$1; }
	}
	END
}
mkdir -p /var/lib/drbd /run/lock
{
	echo 'global { usage-count no; }'
	resource 0
	resource 1
} >/etc/drbd.conf
drbd_state() { # RESOURCE TYPE
	drbdadm "$2" "r$1"
}
is_connected() { [ "$(drbd_state 0 cstate)$(drbd_state 1 cstate)" = ConnectedConnected ]; }
is_alone() { [ "$(drbd_state 0 cstate)$(drbd_state 1 cstate)" = WFConnectionWFConnection ]; }
both() { # drbdadm COMMAND for both
	drbdadm "$@" r0 && drbdadm "$@" r1
}
make_metadata() { both --force create-md; }
must "DRBD is there" modprobe -a drbd loop
must "and memory for its disks" modprobe brd rd_nr=2 rd_size=131072
must "DRBD has its metadata" make_metadata
must "its resources are up" drbdadm up all
must "the two machines are connected" wait_for 60 is_connected

# ---- what is written: each block has the number of the write that was its last

CACHED=/dev/drbd0 THROUGH=/dev/drbd1
BLOCKS=4096
write_until_cut() { # DEVICE RECORD FLUSH-EVERY: records how many writes were acknowledged, and flushed
	python3 - "$@" "$BLOCKS" <<-'END'
	import mmap, os, struct, sys
	device, record, every, blocks = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
	disk = os.open(device, os.O_RDWR | os.O_DIRECT)
	log = os.open(record, os.O_CREAT | os.O_WRONLY)
	page = mmap.mmap(-1, 4096)
	n = flushed = 0
	while True:
	    n += 1
	    page[0:8] = struct.pack("<Q", n)
	    os.pwrite(disk, page, n * 2654435761 % blocks * 4096)
	    if every and n % every == 0:
	        os.fsync(disk)
	        flushed = n
	    os.pwrite(log, struct.pack("<QQ", n, flushed), 0)
	END
}
missing() { # DEVICE RECORD acknowledged|flushed: prints "MISSING of ALL"
	python3 - "$@" "$BLOCKS" <<-'END'
	import os, struct, sys
	device, record, which, blocks = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
	counts = struct.unpack("<QQ", open(record, "rb").read())
	wanted = {}
	for n in range(1, counts[which == "flushed"] + 1):
	    wanted[n * 2654435761 % blocks] = n
	disk = os.open(device, os.O_RDONLY)
	missing = 0
	for block, n in wanted.items():
	    missing += struct.unpack("<Q", os.pread(disk, 8, block * 4096))[0] < n
	print(missing, "of", len(wanted))
	END
}
recorded() { # RECORD COUNT: so many writes at least were acknowledged
	[ "$(od -An -tu8 -N8 "$1" 2>/dev/null || echo 0)" -gt "$2" ]
}

# The volume without a write cache over TCMU, the other one over FUSE.
attach_both() {
	THROUGH_DEVICE=$("$STORAGEOS" attach "$THROUGH" --frontend tcmu) &&
		CACHED_DEVICE=$("$STORAGEOS" attach "$CACHED" --frontend fuse)
}
detach_both() { "$STORAGEOS" detach "$THROUGH" && "$STORAGEOS" detach "$CACHED"; }
both_hold() { # FILE: it was written at 32 MiB
	cmp -n 1048576 -i 0:33554432 "$1" "$THROUGH_DEVICE" && cmp -n 1048576 -i 0:33554432 "$1" "$CACHED_DEVICE"
}
fill_both() { # FILE
	dd if="$1" of="$THROUGH_DEVICE" bs=1M seek=32 oflag=direct conv=fsync,notrunc &&
		dd if="$1" of="$CACHED_DEVICE" bs=1M seek=32 oflag=direct conv=fsync,notrunc
}
cleanup attached_end

if [ "$MACHINE" = alpha ]; then
	must "alpha: both disks are new" both -- --clear-bitmap new-current-uuid
	must "alpha: is Primary" both primary
	must "alpha: a volume without a write cache" "$STORAGEOS" create "$THROUGH" --size 64M --write-cache off
	must "alpha: a volume with one" "$STORAGEOS" create "$CACHED" --size 64M
	must "alpha: serves both" attach_both
	random_file "$SHARED/first" 1048576
	must "alpha: writes" fill_both "$SHARED/first"
	tell served
	await refused
	must "alpha: detaches" detach_both
	must "alpha: is Secondary" both secondary
	tell given
	await returned
	must "alpha: is Primary again" both primary
	must "alpha: serves both again" attach_both
	must "alpha: has what beta wrote" both_hold "$SHARED/second"
	write_until_cut "$CACHED_DEVICE" "$SHARED/cached" 64 &
	write_until_cut "$THROUGH_DEVICE" "$SHARED/through" 0 &
	wait # for the power cut
	give_up "alpha: a writer ended"
fi

# ---- beta: what is served elsewhere

await served
for verb in attach check info; do
	refuses "what is Primary on the other machine: $verb says so" "$THROUGH is not Primary on this machine" \
		"$STORAGEOS" "$verb" "$THROUGH"
done
tell refused

# ---- moved by hand

await given
must "beta: is Primary" both primary
began=$SECONDS
must "beta: serves both" attach_both
in_time "what was detached is attached without a wait" "$began" 10
check "beta: has what alpha wrote" both_hold "$SHARED/first"
random_file "$SHARED/second" 1048576
must "beta: writes" fill_both "$SHARED/second"
must "beta: detaches" detach_both
must "beta: is Secondary" both secondary
tell returned

# ---- the power is cut

must "alpha writes to the volume without a write cache" wait_for 120 recorded "$SHARED/through" 500
must "alpha writes to the volume with one" wait_for 60 recorded "$SHARED/cached" 500
tell cut
must "DRBD notices" wait_for 60 is_alone
must "beta: is Primary, alone" both primary
began=$SECONDS
must "beta: takes both volumes over" attach_both
note "attached after $((SECONDS - began)) s"
is "it watched each disk first, as nobody gave it back" $((SECONDS - began >= 22)) 1
is "without a write cache, no acknowledged write is lost" \
	"$(missing "$THROUGH_DEVICE" "$SHARED/through" acknowledged | cut -d' ' -f1)" 0
note "acknowledged without a write cache: $(missing "$THROUGH_DEVICE" "$SHARED/through" acknowledged) are missing"
is "with a write cache, no flushed write is lost" \
	"$(missing "$CACHED_DEVICE" "$SHARED/cached" flushed | cut -d' ' -f1)" 0
note "acknowledged with a write cache: $(missing "$CACHED_DEVICE" "$SHARED/cached" acknowledged) are missing"
check "all of before is there" both_hold "$SHARED/second"
must "beta: writes, too" fill_both "$SHARED/first"
check "and has that" both_hold "$SHARED/first"
must "beta: detaches again" detach_both
check "the volume without a write cache is whole" "$STORAGEOS" check "$THROUGH"
check "the volume with one is whole" "$STORAGEOS" check "$CACHED"
finish
