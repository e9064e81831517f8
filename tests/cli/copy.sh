#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# copy: of a volume that is detached or attached, and of a snapshot: a volume of its own, with another UUID, that has
# what its source had; by a reflink where the file system can.
. "$(dirname "$0")/../lib.sh"
need jq jq
need mkfs.xfs xfsprogs
need_root
need_fuse
need_loop
need_strace
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
own_config
config_set frontend=fuse
cleanup attached_end

uuid_of() { "$STORAGEOS" info "$1" --json | jq -r .uuid; }
used_of() { "$STORAGEOS" info "$1" --json | jq -r .allocated; }
snapshots_of() { "$STORAGEOS" snapshot list "$1" --json | jq -r '[.[] | select(.state == "ok") | .name] | join(" ")'; }
put() { # VOLUME TEXT: of an attached volume
	printf %s "$2" | dd of="$WORK/dev/$1" oflag=direct bs=4096 conv=sync status=none
}
text_of() { # VOLUME
	"$STORAGEOS" attach "$1" >/dev/null 2>&1
	head -c 4096 "$WORK/dev/$1" | tr -d '\0'
	"$STORAGEOS" detach "$1" >/dev/null 2>&1
}
how() { "$STORAGEOS" copy "$@" --json 2>/dev/null | jq -r .how; }

pool_on_disk linked "$WORK/disk.img" 400M mkfs.xfs -q
for pool in linked default; do
	[ $pool = linked ] && wanted=reflink || wanted=copy
	case $(stat -f -c %T "$WORK/pool") in xfs | btrfs) wanted=reflink ;; esac
	must "$pool: create" "$STORAGEOS" create $pool/db --size 1G
	must "$pool: attach" "$STORAGEOS" attach $pool/db
	must "$pool: write" put $pool/db first
	must "$pool: a snapshot" "$STORAGEOS" snapshot create $pool/db@one --freeze never
	must "$pool: write more" put $pool/db second
	is "$pool: copy what is attached" "$(how $pool/db $pool/served)" "$wanted"
	must "$pool: detach" "$STORAGEOS" detach $pool/db
	is "$pool: copy what is detached" "$(how $pool/db $pool/still)" "$wanted"
	is "$pool: copy a snapshot" "$(how $pool/db@one $pool/older)" "$wanted"
	is "$pool: what they have" "$(for name in served still older db; do text_of $pool/$name; echo; done | xargs)" \
		"second second first second"
	is "$pool: each has a UUID of its own" "$(for name in db served still older; do uuid_of $pool/$name; done | sort -u | wc -l)" 4
	is "$pool: and no snapshot" "$(snapshots_of $pool/served; snapshots_of $pool/older)" ""
	is "$pool: the source has those that it had" "$(snapshots_of $pool/db)" one
	check "$pool: all are whole" "$STORAGEOS" check --all $pool
	check "$pool: a copy takes little more than its source" \
		[ "$(used_of $pool/still)" -lt $(($(used_of $pool/db) + (2 << 20))) ]
	must "$pool: neither needs the other" "$STORAGEOS" delete $pool/served $pool/still $pool/older
done
is "to another file system" "$("$STORAGEOS" copy db linked/other 2>/dev/null)" "linked/other: copied from default/db"
is "it has the same" "$(text_of linked/other)" second
refuses "a name that is taken" 'copy db: .*linked/other.* is there already' "$STORAGEOS" copy db linked/other
refuses "a snapshot that is not there" 'copy db@two: .*no snapshot' "$STORAGEOS" copy db@two x
refuses "a volume that is not there" 'copy nope: .*no such volume' "$STORAGEOS" copy nope x
is "a bad name" "$("$STORAGEOS" copy db X 2>/dev/null; echo $?)" 2
is "no snapshot is left of what failed" "$(snapshots_of db)" one
refuses "clone of a volume names copy" 'names no snapshot .*of a volume: storageos copy db x' "$STORAGEOS" clone db x

# A command that was killed leaves the snapshot, which can be deleted, or is by a later command.
killed() { strace -f -qq -o /dev/null -e trace=renameat2 -e inject=renameat2:signal=KILL "$STORAGEOS" copy db killed; }
refuses "killed before the copy has its name" '' killed
like "the snapshot is left" "$(snapshots_of db)" '^one temporary-[0-9]{8}t[0-9]{6}z-[0-9a-f]{8}$'
check "and can be deleted" "$STORAGEOS" snapshot delete "db@$(snapshots_of db | cut -d' ' -f2)"
refuses "there is no copy" 'no such volume' "$STORAGEOS" info killed
must "one that was left long ago" "$STORAGEOS" snapshot create db@temporary-20200101t000000z-0123abcd --freeze never
must "and one that only looks like it" "$STORAGEOS" snapshot create db@temporary-20200101t000000z-mine --freeze never
like "is deleted by the next copy" "$("$STORAGEOS" copy db next 2>&1)" \
	'default/db@temporary-20200101t000000z-0123abcd is deleted: the command that had taken it was killed'
is "alone" "$(snapshots_of db)" "one temporary-20200101t000000z-mine"
finish
