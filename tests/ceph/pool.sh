#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Pools of Ceph as a user has them: made, listed, filled, attached over FUSE, written to, grown, deleted; and what
# each mistake is answered with.
. "$(dirname "$0")/../lib.sh"
need rbd ceph-common
need ceph-mon ceph-mon
need ceph-mgr ceph-mgr
need ceph-osd ceph-osd
need jq jq
need mkfs.ext4 e2fsprogs
need_root
need_fuse
need_loop
build=$STORAGEOS_BUILD
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
[ -e "$build/common/rbd/storageos-backing-rbd.so" ] || skip_all "librbd-dev was not there when it was built"
export STORAGEOS_MODULE_DIRECTORY=$build/common/rbd

own_config
cleanup attached_end
cluster=$ROOT/tests/ceph/cluster conf=$WORK/ceph/ceph.conf
cleanup "$cluster" stop "$WORK/ceph"
must "a Ceph cluster" within 120 "$cluster" start "$WORK/ceph"
ceph() { command ceph -c "$conf" "$@"; }
rbd() { command rbd -c "$conf" "$@"; }
rados() { command rados -c "$conf" "$@"; }
no_module() { STORAGEOS_MODULE_DIRECTORY=/nowhere "$STORAGEOS" "$@"; }
ends_with() { # STATUS COMMAND...
	local wanted=$1
	shift
	"$@"
	[ $? = "$wanted" ]
}
user() { # ID MON-CAPABILITIES: as docs/operations.md, "Ceph", makes it
	ceph auth get-or-create "client.$1" mon "$2" osd "profile rbd pool=rbd" >"$WORK/ceph/client.$1.keyring"
}
must "a user of it, who may do what is documented" user gateway "profile rbd"
make() { "$STORAGEOS" pool create "$1" "rbd:$2" --ceph-conf "$conf" --ceph-id "${as:-gateway}" "${@:3}"; } # NAME PLACE

# ---- what cannot be made leaves nothing

before=$(<"$STORAGEOS_CONFIG")
refuses "without the module, the package is named" "pool 'cloud' needs the package storageos-rbd" \
	no_module pool create cloud rbd:rbd --ceph-conf "$conf"
refuses "a pool that Ceph has not" "no pool 'nowhere'.*ceph osd pool ls" make cloud nowhere
refuses "a namespace that Ceph has not" "no such namespace.*rbd namespace create rbd/space" make cloud rbd/space
refuses "a configuration that is not there" "cannot read this configuration" \
	"$STORAGEOS" pool create cloud rbd:rbd --ceph-conf /nowhere/ceph.conf
as=nobody refuses "a user without a key" "Ceph refuses the user.*ceph auth get" make cloud rbd
sed 's/client.gateway/client.other/; s/= ..../= AQAA/' "$WORK/ceph/client.gateway.keyring" >"$WORK/ceph/client.other.keyring"
as=other refuses "one with a wrong key" "Ceph refuses the user.*ceph auth get" make cloud rbd
refuses "no configuration at all" "no configuration on this machine.*--ceph-conf" \
	env -u CEPH_CONF "$STORAGEOS" pool create cloud rbd:rbd
for place in rbd: rbd:/x rbd:a/b/c 'rbd:a?id=x' 'rbd:a b'; do
	check "'$place' is no place: usage" ends_with 2 make cloud "${place#rbd:}"
done
check "a relative --ceph-conf: usage" ends_with 2 "$STORAGEOS" pool create cloud rbd:rbd --ceph-conf x
for file in '/a?b.conf' '/a&b.conf'; do
	refuses "--ceph-conf $file: usage, which says why" "an absolute path without '\?' and '&'" \
		"$STORAGEOS" pool create cloud rbd:rbd --ceph-conf "$file"
done
check "Ceph's options for a directory: usage" ends_with 2 "$STORAGEOS" pool create d "$WORK/d" --ceph-id x
check "Ceph's options for another verb: usage" ends_with 2 "$STORAGEOS" pool list --ceph-id x
is "the configuration is as before" "$(<"$STORAGEOS_CONFIG")" "$before"
refuses "there is no marker" "No such file" rados -p rbd stat storageos-pool

# ---- a pool

must "a pool" make cloud rbd
is "it is ready" "$("$STORAGEOS" pool list --json | jq -r '.[] | select(.pool == "cloud") | "\(.ready) \(.rbd)"')" "true rbd"
rados -p rbd get storageos-pool "$WORK/marker"
is "its marker has its UUID" "$(jq -r .uuid "$WORK/marker")" "$(sed -n '/pool cloud/,$s/^uuid=//p' "$STORAGEOS_CONFIG")"
check "once more, it is as it is" make cloud rbd
is "with the same marker" "$(rados -p rbd get storageos-pool - | jq -r .uuid)" "$(jq -r .uuid "$WORK/marker")"
refuses "another name for it" "is the pool 'cloud' already" make other rbd
refuses "the name for another place" "it is at rbd:rbd already" make cloud rbd/elsewhere
refuses "the name for a directory" "it is at rbd:rbd already" "$STORAGEOS" pool create cloud "$WORK/directory"
check "it can be taken out" "$STORAGEOS" pool delete cloud
refuses "under another name it must be imported" "belongs to the pool 'cloud'.*pool import rbd:rbd --name other" make other rbd
import() { "$STORAGEOS" pool import "rbd:$1" --ceph-conf "$conf" --ceph-id gateway "${@:2}"; } # PLACE
is "what that would do" "$(import rbd --name other -n)" "other: would be imported from rbd:rbd, made as 'cloud'"
check "it does" import rbd --name other
refuses "it is no second pool" "is the pool 'other' already" import rbd
check "taken out again" "$STORAGEOS" pool delete other
is "under its own name" "$(import rbd --json | jq -c '[.pool, .rbd, .made_as, .volumes]')" '["cloud","rbd","cloud",null]'
check "taken out again" "$STORAGEOS" pool delete cloud
check "it can still be adopted" make other rbd --adopt
check "taken out again" "$STORAGEOS" pool delete other
must "and made again" make cloud rbd

# ---- volumes: images, whoever made them

must "a volume" "$STORAGEOS" create cloud/db --size 64M
is "is an image with these features" "$(rbd info db --format json | jq -r '.features | join(",")')" layering,exclusive-lock
is "of this size" "$(rbd info db --format json | jq -r .size)" $((64 << 20))
refuses "another one of that name" "rbd:rbd/db is there already" "$STORAGEOS" create cloud/db --size 64M
refuses "with blocks of 4096 bytes" "blocks of 512 bytes" "$STORAGEOS" create cloud/x --size 64M --block-size 4096
must "an image that was there" rbd create old --size 48M
must "one that no volume can be" rbd create "VM 1" --size 16M
listed() { "$STORAGEOS" list cloud --json 2>/dev/null | jq -r '.[] | "\(.volume) \(.size) \(.state)"' | tr '\n' ' '; }
is "both are listed" "$(listed)" "cloud/db $((64 << 20)) detached cloud/old $((48 << 20)) detached "
like "and the other is mentioned" "$("$STORAGEOS" list cloud 2>&1 >"$WORK/list")" "1 image in rbd:rbd cannot be a volume: 'VM 1'"
like "with the space that Ceph has" "$(<"$WORK/list")" "pool cloud: 2 volumes, size 112 MiB, used .*; Ceph: .* free"
check "an image is a volume" "$STORAGEOS" info cloud/old
info() { "$STORAGEOS" info "$1" --json | jq -r ".$2"; }
is "its path is the image" "$(info cloud/old path)" rbd:rbd/old
is "it has no write cache" "$(info cloud/old write_cache)" off
uuid=$(info cloud/db uuid)
is "its UUID is the same each time" "$(info cloud/db uuid)" "$uuid"
like "and its own" "$(info cloud/old uuid)" '^[0-9a-f-]{36}$'
is "not that of another" "$([ "$(info cloud/old uuid)" = "$uuid" ] || echo differs)" differs
check "it grows" "$STORAGEOS" resize cloud/old +16M
is "as an image, too" "$(rbd info old --format json | jq -r .size)" $((64 << 20))
refuses "but does not shrink" "rbd resize" "$STORAGEOS" resize cloud/old 16M
refuses "a volume that is not there" "there is no such image" "$STORAGEOS" info cloud/nobody
refuses "without the module" "pool 'cloud' needs the package storageos-rbd" no_module info cloud/db
refuses "also for the list" "pool 'cloud' needs the package storageos-rbd" no_module list
check "which shows the other pools" grep -q "^pool default" <(no_module list 2>/dev/null)

# ---- what Ceph does itself

ceph_does() { refuses "$1" "image of Ceph, which does that itself.*rbd snap" "$STORAGEOS" "${@:2}"; }
ceph_does "check" check cloud/db
is "with exit status 1" "$("$STORAGEOS" check cloud/db >/dev/null 2>&1; echo $?)" 1
ceph_does "check --repair" check cloud/db --repair --yes
ceph_does "scrub" scrub cloud/db
ceph_does "snapshot create" snapshot create cloud/db@one
ceph_does "snapshot list" snapshot list cloud/db
ceph_does "snapshot delete" snapshot delete cloud/db@one
ceph_does "rollback" rollback cloud/db@one
ceph_does "diff" diff one cloud/db@two
ceph_does "export" export cloud/db@one
ceph_does "import" import cloud/new
ceph_does "clone of it" clone cloud/db@one new
ceph_does "clone to it" clone default/thin@one cloud/new
refuses "flatten" "is no linked clone" "$STORAGEOS" flatten cloud/db
ceph_does "set" set cloud/db uuid=new
ceph_does "attach of a snapshot" attach cloud/db@one --frontend fuse
must "a thin volume" "$STORAGEOS" create thin --size 16M
check "the snapshots of all volumes are those of the others" "$STORAGEOS" snapshot list

# ---- attached

state() { "$STORAGEOS" status "$1" --json | jq -r '.[0].state'; }
must "attach" "$STORAGEOS" attach cloud/db --frontend fuse
is "attached" "$(state cloud/db)" attached
device=$WORK/dev/cloud/db
is "the device has its size" "$(blockdev --getsize64 "$device")" $((64 << 20))
like "the image is locked" "$(rbd lock ls db)" exclusive
like "info says by whom" "$(info cloud/db claimed_by)" "the client of Ceph at 127.0.0.1"
like "and by which process" "$(info cloud/db open_in)" storageos-fuse
is "stats says what it is" "$("$STORAGEOS" stats cloud/db --json | jq -r '.[0].direct // .direct')" true
refuses "a second server" "process [0-9]+ .storageos-fuse. serves it already" \
	"$STORAGEOS_FUSE" --foreground cloud/db "$WORK/second"
refuses "a foreign client" "Read-only file system" rbd bench db --io-type write --io-total 4096 --io-size 4096
refuses "deleting it" "still attached" "$STORAGEOS" delete cloud/db
refuses "taking its pool out" "in use" "$STORAGEOS" pool delete cloud
ceph_does "scrub while attached" scrub cloud/db
ceph_does "snapshot create while attached" snapshot create cloud/db@one
must "a file system" mkfs.ext4 -q "$device"
mkdir "$WORK/mnt"
cleanup umount -l "$WORK/mnt"
must "mounted" mount "$device" "$WORK/mnt"
must "filled" tree_fill "$WORK/mnt" 20
written=$(tree_checksum "$WORK/mnt")
check "it grows in use" "$STORAGEOS" resize cloud/db 96M
is "and its device" "$(blockdev --getsize64 "$device")" $((96 << 20))
must "unmounted" unmount "$WORK/mnt"
check "its file system is whole" e2fsck -fp "$device"
check "and grows" resize2fs "$device"
must "mounted" mount "$device" "$WORK/mnt"
check "filled further" tree_fill "$WORK/mnt/more" 30
rm -r "$WORK/mnt/more"
check "trimmed" fstrim "$WORK/mnt"
must "unmounted" unmount "$WORK/mnt"
must "detached" "$STORAGEOS" detach cloud/db
is "the lock is given back" "$(rbd lock ls db)" ""
must "attached again" "$STORAGEOS" attach cloud/db --frontend fuse
must "mounted" mount -o ro "$device" "$WORK/mnt"
is "all is there" "$(tree_checksum "$WORK/mnt")" "$written"
must "unmounted" unmount "$WORK/mnt"
check "the file system is whole" e2fsck -fn "$device"
is "no request failed" "$("$STORAGEOS" stats cloud/db --json | jq -r 'if type == "array" then .[0] else . end | [.operations[].errors] | add')" 0
must "detached" "$STORAGEOS" detach cloud/db

# ---- what cannot be attached

must "a journaled image" rbd create journaled --size 16M --image-feature exclusive-lock,journaling
refuses "is refused" "journaled.*rbd feature disable" "$STORAGEOS" attach cloud/journaled --frontend fuse
must "an image without a lock" rbd create lockless --size 16M --image-feature layering
refuses "is refused" "no exclusive lock.*rbd feature enable" "$STORAGEOS" attach cloud/lockless --frontend fuse
rbd bench old --io-type write --io-total 1T --io-size 4096 --io-threads 1 >/dev/null 2>&1 &
other=$!
cleanup kill -9 $other
locked() { rbd lock ls "$1" | grep -q exclusive; }
must "another client writes" wait_for 20 locked old
like "info says so" "$(info cloud/old claimed_by)" "the client of Ceph at 127.0.0.1"
check "its lock is given over" "$STORAGEOS" attach cloud/old --frontend fuse
must "which it wanted" "$STORAGEOS" detach cloud/old
kill -9 $other 2>/dev/null # it has ended by itself, maybe

# ---- deleted

must "with a snapshot" rbd snap create db@kept
refuses "it is not deleted" "has snapshots.*rbd snap purge" "$STORAGEOS" delete cloud/db
check "and is whole" rbd info db
must "without" rbd snap purge --no-progress db
check "it is" "$STORAGEOS" delete cloud/db
refuses "and gone" "No such file" rbd info db
refuses "again" "there is no such image" "$STORAGEOS" delete cloud/db
is "its name is not missing" "$("$STORAGEOS" status --json | jq -r '.[] | select(.volume == "cloud/db") | .state')" ""

# ---- a namespace

must "a namespace" rbd namespace create rbd/space
must "is a pool of its own" make space rbd/space
is "and empty" "$("$STORAGEOS" list space --json | jq length)" 0
must "a volume there" "$STORAGEOS" create space/db --size 16M
check "is an image there" rbd info rbd/space/db
refuses "and not beside it" "No such file" rbd info rbd/db
must "attach" "$STORAGEOS" attach space/db --frontend fuse
check "it can be written to" dd if=/dev/urandom of="$WORK/dev/space/db" bs=1M count=4 oflag=direct status=none
stored() { ceph df --format json | jq '.pools[] | select(.name == "rbd").stats.stored'; }
used() { "$STORAGEOS" pool list --json | jq '.[] | select(.pool == "space").used'; }
agree() { [ "$(used)" -ge $((4 << 20)) ] && [ "$(used)" = "$(stored)" ]; }
check "the list of pools says what is stored in Ceph's pool" wait_for 30 agree
must "detach" "$STORAGEOS" detach space/db

# ---- another pool than the one that is meant, and no cluster

uuid=$(jq -r .uuid "$WORK/marker")
sed -i "s/$uuid/11111111-2222-4333-8444-555555555555/" "$STORAGEOS_CONFIG"
refuses "another pool than the configuration says" "UUID $uuid, the configuration wants 11111111.*same cluster" \
	"$STORAGEOS" info cloud/old
refuses "for a new volume, too" "the configuration wants 11111111" "$STORAGEOS" create cloud/new --size 16M
like "the list of pools says why" "$("$STORAGEOS" pool list)" "cloud +not there .*the configuration wants 11111111"
sed -i "s/11111111-2222-4333-8444-555555555555/$uuid/" "$STORAGEOS_CONFIG"
check "the right one again" "$STORAGEOS" info cloud/old
must "the cluster stops" "$cluster" stop "$WORK/ceph"
mkdir "$WORK/ceph" && sed "s/XX//" >"$conf" <<-END
[global]
fsid=$(</proc/sys/kernel/random/uuid)
mon_host=[v2:127.0.0.1:1/0]
auth_client_required=none
END
began=$SECONDS
refuses "without a cluster: info" "does not answer" "$STORAGEOS" info cloud/old
in_time "within 10 s" $began 12
began=$SECONDS
refuses "attach" "does not answer" "$STORAGEOS" attach cloud/old --frontend fuse
in_time "within 10 s" $began 14
refuses "create" "does not answer" "$STORAGEOS" create cloud/new --size 16M
refuses "delete" "does not answer" "$STORAGEOS" delete cloud/old
refuses "list" "does not answer" "$STORAGEOS" list cloud
like "the list of pools says which" "$("$STORAGEOS" pool list)" "cloud +no answer .*does not answer"
check "other volumes are as they were" "$STORAGEOS" info thin
check "the pool can be taken out" "$STORAGEOS" pool delete cloud
finish
