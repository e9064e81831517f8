#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The properties of images of Ceph, which Ceph keeps with them: set and shown while nobody has the image, while it is
# served, and by another machine meanwhile; what they do, the limits above all; what cannot be set, and when Ceph does
# not answer.
. "$(dirname "$0")/../lib.sh"
need rbd ceph-common
need ceph-mon ceph-mon
need ceph-mgr ceph-mgr
need ceph-osd ceph-osd
need fio fio
need jq jq
need_root
need_fuse
need_loop
build=$STORAGEOS_BUILD
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
[ -e "$build/common/rbd/storageos-backing-rbd.so" ] || skip_all "librbd-dev was not there when it was built"
export STORAGEOS_MODULE_DIRECTORY=$build/common/rbd

own_config
cleanup attached_end
cluster=$ROOT/tests/ceph/cluster
export CEPH_CONF=$WORK/ceph/ceph.conf
cleanup "$cluster" stop "$WORK/ceph"
must "a Ceph cluster" within 120 "$cluster" start "$WORK/ceph"
user() { # ID OSD-CAPABILITIES
	ceph auth get-or-create "client.$1" mon "profile rbd" osd "$2" >"$WORK/ceph/client.$1.keyring"
}
must "a user" user gateway "profile rbd pool=rbd"
must "one who may only read" user reader "profile rbd-read-only pool=rbd"
must "a pool" "$STORAGEOS" pool create cloud rbd:rbd --ceph-conf "$CEPH_CONF" --ceph-id gateway

# Another machine, and one whose user may only read.
mkdir "$WORK/other"
sed "s|^run_directory=.*|run_directory=$WORK/other|" "$STORAGEOS_CONFIG" >"$WORK/other.conf"
other() { STORAGEOS_CONFIG=$WORK/other.conf "$STORAGEOS" "$@"; }
sed "s/^ceph_id=.*/ceph_id=reader/" "$WORK/other.conf" >"$WORK/reader.conf"
reader() { STORAGEOS_CONFIG=$WORK/reader.conf "$STORAGEOS" "$@"; }

get() { "$STORAGEOS" get "$1" --json "${@:2}" | jq -c .properties; }
all() { get "$1" | jq -c 'del(.uuid, .write_cache)'; }
meta() { rbd image-meta get "$1" storageos.properties; }
locked() { rbd lock ls "$1" | grep -c exclusive; }

# ---- nobody has it

must "a volume with properties" "$STORAGEOS" create cloud/db --size 256M --set description='orders, größer' \
	--set label.team=blue --set frontend=fuse
is "it has them" "$(all cloud/db)" '{"description":"orders, größer","frontend":"fuse","label.team":"blue"}'
is "in the metadata of its image" "$(meta db)" "description=orders, größer
frontend=fuse
label.team=blue"
must "an image that was there" rbd create old --size 48M
is "has none" "$(all cloud/old)" '{}'
must "a key of others" rbd image-meta set old owner alice
is "set reports each change" "$("$STORAGEOS" set cloud/old label.team=red write_bytes=50M)" \
	"cloud/old: label.team red, was not set; write_bytes 50 MiB, was not set"
is "and takes no lock" "$(locked old)" 0
is "a second one says what was" "$("$STORAGEOS" set cloud/old label.team= user.job=42 --json | jq -c .before)" '{"label.team":"red"}'
is "and what is" "$(all cloud/old)" '{"user.job":"42","write_bytes":"52428800"}'
like "info shows them" "$("$STORAGEOS" info cloud/old)" 'write_bytes +50 MiB'
is "the list has columns of them" "$("$STORAGEOS" list cloud -H -o name,description,labels,frontend,write_bytes,user.job)" \
	"db	orders, größer	team=blue	fuse	-	-
old	-	-	-	50 MiB	42"
must "all are removed" "$STORAGEOS" set cloud/old user.job= write_bytes=
refuses "and gone from the metadata" "No such file" meta old
is "the key of others is as it was" "$(rbd image-meta get old owner)" alice

# ---- what cannot be

refuses "a reserve" "an image of Ceph has no reserve: .*ceph osd pool set-quota" "$STORAGEOS" set cloud/old reserve=8M
refuses "a rate of scrubs" "an image of Ceph has no scrub_rate: Ceph scrubs" "$STORAGEOS" set cloud/old label.a=1 scrub_rate=1M
is "nothing else was set then" "$(all cloud/old)" '{}'
for option in --reserve "--set scrub_rate=1M" "--set reserve=8M"; do
	# shellcheck disable=SC2086 # words
	refuses "create $option" "an image of Ceph has no (reserve|scrub_rate)" "$STORAGEOS" create cloud/new --size 16M $option
done
refuses "so there is no such image" "No such file" rbd info new
refuses "more than there is room for" "no room for property 'label.8'" "$STORAGEOS" set cloud/old \
	label.{1..8}="$(printf '%0255d' 0)"
refuses "who may only read" "not permitted|denied|Read-only" reader set cloud/old label.a=1
is "sets nothing" "$(all cloud/old)" '{}'
must "what is no text of properties" rbd image-meta set old storageos.properties "$(printf 'x\nlabel.a=1\nlabel.A=2')"
is "is left out, line by line" "$(all cloud/old)" '{"label.a":"1"}'
must "and dropped by the next change" "$STORAGEOS" set cloud/old label.b=1
is "all but what it is" "$(meta old)" "label.a=1
label.b=1"
must "one that is too long" rbd image-meta set old storageos.properties "$(printf '%03000d' 0)"
is "counts as none" "$(all cloud/old)" '{}'
refuses "and is not replaced" "no text of at most 2047 bytes" "$STORAGEOS" set cloud/old label.b=1
must "until it is removed" rbd image-meta remove old storageos.properties
check "the image can have properties again" "$STORAGEOS" set cloud/old label.b=1

# ---- served

like "attach takes the volume's front end" "$("$STORAGEOS" attach cloud/db --json | jq -r '.frontend + ": " + .reason')" "^fuse: the volume's property 'frontend' says so"
device=$WORK/dev/cloud/db
like "set works on a served volume" "$("$STORAGEOS" set cloud/db description=served label.team=)" 'description served, was orders'
is "get shows it at once" "$(all cloud/db)" '{"description":"served","frontend":"fuse"}'
check "another machine sets one" other set cloud/db label.from=other
is "the owner of the lock keeps it" "$(locked db)" 1
must "set here" "$STORAGEOS" set cloud/db label.from2=here
is "nothing is lost" "$(all cloud/db)" '{"description":"served","frontend":"fuse","label.from":"other","label.from2":"here"}'
set_by_both() { # VOLUME
	for i in {1..5}; do
		"$STORAGEOS" set "$1" "label.a$i=1" &
		other set "$1" "label.b$i=1" &
		wait
	done
}
made_by_both() { get "$1" | jq 'with_entries(select(.key | test("label.[ab][0-9]"))) | length'; }
for volume in cloud/db cloud/old; do
	check "two machines change $volume at once" set_by_both $volume
	is "all changes of $volume are made" "$(made_by_both $volume)" 10
done

# ---- limits

must "data" dd if=/dev/urandom of="$device" bs=1M count=32 oflag=direct conv=notrunc status=none
known() { "$STORAGEOS" stats cloud/db --json | jq -r ".[0].limits.$1"; }
iops() { # DEPTH read|write [OPTION...]
	fio --name=rate --filename="$device" --iodepth="$1" --rw="rand$2" --ioengine=libaio --direct=1 --bs=4k --size=32M \
		--time_based --ramp_time=1 --runtime=4 --output-format=json "${@:3}" 2>/dev/null |
		jq ".jobs[0].$2.iops | floor"
}
factor=$(printf '%.0f' "$STORAGEOS_TIME_FACTOR")
rate() { # DEPTH read|write OF-WITHOUT-LIMIT: no limit makes Ceph faster
	local least=$((($3 * 8 / 10 < 950 ? $3 * 8 / 10 : 950) / (factor < 2 ? 1 : factor * factor)))
	limited "$2, depth $1, without a limit $3" $least 1050 iops "$1" "$2"
}
is "there is no limit" "$(known write.iops)" null
declare -A free
for job in "1 read" "32 read" "32 write"; do
	# shellcheck disable=SC2086 # words
	free[$job]=$(iops $job)
done
must "set limits" "$STORAGEOS" set cloud/db read_iops=1000 write_iops=1000
is "they are known at once" "$(known write.iops) $(known read.iops) $(known read.iops_burst)" "1000 1000 100"
for job in "${!free[@]}"; do
	# shellcheck disable=SC2086 # words
	rate $job "${free[$job]}"
done
like "stats shows them to people" "$("$STORAGEOS" stats cloud/db)" 'write limit +1000 requests/s'
must "a low one" "$STORAGEOS" set cloud/db read_iops=100
limited "which holds at once" 80 106 iops 32 read
must "the server dies" kill -9 "$("$STORAGEOS" status cloud/db --json | jq -r '.[0].pid')"
check "what is left is taken down" "$STORAGEOS" detach cloud/db
must "and attached again" within 60 "$STORAGEOS" attach cloud/db
is "the limits are there again" "$(known read.iops) $(known write.iops)" "100 1000"
check "what another machine sets" other set cloud/db read_iops=none
is "holds from the next attach on" "$(known read.iops)" 100
must "detached" "$STORAGEOS" detach cloud/db
must "attached" "$STORAGEOS" attach cloud/db
is "then there is none" "$(known read.iops)" null

# ---- Ceph does not answer

osd=$(<"$WORK/ceph/run/osd.pid")
cleanup kill -CONT "$osd"
must "the OSD stops" kill -STOP "$osd"
began=$SECONDS
refuses "set of the served volume" "does not answer; its properties may still be changed" "$STORAGEOS" set cloud/db label.z=1
in_time "within 10 s" $began 14
began=$SECONDS
refuses "set of another one" "Ceph does not answer \(within 20 s" "$STORAGEOS" set cloud/old label.z=1
in_time "within 20 s" $began 24
check "the server can still be asked" "$STORAGEOS" stats cloud/db
must "the OSD goes on" "$cluster" go-on "$WORK/ceph"
check "and so does set" wait_for 30 "$STORAGEOS" set cloud/db label.z=2
is "which counts" "$(get cloud/db label.z)" '{"label.z":"2"}'
check "the volume is as good as ever" dd if="$device" of=/dev/null bs=4k count=1 iflag=direct status=none
must "detached" "$STORAGEOS" detach cloud/db
finish
