#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A copy of a volume has the volume's UUID.  Only one of the two is served at a time, by any server,
# until the copy gets a UUID of its own.
. "$(dirname "$0")/../lib.sh"
need jq jq
need_root
need_fuse
need_loop
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
own_config
config_set frontend=fuse

uuid_of() { "$STORAGEOS" info "$1" --json | jq -r .uuid; }
pid_of() { "$STORAGEOS" status "$1" --json | jq -r '.[0].pid'; }
detach_all() {
	local v
	for v in a b; do "$STORAGEOS" detach "$v"; done
	attached_end
}
cleanup detach_all

must "a volume" "$STORAGEOS" create a --size 64M
must "copy the volume's file" cp "$POOL/a.vol" "$POOL/b.vol"
is "the copy has the volume's UUID" "$(uuid_of b)" "$(uuid_of a)"
must "attach the volume" "$STORAGEOS" attach a
like_both() { # NAME COMMAND...: COMMAND is refused because of the UUID of a
	refuses "$1" "UUID of default/a, which process $(pid_of a) \(storageos-fuse\) serves .*storageos set default/b uuid=new" \
		"${@:2}"
}
like_both "the copy is not attached beside it" "$STORAGEOS" attach b
is "nothing of the refused attach is left" "$("$STORAGEOS" status b --json | jq -r '.[0].state')" detached
mkdir "$WORK/mnt"
like_both "nor served by hand" "$STORAGEOS_FUSE" --foreground b "$WORK/mnt"
check "the copy can be checked" "$STORAGEOS" check b
chmod 755 "$WORK" "$WORK/run"
if command -v setpriv >/dev/null; then
	refuses "another user cannot take a claim" 'Permission denied' \
		setpriv --reuid 65534 --regid 65534 --clear-groups \
		flock -n "$WORK/run/identity/$(uuid_of a)" true
fi
refuses "an attached volume keeps its UUID" 'must be detached' "$STORAGEOS" set a uuid=new
must "kill the volume's server" kill -9 "$(pid_of a)"
must "detach what is left of it" wait_for 20 "$STORAGEOS" detach a
check "the copy can be attached then" "$STORAGEOS" attach b
refuses "the original cannot be attached beside the copy" "UUID of default/b, which process" "$STORAGEOS" attach a
must "detach the copy" "$STORAGEOS" detach b

# ---- a UUID of its own

old=$(uuid_of a)
said=$("$STORAGEOS" set b uuid=new --json)
new=$(uuid_of b)
like "set prints the new UUID" "$said" "\"uuid\": \"$new\""
like "set prints the old UUID" "$said" "\"before\": \"$old\""
is "the original keeps its UUID" "$(uuid_of a)" "$old"
like "the new UUID is valid" "$new" '^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$'
check "the new UUID differs from the old" [ "$new" != "$old" ]
check "the copy is whole" "$STORAGEOS" check b
check "the original is attached" "$STORAGEOS" attach a
check "the copy is attached beside it" "$STORAGEOS" attach b
is "no claim is left once both are detached" \
	"$("$STORAGEOS" detach a; "$STORAGEOS" detach b; ls "$WORK/run/identity")" ""
refuses "set refuses any other parameter" "no property 'size' \\(description, label.NAME, " "$STORAGEOS" set a size=3
refuses "set refuses a volume that does not exist" "set default/none: .*no such volume" "$STORAGEOS" set none uuid=new

# ---- the write cache

cache_of() { "$STORAGEOS" info "$1" --json | jq -r .write_cache; }
is "a volume has a write cache" "$(cache_of a)" on
must "a volume without one" "$STORAGEOS" create c --size 64M --write-cache off
is "info says so" "$(cache_of c)" off
like "info says so to people" "$("$STORAGEOS" info c)" 'write cache +off'
refuses "create refuses any other value" "invalid write cache 'through'" "$STORAGEOS" create d --size 64M --write-cache through
like "set switches it on" "$("$STORAGEOS" set c write_cache=on)" '^default/c: write cache on, was off$'
is "that is kept" "$(cache_of c)" on
said=$("$STORAGEOS" set a write_cache=off --json)
is "set says the same to programs" "$(jq -r '.write_cache + .before' <<<"$said")" offon
must "attach a volume" "$STORAGEOS" attach a
refuses "an attached volume keeps its write cache" 'must be detached to change its write cache' "$STORAGEOS" set a write_cache=on
must "detach it" "$STORAGEOS" detach a
refuses "set refuses any other value" "invalid assignment 'write_cache=through'" "$STORAGEOS" set a write_cache=through
finish
