#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs packaging/quickstart on a clean checkout, in a root with only Debian's essential packages and apt.
. "$(dirname "$0")/../lib.sh"
need_root
need mmdebstrap mmdebstrap
[ -c /dev/fuse ] && [ -c /dev/loop-control ] || skip_all "this kernel has no FUSE or no loop driver"
[ ! -e /sys/module/target_core_user ] || skip_all "it would use this machine's own target"

R=$WORK/root
SAID=$WORK/said

# Uses this machine's sources and proxies of apt, and names of its own below /dev/storageos.
make_root() {
	mmdebstrap --quiet --mode=root --variant=minbase --aptopt='APT::Sandbox::User "root"' \
		--setup-hook="cp -r /etc/apt/apt.conf.d \"\$1/etc/apt/\"" \
		bookworm "$R" /etc/apt/sources.list.d/debian.sources &&
		git -C "$ROOT" archive --prefix=storageos/ HEAD | tar -x -C "$R/root"
}

bind() {
	mount --bind "$1" "$R$1" && cleanup unmount_for_certain "$R$1"
}

in_root() {
	chroot "$R" /usr/bin/env -i PATH=/usr/sbin:/usr/bin HOME=/root "$@"
}

quickstart() {
	in_root /root/storageos/packaging/quickstart "$1" 256M >"$SAID" 2>&1
	local status=$?
	cat "$SAID"
	return "$status"
}

report() { sed -n "s/^$1  *//p" "$SAID"; }

NAME=quickstart-$$
must "make a root with nothing but apt" make_root
is "there is no compiler" "$(in_root sh -c 'command -v cc gcc meson')" ''
for directory in /proc /sys /dev; do
	must "give it $directory" bind $directory
done
cleanup in_root storageos detach "$NAME"
must "quickstart" quickstart "$NAME"
is "the front end is FUSE" "$(report 'front end')" fuse
like "quickstart prints the reason" "$(report 'chosen because')" 'no TCMU'
is "quickstart prints the device" "$(report device | cut -d' ' -f1)" "/dev/storageos/default/$NAME"
is "the data that was written is read back" "$(report 'sha256 read back')" "$(report 'sha256 written')"
like "the checksum is one" "$(report 'sha256 written')" '^[0-9a-f]{64}$'
check "quickstart again" quickstart "$NAME"
check "detach" in_root storageos detach "$NAME"
check "the volume is whole" in_root storageos check "$NAME"
finish
