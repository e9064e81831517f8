#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# attach, detach and stats of several volumes, and of all: what fails does not keep the others from it.
. "$(dirname "$0")/../lib.sh"
need jq jq
need_root
need_fuse
need_loop
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
own_config
config_set frontend=fuse
cleanup attached_end

attached() { "$STORAGEOS" status --json | jq -r '[.[] | select(.state == "attached") | .volume] | join(" ")'; }

for name in a b c; do must "create $name" "$STORAGEOS" create $name --size 64M; done
is "a bad name: nothing is attached" "$("$STORAGEOS" attach a B 2>&1 | cut -c1-40; attached)" \
	"storageos: attach: invalid volume name '"
is "attach two, one of them named twice" "$("$STORAGEOS" attach a default/b default/a 2>/dev/null)" \
	"$WORK/dev/default/a"$'\n'"$WORK/dev/default/b"
is "both are attached" "$(attached)" "default/a default/b"
refuses "one that is not there" "attach default/none: .*no such volume" "$STORAGEOS" attach none c
is "does not keep the other from it" "$(attached)" "default/a default/b default/c"
is "JSON: an object for each" "$("$STORAGEOS" attach a b --json 2>/dev/null | jq -r .volume | xargs)" "default/a default/b"
stats_of() { "$STORAGEOS" stats "$@" --json 2>"$WORK/err" | jq -r '[.[].volume] | join(" ")'; }
is "stats of two" "$(stats_of c a)" "default/c default/a"
is "stats of one that is not served, and of one that is" "$(stats_of none c)" default/c
like "it is told" "$(<"$WORK/err")" 'stats default/none: '
refuses "which fails" 'stats default/none: ' "$STORAGEOS" stats none c
exec 5<"$WORK/dev/default/b"
refuses "one that is in use" 'detach default/b: .*in use' "$STORAGEOS" detach b c
is "does not keep the other from it" "$(attached)" "default/a default/b"
exec 5<&-
is "usage: --all and names" "$("$STORAGEOS" detach a --all 2>/dev/null; echo $?)" 2
is "usage: neither" "$("$STORAGEOS" detach 2>/dev/null; echo $?)" 2
mkdir "$WORK/mnt"
cleanup unmount_for_certain "$WORK/mnt"
must "somebody serves one himself" "$STORAGEOS_FUSE" c "$WORK/mnt"
check "detach all" "$STORAGEOS" detach --all
is "all are detached, but what attach has not attached" \
	"$("$STORAGEOS" status --json | jq -r '[.[] | "\(.volume) \(.state)"] | join(" ")')" "default/c in use"
check "again: there is nothing to do" "$STORAGEOS" detach --all
finish
