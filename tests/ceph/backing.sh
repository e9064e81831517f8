#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Direct volumes on images of a real Ceph cluster: the contract of all backings; one writer; nothing that was
# acknowledged is missing, and nothing arrives late, after each way to lose the image or the cluster for a while.
. "$(dirname "$0")/../lib.sh"
need rbd ceph-common
need ceph-mon ceph-mon
need ceph-mgr ceph-mgr
need ceph-osd ceph-osd
need jq jq
need python3 python3
need_root
build=${STORAGEOS_BUILD-$ROOT/build}
stamps=$build/tests/ceph/direct-stamps
need_built "$stamps" "$build/tests/unit/test-backing"
[ -e "$build/common/rbd/storageos-backing-rbd.so" ] || skip "librbd-dev was not there when it was built"

cluster=$ROOT/tests/ceph/cluster
export CEPH_CONF=$WORK/ceph/ceph.conf STORAGEOS_MODULE_DIRECTORY=$build/common/rbd
cleanup "$cluster" stop "$WORK/ceph"
must "a Ceph cluster" within 120 "$cluster" start "$WORK/ceph"

# A configuration as administrators have it for other clients: caches that acknowledge what nobody has yet.
cp "$CEPH_CONF" "$WORK/client.conf"
cat >>"$WORK/client.conf" <<-END
[client]
rbd_cache=true
rbd_cache_policy=writeback
rbd_cache_writethrough_until_flush=false
END

# With the rights that docs/operations.md, "Ceph", gives, and without that to fence off.
user() { # ID MON-CAPABILITIES
	ceph auth get-or-create "client.$1" mon "$2" osd "profile rbd pool=rbd" >"$WORK/ceph/client.$1.keyring"
}
must "a user" user gateway "profile rbd"
must "one who must not blocklist" user meek "allow r"

image() { echo "rbd:rbd/$1?conf=$WORK/client.conf&id=${2:-gateway}"; } # NAME [USER]
new_image() { rbd create "$1" --size 256M; }
verify() { "$stamps" verify "$(image "$1")" "$WORK/$1.record"; }
says_ready() { grep -q ready "$WORK/$1.out"; }
has_failed() { grep -q "FAILED: fenced" "$WORK/$1.out"; }
acked() { python3 -c 'import struct, sys; print(sum(struct.unpack("<256Q", open(sys.argv[1], "rb").read())[128:]))' "$WORK/$1.record"; }

# Begins `write` or `watch` in the background; `ends_with` waits for it.
begin() { # IMAGE VERB SECONDS
	: >"$WORK/$1.out" # or else what the last one said may be read
	"$stamps" "$2" "$(image "$1")" "$WORK/$1.record" "$3" >"$WORK/$1.out" 2>&1 &
	writer=$!
	cleanup kill_if_there "$writer"
	wait_for 60 says_ready "$1"
}
kill_if_there() { kill -KILL "$1" 2>/dev/null || true; }
ends_with() {
	wait "$writer"
	[ $? = "$1" ]
}
acks_more_than() { [ "$(acked "$1")" -gt "$2" ]; } # IMAGE COUNT
works() { begin "$1" write 1 && ends_with 0; }
# As Ceph's own tools do it: with a blocklist.
break_lock() {
	local lock
	lock=$(rbd lock ls "$1" --format json)
	rbd lock rm "$1" "$(jq -r '.[0].id' <<<"$lock")" "$(jq -r '.[0].locker' <<<"$lock")"
}
content() { rbd export --no-progress "$1" - | sha256sum; }

# ---- the contract

"$build/tests/unit/test-backing" >"$WORK/contract" 2>&1
is "every case of the contract holds for an image" "$(grep -c '^ok .* - rbd: ' "$WORK/contract")" 13
is "no case fails" "$(grep '^not ok' "$WORK/contract")" ""

# ---- one writer

must "an image" new_image live
must "a writer" begin live write 120
refuses "a second one is told who has it" "in use by the client of Ceph at 127.0.0.1" \
	"$stamps" write "$(image live)" "$WORK/other.record" 1
refuses "a foreign writer gets nothing in" "Read-only file system" \
	rbd bench live --io-type write --io-total 4096 --io-size 4096
before=$(acked live)
check "and the first goes on" wait_for 20 acks_more_than live "$((before + 100))"

# ---- fenced: alive, frozen, idle

must "its lock is broken" break_lock live
check "it becomes FAILED" wait_for 4 has_failed live
check "and ends as such" ends_with 3
check "nothing acknowledged is missing" verify live
check "the image can be opened again" works live
check "and nothing is missing then" verify live

must "an image" new_image frozen
must "a writer" begin frozen write 120
check "writes" wait_for 20 acks_more_than frozen 500
must "it is frozen" kill -STOP "$writer"
must "its lock is broken" break_lock frozen
check "nothing acknowledged is missing" verify frozen
was=$(content frozen)
must "it goes on" kill -CONT "$writer"
check "it becomes FAILED" wait_for 4 has_failed frozen
check "and ends as such" ends_with 3
is "nothing arrived late" "$(content frozen)" "$was"

must "an image" new_image idle
must "one who only reads" begin idle watch 120
address=$(rbd lock ls idle --format json | jq -r '.[0].address')
must "it is blocklisted by hand" ceph osd blocklist add "$address" 600
check "it becomes FAILED though nothing is written" wait_for 5 has_failed idle
check "its reads end" ends_with 3
check "the image can be opened again" works idle
must "one who does nothing" begin idle hold 120
must "its lock is broken" break_lock idle
check "it becomes FAILED, too" wait_for 5 has_failed idle
check "and ends as such" ends_with 3

# ---- taken over by another gateway, without waiting until Ceph has forgotten the dead

said() { sed -n "s/.*$2 \([0-9]*\).*/\1/p" "$WORK/$1.out"; } # IMAGE, the words before a number
take() { "$stamps" take "$(image "$1")" "$WORK/$1.record" "$2" >"$WORK/$1.taken.out" 2>&1; } # IMAGE SECONDS

must "an image" new_image taken
check "one that nobody has is taken, and written to" take taken 9
is "its owner had counted nothing before" "$(said taken.taken count | head -n 1)" 0
check "it counted up each second while it wrote" [ "$(said taken.taken count | tail -n 1)" -ge 6 ]
must "a writer" begin taken write 120
check "writes" wait_for 20 acks_more_than taken 500
check "on standby, what the other one writes is read" "$stamps" follow "$(image taken)" "$WORK/taken.record"
refuses "who must not blocklist cannot take it" "break the lock.*Permission denied" \
	"$stamps" take "$(image taken meek)" "$WORK/taken.record" 5
check "one that lives is taken, and written to" take taken 5
check "within 3 s" [ "$(said taken.taken within)" -lt 3000 ]
check "the first becomes FAILED" wait_for 4 has_failed taken
check "and ends as such" ends_with 3
check "nothing acknowledged by either is missing" verify taken
must "a writer" begin taken write 120
check "writes" wait_for 20 acks_more_than taken 500
must "it is killed" kill -KILL "$writer"
check "a dead one's is taken, and written to" take taken 2
check "within 3 s" [ "$(said taken.taken within)" -lt 3000 ]
check "nothing acknowledged is missing" verify taken

# ---- the cluster away for a while

osd=$(<"$WORK/ceph/run/osd.pid")
must "an image" new_image paused
must "a writer" begin paused write 40
check "writes" wait_for 20 acks_more_than paused 200
must "the OSD stops" kill -STOP "$osd"
sleep 1
before=$(acked paused)
sleep 8
is "nothing is acknowledged meanwhile" "$(acked paused)" "$before"
must "the OSD goes on" "$ROOT/tests/ceph/cluster" go-on "$WORK/ceph"
check "and so do the writes" wait_for 20 acks_more_than paused "$((before + 100))"
must "the OSD is killed" kill -KILL "$osd"
must "it is gone" wait_for 10 gone "$osd"
must "and started again" ceph-osd -i 0 --pid-file "$WORK/ceph/run/osd.pid"
check "the writer has seen no error" ends_with 0
check "nothing acknowledged is missing" verify paused

# ---- the writer dies

must "an image" new_image dies
must "a writer" begin dies write 120
check "writes" wait_for 20 acks_more_than dies 500
must "it is killed" kill -KILL "$writer"
check "the image opens again, once Ceph has forgotten the dead one" works dies
check "nothing acknowledged is missing" verify dies

# ---- size, namespaces, what cannot be opened

must "an image" new_image grows
"$stamps" size "$(image grows)" "$WORK/has-grown" $((320 << 20)) >"$WORK/grows.out" 2>&1 &
writer=$!
cleanup kill_if_there "$writer"
must "is open" wait_for 60 says_ready grows
must "it grows elsewhere" rbd resize --no-progress grows --size 320M
must "it is told" touch "$WORK/has-grown"
check "and is written to its new end" ends_with 0
mkdir "$WORK/space"
must "a namespace" rbd namespace create rbd/space
must "an image there" rbd create rbd/space/dies --size 256M
check "it is another one" works space/dies
is "of another content" "$(test "$(content rbd/space/dies)" != "$(content rbd/dies)" && echo another)" another
must "which is there" rbd info rbd/space/dies
must "a journaled image" rbd create journaled --size 16M --image-feature exclusive-lock,journaling
refuses "is refused" "journaled.*rbd feature disable" "$stamps" fill "$(image journaled)"
must "one without lock" rbd create lockless --size 16M --image-feature layering
refuses "is refused" "no exclusive lock.*rbd feature enable" "$stamps" fill "$(image lockless)"
refuses "an image that is not there" "no such image" "$stamps" fill "$(image nobody)"
refuses "a pool that is not there" "no pool 'nowhere'" "$stamps" fill "rbd:nowhere/x?conf=$CEPH_CONF"
refuses "a configuration that is not there" "cannot read" "$stamps" fill "rbd:rbd/x?conf=/nowhere"
refuses "a URI without image" "no pool and image" "$stamps" fill "rbd:rbd"
STORAGEOS_MODULE_DIRECTORY=/nowhere refuses "without the module" "needs the package storageos-rbd" \
	"$stamps" fill "$(image dies)"

# ---- full

must "an image" new_image full
must "is written in part" works full
must "a quota" ceph osd pool set-quota rbd max_bytes $((8 << 20))
is_full() { ceph osd dump --format json | jq -e '.pools[] | select(.pool_name == "rbd") | .flags_names | test("full_quota")' >/dev/null; }
must "it is reached" wait_for 60 is_full
check "new space is refused at once; overwriting and zeroing go on" within 20 "$stamps" fill "$(image full)"
finish
