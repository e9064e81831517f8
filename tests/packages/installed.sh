#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# On a machine that has the project installed, as packaging/quickstart leaves it, the guests of the
# kernel tests, whose root is the machine's, have nothing of it.
. "$(dirname "$0")/../lib.sh"
need_root
need meson meson
need_built "$STORAGEOS" "$STORAGEOS_FUSE" "$STORAGEOS_PLUGIN"

own_namespace

# This machine's root, with every change in memory.
root=$WORK/root
if ! mkdir "$WORK/layer" "$root" || ! mount -t tmpfs none "$WORK/layer" ||
	! mkdir "$WORK/layer/upper" "$WORK/layer/work" ||
	! mount -t overlay -o "lowerdir=/,upperdir=$WORK/layer/upper,workdir=$WORK/layer/work" none "$root"; then
	skip_all "this kernel has no overlay file system for /"
fi
cleanup umount "$WORK/layer"
cleanup umount -R "$root"
mount --rbind /dev "$root/dev" && mount -t proc none "$root/proc" &&
	mount -t tmpfs none "$root/tmp" && mkdir -p "$root$ROOT" "$root$STORAGEOS_BUILD" &&
	mount --bind "$ROOT" "$root$ROOT" && mount --bind "$STORAGEOS_BUILD" "$root$STORAGEOS_BUILD" ||
	give_up "cannot make a root"
must "install it there" env DESTDIR="$root" meson install -C "$STORAGEOS_BUILD" --no-rebuild --quiet
mkdir -p "$root/etc/storageos" "$root/var/lib/storageos/volumes" && : >"$root/etc/storageos/storageos.conf"

installed() { # what is found of it
	find /usr/bin /usr/lib /usr/lib64 /usr/libexec /etc /var/lib \
		\( -name '*storageos*' -o -name storageos \) ! -path '/usr/lib/systemd/*' \
		! -path '/usr/lib/*.d/*' ! -path '/var/lib/dpkg/*' ! -path '/etc/apparmor.d/*' 2>/dev/null | sort
	find /usr/lib/udev /etc/udev -name '*storageos*' 2>/dev/null
}
inside() { # COMMAND...
	chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root STORAGEOS_BUILD="$STORAGEOS_BUILD" "$@"
}
text=$(declare -f installed)
like "it is there" "$(inside bash -c "$text; installed")" '^/usr/bin/storageos$'
like "with the plugin" "$(inside bash -c "$text; installed")" '/tcmu-runner/handler_storageos\.so$'
is "beside what was built" "$(inside ls "$STORAGEOS_BUILD/tests/kernel")" "$(ls "$STORAGEOS_BUILD/tests/kernel")"
like "and the rule" "$(inside bash -c "$text; installed")" '/udev/rules\.d/.*storageos\.rules$'
found=$(inside "$ROOT/tests/kernel/uml-run" --disk 64M --timeout "$(limit 120)" -- bash -c "$text; installed" 2>&1)
status=$?
if [ $status = 77 ]; then
	skip "a guest has nothing of it" "user-mode Linux cannot be run here"
	finish
fi
is "a guest ends well" $status 0
is "and has nothing of it" "$found" ''
finish
