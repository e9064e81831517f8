#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Snapshots of ext4, xfs and btrfs on attached volumes, in turn and of all three at one instant, under fio, while the
# runner is killed.  Each is mounted beside its original, without recovery, and has what was there; old ones are deleted,
# clones are written, and streams keep other volumes equal, over pipes that break.  At the end a rollback
# brings each file system back.
# STORAGEOS_SECONDS: duration (default 75); STORAGEOS_INTERVAL: from one snapshot to the next (default 6).
. "$(dirname "$0")/guest.sh"
. "$(dirname "$0")/initiator.sh"
need_built "$STORAGEOS_PLUGIN" "$STORAGEOS" "$STORAGEOS_FUSE"
need tcmu-runner tcmu-runner
need targetcli targetcli-fb
need jq jq
need fio fio
need mkfs.xfs xfsprogs
need mkfs.ext4 e2fsprogs
need mkfs.btrfs btrfs-progs
seconds=${STORAGEOS_SECONDS:-75} interval=${STORAGEOS_INTERVAL:-6}
enter_guest --timeout $((395 + 3 * seconds)) --disk 12G --mem 1536 --env "STORAGEOS_SECONDS=$seconds" \
	--env "STORAGEOS_INTERVAL=$interval"
need_fuse
need_loop
types=(ext4 xfs btrfs)
keep=4
unmount_all() {
	local directory
	for directory in "$WORK"/{mnt,old,served}.* "$WORK/clone"; do
		unmount_for_certain "$directory"
	done
}
cleanup unmount_all
plugin_install
must "the runner starts" runner_start

declare -A link left sent
mkdir "$WORK/clone"
make() { # TYPE
	local type=$1 mount=$WORK/mnt.$1
	"$STORAGEOS" create "$type" --size 512M && link[$type]=$("$STORAGEOS" attach "$type") &&
		mkdir "$mount" "$WORK/old.$type" "$WORK/served.$type" && "mkfs.$type" -q "${link[$type]}" &&
		mount -o discard "${link[$type]}" "$mount" || return
	tree_fill "$mount/tree" 4 && sync -f "$mount"
	(cd "$mount/tree" && find . -type f -exec sha256sum {} +) >"$WORK/sums.$type" || return
	left[$type]='' sent[$type]=0
}
for type in "${types[@]}"; do
	must "$type" make "$type"
done

# fine NAME COMMAND...: a result only where it fails, which ends the test.
fine() {
	local name="$number: $1"
	shift
	"$@" >"$WORK/.fine" 2>&1 </dev/null && return
	not_ok "$name" "'$*' failed after $SECONDS s:"$'\n'"$(<"$WORK/.fine")"
	note "$("$STORAGEOS" status 2>&1)" "$(tail -n 20 "$RUNNER_LOG")" "$(dmesg | tail -n 20)"
	give_up "cannot go on after: $name"
}

# take NUMBER TYPE...: writes the number to these file systems, and takes a snapshot of them at one instant.
take() {
	local number=$1 names=() type
	shift
	for type; do
		echo "$number" >"$WORK/mnt.$type/stamp" || return
		names+=("$type@s$number")
	done
	"$STORAGEOS" snapshot create "${names[@]}" --freeze require
}
newest() { # TYPE
	local numbers=${left[$1]% }
	echo "${numbers##* }"
}

next_type() { echo "${types[$1 % ${#types[@]}]}"; } # COUNT

# ---- one, mounted

# btrfs mixes up the devices of one UUID: beside its original another one is needed.
other_uuid() { # TYPE DEVICE
	[ "$1" != btrfs ] || btrfstune -m "$2"
}

# has DIRECTORY TYPE NUMBER: whether what is mounted there is what was there then.
has() {
	[ "$(<"$1/stamp")" = "$3" ] && (cd "$1/tree" && sha256sum --quiet --strict -c "$WORK/sums.$2")
}

# A disk that cannot be written needs no option but those: ext4 would refuse a journal that has to be recovered.
# xfs makes its log dirty at each freeze, when everything else is written, so that a crash of the frozen
# file system is recovered from; and it refuses a second file system with the same UUID.
options() { # TYPE
	case $1 in
	xfs) echo ro,nouuid,norecovery ;;
	*) echo ro ;;
	esac
}
attach_mount() { # TYPE VOLUME DIRECTORY
	local device
	device=$("$STORAGEOS" attach "$2") && other_uuid "$1" "$device" && mount -o "$(options "$1")" "$device" "$3"
}
serve_mount() { # TYPE VOLUME DIRECTORY: over FUSE
	local file=$WORK/served.$1/$2
	"$STORAGEOS_FUSE" "$2" "$WORK/served.$1" && other_uuid "$1" "$file" && mount -o "loop,$(options "$1")" "$file" "$3"
}
# Over TCMU targetcli takes seconds: only each sixteenth.
how() { [ $(($1 % 16)) = 1 ] && echo attach_mount || echo serve_mount; } # NUMBER
appear() { # TYPE NUMBER: beside the original
	local volume=$1@s$2
	[ "$1" != btrfs ] || { volume=btrfs-s$2 && "$STORAGEOS" clone "btrfs@s$2" "$volume"; } || return
	"$(how "$2")" "$1" "$volume" "$WORK/old.$1"
}
vanish() { # TYPE NUMBER
	local volume=$1@s$2
	[ "$1" != btrfs ] || volume=btrfs-s$2
	umount "$WORK/old.$1" || return
	if [ "$(how "$2")" = attach_mount ]; then
		"$STORAGEOS" detach "$volume"
	else
		umount "$WORK/served.$1"
	fi
	[ "$1" != btrfs ] || wait_for 20 "$STORAGEOS" delete "$volume"
}

# ---- a clone, written

clone=() clones=0
clone_begin() { # TYPE NUMBER
	local device
	"$STORAGEOS" clone "$1@s$2" clone && device=$("$STORAGEOS" attach clone) && other_uuid "$1" "$device" &&
		mount -o "$([ "$1" != xfs ] || echo nouuid,)discard" "$device" "$WORK/clone" && has "$WORK/clone" "$1" "$2" || return
	verifier_start clone "$WORK/clone"
	clone=("$@")
}
clone_end() {
	verifier_end clone && has "$WORK/clone" "${clone[@]}" && umount "$WORK/clone" &&
		sound "${clone[0]}" "$("$STORAGEOS" status clone --json | jq -r '.[0].device')" &&
		"$STORAGEOS" detach clone && "$STORAGEOS" check clone && "$STORAGEOS" delete clone || return
	clone=() clones=$((clones + 1))
}

# ---- a second volume, kept equal

# All data, in order.
content() { "$STORAGEOS" export "$1" --format rbd-diff - | sha256sum; } # VOLUME@SNAPSHOT
equal() { # TYPE NUMBER
	local original
	original=$(content "$1@s$2") && [ "$(content "copy-$1@s$2")" = "$original" ]
}
receive() { "$STORAGEOS" import "copy-$1"; } # TYPE
token() { "$STORAGEOS" import "copy-$1" --token; } # TYPE
# trickle MIB: at most 5 MiB a second of standard input, so that a mark comes after 10 s.
trickle() {
	local i
	for ((i = 0; i < $1; i++)); do
		head -c 1M && sleep 0.2
	done
}
# Thrice: the pipe, behind a mark; the sender; the receiver.  What is left is for resume.
break_thrice() { # TYPE EXPORT-ARGUMENT...
	local type=$1 snapshot=$2 sender first
	shift
	! "$STORAGEOS" export "$@" | trickle 100 | receive "$type" || return
	first=$(token "$type") || return
	echo "$first"
	[ "${first##*.}" -gt 0 ] || return
	[ -p "$WORK/pipe" ] || mkfifo "$WORK/pipe"
	"$STORAGEOS" export "$snapshot" --resume "$first" >"$WORK/pipe" &
	sender=$!
	! { trickle 10 && kill -9 $sender && cat; } <"$WORK/pipe" | receive "$type" || return
	! "$STORAGEOS" export "$snapshot" --resume "$(token "$type")" | trickle 100 |
		timeout --signal=KILL 5 "$STORAGEOS" import "copy-$type" || return
	[ "$(token "$type")" = "$first" ]
}
# send TYPE NUMBER [broken]: what changed since the last one that was sent.
send() {
	local snapshot=$1@s$2 from=()
	set -o pipefail
	[ "${sent[$1]}" = 0 ] || from=(--from "s${sent[$1]}")
	if [ -n "${3-}" ]; then
		break_thrice "$1" "$snapshot" "${from[@]}" || return
		from=(--resume "$(token "$1")")
	fi
	"$STORAGEOS" export "$snapshot" "${from[@]}" | receive "$1" && equal "$1" "$2" || return
	[ "${sent[$1]}" = 0 ] || "$STORAGEOS" snapshot delete "copy-$1@s${sent[$1]}"
}

sending=() transfer='' transfers=0 broken=0 bulk=''
# For a stream that is broken: enough that it has marks.
bulk_start() { # TYPE
	head -c 180M /dev/urandom >"$WORK/mnt.$1/bulk" &
	bulk=$!
}
send_start() { # TYPE NUMBER [broken]
	send "$@" >"$WORK/transfer" 2>&1 &
	transfer=$! sending=("$@")
}
send_end() {
	wait "$transfer" || { cat "$WORK/transfer"; return 1; }
	set -- "${sending[@]}"
	sent[$1]=$2 transfer='' sending=() transfers=$((transfers + 1))
	[ $# = 2 ] || { broken=$((broken + 1)) && rm "$WORK/mnt.$1/bulk"; }
}
# One stream after the other, of each volume in turn; those that break first, and `breaks_every` seconds apart.
breaks_every=$((seconds / 6 > 60 ? seconds / 6 : 60)) next_break=0 sends_every=$((seconds / 45)) next_send=0
transfer_step() { # TYPE NUMBER READY: whether the bulk was written before this snapshot
	[ -z "$transfer" ] || { ! alive "$transfer" && fine "what is sent is equal: ${sending[*]}" send_end; } || return 0
	if [ -z "$bulk" ] && [ $SECONDS -ge $next_break ] && [ $SECONDS -lt $((end - 30)) ]; then
		next_break=$((SECONDS + breaks_every))
		bulk_start "$(next_type $broken)"
	elif [ -z "$bulk" ] || [ "$1" != "$(next_type $broken)" ]; then
		[ $SECONDS -ge $next_send ] || return 0
		next_send=$((SECONDS + sends_every))
		send_start "$1" "$2"
	elif [ "$3" = yes ]; then
		bulk='' && send_start "$1" "$2" broken
	fi
}

# ---- the load

# prune TYPE: the oldest ones that nobody needs, but for so many.
prune() {
	local number numbers
	read -ra numbers <<<"${left[$1]}"
	left[$1]=''
	for number in "${!numbers[@]}"; do
		if [ $((${#numbers[@]} - number)) -le "$keep" ] || [ "${numbers[number]}" = "${sent[$1]}" ] ||
			[ "${sending[*]:0:2}" = "$1 ${numbers[number]}" ] || [ "${clone[*]-}" = "$1 ${numbers[number]}" ]; then
			left[$1]+="${numbers[number]} "
		else
			"$STORAGEOS" snapshot delete "$1@s${numbers[number]}" || return
		fi
	done
}
restart() { runner_kill && runner_start; }
dmesg --clear
# On a slow machine less, so that it leaves time for the snapshots.
VERIFIER_RATE=$((160 * 1024 / $(limit 1))) VERIFIER_SIZE=$((4096 / $(limit 1)))k
for type in "${types[@]}"; do
	verifier_start "$type" "$WORK/mnt.$type"
done
begun=$SECONDS end=$((SECONDS + seconds)) number=0 snapshots=0 kills=0
next_kill=$((SECONDS + 15)) next_clone=$SECONDS next_note=$((SECONDS + 60))
while [ $SECONDS -lt $end ]; do
	number=$((number + 1))
	of=("$(next_type $number)")
	[ $((number % 10)) != 1 ] || of=("${types[@]}")
	ready=$([ -n "$bulk" ] && gone "$bulk" && echo yes || echo no)
	fine "a snapshot of ${of[*]}" take $number "${of[@]}"
	snapshots=$((snapshots + ${#of[@]}))
	for type in "${of[@]}"; do
		left[$type]+="$number "
		fine "$type: mounted" appear "$type" $number
		transfer_step "$type" $number "$ready"
	done
	if [ $SECONDS -ge $next_kill ]; then
		next_kill=$((SECONDS + (seconds / 15 > 30 ? seconds / 15 : 30))) kills=$((kills + 1))
		fine "the runner is killed, and starts again" restart
	fi
	for type in "${of[@]}"; do
		fine "$type: its checksums are right" has "$WORK/old.$type" "$type" $number
		fine "$type: unmounted" vanish "$type" $number
		fine "$type: old ones are deleted" prune "$type"
	done
	if [ $SECONDS -ge $next_clone ]; then
		next_clone=$((SECONDS + (seconds / 6 > 45 ? seconds / 6 : 45)))
		[ ${#clone[@]} = 0 ] || fine "the clone of ${clone[*]} was written beside its original" clone_end
		fine "a clone of ${of[0]} is written" clone_begin "${of[0]}" $number
	fi
	if [ $SECONDS -ge $next_note ]; then
		next_note=$((SECONDS + 60))
		note "$((SECONDS - begun)) s: $snapshots snapshots, $kills kills, $clones clones, $transfers streams, $broken broken"
	fi
	# What was late is made up for.
	while [ $SECONDS -lt $((begun + snapshots * interval)) ]; do sleep 0.2; done
done
ok "each snapshot was mounted beside its original, and had what was there"
note "$snapshots snapshots in $((SECONDS - begun)) s, $kills kills of the runner"
check "they were taken all the time" test $((snapshots * $(limit $((3 * interval))))) -ge "$seconds"
check "the last clone was written beside its original" clone_end
[ -z "$transfer" ] || check "what is sent is equal: ${sending[*]}" send_end
if [ $broken = 0 ]; then # in so short a time
	[ -n "$bulk" ] || bulk_start ext4
	wait "$bulk"
	number=$((number + 1)) && left[ext4]+="$number "
	must "a snapshot of much" take $number ext4
	send_start ext4 $number broken
	check "what is sent over a pipe that breaks is equal" send_end
fi
for type in "${types[@]}"; do
	check "$type: fio finds what it wrote" verifier_end "$type"
	note "$type: fio wrote and verified ${VERIFIER_SIZE}iB $(wc -l <"$WORK/$type.rounds") times"
	[ "${sent[$type]}" = "$(newest "$type")" ] ||
		check "$type: what is sent last is equal" send "$type" "$(newest "$type")"
	is "$type: the list has those that are left" \
		"$("$STORAGEOS" snapshot list "$type" --json | jq -r '.[] | select(.state == "ok") | .name' | paste -sd' ')" \
		"$(sed 's/[0-9]\+/s&/g; s/ $//' <<<"${left[$type]}")"
done
note "$clones clones were written; $transfers streams, $broken of them broken thrice"
check "the runner was killed, clones were written, and streams broken" test $kills -gt 0 -a $clones -gt 0 -a $broken -gt 0

# ---- each that is left

verify() { # TYPE SNAPSHOT NUMBER
	local device
	device=$("$STORAGEOS" attach "$2") && mount -o "$(options "$1")" "$device" "$WORK/old.$1" &&
		has "$WORK/old.$1" "$1" "$3"
	local status=$?
	umount "$WORK/old.$1" && "$STORAGEOS" detach "$2" && return "$status"
}
for type in "${types[@]}"; do
	echo new >"$WORK/mnt.$type/stamp"
done
must "btrfs: unmounted" umount "$WORK/mnt.btrfs"
must "btrfs: detached" "$STORAGEOS" detach btrfs
for type in "${types[@]}"; do
	for number in ${left[$type]}; do
		check "$type: snapshot $number mounts without recovery, and has what was there" \
			verify "$type" "$type@s$number" "$number"
	done
	check "$type: so has the other volume" verify "$type" "copy-$type@s$(newest "$type")" "$(newest "$type")"
done

# ---- back to the oldest

for type in "${types[@]}"; do
	oldest=${left[$type]%% *}
	if [ "$type" != btrfs ]; then
		must "$type: unmounted" umount "$WORK/mnt.$type"
		must "$type: detached" "$STORAGEOS" detach "$type"
	fi
	undo=$("$STORAGEOS" rollback "$type@s$oldest" --json | jq -r .undo)
	like "$type: rolled back" "$undo" '^before-rollback-'
	must "$type: attached" "$STORAGEOS" attach "$type"
	must "$type: mounted" mount "${link[$type]}" "$WORK/mnt.$type"
	check "$type: has what was there then" has "$WORK/mnt.$type" "$type" "$oldest"
	must "$type: unmounted again" umount "$WORK/mnt.$type"
	must "$type: detached again" "$STORAGEOS" detach "$type"
	must "$type: the rollback is undone" "$STORAGEOS" rollback "$type@$undo" --discard
	must "$type: attached once more" "$STORAGEOS" attach "$type"
	must "$type: mounted once more" mount "${link[$type]}" "$WORK/mnt.$type"
	check "$type: has what was there before" has "$WORK/mnt.$type" "$type" new
	must "$type: unmounted for the last time" umount "$WORK/mnt.$type"
	check "$type: is sound" sound "$type" "${link[$type]}"
	must "$type: detached for the last time" "$STORAGEOS" detach "$type"
done
is "no file system saw an error" "$(dmesg | grep -v 'BTRFS info' | grep -iE \
	'I/O error|(EXT4-fs|JBD2|XFS|BTRFS).*(error|corrupt|fail|shut)|remount|aborted')" ''
for type in "${types[@]}"; do
	check "$type: the volume is whole" "$STORAGEOS" check "$type"
	check "$type: so is the other" "$STORAGEOS" check "copy-$type"
done
finish
