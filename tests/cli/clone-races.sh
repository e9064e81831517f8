#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A linked clone in the making, held up at any of its calls, while others delete its snapshot, give its name to
# another one, or exchange the volume: the clone holds the one snapshot whose content it has; or there is none.
. "$(dirname "$0")/../lib.sh"
need jq jq
need_strace
need_root
need_fuse
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
own_config
POINTS=${STORAGEOS_INTERRUPTS:-8}
seed_random

mkdir "$WORK/mnt"
cleanup unmount_for_certain "$WORK/mnt"

serve() { "$STORAGEOS_FUSE" --pid-file "$WORK/pid" db "$WORK/mnt"; }
unserve() {
	local server
	server=$(<"$WORK/pid")
	umount "$WORK/mnt" && wait_for 10 gone "$server"
}
put() { dd if="$1" of="$WORK/mnt/db" bs=64k conv=notrunc,fsync status=none; }
content() { # SNAPSHOT
	"$STORAGEOS" export "$1" --format raw - 2>/dev/null | head -c 65536 | sha256sum
}

random_file "$WORK/old" 65536
random_file "$WORK/new" 65536
must "a volume" "$STORAGEOS" create db --size 16M
must "it is served" serve
must "with data" put "$WORK/old"
must "a snapshot" "$STORAGEOS" snapshot create db@old --freeze never
must "other data" put "$WORK/new"
must "and a snapshot of that" "$STORAGEOS" snapshot create db@new --freeze never
must "it is let go" unserve
cp "$POOL/db.vol" "$WORK/saved"

# delayed CALL NUMBER ACTION: starts the clone, holds up the NUMBER-th CALL of that kind, and acts meanwhile;
# sets $STATUS to what the clone ended with.
delayed() {
	local clone i
	: >"$WORK/trace"
	strace -qq -o "$WORK/trace" -e "trace=$1" -e "inject=$1:delay_enter=1500000:when=$2" \
		"$STORAGEOS" clone --linked db@old test >"$WORK/out" 2>&1 </dev/null &
	clone=$!
	for ((i = 0; i < 1000; i++)); do
		[ "$(grep -c '(' "$WORK/trace")" -lt $(($2 - 1)) ] || break
		gone $clone && break
		sleep 0.01
	done
	sleep 0.1
	"$3" >"$WORK/acted" 2>&1
	wait $clone
	STATUS=$?
}

# There is no clone; or one snapshot is held for it, and has what the clone has.
verify() {
	local uuid volume held=()
	[ -e "$POOL/test.vol" ] || { [ "$STATUS" != 0 ]; return; }
	[ "$STATUS" = 0 ] || { echo "there is a clone, with status $STATUS"; return 1; }
	uuid=$("$STORAGEOS" info test --json | jq -r .uuid)
	for volume in db moved; do
		[ -e "$POOL/$volume.vol" ] || continue
		"$STORAGEOS" snapshot list $volume --json >"$WORK/list" || return
		mapfile -t -O ${#held[@]} held < <(jq -r --arg tag "clone-$uuid" --arg volume $volume \
			'.[] | select(.holds | index($tag)) | $volume + "@" + .name' "$WORK/list")
	done
	[ ${#held[@]} = 1 ] || { echo "held for it: ${held[*]}"; return 1; }
	"$STORAGEOS" snapshot create test@now >/dev/null || return
	[ "$(content test@now)" = "$(content "${held[0]}")" ] || { echo "${held[0]} has other content"; return 1; }
	made=$((made + 1))
}

reset() {
	rm -f "$POOL"/*.vol "$POOL"/.*.new && cp "$WORK/saved" "$POOL/db.vol"
}

delete_snapshot() { "$STORAGEOS" snapshot delete db@old; }
rename_snapshots() { "$STORAGEOS" snapshot rename db@old older && "$STORAGEOS" snapshot rename db@new old; }
move_volume() { mv "$POOL/db.vol" "$POOL/moved.vol" && cp "$WORK/decoy" "$POOL/db.vol"; }

# race NAME ACTION [served]: at random points all over the clone's calls.
race() {
	local name=$1 action=$2 how=${3-} i line call number
	made=0
	for ((i = 0; i < POINTS; i++)); do
		reset
		[ -z "$how" ] || serve >/dev/null || { not_ok "$name" "it cannot be served"; return; }
		line=$((1 + i * ${#calls[@]} / POINTS + RANDOM % (${#calls[@]} / POINTS)))
		call=${calls[line - 1]}
		number=$(printf '%s\n' "${calls[@]:0:line}" | grep -cx "$call")
		delayed "$call" "$number" "$action"
		verify >"$WORK/why" 2>&1 || {
			not_ok "$name" "at $call $number: $(<"$WORK/why"): $(<"$WORK/out")"
			[ -z "$how" ] || unserve
			return
		}
		[ -z "$how" ] || unserve >/dev/null
	done
	note "$name: of $POINTS times, there was a clone $made times"
	ok "$name: a clone has its base, which is held"
}

must "a volume of the same name" "$STORAGEOS" create decoy --size 16M
must "with a snapshot of the same name" "$STORAGEOS" snapshot create decoy@old
mv "$POOL/decoy.vol" "$WORK/decoy"
strace -qq -o "$WORK/trace" "$STORAGEOS" clone --linked db@old test >/dev/null 2>&1
mapfile -t calls < <(grep -o '^[a-z0-9_]*(' "$WORK/trace" | tr -d '(' | grep -vxE 'execve|exit_group')
race "its snapshot is deleted, of a served volume" delete_snapshot served
race "its name is given to another snapshot" rename_snapshots served
race "another volume is put in the place of its own" move_volume
finish
