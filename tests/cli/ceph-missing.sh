#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A pool of Ceph where Ceph's module is not installed: what needs it says so, and all else goes on.
. "$(dirname "$0")/../lib.sh"
need jq jq
need_root
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
own_config
export STORAGEOS_MODULE_DIRECTORY=$WORK/nowhere
package="pool 'cloud' needs the package storageos-rbd"

refuses "no pool is made" "$package" "$STORAGEOS" pool create cloud rbd:rbd
is "and none is entered" "$(grep -c cloud "$STORAGEOS_CONFIG")" 0
printf '\n[pool cloud]\nrbd=rbd\nuuid=11111111-2222-4333-8444-555555555555\n' >>"$STORAGEOS_CONFIG"
must "another volume" "$STORAGEOS" create db --size 16M
for verb in "info cloud/x" "list cloud" "attach cloud/x --frontend fuse" "create cloud/x --size 16M" "delete cloud/x" \
	"resize cloud/x 32M" "status cloud/x"; do
	# shellcheck disable=SC2086 # words
	refuses "$verb" "$package" "$STORAGEOS" $verb
done
refuses "a server by hand" "$package" "$STORAGEOS_FUSE" --foreground cloud/x "$WORK/mnt"
is "the list of pools says it" "$("$STORAGEOS" pool list --json | jq -r '.[] | select(.pool == "cloud") | .problem')" \
	"$package ($WORK/nowhere/storageos-backing-rbd.so is not there)"
like "so does probe" "$("$STORAGEOS" probe)" "^Ceph module +needs the package storageos-rbd"
is "also to programs" "$("$STORAGEOS" probe --json | jq -r '.ceph.pools[0] | "\(.pool) \(.rbd) \(.answers)"')" "cloud rbd false"
check "other volumes are listed" grep -q "^default/db " <("$STORAGEOS" list 2>/dev/null)
check "and checked" "$STORAGEOS" check db
check "and have snapshots" "$STORAGEOS" snapshot create db@one
check "which can be cloned" "$STORAGEOS" clone db@one second --linked
check "and whose clones are found" grep -q second <("$STORAGEOS" delete db 2>&1)
check "all snapshots are listed" "$STORAGEOS" snapshot list
refuses "what Ceph does is known without it" "image of Ceph, which does that itself" "$STORAGEOS" check cloud/x
touch "$WORK/storageos-backing-rbd.so"
STORAGEOS_MODULE_DIRECTORY=$WORK refuses "a module that is none" "pool 'cloud' cannot use the package storageos-rbd" \
	"$STORAGEOS" create cloud/x --size 16M
sed -i '/^uuid=11111111/d' "$STORAGEOS_CONFIG"
check "the pool can be taken out" "$STORAGEOS" pool delete cloud
is "and is gone" "$(grep -c cloud "$STORAGEOS_CONFIG")" 0
finish
