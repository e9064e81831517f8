#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# `storageos probe` on this machine as it is: what it says agrees with what the kernel shows, and
# `attach` then uses the front end that it named, for the same reason.
. "$(dirname "$0")/../lib.sh"
need jq jq
need_root
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
own_config

probe() {
	SAID=$("$STORAGEOS" probe --json "$@")
	STATUS=$?
}
said() { jq -r "$1" <<<"$SAID"; }

# ---- what is there

probe
is "the kernel is the one that runs" "$(said .kernel)" "$(uname -r)"
is "pages" "$(said .page_size)" "$(getconf PAGESIZE)"
is "the memory of the machine" "$(said .memory.machine)" \
	"$(awk '/^MemTotal/ { printf "%.0f", $2 * 1024 }' /proc/meminfo)"
is "node_cache is the configuration's" "$(said .memory.node_cache)" $((64 << 20))
is "/dev/fuse" "$(said .dev_fuse)" "$([ -c /dev/fuse ] && echo true || echo false)"
is "/dev/loop-control" "$(said .dev_loop_control)" \
	"$([ -c /dev/loop-control ] && echo true || echo false)"
is "configfs" "$(said .configfs_mounted)" \
	"$(grep -qw configfs /proc/mounts && echo true || echo false)"
# shellcheck disable=SC1091
is "the distribution" \
	"$(said .platform | grep -cF "$(. /etc/os-release && echo "$NAME $VERSION_ID")")" 1
for module in $(said '.modules | to_entries[] | select(.value == "loaded") | .key'); do
	check "$module is loaded" grep -q "^$module " /proc/modules
done
for module in fuse loop; do
	state=$(said ".modules.$module")
	if grep -qs "^$module " /proc/modules; then
		is "$module is loaded" "$state" loaded
	elif grep -qw "$module" /proc/filesystems /proc/devices; then
		is "$module is built in" "$state" "built in"
	fi
done
text=$("$STORAGEOS" probe)
is "for people: the same front end" "$(awk '/^front end/ { print $3 }' <<<"$text")" \
	"$(said .frontend)"
is "for people: the same status" "$("$STORAGEOS" probe >/dev/null; echo $?)" $STATUS
is "the status says which front end" "$STATUS" \
	"$(said '{"tcmu": 0, "fuse": 3, "none": 4}[.frontend]')"

# ---- limits

printf '[storageos]\nnode_cache=1023GiB\n' >"$WORK/large.conf"
probe --config "$WORK/large.conf"
like "a cache that is larger than the machine is a warning" "$(said '.warnings | join("; ")')" \
	'this machine has .*lower node_cache'

# ---- another kernel of this machine, and one that is not there

refuses "a kernel that is not installed" "no kernel" "$STORAGEOS" probe --kernel 0.0.1

# ---- attach does as it says

agree() { # WHAT
	probe
	if [ "$(said .frontend)" = none ]; then
		refuses "$1: attach fails, too" "$(said .reason | sed 's/[][().*+?|]/./g')" \
			"$STORAGEOS" attach db
		return
	fi
	cleanup "$STORAGEOS" detach db
	check "$1: attach" "$STORAGEOS" attach db
	is "$1: with the front end that probe names" \
		"$("$STORAGEOS" status db --json | jq -r '.[0].frontend')" "$(said .frontend)"
	is "$1: for the reason that it gives" \
		"$("$STORAGEOS" status db --json | jq -r '.[0].reason')" \
		"$(said '.reason | if . == "the kernel and tcmu-runner offer TCMU"
			then "the kernel and tcmu-runner offer it" else . end')"
	check "$1: detach" "$STORAGEOS" detach db
}
must "make a volume" "$STORAGEOS" create db --size 64M
agree "this machine"
export STORAGEOS_FUSE=$WORK/none
agree "without storageos-fuse"
like "the step is then to install it, or what TCMU lacks" "$(said .next_step)" '[a-z]'
finish
