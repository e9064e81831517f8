#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A copy of a volume has the volume's UUID.  Only one of the two is served at a time, by any server,
# until the copy gets a UUID of its own.
. "$(dirname "$0")/../lib.sh"
need jq jq
need_root
[ -c /dev/fuse ] || modprobe fuse 2>/dev/null || skip_all "this kernel has no FUSE"
[ -c /dev/loop-control ] || modprobe loop 2>/dev/null || skip_all "this kernel has no loop devices"
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
own_config
sed -i '/^\[storageos\]/a frontend=fuse' "$STORAGEOS_CONFIG"

uuid_of() { "$STORAGEOS" info "$1" --json | jq -r .uuid; }
pid_of() { "$STORAGEOS" status "$1" --json | jq -r '.[0].pid'; }
detach_all() {
	local v
	for v in a b; do "$STORAGEOS" detach "$v"; done
	cat "$WORK"/run/state/*.pid | xargs -r kill -9
	losetup -n -O NAME,BACK-FILE | grep -F "$WORK" | while read -r v _; do losetup -d "$v"; done
	umount -l "$WORK/run/mnt/default"/*
}
cleanup detach_all

must "a volume" "$STORAGEOS" create a --size 64M
must "is copied" cp "$POOL/a.vol" "$POOL/b.vol"
is "the copy has its UUID" "$(uuid_of b)" "$(uuid_of a)"
must "it is attached" "$STORAGEOS" attach a
like_both() { # NAME COMMAND...: COMMAND is refused because of the UUID of a
	refuses "$1" "UUID of default/a, which process $(pid_of a) \(storageos-fuse\) serves .*storageos set default/b uuid=new" \
		"${@:2}"
}
like_both "the copy is not attached beside it" "$STORAGEOS" attach b
is "nothing of it is left" "$("$STORAGEOS" status b --json | jq -r '.[0].state')" detached
mkdir "$WORK/mnt"
like_both "nor served by hand" "$STORAGEOS_FUSE" --foreground b "$WORK/mnt"
check "it can be checked" "$STORAGEOS" check b
chmod 755 "$WORK" "$WORK/run"
if command -v setpriv >/dev/null; then
	refuses "nobody else can hold an identity" 'Permission denied' \
		setpriv --reuid 65534 --regid 65534 --clear-groups \
		flock -n "$WORK/run/identity/$(uuid_of a)" true
fi
refuses "what is attached keeps its UUID" 'must be detached' "$STORAGEOS" set a uuid=new
must "its server is killed" kill -9 "$(pid_of a)"
must "what is left of it is detached" wait_for 20 "$STORAGEOS" detach a
check "then the copy is attached" "$STORAGEOS" attach b
refuses "and the original is not" "UUID of default/b, which process" "$STORAGEOS" attach a
must "it is detached" "$STORAGEOS" detach b

# ---- a UUID of its own

old=$(uuid_of a)
said=$("$STORAGEOS" set b uuid=new --json)
new=$(uuid_of b)
like "set says the new one" "$said" "\"uuid\": \"$new\""
like "and the old one" "$said" "\"before\": \"$old\""
is "which the original keeps" "$(uuid_of a)" "$old"
like "the new one is a UUID" "$new" '^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$'
check "another one" [ "$new" != "$old" ]
check "the copy is whole" "$STORAGEOS" check b
check "the original is attached" "$STORAGEOS" attach a
check "the copy is attached beside it" "$STORAGEOS" attach b
is "no claim is left once both are detached" \
	"$("$STORAGEOS" detach a; "$STORAGEOS" detach b; ls "$WORK/run/identity")" ""
refuses "nothing else can be set" "invalid assignment 'size=3'" "$STORAGEOS" set a size=3
refuses "nor of what is not there" "set default/none: .*no such volume" "$STORAGEOS" set none uuid=new
finish
