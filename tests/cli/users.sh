#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A user without permission to see what is served is told so, not that nothing is served: every verb, as
# text and JSON.
. "$(dirname "$0")/../lib.sh"
need jq jq
need setpriv util-linux
need_root
need_fuse
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
own_config
chmod 755 "$WORK"

# A copy of the program that every user may run, even without access to the build directory.
cp "$STORAGEOS" "$WORK/storageos"
as_nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups "$WORK/storageos" "$@"; }
# Root without the capability to read all files, as in some containers.
without_rights() { setpriv --inh-caps=-all --bounding-set=-all "$WORK/storageos" "$@"; }
tells() { # NAME REGEX COMMAND...
	local name=$1 regex=$2 status
	shift 2
	"$@" >"$WORK/out" 2>"$WORK/err" </dev/null
	status=$?
	is "$name: status" $status 1
	is "$name: prints nothing" "$(<"$WORK/out")" ""
	is "$name: one line" "$(wc -l <"$WORK/err")" 1
	like "$name: says why" "$(<"$WORK/err")" "$regex"
}

must "create" "$STORAGEOS" create db --size 64M
mkdir "$WORK/mnt"
cleanup unmount_for_certain "$WORK/mnt"
must "serve it" "$STORAGEOS_FUSE" db "$WORK/mnt"

# The refusal does not depend on the mode of the volume's file.
for mode in 600 644; do
	chmod $mode "$POOL/db.vol"
	for line in list "list --json" "list default" status "status --json" "status db" stats "stats --json" \
		"stats db" "stats --prometheus" "stats --watch --count 1" "info db" "info db --json" "check db" \
		"scrub db" "scrub db --status" "attach db" "detach db" "delete db" "resize db 128M" \
		"create new --size 64M" "pool list" "pool list --json"; do
		# shellcheck disable=SC2086
		tells "$line, file of mode $mode" "^storageos: ${line%% *}( list)?: access $WORK/run: Permission denied \(run as root\)$" \
			as_nobody $line
	done
done
like "every user may run probe" "$(as_nobody probe >/dev/null; echo $?)" '^[034]$'
check "every user may run --help" as_nobody list --help
chmod 600 "$STORAGEOS_CONFIG"
tells "a configuration that only root may read" "$STORAGEOS_CONFIG: Permission denied \(run as root\)$" as_nobody list
chmod 644 "$STORAGEOS_CONFIG"

# A run directory of the user's own is completely visible.
mkdir "$WORK/mine" "$WORK/mine/pool"
printf '[storageos]\nrun_directory=%s/mine/run\nstate_directory=%s/mine/state\n[pool default]\npath=%s/mine/pool\n' "$WORK" "$WORK" "$WORK" \
	>"$WORK/mine/conf"
cp "$POOL/.storageos-pool" "$WORK/mine/pool/"
chown -R 65534:65534 "$WORK/mine"
check "a user's own run directory: create" as_nobody --config "$WORK/mine/conf" create db --size 64M
is "a user's own run directory: list" "$(as_nobody --config "$WORK/mine/conf" list --json | jq -r '.[].volume')" default/db
is "a user's own run directory: stats" "$(as_nobody --config "$WORK/mine/conf" stats --json | jq -c .)" "[]"

# Root that cannot read files of another user.
chown -R 65534:65534 "$WORK/run" "$POOL/db.vol"
chmod 600 "$POOL/db.vol"
for line in stats "stats --json" "stats --prometheus"; do
	# shellcheck disable=SC2086
	without_rights $line >"$WORK/out" 2>"$WORK/err"
	is "$line of a volume that cannot be read: status" $? 1
	like "$line of a volume that cannot be read" "$(<"$WORK/err")" "$WORK/run/control.*Permission denied"
done
is "stats db of a volume that cannot be read" "$(without_rights stats db 2>&1; echo $?)" \
	"storageos: stats default/db: connect to its server: Permission denied
1"
is "list of a volume that cannot be read" "$(without_rights list >"$WORK/out"; echo $?)" 1
like "list shows the reason" "$(<"$WORK/out")" '^default/db +\? .*Permission denied'
is "list --json of a volume that cannot be read" \
	"$(without_rights list --json >"$WORK/out"; echo $?; jq -r '.[].error' "$WORK/out" | grep -o 'Permission denied')" \
	"1
Permission denied"
finish
