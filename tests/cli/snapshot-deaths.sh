#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Snapshots whose client or server is killed at the worst moments: while file systems are frozen and gates are
# closed, and between the instant and its being durable.  Nobody waits for ever, and the command says what it
# does not know.
. "$(dirname "$0")/../lib.sh"
need jq jq
need mkfs.ext4 e2fsprogs
need_root
need_fuse
need_loop
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
own_config
config_set frontend=fuse

names() { "$STORAGEOS" snapshot list "$1" --json | jq -r '.[] | select(.state != "deleting") | .name' | paste -sd' '; }
server_of() { "$STORAGEOS" status "$1" --json | jq -r '.[0].pid'; }
# A stopped server does not answer `status`.
signal() { kill "-$2" "${servers[$1]}"; }
serve() {
	"$STORAGEOS" attach "$1" >/dev/null && servers[$1]=$(server_of "$1")
}
declare -A servers
take_away() {
	kill -CONT "${servers[@]}" 2>/dev/null
	umount -l "$WORK/mnt" 2>/dev/null
	for v in db other; do "$STORAGEOS" detach "$v"; done
	attached_end
	for v in db other; do unmount_for_certain "$WORK/run/mnt/default/$v"; done
}
cleanup take_away

must "make two volumes" "$STORAGEOS" create db --size 64M
must "make the other one" "$STORAGEOS" create other --size 64M
must "attach" serve db
must "attach the other one" serve other
must "make a file system" mkfs.ext4 -q "$WORK/dev/default/db"
mkdir "$WORK/mnt"
must "mount it" mount "$WORK/dev/default/db" "$WORK/mnt"

flushed() { dd if=/dev/zero of="$WORK/mnt/more" bs=4k count=1 conv=fsync status=none; }
# hook WHEN SIGNAL: sends it to the server of `other` before or after the instant.
hook() {
	mkdir -p "$WORK/snapshot.d"
	# shellcheck disable=SC2016 # the hook's
	printf '#!/bin/sh\n[ "$1" != %s ] || kill -%s %s\n' "$1" "$2" "${servers[other]}" >"$WORK/snapshot.d/10-signal"
	chmod +x "$WORK/snapshot.d/10-signal"
}
# Begins a group of snapshots that waits for a server that was stopped, while the gate of `db` is closed and its
# file system frozen; and a write that has to wait.
begin_group() { # NAME
	hook before STOP
	"$STORAGEOS" snapshot create "db@$1" "other@$1" >"$WORK/said" 2>&1 &
	client=$!
	local end=$((SECONDS + $(limit 20)))
	while [ "$SECONDS" -lt "$end" ]; do
		flushed &
		writing=$!
		sleep 0.1
		alive "$writing" && sleep 0.3 && alive "$writing" && return
		wait "$writing"
	done
	return 1
}
# The write that had to wait ends within SECONDS.
goes_on() { # SECONDS
	wait_for "$1" gone "$writing" && wait "$writing"
}

# ---- the client is killed

must "a group waits, with a frozen file system and a closed gate" begin_group one
kill -9 "$client"
wait "$client" 2>/dev/null
check "the client is killed: the file system is thawed, and the gate opens by itself" goes_on 10
rm -r "$WORK/snapshot.d"
signal other CONT
is "no snapshot was taken of the one" "$(names db)" ""
is "nor of the other" "$(names other)" ""
check "then a group can be taken" wait_for 10 "$STORAGEOS" snapshot create db@group other@group

# ---- a server is killed

must "a group waits again" begin_group two
rm -r "$WORK/snapshot.d"
signal other KILL
check "a server is killed: the other volume goes on" goes_on 10
wait "$client"
is "the command fails" $? 1
like "and names the volume" "$(<"$WORK/said")" 'default/other: '
is "the other volume has no snapshot of it" "$(names db)" group
wait_for 10 gone "${servers[other]}"
check "the volume whose server was killed can be attached" wait_for 20 serve other
is "it has none either" "$(names other)" group

# ---- a server is killed between the instant and its being durable

hook after KILL
"$STORAGEOS" snapshot create other@lost >"$WORK/said" 2>&1
is "a server that dies before the snapshot is durable: the command fails" $? 1
like "and says that there may be a snapshot, and how to see it" "$(<"$WORK/said")" \
	'default/other@lost may have been taken all the same.* storageos snapshot list default/other\)'
rm -r "$WORK/snapshot.d"
wait_for 10 gone "${servers[other]}"
check "the volume can be attached" wait_for 20 serve other
case $(names other) in
group) must "as it was not taken, it can be taken now" "$STORAGEOS" snapshot create other@lost ;;
"group lost") refuses "as it was taken, the name is taken" 'there is a snapshot default/other@lost already' \
	"$STORAGEOS" snapshot create other@lost ;;
*) not_ok "the list has it, or has it not" "$(names other)" ;;
esac
for volume in db other; do
	[ $volume = other ] || must "unmount" umount "$WORK/mnt"
	must "$volume: detached" "$STORAGEOS" detach $volume
	check "$volume is whole" "$STORAGEOS" check $volume
done
finish
