#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Properties that a volume keeps: set and shown while it is detached and while it is served, also by people who have
# it open only for reading; kept when the server dies; what they do.
. "$(dirname "$0")/../lib.sh"
need jq jq
need_root
need_fuse
need_loop
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
own_config
cleanup attached_end

get() { "$STORAGEOS" get "$1" --json "${@:2}" | jq -c .properties; }
all() { get "$1" | jq -c 'del(.uuid, .write_cache)'; }

# ---- detached

must "a volume" "$STORAGEOS" create v --size 64M
is "a new volume has none" "$(all v)" '{}'
is "set reports each change" "$("$STORAGEOS" set v description='orders, größer' label.team=blue scrub_rate=50M)" \
	"default/v: description orders, größer, was not set; label.team blue, was not set; scrub_rate 50 MiB, was not set (from the next scrub on)"
is "get has them in the order of keys" "$(all v)" \
	'{"description":"orders, größer","label.team":"blue","scrub_rate":"52428800"}'
is "get for people" "$("$STORAGEOS" get v description scrub_rate write_cache label.none | tr -s ' ')" \
	"KEY VALUE
description orders, größer
scrub_rate 50 MiB
write_cache on
label.none -"
like "info shows them" "$("$STORAGEOS" info v)" 'label.team +blue'
is "and to programs" "$("$STORAGEOS" info v --json | jq -r '.properties."label.team"')" blue
said=$("$STORAGEOS" set v label.team= label.tier=gold --json)
is "set says what was, to programs" "$(jq -c .before <<<"$said")" '{"label.team":"blue"}'
is "and what is" "$(jq -r '.properties | keys[]' <<<"$said" | xargs)" "description label.tier scrub_rate"
check "the volume is whole" "$STORAGEOS" check v

refuses "an unknown key" "no property 'descripton' \(description, label.NAME, user.NAME" "$STORAGEOS" set v descripton=x
refuses "an unknown value, with the choices" "invalid frontend 'iscsi' \(auto, tcmu or fuse\)" "$STORAGEOS" set v frontend=iscsi
refuses "one bad assignment changes nothing" "invalid scrub_rate 'fast'" "$STORAGEOS" set v label.tier=lead scrub_rate=fast
is "so the good one was not made" "$(get v label.tier)" '{"label.tier":"gold"}'
refuses "a key twice" "'label.a' is set twice" "$STORAGEOS" set v label.a=1 label.a=2
refuses "the UUID beside others" "'uuid=new' must be the only assignment" "$STORAGEOS" set v label.a=1 uuid=new
refuses "a control character" "invalid value of 'description'" "$STORAGEOS" set v description=$'a\tb'
refuses "more than there is room for" "no room for property 'label.8'.* at most 2047 bytes" "$STORAGEOS" set v \
	label.{1..8}="$(printf '%0255d' 0)"
refuses "get of an unknown key" "no property 'colour' \(uuid, write_cache, description" "$STORAGEOS" get v colour
refuses "a volume that does not exist" "no such volume" "$STORAGEOS" get none
refuses "set of one that does not exist" "set default/none: .*no such volume" "$STORAGEOS" set none label.a=1

must "create with properties" "$STORAGEOS" create w --size 64M --set description='made with' --set frontend=fuse
is "the new volume has them" "$(all w)" '{"description":"made with","frontend":"fuse"}'
refuses "create with a bad one makes nothing" "invalid frontend" "$STORAGEOS" create x --size 64M --set frontend=x
check "so there is no such volume" [ ! -e "$POOL/x.vol" ]

# ---- served

mkdir "$WORK/mnt"
cleanup unmount_for_certain "$WORK/mnt"
must "serve" "$STORAGEOS_FUSE" --pid-file "$WORK/pid" v "$WORK/mnt"
"$STORAGEOS" set v description=served label.tier= user.job=42 >"$WORK/said"
like "set works on a served volume" "$(<"$WORK/said")" 'description served, was orders'
is "get shows it at once" "$(all v)" '{"description":"served","scrub_rate":"52428800","user.job":"42"}'
refuses "the server's refusal is shown" "no room for property" "$STORAGEOS" set v label.{1..8}="$(printf '%0255d' 0)"
kill -9 "$(<"$WORK/pid")"
unmount_for_certain "$WORK/mnt"
is "what was set survives the server's death" "$(get v description user.job)" '{"description":"served","user.job":"42"}'
check "and the volume is whole" "$STORAGEOS" check v
is "and the recovery" "$(all v)" '{"description":"served","scrub_rate":"52428800","user.job":"42"}'

# Two at a time: each change is made, whoever comes first.
must "serve again" "$STORAGEOS_FUSE" --pid-file "$WORK/pid" v "$WORK/mnt"
for i in {1..10}; do
	"$STORAGEOS" set v "label.a$i=1" &
	"$STORAGEOS" set v "label.b$i=1" &
	wait
done >"$WORK/said" 2>&1
is "changes by two people at once are all made" "$(get v | jq 'with_entries(select(.key | startswith("label."))) | length')" 20
stop "$(<"$WORK/pid")"
unmount_for_certain "$WORK/mnt"

# ---- what they do

must "a slow scrub" "$STORAGEOS" set v scrub_rate=1M
must "serve again" "$STORAGEOS_FUSE" --pid-file "$WORK/pid" v "$WORK/mnt"
must "data" dd if=/dev/urandom of="$WORK/mnt/v" bs=1M count=8 conv=notrunc,fsync status=none
begun=$EPOCHREALTIME
"$STORAGEOS" scrub v >/dev/null
takes_longer() { awk "BEGIN { print ($EPOCHREALTIME - $begun > $1) }"; } # SECONDS
is "a scrub keeps to the volume's rate" "$(takes_longer 4)" 1
begun=$EPOCHREALTIME
"$STORAGEOS" scrub v --rate 0 >/dev/null
is "unless it is told another one" "$(takes_longer 4)" 0
stop "$(<"$WORK/pid")"
unmount_for_certain "$WORK/mnt"
begun=$EPOCHREALTIME
"$STORAGEOS" scrub v >/dev/null
is "so does one of a volume that nobody serves" "$(takes_longer 4)" 1
config_set frontend=tcmu
like "attach takes the volume's front end" "$("$STORAGEOS" attach w --json | jq -r '.frontend + ": " + .reason')" "^fuse: the volume's property 'frontend' says so"
must "detach it" "$STORAGEOS" detach w

# ---- clones and copies

must "a reserve" "$STORAGEOS" set w reserve=8M

must "a snapshot" "$STORAGEOS" snapshot create w@s
must "change the volume" "$STORAGEOS" set w label.x=1
for way in linked copy; do
	must "a clone, which has no reserve ($way)" "$STORAGEOS" clone w@s "of-$way" --"$way"
	is "it has the properties of its volume" "$(all "of-$way")" '{"description":"made with","frontend":"fuse","label.x":"1"}'
done
finish
