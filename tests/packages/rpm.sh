#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The RPM packages: clean, what is in them, and what happens when rpm installs, upgrades and erases
# them, with all of its own checks.
. "$(dirname "$0")/../lib.sh"
need rpmbuild rpm
need rpmlint rpmlint
need_root

own_namespace

out=$WORK/out
isa=$(rpm -E '%{_isa}')
names=(storageos storageos-fuse storageos-rbd tcmu-handler-storageos)

# Both builds are at one path, so that only what is made of the objects can differ: the second gets them from
# ccache where that is installed.  That a compiler makes the same of the same source, even at two paths, is for
# deb.sh to prove.
if type -P ccache >/dev/null; then
	unset CCACHE_DISABLE
	export CC="ccache gcc" CCACHE_DIR=$WORK/ccache
fi

must "a copy of the source" git clone -q "$ROOT" "$WORK/here"
must "make-rpm makes packages" "$WORK/here/packaging/make-rpm" --no-install --output "$out"
release=$(sed -n 's/^Version: *//p' "$ROOT/packaging/rpm/storageos.spec")-1
rpm_of() {
	local on
	on=$(uname -m)
	[ "$1" != storageos-cockpit ] || on=noarch
	echo "$out/$1-$release.$on.rpm"
}
check "they are five, and the source" ls "$(rpm_of storageos)" "$(rpm_of storageos-fuse)" "$(rpm_of storageos-rbd)" \
	"$(rpm_of tcmu-handler-storageos)" "$(rpm_of storageos-cockpit)" "$out/storageos-$release.src.rpm"
# A build elsewhere, at another time, of another user's making.
must "another copy" git clone -q "$WORK/here" "$WORK/somewhere/else"
mkdir "$WORK/tmp"
must "make-rpm makes them again" env TMPDIR="$WORK/tmp" HOME="$WORK/somewhere" HOSTNAME=elsewhere \
	"$WORK/somewhere/else/packaging/make-rpm" --no-install --output "$WORK/again"
for file in "$out"/*.rpm; do
	check "the same bytes again: ${file##*/}" cmp "$file" "$WORK/again/${file##*/}"
done
said=$(rpmlint -c "$ROOT/packaging/rpm/rpmlint.toml" "$out"/*.rpm "$ROOT/packaging/rpm/storageos.spec" 2>&1)
like "rpmlint finds neither error nor warning" "$said" ' 0 errors, 0 warnings'

# ---- what is in them

query() { # PACKAGE FORMAT
	rpm -qp --nosignature --qf "$2" "$(rpm_of "$1")"
}
contents() { # everything but links to build IDs and documents
	query "$1" '[%{FILEMODES:perms} %{FILEUSERNAME}:%{FILEGROUPNAME} %{FILENAMES} %{FILELINKTOS}\n]' |
		grep -v -e '\.build-id' -e /usr/share/doc/ -e /usr/share/licenses/ | sed 's/ *$//'
}
is "what is in storageos" "$(contents storageos)" \
"drwxr-xr-x root:root /etc/storageos
-rwxr-xr-x root:root /usr/bin/storageos
-rw-r--r-- root:root /usr/lib/modules-load.d/storageos.conf
-rwxr-xr-x root:root /usr/lib/systemd/system-generators/storageos-generator
drwxr-xr-x root:root /usr/lib/systemd/system/run-storageos-mnt-.mount.d
-rw-r--r-- root:root /usr/lib/systemd/system/run-storageos-mnt-.mount.d/storageos.conf
-rw-r--r-- root:root /usr/lib/systemd/system/storageos-attach@.service
-rw-r--r-- root:root /usr/lib/systemd/system/storageos-fuse@.service
-rw-r--r-- root:root /usr/lib/systemd/system/storageos-metrics.service
-rw-r--r-- root:root /usr/lib/systemd/system/storageos-metrics.timer
-rw-r--r-- root:root /usr/lib/systemd/system/storageos-pool-events.path
-rw-r--r-- root:root /usr/lib/systemd/system/storageos-pool-events.service
-rw-r--r-- root:root /usr/lib/systemd/system/storageos-recover@.service
-rw-r--r-- root:root /usr/lib/systemd/system/storageos-scrub@.service
-rw-r--r-- root:root /usr/lib/systemd/system/storageos-scrub@.timer
-rw-r--r-- root:root /usr/lib/systemd/system/storageos-snapshot.service
-rw-r--r-- root:root /usr/lib/systemd/system/storageos-snapshot.timer
-rw-r--r-- root:root /usr/lib/systemd/system/storageos-unmount.service
-rw-r--r-- root:root /usr/lib/tmpfiles.d/storageos.conf
-rw-r--r-- root:root /usr/lib/udev/rules.d/65-storageos.rules
drwxr-xr-x root:root /usr/libexec/storageos
-rwxr-xr-x root:root /usr/libexec/storageos/in-use
-rwxr-xr-x root:root /usr/libexec/storageos/plugin-installed
-rwxr-xr-x root:root /usr/libexec/storageos/refuse-removal
-rw-r--r-- root:root /usr/share/bash-completion/completions/storageos
-rw-r--r-- root:root /usr/share/fish/vendor_completions.d/storageos.fish
-rw-r--r-- root:root /usr/share/man/man5/storageos-json.5.gz
-rw-r--r-- root:root /usr/share/man/man5/storageos-volume.5.gz
-rw-r--r-- root:root /usr/share/man/man5/storageos.conf.5.gz
-rw-r--r-- root:root /usr/share/man/man7/storageos-cfgstring.7.gz
-rw-r--r-- root:root /usr/share/man/man8/storageos.8.gz
drwxr-xr-x root:root /usr/share/storageos
drwxr-xr-x root:root /usr/share/storageos/observability
-rw-r--r-- root:root /usr/share/storageos/observability/storageos-alerts.yml
-rw-r--r-- root:root /usr/share/storageos/observability/storageos-dashboard.json
-rw-r--r-- root:root /usr/share/storageos/storageos.magic
-rw-r--r-- root:root /usr/share/zsh/site-functions/_storageos
drwxr-xr-x root:root /var/lib/storageos"
is "what is in storageos-fuse" "$(contents storageos-fuse)" \
"-rwxr-xr-x root:root /usr/bin/storageos-fuse
-rw-r--r-- root:root /usr/share/man/man8/storageos-fuse.8.gz"
is "what is in storageos-rbd" "$(contents storageos-rbd)" \
"drwxr-xr-x root:root /usr/lib/systemd/system/storageos-attach@.service.d
-rw-r--r-- root:root /usr/lib/systemd/system/storageos-attach@.service.d/rbd.conf
drwxr-xr-x root:root /usr/lib/systemd/system/storageos-fuse@.service.d
-rw-r--r-- root:root /usr/lib/systemd/system/storageos-fuse@.service.d/rbd.conf
drwxr-xr-x root:root /usr/lib/systemd/system/storageos-recover@.service.d
-rw-r--r-- root:root /usr/lib/systemd/system/storageos-recover@.service.d/rbd.conf
drwxr-xr-x root:root /usr/lib/systemd/system/tcmu-runner.service.d
-rw-r--r-- root:root /usr/lib/systemd/system/tcmu-runner.service.d/rbd.conf
drwxr-xr-x root:root /usr/lib64/storageos
-rwxr-xr-x root:root /usr/lib64/storageos/storageos-backing-rbd.so"
is "what is in tcmu-handler-storageos" "$(contents tcmu-handler-storageos)" \
"drwxr-xr-x root:root /usr/lib/systemd/system/rtslib-fb-targetctl.service.d
-rw-r--r-- root:root /usr/lib/systemd/system/rtslib-fb-targetctl.service.d/storageos.conf
drwxr-xr-x root:root /usr/lib/systemd/system/target.service.d
-rw-r--r-- root:root /usr/lib/systemd/system/target.service.d/storageos.conf
drwxr-xr-x root:root /usr/lib/systemd/system/tcmu-runner.service.d
-rw-r--r-- root:root /usr/lib/systemd/system/tcmu-runner.service.d/storageos.conf
drwxr-xr-x root:root /usr/lib64/storageos
-rwxr-xr-x root:root /usr/lib64/storageos/handler_storageos.so
drwxr-xr-x root:root /usr/lib64/tcmu-runner
lrwxrwxrwx root:root /usr/lib64/tcmu-runner/handler_storageos.so ../storageos/handler_storageos.so"

is "what is in storageos-cockpit" "$(contents storageos-cockpit)" \
"drwxr-xr-x root:root /usr/share/cockpit/storageos
-rw-r--r-- root:root /usr/share/cockpit/storageos/index.html
-rw-r--r-- root:root /usr/share/cockpit/storageos/manifest.json
-rw-r--r-- root:root /usr/share/cockpit/storageos/storageos.css
-rw-r--r-- root:root /usr/share/cockpit/storageos/storageos.js"

# What each needs but libraries, and rpm itself.
needs() { # PACKAGE
	query "$1" '[%{REQUIRENEVRS}\n]' | grep -v -e '^lib' -e '^rtld' -e '^rpmlib' | sort -u | xargs
}
is "what storageos needs" "$(needs storageos)" "/bin/sh kmod"
is "what storageos-fuse needs" "$(needs storageos-fuse)" "/bin/sh storageos$isa = $release"
is "what storageos-rbd needs" "$(needs storageos-rbd)" "/bin/sh storageos$isa = $release"
like "and Ceph's library" "$(query storageos-rbd '[%{REQUIRENEVRS}\n]')" '^librbd\.so\.1'
is "nothing else needs Ceph's libraries" "$(for name in storageos storageos-fuse tcmu-handler-storageos; do
	query $name '[%{REQUIRENEVRS}\n]'; done | grep -c -e librbd -e librados)" 0
is "what storageos-cockpit needs" "$(needs storageos-cockpit)" "cockpit-bridge storageos = $release"
is "what tcmu-handler-storageos needs" "$(needs tcmu-handler-storageos)" \
	"/bin/sh storageos$isa = $release tcmu-runner >= 1.3.0"
is "what storageos recommends" "$(query storageos '[%{RECOMMENDNEVRS}\n]' | xargs)" \
	"storageos-fuse$isa = $release tcmu-handler-storageos$isa = $release"
scriptlets() { query "$1" '%|PREIN?{prein }|%|POSTIN?{postin }|%|PREUN?{preun }|%|POSTUN?{postun }|'; }
is "the scriptlets" "$(for name in "${names[@]}"; do echo "$name: $(scriptlets "$name")"; done)" \
"storageos: postin preun 
storageos-fuse: preun 
storageos-rbd: preun 
tcmu-handler-storageos: postin preun "
is "none of them touches a service" \
	"$(for name in "${names[@]}"; do rpm -qp --nosignature --scripts "$(rpm_of "$name")"; done | grep -c systemctl)" 0
is "on RHEL 8 the unit that runs once has no Restart=, which its systemd refuses" \
	"$(rpmspec --load "$ROOT/packaging/rpm/debian.macros" --define 'rhel 8' -P \
		"$ROOT/packaging/rpm/storageos.spec" | grep -c '/\^Restart/d.*storageos-attach@.service')" 1
is "but elsewhere" "$(rpmspec --load "$ROOT/packaging/rpm/debian.macros" --define 'rhel 9' -P \
	"$ROOT/packaging/rpm/storageos.spec" | grep -c '/\^Restart/d')" 0

# ---- an empty root

empty=$WORK/empty
mkdir "$empty"
in_empty() { rpm --root "$empty" "$@"; }
refuses "an empty root lacks what they need" 'tcmu-runner >= 1.3.0 is needed' \
	in_empty -i "$out"/*."$(uname -m)".rpm
# Stands for a system: provides every library, the runner, a shell.
stand_in() { # NAME VERSION FILE...
	cat >"$WORK/$1.spec" <<-END
	Name: $1
	Version: $2
	Release: 1
	Summary: stands for a system
	License: Apache-2.0
	$(printf 'Provides: %s\n' kmod 'tcmu-runner = 1.5.4' /bin/sh)
	$(for name in "${names[@]}"; do query "$name" '[%{REQUIRENAME}\n]'; done |
		grep -e '^lib' -e '^rtld' | sort -u | sed 's/^/Provides: /')
	%description
	Stands for a system.
	%files
	END
	rpmbuild -bb --define "_topdir $WORK/stand-in" --define "_rpmdir $WORK" "$WORK/$1.spec" >"$WORK/log" 2>&1
}
must "something that stands for a system" stand_in system 1
check "is installed" in_empty -i "$WORK/$(uname -m)/system-1-1.$(uname -m).rpm"
check "then they are installed, with all of rpm's checks but scriptlets, for which there is no shell" \
	in_empty -i --noscripts "$out"/*."$(uname -m)".rpm
is "rpm -V finds every file as it was packaged" "$(in_empty -V "${names[@]}" 2>&1)" ""
is "there is one plugin" "$(cd "$empty/usr/lib64/tcmu-runner" && echo handler_*)" handler_storageos.so
check "which can be read" test -s "$empty/usr/lib64/tcmu-runner/handler_storageos.so"
is "nothing is left of the unpacking" "$(find "$empty/usr" -name '*;*')" ""
check "they are erased" in_empty -e --noscripts "${names[@]}"
is "every file, and every directory of theirs" "$(find "$empty" -path "$empty/var/lib/rpm" -prune -o -name '*storageos*' -print)" ""

# ---- scriptlets: in this machine's root with every change in memory, and no package known to rpm

root=$WORK/root
if ! mkdir "$WORK/layer" "$root" || ! mount -t tmpfs none "$WORK/layer" ||
	! mkdir "$WORK/layer/upper" "$WORK/layer/work" ||
	! mount -t overlay -o "lowerdir=/,upperdir=$WORK/layer/upper,workdir=$WORK/layer/work" none "$root"; then
	skip "scriptlets" "this kernel has no overlay file system for /"
	finish
fi
cleanup umount "$WORK/layer"
cleanup umount -R "$root"
mount --rbind /dev "$root/dev" && mount -t tmpfs none "$root/sys" && mount -t tmpfs none "$root/run"
rm -rf "$root/etc/storageos" "$root/var/lib/storageos" "$root/var/lib/rpm"
mkdir -p "$root/packages" && cp "$out"/*."$(uname -m)".rpm "$WORK/$(uname -m)"/system-*.rpm "$root/packages"
inside() {
	unshare --pid --fork --mount-proc="$root/proc" chroot "$root" env -i HOME=/root LC_ALL=C.UTF-8 \
		PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
}
store() { # NAME CONFIG: a backstore, as configfs would show it
	mkdir -p "$root/sys/kernel/config/target/core/user_0/$1"
	echo "Config: $2 Size: 1" >"$root/sys/kernel/config/target/core/user_0/$1/info"
}
check "they are installed with their scriptlets" inside sh -c 'rpm -i /packages/*.rpm'
is "no pool is made" "$(find "$root/var/lib/storageos" -name .storageos-pool)" ""
check "the pool default is made" inside storageos pool create default /var/lib/storageos/volumes
check "and takes a volume" inside storageos create db --size 1M
check "another pool is made" inside storageos pool create fast /srv/fast
config=$(cat "$root/etc/storageos/storageos.conf")
store db storageos/default/db
check "they are installed again, as in an upgrade, while a volume is attached" \
	inside sh -c 'rpm -U --replacepkgs /packages/*storageos*.rpm'
is "there is one plugin" "$(cd "$root/usr/lib64/tcmu-runner" && echo handler_storageos*)" handler_storageos.so
is "the configuration is as it was" "$(cat "$root/etc/storageos/storageos.conf")" "$config"
refuses "erasing is refused while a volume is attached" 'serves volumes: default/db$' \
	inside rpm -e tcmu-handler-storageos
refuses "and says what to do" '^ *storageos detach default/db$' inside rpm -e tcmu-handler-storageos
check "the plugin is still there" inside test -s /usr/lib64/tcmu-runner/handler_storageos.so
rm -rf "$root/sys/kernel"
check "then they are erased" inside rpm -e "${names[@]}"
check "the plugin is gone" test ! -e "$root/usr/lib64/tcmu-runner"
check "the configuration stays" test -s "$root/etc/storageos/storageos.conf"
check "and so do volumes" test -s "$root/var/lib/storageos/volumes/db.vol"
finish
