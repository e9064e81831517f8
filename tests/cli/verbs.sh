#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every verb that needs no device: its effect, refusals, exit status and JSON.
. "$(dirname "$0")/../lib.sh"
need jq jq
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
mkdir "$WORK/mnt"
cleanup unmount_for_certain "$WORK/mnt"
own_config

status_of() { "$@" >"$WORK/out" 2>"$WORK/err" </dev/null; echo $?; }
exits() { # NAME STATUS REGEX COMMAND...: exits with STATUS and one matching line on standard error
	local name=$1 wanted=$2 regex=$3
	shift 3
	is "$name: exit status $wanted" "$(status_of "$@")" "$wanted"
	like "$name: says why" "$(<"$WORK/err")" "$regex"
	is "$name: in one line" "$(wc -l <"$WORK/err")" 1
	is "$name: prints nothing else" "$(wc -c <"$WORK/out")" 0
}
json() { "$STORAGEOS" "$@" --json | jq -e . >/dev/null; }

# ---- usage

exits "no verb" 2 'no verb given' "$STORAGEOS"
exits "an unknown verb" 2 "unknown verb 'frobnicate'" "$STORAGEOS" frobnicate
exits "an unknown option" 2 '--colour' "$STORAGEOS" list --colour
exits "an unknown option before the verb" 2 "unknown option '--colour'" "$STORAGEOS" --colour list
exits "too few arguments" 2 'create: too few arguments' "$STORAGEOS" create
exits "too many arguments" 2 'info: too many arguments' "$STORAGEOS" info a b
exits "no size" 2 'create: --size is required' "$STORAGEOS" create db
exits "a bad size" 2 "invalid volume size 'ten'" "$STORAGEOS" create db --size ten
exits "too small a size" 2 "invalid volume size '1000'" "$STORAGEOS" create db --size 1000
exits "too big a size" 2 "invalid volume size '65T'" "$STORAGEOS" create db --size 65T
exits "a bad block size" 2 "invalid block size '1024'" \
	"$STORAGEOS" create db --size 1G --block-size 1024
exits "a size that is no multiple of the block size" 2 'not a multiple' \
	"$STORAGEOS" create db --size 1049088 --block-size 4096
exits "a bad name" 2 "invalid volume name 'Db'" "$STORAGEOS" create Db --size 1G
exits "a name that climbs" 2 'invalid volume name' "$STORAGEOS" delete ../../etc/passwd
exits "a bad front end" 2 "unknown front end 'iscsi'" "$STORAGEOS" attach db --frontend iscsi
exits "half a pool verb" 2 'pool create: too few arguments \(usage: ' "$STORAGEOS" pool create x
exits "too much of a pool verb" 2 'pool list: too many arguments \(usage: ' "$STORAGEOS" pool list x
exits "a pool verb that is none" 2 "pool: unknown verb 'make' \\(see: " "$STORAGEOS" pool make x
exits "--config without a file" 2 '--config needs a file' "$STORAGEOS" --config
exits "--config with an empty one" 2 '--config needs a file' "$STORAGEOS" --config= list
exits "a device by its path" 2 "must not contain ':' \\(another of the device's names may do, as in /dev/disk/by-id\\)" \
	"$STORAGEOS" create /dev/disk/by-path/pci-0000:00:1f.2-ata-1 --size 1G
is "help of a verb" "$("$STORAGEOS" help create)" "$("$STORAGEOS" create --help)"
is "help of an unknown verb" "$(status_of "$STORAGEOS" help frobnicate)" 2
for version in -V version; do is "$version" "$("$STORAGEOS" $version)" "$("$STORAGEOS" --version)"; done
exits "a bad pool name" 2 "invalid pool name 'X'" "$STORAGEOS" pool create X "$WORK/x"
for verb in create list info set delete pool attach detach status stats check probe; do
	is "$verb --help" "$(status_of "$STORAGEOS" $verb --help)" 0
	like "--help lists $verb" "$("$STORAGEOS" --help)" "^  $verb "
done
like "--version" "$("$STORAGEOS" --version)" '^storageos [0-9]+\.[0-9]+'

# ---- the configuration

exits "a configuration that is not there" 1 "$WORK/none" "$STORAGEOS" list --config "$WORK/none"
printf '[storageos]\nnode_cache=lots\n' >"$WORK/bad.conf"
exits "a bad configuration names the key" 1 "node_cache.*'lots'" \
	"$STORAGEOS" --config "$WORK/bad.conf" list
printf '[storageos]\nfrontent=fuse\n[pool default]\npath=%s\n' "$POOL" >"$WORK/odd.conf"
"$STORAGEOS" pool list --config "$WORK/odd.conf" >/dev/null 2>"$WORK/err"
like "an unknown key is a warning" "$(<"$WORK/err")" "unknown key 'frontent'"
printf '; mine\n[storageos]\nworkers=1\nworkers=2\n[pool default]\npath=%s\n' "$POOL" >"$WORK/odd.conf"
"$STORAGEOS" pool list --config "$WORK/odd.conf" >"$WORK/out" 2>"$WORK/err"
like "a key that is given twice is a warning" "$(<"$WORK/err")" "key 'workers' is given twice"
like "a pool whose UUID is not in the configuration is reported" "$(<"$WORK/out")" \
	"^default +ready .* $POOL: the configuration has no UUID for this pool.*storageos pool create default $POOL"
head -c 64 /dev/zero >"$WORK/zeros.conf"
for verb in "list" "create x --size 1M" "info x" "pool list" "pool create x $WORK/x" "status" "attach x"; do
	# shellcheck disable=SC2086
	exits "zeros are no configuration: $verb" 1 'is not text: byte [0-9]+ is zero' \
		"$STORAGEOS" --config "$WORK/zeros.conf" $verb
done

# ---- create, list, info, delete

check "create" "$STORAGEOS" create db --size 10G
exits "create what is there" 1 "create volume 'default/db': .*there already" \
	"$STORAGEOS" create db --size 1G
exits "create in a pool that is not known" 1 "no pool 'nope'" "$STORAGEOS" create nope/db --size 1G
check "create with 4096-byte blocks" "$STORAGEOS" create big --size 64T --block-size 4096
is "list: both" "$("$STORAGEOS" list --json | jq -r '.[].volume' | xargs)" \
	"default/big default/db"
like "list: for people" "$("$STORAGEOS" list)" '^default/db +10 GiB +[0-9.]+ MiB +0 % +detached$'
like "list POOL" "$("$STORAGEOS" list default)" '^default/big +64 TiB'
exits "list of an unknown pool" 1 "no pool 'nope'" "$STORAGEOS" list nope
is "info: size and block size" \
	"$("$STORAGEOS" info big --json | jq -r '"\(.size) \(.logical_block_size) \(.state)"')" \
	"$((64 << 40)) 4096 detached"
like "info: for people" "$("$STORAGEOS" info db)" '^uuid +[0-9a-f]{8}-[0-9a-f-]{27}$'
exits "info of a missing volume" 1 "info: volume 'default/none': no such volume" \
	"$STORAGEOS" info none
check "check" "$STORAGEOS" check db
is "check --json" "$("$STORAGEOS" check db --json | jq -r '"\(.whole) \(.errors)"')" "true 0"
exits "check of a missing volume" 1 'check default/none: ' "$STORAGEOS" check none
exits "status of a missing volume" 1 'no such volume' "$STORAGEOS" status none
is "status of a detached volume" "$("$STORAGEOS" status db | tr -s ' ' | tail -n 1)" "default/db detached - -"
is "status of nothing" "$("$STORAGEOS" status)" ""
is "status --json of nothing" "$("$STORAGEOS" status --json | jq -c .)" "[]"
for verb in "list" "info db" "pool list" "status db" "check db" "probe"; do
	# shellcheck disable=SC2086
	check "$verb --json is JSON" json $verb
done
like "probe says which front end, and why" "$("$STORAGEOS" probe)" '^front end +[a-z]+ \(.+\)$'
exits "detach what is not attached" 0 'detach default/db: not attached' "$STORAGEOS" detach db
exits "detach what is not there" 1 'no such volume' "$STORAGEOS" detach none
exits "attach what is not there" 1 'attach default/none: .*no such volume' "$STORAGEOS" attach none
check "delete" "$STORAGEOS" delete big
exits "delete what is not there" 1 "delete volume 'default/big': no such volume" \
	"$STORAGEOS" delete big

# ---- damage

must "a scrub writes its result, so that there is more than superblocks" "$STORAGEOS" scrub db
cp "$POOL/db.vol" "$POOL/torn.vol"
dd if=/dev/urandom of="$POOL/torn.vol" bs=4096 count=1 conv=notrunc status=none
dd if=/dev/urandom of="$POOL/torn.vol" bs=4096 seek=16 count=1 conv=notrunc status=none
exits "info of a volume without superblocks" 1 "volume 'default/torn'" "$STORAGEOS" info torn
exits "check of a volume without superblocks" 1 'check default/torn' "$STORAGEOS" check torn
like "list shows the damaged volume" "$("$STORAGEOS" list)" '^default/torn +\? +\? '
like "list shows the other volumes" "$("$STORAGEOS" list)" '^default/db +10 GiB'
like "list shows the reason" "$("$STORAGEOS" list)" '^default/torn .*both superblocks are damaged$'
exits "deleting a damaged volume needs --force" 1 'torn.*both superblocks are damaged \(--force deletes it anyway\)' \
	"$STORAGEOS" delete torn
check "the damaged volume can be deleted" "$STORAGEOS" delete torn --force
cp /bin/true "$POOL/other.vol"
exits "deleting a file that is not a volume" 1 'other.*no storageos volume \(--force' "$STORAGEOS" delete other
rm "$POOL/other.vol"

# ---- volumes that existed before

must "a volume" "$STORAGEOS" create gone --size 1M
rm "$POOL/gone.vol"
like "a volume whose file was removed is missing" "$("$STORAGEOS" status | tr -s ' \n' ' ')" \
	"default/gone missing - - volume 'default/gone': no such volume .*; it was made on 20.* UTC \(UUID "
is "status --json" "$("$STORAGEOS" status --json | jq -r '.[].state')" missing
exits "delete of a missing volume" 1 'no such volume' "$STORAGEOS" delete gone
check "a missing volume can be forgotten" "$STORAGEOS" delete gone --forget
is "a forgotten volume is not missing" "$("$STORAGEOS" status)" ""
exits "there is no more to forget" 1 'no such volume' "$STORAGEOS" delete gone --forget
must "a volume" "$STORAGEOS" create gone --size 1M
must "delete it" "$STORAGEOS" delete gone
is "a deleted volume is not missing" "$("$STORAGEOS" status)" ""
exits "a name with the file's suffix" 1 "must not end in '.vol'.*use gone" \
	"$STORAGEOS" create gone.vol --size 1M

# ---- pools

check "pool create" "$STORAGEOS" pool create fast "$WORK/fast"
check "pool create again" "$STORAGEOS" pool create fast "$WORK/fast"
exits "pool create elsewhere under the same name" 1 "it is at $WORK/fast already" \
	"$STORAGEOS" pool create fast "$WORK/other"
exits "pool create with another pool's directory" 1 "is the pool 'fast' already" \
	"$STORAGEOS" pool create slow "$WORK/fast"
is "the refused directory was not made" "$(ls -d "$WORK/other" 2>&1)" "ls: cannot access '$WORK/other': No such file or directory"
like "pool list" "$("$STORAGEOS" pool list)" "^fast +ready .* $WORK/fast$"
exits "a pool in a pool" 1 "lies in the pool 'fast'" "$STORAGEOS" pool create in "$WORK/fast/in"
exits "a pool around one" 1 "lies around the pool" "$STORAGEOS" pool create around "$WORK"
cd "$WORK/run" || give_up "no run directory"
exits "no directory at all" 1 "has no name" "$STORAGEOS" pool create none ""
cd / || give_up "no /"
is "refused pools leave nothing" "$(find "$WORK" -name .storageos-pool | wc -l) $(grep -c '^\[pool' "$STORAGEOS_CONFIG")" "2 2"
like "the configuration has the pool" "$(<"$STORAGEOS_CONFIG")" '^\[pool fast\]$'
check "create a volume in it" "$STORAGEOS" create fast/db --size 1M
(cd "$WORK" && "$STORAGEOS" pool create near near >/dev/null)
is "a relative directory becomes an absolute one" \
	"$("$STORAGEOS" pool list --json | jq -r '.[] | select(.pool == "near").directory')" "$WORK/near"

# A mount point whose file system is not mounted is an empty directory.
mv "$WORK/near" "$WORK/mounted" && mkdir "$WORK/near"
exits "create in a pool without its marker" 1 "no marker $WORK/near/.storageos-pool" \
	"$STORAGEOS" create near/db --size 1G
is "nothing was written into the mount point" "$(ls -A "$WORK/near")" ""
is "pool list reports the pool that is not mounted" \
	"$("$STORAGEOS" pool list --json | jq -r '.[] | select(.pool == "near").ready')" false
is "list fails because of that pool" "$(status_of "$STORAGEOS" list)" 1
like "list shows the other pools" "$(<"$WORK/out")" '^fast/db '

exits "the pool is not made in its place" 1 'mount its file system' "$STORAGEOS" pool create near "$WORK/near"
exits "its marker's absence asks for a mount" 1 'is its file system mounted\?\)$' "$STORAGEOS" list near
cp "$WORK/fast/.storageos-pool" "$WORK/mounted/.storageos-pool.old"
sed 's/"uuid": "[0-9a-f]*/"uuid": "00000000/' "$WORK/mounted/.storageos-pool" >"$WORK/near/.storageos-pool"
exits "another pool of its name is not it" 1 'has the pool with UUID 00000000-.*, the configuration wants ' \
	"$STORAGEOS" create near/db --size 1M
rm -r "$WORK/near" && mv "$WORK/mounted" "$WORK/near"
check "the pool can be used when it is mounted" "$STORAGEOS" create near/db --size 1M

# ---- a pool is removed from the configuration

exits "no such pool" 1 'no such pool in' "$STORAGEOS" pool delete nope
"$STORAGEOS_FUSE" near/db "$WORK/mnt" 2>/dev/null || skip "a pool in use" "no FUSE"
if mountpoint -q "$WORK/mnt"; then
	exits "a pool in use" 1 "volume 'near/db' is in use" "$STORAGEOS" pool delete near
	umount "$WORK/mnt"
	wait_for 20 "$STORAGEOS" check near/db
fi
like "pool delete names the volumes that stay" "$("$STORAGEOS" pool delete near)" "$WORK/near keeps its 1 volume "
check "the pool's files stay" test -e "$WORK/near/db.vol" -a -e "$WORK/near/.storageos-pool"
exits "its volumes have no name now" 1 "no pool 'near'" "$STORAGEOS" info near/db
check "the pool can be added again" "$STORAGEOS" pool create near "$WORK/near"
check "the pool has its volumes again" "$STORAGEOS" info near/db

# ---- two creations at the same time

for i in {1..8}; do
	"$STORAGEOS" create race --size 1G 2>/dev/null && echo won &
done | grep -c won >"$WORK/winners"
is "of eight concurrent creations one succeeds" "$(<"$WORK/winners")" 1
check "the volume is whole" "$STORAGEOS" check race
is "nothing else is left" "$(cd "$POOL" && find . -mindepth 1 -printf '%P\n' | sort | xargs)" ".storageos-pool db.vol race.vol"
finish
