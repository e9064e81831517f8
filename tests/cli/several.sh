#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# attach, detach, stats, check, scrub and delete of several volumes, and of all: what fails does not keep the others from
# it.
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
is "usage: --all over either" "$("$STORAGEOS" detach --all --frontend auto 2>/dev/null; echo $?)" 2
check "detach all" "$STORAGEOS" detach --all
is "all are detached, but what attach has not attached" \
	"$("$STORAGEOS" status --json | jq -r '[.[] | "\(.volume) \(.state)"] | join(" ")')" "default/c in use"
check "again: there is nothing to do" "$STORAGEOS" detach --all

# c is served, a and b are not.
volumes() { jq -r .volume "$WORK/out" | xargs; }
several() { "$STORAGEOS" "$@" --json >"$WORK/out" 2>"$WORK/err"; }
must "another pool" "$STORAGEOS" pool create other "$WORK/other"
must "with a volume" "$STORAGEOS" create other/d --size 64M
check "check two: an object for each" several check b default/a a
is "each once, in their order" "$(volumes)" "default/b default/a"
refuses "one that is not there fails" 'check default/none: no such volume' "$STORAGEOS" check none a
several check none a
is "and does not keep the other from it" "$(volumes)" default/a
refuses "so does one that is in use" 'check default/c: .*in use' "$STORAGEOS" check c a
check "check --all leaves out what is in use" several check --all
is "and checks the others, of all pools" "$(volumes)" "default/a default/b other/d"
like "which it says" "$(<"$WORK/err")" '^storageos: check default/c: not checked, as it is in use \(storageos scrub default/c\)$'
check "check --all of a pool" several check --all other
is "checks that pool" "$(volumes)" other/d
is "an unknown pool is a usage error" "$("$STORAGEOS" check --all nope 2>/dev/null; echo $?)" 2
is "no name at all, too" "$("$STORAGEOS" check 2>/dev/null; echo $?)" 2
is "what discards takes one name" "$("$STORAGEOS" check a b --repair --cut-journal 2>/dev/null; echo $?)" 2
dd if=/dev/zero of="$POOL/a.vol" bs=4096 count=1 conv=notrunc status=none # superblock A
is "the worst status counts: nothing was damaged, and one was repaired" \
	"$("$STORAGEOS" check b a other/d --repair --yes >/dev/null 2>&1; echo $?)" 3
dd if=/dev/zero of="$POOL/a.vol" bs=4096 count=1 conv=notrunc status=none
is "a failure is worse than that" "$("$STORAGEOS" check a none b --repair --yes >/dev/null 2>&1; echo $?)" 1

check "scrub --all: served and not served" several scrub --all
is "of all pools" "$(volumes)" "default/a default/b default/c other/d"
is "completely" "$(jq -r .complete "$WORK/out" | sort -u)" true
check "scrub --all --status: what is served" several scrub --all --status
is "that is one" "$(volumes)" default/c
refuses "scrub of one that is not there" 'scrub default/none: ' "$STORAGEOS" scrub none b
several scrub none b
is "does not keep the other from it" "$(volumes)" default/b
mv "$WORK/other" "$WORK/away"
refuses "a pool that is missing is told" "pool 'other'" "$STORAGEOS" scrub --all
several scrub --all
is "and does not keep the others from it" "$(volumes)" "default/a default/b default/c"
mv "$WORK/away" "$WORK/other"

is "delete has no --all" "$("$STORAGEOS" delete --all 2>/dev/null; echo $?)" 2
is "delete: a bad name: nothing is deleted" "$("$STORAGEOS" delete a B 2>/dev/null; echo $? "$(cd "$POOL" && echo *)")" \
	"2 a.vol b.vol c.vol"
refuses "delete one that is in use" 'delete .*default/c.*in use' "$STORAGEOS" delete c a
is "does not keep the other from it" "$(cd "$POOL" && echo *)" "b.vol c.vol"
check "delete two" several delete b other/d
is "an object for each" "$(volumes)" "default/b other/d"
is "they are gone" "$(cd "$POOL" && echo * "$WORK"/other/*)" "c.vol $WORK/other/*"
finish
