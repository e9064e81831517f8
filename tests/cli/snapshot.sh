#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# storageos snapshot and rollback: of volumes that nobody serves, of one served over FUSE, of groups, with
# frozen file systems, by policies; with bad input.
. "$(dirname "$0")/../lib.sh"
need jq jq
need mkfs.ext4 e2fsprogs
need python3 python3
need_root
need_fuse
need_loop
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
own_config
config_set frontend=fuse

snapshot() { "$STORAGEOS" snapshot "$@"; }
# field VOLUME NAME MEMBER: of a snapshot in the list.
field() { snapshot list "$1" --json | jq -r ".[] | select(.name == \"$2\") | .$3"; }
names() { snapshot list "$1" --json | jq -r '.[] | select(.state != "deleting") | .name' | paste -sd' '; }
count() { snapshot list "$1" --json | jq '[.[] | select(.state != "deleting")] | length'; }
# ask VOLUME JSON: sends a request to the control socket of a volume's server.
ask() {
	python3 - "$WORK/run/control/default:$1" "$2" <<-'END'
	import json, socket, sys
	client = socket.socket(socket.AF_UNIX)
	client.connect(sys.argv[1])
	client.sendall(json.dumps({"version": 1, **json.loads(sys.argv[2])}).encode() + b"\n")
	answer = json.loads(client.makefile().readline())
	print(json.dumps(answer.get("data")) if answer["ok"] else answer["error"])
	sys.exit(not answer["ok"])
	END
}

take_away() {
	umount -l "$WORK/mnt" 2>/dev/null
	for v in db@required db other; do "$STORAGEOS" detach "$v"; done
	attached_end
	for v in db@required db other; do unmount_for_certain "$WORK/run/mnt/default/$v"; done
}
cleanup take_away

must "make two volumes" "$STORAGEOS" create db --size 256M
must "make the other one" "$STORAGEOS" create other --size 64M

# ---- a volume that nobody serves

is "no snapshots yet" "$(snapshot list db --json | jq -c .)" "[]"
is "create says what it did" "$(snapshot create db@monday)" "default/db@monday: taken"
is "create --json" "$(snapshot create default/db@tuesday --json | jq -r '.[0] | "\(.snapshot) \(.frozen)"')" \
	"default/db@tuesday false"
like "list for people" "$(snapshot list db | tail -n +2 | tr -s ' ')" \
	'^default/db@monday [0-9]{4}-[0-9-]+ [0-9:]+ 256 MiB .* ok'
is "list --json has the names, oldest first" "$(names db)" "monday tuesday"
is "list --json has the parent's name" "$(field db tuesday parent)" monday
is "list without a volume has those of all" "$(snapshot list --json | jq -r '.[].volume' | uniq)" default/db
like "the UUID is one" "$(field db monday uuid)" '^[0-9a-f-]{36}$'
is "rename" "$(snapshot rename db@tuesday wednesday)" "default/db@tuesday: renamed to wednesday"
is "the new name is listed" "$(names db)" "monday wednesday"
must "hold" snapshot hold db@monday backup
is "the hold is listed" "$(field db monday 'holds[0]')" backup
refuses "a snapshot that is held is not deleted" "db@monday is held by 'backup' .*snapshot release" \
	snapshot delete db@monday
refuses "nor a run with it" "db@monday is held" snapshot delete db@monday..wednesday
is "and nothing of the run was deleted" "$(names db)" "monday wednesday"
refuses "it cannot be released by another tag" "'?other'?" snapshot release db@monday other
must "release" snapshot release db@monday backup
must "a third one" snapshot create db@thursday
like "-n tells what a run would free" "$(snapshot delete -n db@monday..wednesday)" \
	'^default/db@monday, default/db@wednesday: would be deleted, frees [0-9.]+ (B|KiB|MiB)$'
is "and deletes nothing" "$(names db)" "monday wednesday thursday"
is "-n --json" "$(snapshot delete -n db@monday --json | jq -c '[.snapshots, .deleted]')" \
	'[["default/db@monday"],false]'
refuses "a run in the wrong order" "db@monday does not descend from default/db@thursday" \
	snapshot delete db@thursday..monday
like "delete a run" "$(snapshot delete db@monday..wednesday)" \
	'^default/db@monday, default/db@wednesday: deleted, frees .* at most, in the background$'
is "the rest is there" "$(names db)" thursday
must "a name with dots" snapshot create db@a..b
must "is taken for a name where there is one" snapshot delete db@a..b
is "and the rest is there" "$(names db)" thursday

# ---- bad input

for bad in db@ db@UP @monday db@a/b db@a@b; do
	refuses "create $bad" 'invalid|names no snapshot' snapshot create "$bad"
	refuses "delete $bad" 'invalid|names no snapshot' snapshot delete "$bad"
done
refuses "create without a snapshot's name" "'db' names no snapshot" snapshot create db
refuses "delete without a snapshot's name" "'db' names no snapshot" snapshot delete db
refuses "rollback without a snapshot's name" "'db' names no snapshot" "$STORAGEOS" rollback db
refuses "a run without an end" "invalid snapshot name ''" snapshot delete db@thursday..
refuses "a run without a beginning" "invalid snapshot name ''" snapshot delete db@..thursday
refuses "a run with a pattern" "invalid snapshot name" snapshot delete 'db@mon*'
refuses "a name that is taken" "there is a snapshot default/db@thursday already" snapshot create db@thursday
refuses "a volume that is named twice" 'default/db is named twice' snapshot create db@x default/db@y
is "and neither was taken" "$(names db)" thursday
refuses "a volume that there is not" 'nope.vol does not exist|no volume' snapshot create nope@x
refuses "a snapshot that there is not: delete" "has no snapshot 'nope' .see: storageos snapshot list" \
	snapshot delete db@nope
refuses "rename" "has no snapshot 'nope'" snapshot rename db@nope x
refuses "hold" "has no snapshot 'nope'" snapshot hold db@nope x
refuses "release" "has no snapshot 'nope'" snapshot release db@nope x
refuses "rollback" "no snapshot 'nope'|has no snapshot" "$STORAGEOS" rollback db@nope
refuses "an invalid tag" "invalid name 'A B'" snapshot hold db@thursday 'A B'
refuses "an invalid new name" "invalid name 'B/'" snapshot rename db@thursday B/
refuses "list of a snapshot" 'name of a snapshot' snapshot list db@thursday
refuses "an invalid mode of freezing" 'must be auto, require or never' snapshot create db@x --freeze maybe
refuses "to require what cannot be had" 'no file system of .* is mounted' snapshot create db@x --freeze require
refuses "no verb" 'no verb given' snapshot
refuses "an unknown verb" "unknown verb 'destroy'" snapshot destroy db@thursday
refuses "too many arguments" 'too many arguments' snapshot delete db@thursday db@x
snapshot delete db@UP >/dev/null 2>&1
is "usage errors end with 2" $? 2
snapshot delete db@nope >/dev/null 2>&1
is "failures end with 1" $? 1
like "help of all" "$(snapshot --help)" 'create +VOLUME@NAME... '
like "help of one" "$(snapshot delete --help)" 'dry-run'
is "after all that" "$(names db)" thursday

# ---- a served volume, with a file system that is frozen

must "attach" "$STORAGEOS" attach db
link=$WORK/dev/default/db
must "make a file system" mkfs.ext4 -q "$link"
mkdir "$WORK/mnt"
must "mount it" mount "$link" "$WORK/mnt"
echo before >"$WORK/mnt/file"
is "create freezes what is mounted" "$(snapshot create db@frozen)" \
	"default/db@frozen: taken, with frozen file systems"
is "the record says so" "$(field db frozen frozen)" true
is "it is thawed" "$(timeout 5 dd if=/dev/zero of="$WORK/mnt/more" bs=4k count=1 conv=fsync status=none && echo yes)" yes
must "unless that is not wanted" snapshot create db@plain --freeze never
is "and the record says so" "$(field db plain frozen)" false
must "frozen file systems can be required" snapshot create db@required --freeze require
is "the server lists them all" "$(names db)" "thursday frozen plain required"
must "attach a snapshot" "$STORAGEOS" attach db@required
is "the list shows its device" "$(field db required device)" "$link@required"
like "also for people" "$(snapshot list db | grep required)" "attached as $link@required"
refuses "it is not deleted" 'is in use by process [0-9]+ .*detach it first' snapshot delete db@required
must "detach it" "$STORAGEOS" detach db@required
is "then it has none" "$(field db required device)" null
refuses "a rollback of an attached volume" 'detach the volume to roll it back' "$STORAGEOS" rollback db@frozen
lock=$WORK/run/snapshots/$("$STORAGEOS" info db --json | jq -r .uuid).$(field db required generation)
mkdir -p "${lock%/*}"
refuses "a snapshot that is being read is not deleted" 'is in use by process [0-9]+ .*detach it first' \
	flock -s "$lock" "$STORAGEOS" snapshot delete db@required
must "rename by the server" snapshot rename db@plain renamed
must "hold by the server" snapshot hold db@renamed tag
refuses "held by the server" "is held by 'tag'" snapshot delete db@renamed
must "release by the server" snapshot release db@renamed tag
must "delete by the server" snapshot delete db@renamed
refuses "the server refuses unknown commands" "no command 'snapshot-nothing'" \
	ask db '{"command": "snapshot-nothing"}'
refuses "and such without a name" '.name. is missing' ask db '{"command": "snapshot-begin"}'
refuses "and an invalid gate" 'must be close or open' ask db '{"command": "snapshot-gate", "action": "x"}'

# ---- applications that are prepared

mkdir "$WORK/snapshot.d"
printf '#!/bin/sh\necho "$*" >>%s\n' "$WORK/prepared" >"$WORK/snapshot.d/10-log"
chmod +x "$WORK/snapshot.d/10-log"
must "with an application that is prepared" snapshot create db@prepared
is "it was told, before and after" "$(paste -sd, "$WORK/prepared")" "before default/db,after default/db"
printf "#!/bin/sh\n[ \$1 = after ] || { echo not now; exit 1; }\n" >"$WORK/snapshot.d/20-refuse"
chmod +x "$WORK/snapshot.d/20-refuse"
refuses "an application that cannot be prepared" 'not now \(20-refuse exited with status 1\)' \
	snapshot create db@refused
is "then there is no snapshot" "$(field db refused name)" ""
rm -r "$WORK/snapshot.d"

# ---- groups

must "attach the other one" "$STORAGEOS" attach other
is "a group" "$(snapshot create db@both other@both | paste -sd,)" \
	"default/db@both: taken, with frozen file systems,default/other@both: taken"
group=$(field db both group)
like "has a number" "$group" '^[1-9][0-9]*$'
is "the same for all" "$(field other both group)" "$group"
must "a name that one of them has" snapshot create other@taken
refuses "a group of which one fails" 'there is a snapshot default/other@taken already' \
	snapshot create db@taken other@taken
is "leaves none" "$(field db taken name)" ""
ticket=$(ask db '{"command": "snapshot-gate", "action": "close"}' | jq .ticket)
refuses "while another group is taken" 'another group of snapshots is being taken' \
	snapshot create db@later other@later --freeze never
is "none is left" "$(field db later name)$(field other later name)" ""
is "the gate is opened by who closed it" \
	"$(ask db "{\"command\": \"snapshot-gate\", \"action\": \"open\", \"ticket\": $ticket}" | jq .closed)" true
is "once" \
	"$(ask db "{\"command\": \"snapshot-gate\", \"action\": \"open\", \"ticket\": $ticket}" | jq .closed)" false
must "then a group can be taken" snapshot create db@later other@later

# ---- a command that is killed leaves nobody waiting

writable() { within 10 dd if=/dev/zero of="$WORK/mnt/more" bs=4k count=1 conv=fsync status=none; }
killed() { # NUMBER
	snapshot create "db@killed-$1" "other@killed-$1" >/dev/null 2>&1 &
	sleep "0.0$((RANDOM % 10))"
	kill -9 $! 2>/dev/null
	wait $!
	writable
}
for i in 1 2 3 4 5 6 7 8; do
	check "killed, and the file system can be written to: $i" killed $i
done
check "a group can be taken then" wait_for 10 snapshot create db@after other@after
for volume in db other; do
	for name in $(names $volume | tr ' ' '\n' | grep '^killed-'); do
		snapshot delete "$volume@$name" >/dev/null || not_ok "delete $volume@$name"
	done
done

# ---- policies

like "without policies there is nothing to do" "$(snapshot run --json | jq -c .)" "^\[\]$"
cat >>"$STORAGEOS_CONFIG" <<-END

	[policy often]
	hourly=2

	[volume db]
	policy=often
	group=site

	[volume other]
	policy=often
	group=site
END
snapshot run --json >"$WORK/ran"
name=$(jq -r '.[0].taken' "$WORK/ran")
like "a run takes what is due" "$name" '^auto-[0-9]{8}t[0-9]{4}z$'
is "of the whole group" "$(jq -r '.[].taken' "$WORK/ran" | uniq)" "$name"
is "at one instant" "$(field db "$name" group)" "$(field other "$name" group)"
is "by a policy" "$(field db "$name" by_policy)" true
is "with frozen file systems" "$(field db "$name" frozen)" true
# Unless the hour has just changed.
[ "$(date -u +%H)" != "${name:14:2}" ] || is "another run has nothing to do" "$(snapshot run)" ""
now=$(date +%s)
must "delete them" snapshot delete "db@$name"
for hours in 50 49 3 2 1; do
	ask db "{\"command\": \"snapshot-begin\", \"name\": \"old-$hours\", \"by_policy\": true,
		\"created\": $((now - hours * 3600))}" >/dev/null || not_ok "make old-$hours"
done
must "hold one of them" snapshot hold db@old-49 mine
before=$(names db)
foreseen=$(snapshot run -n --json)
is "a dry run changes nothing" "$(names db)" "$before"
snapshot run --json >"$WORK/ran"
like "a run takes another one" "$(jq -r '.[0].taken' "$WORK/ran")" '^auto-'
of_run() { jq -c '[.[] | [.volume, .taken[:14], .deleted]]'; } # without the minute
is "and does what the dry run said" "$(of_run <"$WORK/ran")" "$(of_run <<<"$foreseen")"
deleted=$(jq -r '.[0].deleted | join(" ")' "$WORK/ran")
is "and deletes the oldest" "$deleted" "old-50 old-3 old-2"
is "but not the one before it, the held one, nor those made by hand" \
	"$(names db | tr ' ' '\n' | grep -cE '^(old-1|old-49|thursday|frozen)$')" 4
# pair NAME GROUP HOURS: a policy's snapshots of both volumes, of one instant.
pair() {
	local volume
	for volume in db other; do
		ask $volume "{\"command\": \"snapshot-begin\", \"name\": \"$1\", \"by_policy\": true,
			\"group\": $2, \"created\": $((now - $3 * 3600))}" >/dev/null || not_ok "make $volume@$1"
	done
}
pairs() { names "$1" | tr ' ' '\n' | grep ^pair- | paste -sd' '; }
pair pair-a 71 21
pair pair-b 72 20
for hours in 5 4; do
	ask db "{\"command\": \"snapshot-begin\", \"name\": \"late-$hours\", \"by_policy\": true,
		\"created\": $((now - hours * 3600))}" >/dev/null || not_ok "make late-$hours"
done
mkdir "$WORK/snapshot.d"
printf "#!/bin/sh\n[ \$1 = after ]\n" >"$WORK/snapshot.d/20-refuse"
chmod +x "$WORK/snapshot.d/20-refuse"
refuses "a run that can take none says why" '20-refuse exited with status 1' snapshot run
is "and deletes all the same what is kept no longer" \
	"$(names db | tr ' ' '\n' | grep -E '^(old|late|auto)-' | paste -sd' ')" "old-49 late-5 late-4"
rm -r "$WORK/snapshot.d"
is "what is kept of one volume of a group is kept of all" "$(pairs db), $(pairs other)" "pair-a pair-b, pair-a pair-b"
pair pair-c 73 0
must "hold one of an instant" snapshot hold other@pair-a mine
sed -i 's/^hourly=2$/hourly=2\nmin_free=1000T/' "$STORAGEOS_CONFIG"
like "a dry run says that space is short" "$(snapshot run -n 2>&1)" \
	'less than min_free .*: the oldest snapshots would be deleted until that is over, or none is left'
refuses "where space is short the oldest go, and none is taken" 'less than min_free .*: none is taken' snapshot run
is "but what is held or made by hand" \
	"$(names db | tr ' ' '\n' | grep -cE '^(old-49|thursday|frozen)$')" 3
is "an instant of a group goes as a whole, or stays" "$(pairs db), $(pairs other)" "pair-a pair-c, pair-a pair-c"
sed -i 's/^min_free=.*/max_held=tiny/' "$STORAGEOS_CONFIG"
refuses "a bad policy" "key 'max_held' of .policy often.: 'tiny' is not a size" snapshot run
must "is no other command's business" "$STORAGEOS" list
sed -i 's/^max_held=.*/nothing=1/' "$STORAGEOS_CONFIG"
like "an unknown key is told" "$(snapshot run 2>&1)" "unknown key 'nothing' in \[policy often\]"
sed -i '/^nothing=/d' "$STORAGEOS_CONFIG"
printf '[volume nope]\npolicy=often\n' >>"$STORAGEOS_CONFIG"
refuses "a volume that there is not" 'nope' snapshot run
sed -i '/^\[volume nope\]/,$d' "$STORAGEOS_CONFIG"

# ---- rollback

umount "$WORK/mnt"
must "detach" "$STORAGEOS" detach db
must "detach the other one" "$STORAGEOS" detach other
is "a run leaves alone what nobody serves" "$(snapshot run --json | jq -c .)" "[]"
like "rollback" "$("$STORAGEOS" rollback db@frozen)" \
	'^default/db: rolled back to frozen \(to undo it: storageos rollback default/db@before-rollback-'
finish
