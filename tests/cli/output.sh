#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Output that cannot be written is a failure, for every verb and however the output is broken.  Standard
# error names what was done all the same.
. "$(dirname "$0")/../lib.sh"
need jq jq
need_root
need_fuse
need_loop
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
own_config
config_set frontend=fuse

take_away() {
	"$STORAGEOS" detach served
	unmount_for_certain "$WORK/run/mnt/default/served"
}
cleanup take_away

# A pipe without a reader.
mkfifo "$WORK/pipe"
to_full() { "$@" >/dev/full; }
to_closed() { "$@" >&-; }
to_broken() (
	exec 3<>"$WORK/pipe"
	exec 4>"$WORK/pipe" 3>&-
	exec "$@" >&4 4>&-
)
# The same with SIGPIPE ignored by the parent, as a daemon may do.
to_ignored() { (trap '' PIPE; to_broken "$@"); }
declare -A reason=([full]='No space left on device' [closed]='it is closed' [ignored]='Broken pipe'
	[broken]='Broken pipe')

# A verb that only shows something: status 1 and a line on standard error.  SIGPIPE kills it if the
# reader is gone.
shows() { # COMMAND...
	local way status wanted
	for way in full closed ignored broken; do
		wanted=1
		[ $way != broken ] || wanted=141
		"to_$way" "$@" 2>"$WORK/err" </dev/null
		status=$?
		is "${*##*/} to $way: status" $status $wanted
		[ $way = broken ] ||
			is "${*##*/} to $way: says so" "$(tail -1 "$WORK/err" | sed 's/^storageos[a-z-]*: //')" \
				"standard output: ${reason[$way]}"
	done
}
# A verb that does something: always status 1, and a message that it was done.
does() { # WAY REGEX COMMAND...
	local way=$1 line=$2
	shift 2
	"to_$way" "$@" 2>"$WORK/err" </dev/null
	is "${*##*/} to $way: status" $? 1
	like "${*##*/} to $way: says what was done" "$(tail -1 "$WORK/err")" \
		"^storageos: $line; this was done, but could not be printed: standard output: ${reason[$way]}$"
}

must "create" "$STORAGEOS" create db --size 64M
must "create another" "$STORAGEOS" create served --size 64M
must "attach it" "$STORAGEOS" attach served

while read -r line; do
	# shellcheck disable=SC2086
	shows "$STORAGEOS" $line
done <<-'END'
	--help
	help
	help create
	--version
	-V
	version
	list
	list --json
	info db
	info db --json
	pool list
	pool list --json
	pool show
	pool show --json
	status
	status --json
	stats
	stats --json
	stats served
	stats --prometheus
	stats --watch --count 2
	check db
	check db --json
	scrub served --status
	probe
	probe --json
END
verbs=$("$STORAGEOS" --help | sed -n 's/^  \([a-z][a-z]*\)  *[A-Za-z[].*/\1/p')
like "there are verbs" "$(wc -w <<<"$verbs")" '^[1-9][0-9]$'
for verb in $verbs; do shows "$STORAGEOS" "$verb" --help; done
shows "$STORAGEOS" udev "$(readlink "$WORK/dev/default/served")"
shows "$STORAGEOS_FUSE" --help
shows "$STORAGEOS_FUSE" --version

for way in full closed broken; do
	does $way "default/new: created, 1 GiB" "$STORAGEOS" create new --size 1G
	does $way "default/new: 2 GiB, was 1 GiB" "$STORAGEOS" resize new 2G
	does $way "scrub default/new: scrubbed, 0 errors, 0 copies repaired" "$STORAGEOS" scrub new
	flip_bits "$POOL/new.vol" 100
	does $way "check default/new: repaired" "$STORAGEOS" check new --repair --yes
	does $way "attach default/new: attached as $WORK/dev/default/new" "$STORAGEOS" attach new
	check "the device is there" test -b "$WORK/dev/default/new"
	does $way "attach default/new: already attached as $WORK/dev/default/new" "$STORAGEOS" attach new
	must "detach it" "$STORAGEOS" detach new
	does $way "default/new: UUID [0-9a-f-]{36}, was [0-9a-f-]{36}" "$STORAGEOS" set new uuid=new
	does $way "default/new: deleted" "$STORAGEOS" delete new
	does $way "fast: pool in $WORK/fast" "$STORAGEOS" pool create fast "$WORK/fast"
	does $way "fast: removed from .*conf; $WORK/fast keeps its .*" "$STORAGEOS" pool delete fast
	does $way "fast: pool imported from $WORK/fast" "$STORAGEOS" pool import "$WORK/fast"
	must "take it out" "$STORAGEOS" pool delete fast
	is "the volume was deleted" "$(ls "$POOL")" "db.vol
served.vol"
done

# A verb that fails prints only the reason for its failure, so a broken output does not matter.
for way in full closed broken; do
	"to_$way" "$STORAGEOS" info none 2>"$WORK/err"
	is "a failure to $way: status" $? 1
	is "a failure to $way: one line" "$(wc -l <"$WORK/err")" 1
	"to_$way" "$STORAGEOS" list --colour 2>"$WORK/err"
	is "a wrong command line to $way: status" $? 2
	"to_$way" "$STORAGEOS" detach db 2>"$WORK/err"
	is "a command without output to $way: status" $? 0
done

# If standard error is broken, too, the status still shows the failure.
is "a failure without standard error" "$("$STORAGEOS" info none 2>/dev/full; echo $?)" 1
is "an output that fails without standard error" "$("$STORAGEOS" list >/dev/full 2>/dev/full; echo $?)" 1
is "both closed" "$("$STORAGEOS" list >&- 2>&-; echo $?)" 1

# A file of metrics is replaced as a whole, or stays.
mkdir "$WORK/collector"
metrics() { "$STORAGEOS" stats --prometheus --output "$WORK/collector/storageos.prom"; }
echo good >"$WORK/collector/storageos.prom"
check "metrics go to a file" metrics
like "which is replaced" "$(<"$WORK/collector/storageos.prom")" 'storageos_volume_info'
mount -t tmpfs -o size=4k tmpfs "$WORK/collector" && cleanup unmount_for_certain "$WORK/collector"
echo good >"$WORK/collector/storageos.prom"
refuses "a full disk is told" 'No space left on device' metrics
is "and keeps the old one" "$(<"$WORK/collector/storageos.prom")" good
is "no other file is left" "$(ls "$WORK/collector")" storageos.prom
finish
