#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A create or attach that is interrupted at any step is undone or completed, and so is an attach that
# fails at its last step: it leaves no file, server, device, link, state or lock.  What takes long, as a
# copy or the space of a reserve does, ends soon by a signal, says so, and leaves nothing.
. "$(dirname "$0")/../lib.sh"
need jq jq
need_strace
need_root
need_fuse
need_loop
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
own_config
config_set frontend=fuse
POINTS=${STORAGEOS_INTERRUPTS:-8}

mount=$WORK/run/mnt/default/db
state() { "$STORAGEOS" status db --json | jq -r '.[0].state'; }
take_away() {
	local device
	rm -rf "${WORK:?}/dev"
	"$STORAGEOS" detach db
	pgrep -f "^$STORAGEOS_FUSE .*$mount" | xargs -r kill -9
	losetup -n -O NAME,BACK-FILE | grep -F "$WORK" | while read -r device _; do losetup -d "$device"; done
	unmount_for_certain "$mount"
}
cleanup take_away

# Prints all parts of an attachment; none is left after a detach.
remains() {
	pgrep -f "^$STORAGEOS_FUSE .*$mount"
	losetup -n -O BACK-FILE | grep -F "$mount"
	grep -o " $mount " /proc/mounts
	find "$WORK/dev" -type l
	find "$WORK/run/state" "$WORK/run/lock" -type f
}

# interrupted N SIGNAL COMMAND...: runs COMMAND, which gets the signal at its N-th system call.
interrupted() {
	local at=$1 number=$2
	shift 2
	timeout 120 strace -qq -o "$WORK/trace" -e trace=all -e "inject=all:signal=$number:when=$at" \
		"$@" >"$WORK/out" 2>"$WORK/said"
}

calls() { # COMMAND...: prints the number of its system calls
	strace -qq -o "$WORK/trace" "$@" >/dev/null 2>&1
	grep -c '(' "$WORK/trace"
}

seed_random
# Divides the system calls into equal parts, and prints a random point in each.
points() { # CALLS
	local i
	for ((i = 0; i < POINTS; i++)); do echo $((1 + i * $1 / POINTS + RANDOM % ($1 / POINTS))); done
}
signals=(SIGINT SIGTERM SIGHUP)

# ---- create

total=$(calls "$STORAGEOS" create first --size 8M)
note "create makes $total system calls"
i=0
for at in $(points "$total"); do
	signal=${signals[i++ % 3]}
	interrupted "$at" "$signal" "$STORAGEOS" create "v$i" --size 8M
	hidden=$(find "$POOL" -name '.*.new')
	if [ -e "$POOL/v$i.vol" ]; then
		check "create, $signal at $at: completed" "$STORAGEOS" check "v$i"
	else
		ok "create, $signal at $at: undone"
	fi
	is "no hidden file is left" "$hidden" ""
done

# ---- attach

must "make a volume" "$STORAGEOS" create db --size 64M
total=$(calls "$STORAGEOS" attach db)
must "detach" "$STORAGEOS" detach db
note "attach makes $total system calls"
i=0
for at in $(points "$total"); do
	signal=${signals[i++ % 3]}
	interrupted "$at" "$signal" "$STORAGEOS" attach db
	now=$(state)
	case $now in
	attached)
		ok "attach, $signal at $at: completed"
		"$STORAGEOS" detach db || not_ok "and can be detached"
		;;
	detached) ok "attach, $signal at $at: undone" ;;
	*) not_ok "attach, $signal at $at" "it is $now: $(<"$WORK/said")"; "$STORAGEOS" detach db ;;
	esac
	is "nothing is left" "$(remains)" ""
done
check "the volume is whole" "$STORAGEOS" check db

# ---- the first step fails

printf '#!/bin/sh\necho "storageos-fuse: this is why" >&2\nexit 1\n' >"$WORK/storageos-fuse"
chmod +x "$WORK/storageos-fuse"
like "attach says why it fails first, then over what" \
	"$(STORAGEOS_FUSE=$WORK/storageos-fuse "$STORAGEOS" attach db 2>&1)" \
	'^storageos: attach default/db: this is why \(storageos-fuse exited with status 1\)'
is "nothing is left" "$(remains; find "$WORK/run/mnt" -mindepth 1)" ""

# ---- the last step fails

rm -rf "$WORK/dev/default"
mkdir -p "$WORK/dev"
touch "$WORK/dev/default"
refuses "attach fails where its link cannot be made" "$WORK/dev/default" "$STORAGEOS" attach db
is "nothing is left" "$(remains)" ""
rm "$WORK/dev/default"
mv "$WORK/run/state" "$WORK/run/aside"
mkdir -p "$WORK/run/state/default:db.json"
refuses "attach fails when its state file cannot be written" 'default:db.json' "$STORAGEOS" attach db
rmdir "$WORK/run/state/default:db.json" "$WORK/run/state"
mv "$WORK/run/aside" "$WORK/run/state"
is "nothing is left" "$(remains)" ""
check "the volume can be attached then" "$STORAGEOS" attach db
check "the volume can be detached then" "$STORAGEOS" detach db
is "nothing is left" "$(remains)" ""

# ---- what takes long

pool_on_disk disk "$WORK/disk.img" 4G
must "data" eval "head -c 64M /dev/urandom | '$STORAGEOS' import disk/db - --format raw --no-verify"
must "a snapshot" "$STORAGEOS" snapshot create disk/db@one --freeze never
hidden() { find "$WORK/disk" -name '.*.new' | grep .; }
volumes() { find "$WORK/disk" -name '*.vol*' -printf '%f ' | tr ' ' '\n' | sort | xargs; }
snapshots() { "$STORAGEOS" snapshot list disk/db --json | jq -r '[.[] | select(.state != "deleting") | .name] | join(" ")'; }
# stopped SIGNAL CALLS:delay_enter=MICROSECONDS COMMAND...: the command, for which these calls take long, gets the signal
# when its volume has a temporary name; prints its status, and what volumes there are then.
stopped() {
	local signal=$1 calls=$2 tracer status begun
	shift 2
	env --default-signal strace -f -qq -o /dev/null -e trace="${calls%:*}" -e inject="$calls" "$@" >"$WORK/out" 2>"$WORK/said" &
	tracer=$!
	wait_for 20 hidden || return
	kill -"$signal" "$(pgrep -P $tracer)"
	begun=$SECONDS
	wait $tracer
	status=$?
	[ $((SECONDS - begun)) -le "$(limit 10)" ] || echo "took $((SECONDS - begun)) s"
	echo "$status $(volumes)"
}
slow_writes=pwrite64,pwritev:delay_enter=30000 slow_space=fallocate:delay_enter=500000
ends() { # SIGNAL CALLS COMMAND...
	local signal=$1
	is "SIG$signal ends ${*:3}, and there is nothing new" "$(stopped "$1" "$2" "$STORAGEOS" "${@:3}")" \
		"$((128 + $(kill -l "$signal"))) db.vol"
	like "it says so" "$(<"$WORK/said")" "^storageos: $3.*: interrupted$"
}
ends INT $slow_writes copy disk/db disk/new
ends TERM $slow_writes copy disk/db@one disk/new
ends INT $slow_writes clone disk/db@one disk/new --copy
ends TERM $slow_space create disk/new --size 2G --reserve
ends HUP $slow_space create disk/new --size 2G --set reserve=2G
is "no snapshot is left" "$(snapshots)" one
like "one that is killed" "$(stopped KILL $slow_writes "$STORAGEOS" copy disk/db disk/new)" "^137 "
like "leaves a snapshot" "$(snapshots)" '^one temporary-[0-9]{8}t[0-9]{6}z-[0-9a-f]{8}$'
is "and no volume" "$(find "$WORK/disk" -name 'new.vol')" ""
must "the next copy" "$STORAGEOS" copy disk/db disk/new
check "the copy is whole" "$STORAGEOS" check disk/new
check "and equal" "$STORAGEOS" compare disk/db disk/new
finish
