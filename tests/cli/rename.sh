#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# rename and move: the volume keeps its data, UUID and snapshots; what still has the old name is told; killed at any
# call, there is the volume under one name, or nothing under both and a message how to go on.
. "$(dirname "$0")/../lib.sh"
need jq jq
need mkfs.ext4 e2fsprogs
need systemd-escape systemd
need_root
need_fuse
need_loop
need_strace
need_built "$STORAGEOS" "$STORAGEOS_FUSE"

# Nothing of what this machine is configured to serve is seen.
own_namespace
own_config
config_set frontend=fuse
cleanup attached_end
for directory in /etc/systemd/system /etc/rtslib-fb-target /etc/target; do
	[ ! -d $directory ] || mount -t tmpfs none $directory
done
target=/etc/rtslib-fb-target
[ -d $target ] || target=/etc/target
: >"$WORK/fstab"
mount --bind "$WORK/fstab" /etc/fstab

uuid_of() { "$STORAGEOS" info "$1" --json | jq -r .uuid; }
states() { "$STORAGEOS" status --json 2>/dev/null | jq -r '[.[] | "\(.volume) \(.state)"] | join(" ")'; }
put() { # VOLUME TEXT
	"$STORAGEOS" attach "$1" >/dev/null 2>&1 && printf %s "$2" | dd of="$WORK/dev/default/$1" oflag=direct bs=4096 conv=sync status=none &&
		"$STORAGEOS" detach "$1"
}
text_of() { # VOLUME
	"$STORAGEOS" attach "$1" >/dev/null 2>&1
	head -c 4096 "$WORK/dev/$1" | tr -d '\0'
	"$STORAGEOS" detach "$1" >/dev/null 2>&1
}

# ---- rename

must "create" "$STORAGEOS" create db --size 64M
must "with data" put db "what was written"
must "a snapshot" "$STORAGEOS" snapshot create db@monday --freeze never
must "and a linked clone of it" "$STORAGEOS" clone --linked db@monday child
uuid=$(uuid_of db)
is "rename" "$("$STORAGEOS" rename db data 2>&1)" "default/data: renamed from default/db"
is "the file has the new name" "$(cd "$POOL" && echo *)" "child.vol data.vol"
is "the UUID stays" "$(uuid_of data)" "$uuid"
is "so do the data" "$(text_of default/data)" "what was written"
is "and the snapshots" "$("$STORAGEOS" snapshot list data --json | jq -r '.[].name')" monday
is "its clone finds it" "$(text_of default/child)" "what was written"
check "and it is held" "$STORAGEOS" check child
refuses "the old name tells the new one" 'no such volume \(.*db.vol does not exist\); it was renamed to default/data$' \
	"$STORAGEOS" attach db
is "nothing is missing" "$(states)" ""
refuses "a name that is taken" 'rename default/data: .*child.vol is there already$' "$STORAGEOS" rename data child
is "nothing has changed" "$(cd "$POOL" && echo *)" "child.vol data.vol"
must "attach" "$STORAGEOS" attach data
refuses "an attached volume" 'rename default/data: default/data is in use .*detach default/data' "$STORAGEOS" rename data x
must "detach" "$STORAGEOS" detach data
must "attach its snapshot" "$STORAGEOS" attach data@monday
refuses "a volume of which a snapshot is attached" 'rename default/data: a snapshot of it is in use' "$STORAGEOS" rename data x
must "detach it" "$STORAGEOS" detach data@monday
is "JSON" "$("$STORAGEOS" rename data default/db --json | jq -c '[.volume, .before, .named_in]')" \
	'["default/db","default/data",[]]'
is "back again, the volume is not taken for a renamed one" "$(text_of default/db)" "what was written"
is "a bad name" "$("$STORAGEOS" rename db X 2>/dev/null; echo $?)" 2
is "another pool" "$("$STORAGEOS" rename db other/db 2>/dev/null; echo $?)" 2
is "its own name" "$("$STORAGEOS" rename db default/db 2>/dev/null; echo $?)" 2
refuses "the name of a file" "must not end in '.vol'" "$STORAGEOS" rename db x.vol
refuses "a volume that is not there" 'rename default/none: no such volume' "$STORAGEOS" rename none x
refuses "a block device" 'rename /dev/vdb: /dev/vdb is a block device: its name' "$STORAGEOS" rename /dev/vdb x

# ---- what still has the old name

mkdir -p /etc/systemd/system/multi-user.target.wants
for unit in storageos-attach@.service storageos-scrub@.timer; do
	ln -s /dev/null "/etc/systemd/system/multi-user.target.wants/$(systemd-escape --template=$unit default/db)"
	ln -s /dev/null "/etc/systemd/system/multi-user.target.wants/$(systemd-escape --template=$unit default/dbx)"
done
echo '{"storage_objects": [{"plugin": "user", "config": "storageos/db;create", "name": "lun"},
	{"plugin": "user", "config": "storageos/dbx", "name": "x"}]}' >$target/saveconfig.json
cat >/etc/fstab <<-END
	# $WORK/dev/default/db is named here
	$WORK/dev/default/dbx /x xfs defaults 0 0
	$WORK/dev/default/db	/srv/db xfs defaults 0 0
	/dev/sda1 / ext4 defaults 0 0
	$WORK/dev/default/db@monday /monday xfs ro 0 0
END
printf '[policy p]\nhourly=1\n[volume default/db]\npolicy=p\n' >>"$STORAGEOS_CONFIG"
is "each place that has the old name is told" "$("$STORAGEOS" rename db data 2>&1 >/dev/null | sort)" \
	"storageos: rename default/db: the old name is still in: $WORK/dev/default/db in line 3 of /etc/fstab
storageos: rename default/db: the old name is still in: $WORK/dev/default/db@monday in line 5 of /etc/fstab
storageos: rename default/db: the old name is still in: [volume default/db] in $STORAGEOS_CONFIG
storageos: rename default/db: the old name is still in: backstore lun in $target/saveconfig.json
storageos: rename default/db: the old name is still in: unit storageos-attach@default-db.service in /etc/systemd/system/multi-user.target.wants
storageos: rename default/db: the old name is still in: unit storageos-scrub@default-db.timer in /etc/systemd/system/multi-user.target.wants"
is "and that is all of data" "$("$STORAGEOS" rename data db --json 2>/dev/null | jq -c .named_in)" '[]'
: >/etc/fstab
sed -i '/^.policy p/,$d' "$STORAGEOS_CONFIG"
rm -r /etc/systemd/system/* $target/saveconfig.json

# ---- move

pool_on_disk disk "$WORK/disk.img" 256M
must "a pool on the same file system" "$STORAGEOS" pool create near "$WORK/near"
is "move within a file system" "$("$STORAGEOS" move db near)" "near/db: moved from default/db"
is "is a rename" "$(cd "$WORK" && echo pool/* near/*)" "pool/child.vol near/db.vol"
is "its clone finds it" "$(text_of default/child)" "what was written"
must "move it to another file system" "$STORAGEOS" move near/db disk
refuses "its first name tells where it is now" 'it was renamed to disk/db$' "$STORAGEOS" attach db
is "it is there alone" "$(cd "$WORK" && echo near/* near/.??* disk/*.vol disk/.*.vol*)" \
	"near/* near/.storageos-pool disk/db.vol disk/.*.vol*"
is "the UUID stays" "$(uuid_of disk/db)" "$uuid"
is "so do the data" "$(text_of disk/db)" "what was written"
check "the copy is whole" "$STORAGEOS" check disk/db
is "its clone finds it" "$(text_of default/child)" "what was written"
check "and it is held" "$STORAGEOS" check child
must "a large volume" "$STORAGEOS" create big --size 10G
check "is moved without its holes" "$STORAGEOS" move big disk
must "and back" "$STORAGEOS" move disk/big default
check "it takes no more than a new one" [ "$(stat -c %b "$POOL/big.vol")" -lt $((24 << 11)) ]
must "a volume" "$STORAGEOS" create fat --size 1G
must "attach it" "$STORAGEOS" attach fat
must "fill it with more than the disk has" dd if=/dev/urandom of="$WORK/dev/default/fat" bs=1M count=300 oflag=direct status=none
must "detach it" "$STORAGEOS" detach fat
refuses "one that has no room there" 'move default/fat: the volume takes .*, and the file system of .*disk has .* free$' \
	"$STORAGEOS" move fat disk
must "delete it" "$STORAGEOS" delete fat
is "no such pool" "$("$STORAGEOS" move big nope 2>/dev/null; echo $?)" 2
refuses "a block device" 'move /dev/vdb: /dev/vdb is a block device: .*its data stays' "$STORAGEOS" move /dev/vdb disk
must "a name that is taken there" "$STORAGEOS" create disk/big --size 1M
refuses "is refused" 'move default/big: .*disk/big.vol is there already' "$STORAGEOS" move big disk
must "delete" "$STORAGEOS" delete disk/big big

# A copy that is not what was written is found: the last read of all is that of the copy, from the disk.
must "a volume to move" "$STORAGEOS" create v --size 32M
reads() { strace -f -qq -o "$WORK/trace" -e trace=pread64 "$STORAGEOS" move v disk; }
must "move it, and count the reads" reads
must "back" "$STORAGEOS" move disk/v default
corrupt() {
	local last # strace counts the calls of each process apart
	last=$(grep pread64 "$WORK/trace" | tail -n 1 | cut -d' ' -f1)
	strace -f -qq -o /dev/null -e trace=pread64 \
		-e inject=pread64:poke_exit=@arg2=55:when="$(grep -c "^$last  *pread64" "$WORK/trace")" "$STORAGEOS" move v disk
}
refuses "one byte of the copy is another" 'new is not what was written: bytes [0-9]* to [0-9]* differ from .*v.vol$' corrupt
broken() { strace -f -qq -o /dev/null -e trace=pwrite64 -e inject=pwrite64:error=ENOSPC:when=2+ "$STORAGEOS" move v disk; }
refuses "the disk is full on the way" 'move default/v: write .*new: No space left on device$' broken
is "the volume is where it was, and no copy is left" "$(cd "$WORK" && echo pool/v.vol disk/*v.vol disk/.v*)" \
	"pool/v.vol disk/*v.vol disk/.v*"

# ---- killed at every call that changes a directory, or makes it durable

calls=renameat2,rename,unlink,fsync,fdatasync,ftruncate
killed_at() { # N COMMAND...
	local n=$1
	shift
	(strace -f -qq -o /dev/null -e trace=$calls -e inject=$calls:signal=KILL:when="$n" "$@" || exit) >/dev/null 2>&1
}
names() { (cd "$WORK" && for file in pool/v.vol pool/w.vol disk/v.vol; do [ ! -e $file ] || echo $file; done | xargs); }

must "data" put v "must survive"
uuid=$(uuid_of v) bad='' kills=0
for ((n = 1; n < 60; n++)); do
	killed_at $n "$STORAGEOS" rename v w && break
	kills=$((kills + 1))
	now=$(names)
	[ "$now" = pool/v.vol ] || [ "$now" = pool/w.vol ] || bad+=" $n:$now"
	[ "$now" = pool/v.vol ] || "$STORAGEOS" rename w v >/dev/null 2>&1 || bad+=" $n:back"
	[ "$(uuid_of v)" = "$uuid" ] || bad+=" $n:uuid"
done
is "rename, killed at any call: one of both names" "$bad" ""
check "it was killed more than five times ($kills)" [ $kills -gt 5 ]
is "its data are there" "$(text_of default/w)" "must survive"
is "nothing counts as missing" "$("$STORAGEOS" stats --prometheus | grep -c 'state="missing"} 1')" 0
must "back" "$STORAGEOS" rename w v

bad='' kills=0 neither=0
for ((n = 1; n < 80; n++)); do
	killed_at $n "$STORAGEOS" move v disk && break
	kills=$((kills + 1))
	now=$(names)
	case $now in
	pool/v.vol | disk/v.vol) ;;
	'')
		neither=$((neither + 1))
		"$STORAGEOS" attach v 2>&1 | grep -q 'its move to another pool was interrupted, and its file is .*storageos move default/v POOL' || bad+=" $n:not told"
		[ "$(states)" = "default/v missing" ] || bad+=" $n:$(states)"
		;;
	*) bad+=" $n:$now" ;;
	esac
	# Again, which ends it.
	if [ "$now" != disk/v.vol ] || [ -e "$POOL/.v.vol.moving" ]; then
		"$STORAGEOS" move v disk >"$WORK/out" 2>&1 || bad+=" $n:$(<"$WORK/out")"
	fi
	[ "$(names)" = disk/v.vol ] && [ ! -e "$POOL/.v.vol.moving" ] || bad+=" $n:after: $(names)"
	[ "$(uuid_of disk/v)" = "$uuid" ] || bad+=" $n:uuid"
	"$STORAGEOS" move disk/v default >/dev/null 2>&1 || bad+=" $n:back"
done
is "move, killed at any call: never two, and the next one ends it" "$bad" ""
check "it was killed often ($kills), in the middle, too ($neither)" [ $kills -ge 10 -a $neither -gt 0 ]
is "its data are there" "$(text_of disk/v)" "must survive"

# Where a file system cannot rename without replacing, link() and unlink() do it.
by_link() { strace -f -qq -o /dev/null -e trace=renameat2,unlink -e inject=renameat2:error=EINVAL "$@"; }
must "back" "$STORAGEOS" move disk/v default
check "rename by link() and unlink()" by_link "$STORAGEOS" rename v w
is "one name" "$(names)" pool/w.vol
ln "$POOL/w.vol" "$POOL/v.vol"
check "a rename that died between both is ended by the next" "$STORAGEOS" rename w v
is "one name again" "$(names)" pool/v.vol

# A pool that is not there, and a file that the registry knows nothing of.
mv "$POOL/v.vol" "$POOL/.v.vol.moving"
rm -r "$WORK/state/registry"
refuses "without the registry nothing is guessed" 'is left by a move that was interrupted, and the registry does not know' \
	"$STORAGEOS" move v disk
check "the file is left alone" [ -e "$POOL/.v.vol.moving" ]
finish
