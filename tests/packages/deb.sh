#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The Debian packages: the same bytes when built twice, clean, what is in them, and what happens
# when they are installed, upgraded, removed and purged.
# shellcheck disable=SC2016 # what is in single quotes is for dpkg-query, or a shell inside
. "$(dirname "$0")/../lib.sh"
need lintian lintian
need dh debhelper
need_root

own_namespace

multiarch=$(dpkg-architecture -q DEB_HOST_MULTIARCH)
arch=$(dpkg --print-architecture)
out=$WORK/out
version=$(dpkg-parsechangelog -l "$ROOT/packaging/debian/changelog" -S Version)
packages=(storageos storageos-fuse storageos-rbd tcmu-handler-storageos)
deb_of() {
	local on=$arch
	[ "$1" != storageos-cockpit ] || on=all
	echo "$out/$1_${version}_$on.deb"
}

# ---- building

must "a copy of the source" git clone -q "$ROOT" "$WORK/here"
must "make-deb makes packages" "$WORK/here/packaging/make-deb" --no-install --output "$out"
check "they are five" ls "$(deb_of storageos)" "$(deb_of storageos-fuse)" "$(deb_of storageos-rbd)" \
	"$(deb_of tcmu-handler-storageos)" "$(deb_of storageos-cockpit)"
# A build elsewhere, at another time.
must "another copy" git clone -q "$WORK/here" "$WORK/somewhere/else"
must "make-deb makes them again" "$WORK/somewhere/else/packaging/make-deb" --no-install --output "$WORK/again"
for file in "$out"/*.deb "$out"/*.tar.xz; do
	check "the same bytes again: ${file##*/}" cmp "$file" "$WORK/again/${file##*/}"
done
check "lintian finds neither error nor warning" \
	lintian --allow-root --fail-on error,warning "$out"/*.changes
is "no lintian tag is overridden" "$(find "$ROOT/packaging/debian" -name '*lintian-overrides*')" ""

# ---- what is in them

for package in "${packages[@]}"; do
	must "unpack $package" dpkg-deb -R "$(deb_of "$package")" "$WORK/$package"
done
# Files with mode, owner and name, but documents.
contents() {
	dpkg-deb -c "$(deb_of "$1")" | grep -v -e '^d' -e /usr/share/doc/ |
		awk '{ print $1, $2, substr($0, index($0, "./") + 1) }'
}
is "what is in storageos" "$(contents storageos)" \
"-rw-r--r-- root/root /lib/systemd/system/run-storageos-mnt-.mount.d/storageos.conf
-rw-r--r-- root/root /lib/systemd/system/storageos-attach@.service
-rw-r--r-- root/root /lib/systemd/system/storageos-fuse@.service
-rw-r--r-- root/root /lib/systemd/system/storageos-metrics.service
-rw-r--r-- root/root /lib/systemd/system/storageos-metrics.timer
-rw-r--r-- root/root /lib/systemd/system/storageos-pool-events.path
-rw-r--r-- root/root /lib/systemd/system/storageos-pool-events.service
-rw-r--r-- root/root /lib/systemd/system/storageos-recover@.service
-rw-r--r-- root/root /lib/systemd/system/storageos-scrub@.service
-rw-r--r-- root/root /lib/systemd/system/storageos-scrub@.timer
-rw-r--r-- root/root /lib/systemd/system/storageos-snapshot.service
-rw-r--r-- root/root /lib/systemd/system/storageos-snapshot.timer
-rw-r--r-- root/root /lib/systemd/system/storageos-unmount.service
-rwxr-xr-x root/root /lib/systemd/system-generators/storageos-generator
-rw-r--r-- root/root /lib/udev/rules.d/65-storageos.rules
-rwxr-xr-x root/root /usr/bin/storageos
-rw-r--r-- root/root /usr/lib/modules-load.d/storageos.conf
-rw-r--r-- root/root /usr/lib/tmpfiles.d/storageos.conf
-rwxr-xr-x root/root /usr/libexec/storageos/in-use
-rwxr-xr-x root/root /usr/libexec/storageos/plugin-installed
-rwxr-xr-x root/root /usr/libexec/storageos/refuse-removal
-rw-r--r-- root/root /usr/share/bash-completion/completions/storageos
-rw-r--r-- root/root /usr/share/fish/vendor_completions.d/storageos.fish
-rw-r--r-- root/root /usr/share/man/man5/storageos-json.5.gz
-rw-r--r-- root/root /usr/share/man/man5/storageos-volume.5.gz
-rw-r--r-- root/root /usr/share/man/man5/storageos.conf.5.gz
-rw-r--r-- root/root /usr/share/man/man7/storageos-cfgstring.7.gz
-rw-r--r-- root/root /usr/share/man/man8/storageos.8.gz
-rw-r--r-- root/root /usr/share/storageos/observability/storageos-alerts.yml
-rw-r--r-- root/root /usr/share/storageos/observability/storageos-dashboard.json
-rw-r--r-- root/root /usr/share/storageos/storageos.magic
-rw-r--r-- root/root /usr/share/zsh/vendor-completions/_storageos"
is "what is in storageos-fuse" "$(contents storageos-fuse)" \
"-rw-r--r-- root/root /etc/apparmor.d/usr.bin.storageos-fuse
-rwxr-xr-x root/root /usr/bin/storageos-fuse
-rw-r--r-- root/root /usr/share/man/man8/storageos-fuse.8.gz"
is "what is in storageos-rbd" "$(contents storageos-rbd)" \
"-rw-r--r-- root/root /lib/systemd/system/storageos-attach@.service.d/rbd.conf
-rw-r--r-- root/root /lib/systemd/system/storageos-fuse@.service.d/rbd.conf
-rw-r--r-- root/root /lib/systemd/system/storageos-recover@.service.d/rbd.conf
-rw-r--r-- root/root /lib/systemd/system/tcmu-runner.service.d/rbd.conf
-rw-r--r-- root/root /usr/lib/$multiarch/storageos/storageos-backing-rbd.so"
is "what is in tcmu-handler-storageos" "$(contents tcmu-handler-storageos)" \
"-rw-r--r-- root/root /lib/systemd/system/rtslib-fb-targetctl.service.d/storageos.conf
-rw-r--r-- root/root /lib/systemd/system/target.service.d/storageos.conf
-rw-r--r-- root/root /lib/systemd/system/tcmu-runner.service.d/storageos.conf
-rw-r--r-- root/root /usr/lib/$multiarch/storageos/handler_storageos.so
lrwxrwxrwx root/root /usr/lib/$multiarch/tcmu-runner/handler_storageos.so -> ../storageos/handler_storageos.so"

is "what is in storageos-cockpit" "$(contents storageos-cockpit)" \
"-rw-r--r-- root/root /usr/share/cockpit/storageos/index.html
-rw-r--r-- root/root /usr/share/cockpit/storageos/manifest.json
-rw-r--r-- root/root /usr/share/cockpit/storageos/storageos.css
-rw-r--r-- root/root /usr/share/cockpit/storageos/storageos.js"

field() { dpkg-deb -f "$(deb_of "$1")" "$2"; }
like "the plugin needs a runner that it works with" "$(field tcmu-handler-storageos Depends)" \
	'(^|, )tcmu-runner \(>= 1\.3\.0\)(,|$)'
like "and the command line of its version" "$(field tcmu-handler-storageos Depends)" \
	"(^|, )storageos \(= $version\)"
like "so does the server" "$(field storageos-fuse Depends)" "(^|, )storageos \(= $version\)"
like "the module needs Ceph's library" "$(field storageos-rbd Depends)" '(^|, )librbd1 \(>='
like "and the command line of its version" "$(field storageos-rbd Depends)" "(^|, )storageos \(= $version\)"
is "nothing else needs Ceph's libraries" \
	"$(for package in storageos storageos-fuse tcmu-handler-storageos; do field $package Depends; done | grep -c -e rbd -e rados)" 0
is "the command line recommends both, and needs neither" \
	"$(field storageos Recommends) $(field storageos Depends | grep -c -e fuse -e tcmu)" \
	"storageos-fuse (= $version), tcmu-handler-storageos (= $version) 0"

is "the page needs Cockpit's bridge and the command line" "$(field storageos-cockpit Depends)" \
	"cockpit-bridge, storageos (>= $version)"

hardened() { # FILE
	readelf -hW "$1" | grep -q 'Type: *DYN' && readelf -dW "$1" | grep -q BIND_NOW &&
		readelf -lW "$1" | grep -q GNU_RELRO && readelf -lW "$1" | grep -q 'GNU_STACK.*RW ' &&
		nm -D "$1" | grep -q __stack_chk_fail && nm -D "$1" | grep -q _chk@
}
plugin=$WORK/tcmu-handler-storageos/usr/lib/$multiarch/storageos/handler_storageos.so
module=$WORK/storageos-rbd/usr/lib/$multiarch/storageos/storageos-backing-rbd.so
for file in "$WORK/storageos/usr/bin/storageos" "$WORK/storageos-fuse/usr/bin/storageos-fuse" "$plugin" "$module"; do
	check "hardened in every way: ${file##*/}" hardened "$file"
done
is "the plugin shows one symbol" "$(nm -D --defined-only "$plugin" | awk '{ print $3 }')" handler_init
is "and the module, too" "$(nm -D --defined-only "$module" | awk '{ print $3 }')" storageos_module_1
is "no configuration is shipped that the command line would change" \
	"$(cat "$WORK"/*/DEBIAN/conffiles | xargs)" /etc/apparmor.d/usr.bin.storageos-fuse

# ---- a root to install into: this machine's, with every change in memory

root=$WORK/root
if ! mkdir "$WORK/layer" "$root" || ! mount -t tmpfs none "$WORK/layer" ||
	! mkdir "$WORK/layer/upper" "$WORK/layer/work" ||
	! mount -t overlay -o "lowerdir=/,upperdir=$WORK/layer/upper,workdir=$WORK/layer/work" none "$root"; then
	skip "install, upgrade, remove, purge" "this kernel has no overlay file system for /"
	finish
fi
cleanup umount "$WORK/layer"
cleanup umount -R "$root"
mount --rbind /dev "$root/dev" && mount -t tmpfs none "$root/sys" && mount -t tmpfs none "$root/run" &&
	mkdir "$root/debs"
rm -rf "$root/etc/storageos" "$root/var/lib/storageos" "$root/var/lib/man-db/auto-update"
cp "$out"/*_"$arch".deb "$root/debs" && rm -f "$root"/debs/*dbgsym*

# As process 1 of a namespace, so that /proc tells of this root and not of another system's.
inside() {
	unshare --pid --fork --mount-proc="$root/proc" chroot "$root" env -i HOME=/root LC_ALL=C.UTF-8 \
		PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
}
dpkg_does() {
	inside dpkg --force-unsafe-io "$@"
}
handlers() { (cd "$root/usr/lib/$multiarch/tcmu-runner" && echo handler_storageos*); }
state() { inside dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null | tr -d ' '; }

# A backstore of ours, and one of another handler, as configfs would show them.
store() { # HBA NAME CONFIG
	mkdir -p "$root/sys/kernel/config/target/core/$1/$2"
	echo "Status: ACTIVATED  Config: $3 Size: 1048576" >"$root/sys/kernel/config/target/core/$1/$2/info"
}
no_stores() { rm -rf "$root/sys/kernel"; }

# A tcmu-runner that runs while dpkg works; what systemctl is told is kept.
mkdir -p "$root/run/systemd/system"
for command in systemctl deb-systemd-invoke; do
	printf '#!/bin/sh\necho %s "$@" >>/run/told\n' $command >"$root/usr/local/bin/$command"
	chmod +x "$root/usr/local/bin/$command"
done
cp "$root/bin/sleep" "$root/run/tcmu-runner"
with_runner() { # DPKG ARGUMENT...
	inside sh -c '/run/tcmu-runner 300 & runner=$!; dpkg --force-unsafe-io "$@"; status=$?
		kill $runner; exit $status' sh "$@"
}

refuses "the plugin is not installed without what it needs" 'dependency problems' \
	dpkg_does -i "/debs/tcmu-handler-storageos_${version}_$arch.deb"
dpkg_does --purge tcmu-handler-storageos >/dev/null 2>&1
said=$(dpkg_does -i -R /debs 2>&1)
is "they are installed" \
	"$(state storageos) $(state storageos-fuse) $(state storageos-rbd) $(state tcmu-handler-storageos)" "ii ii ii ii"
is "with no runner there is nothing to say" "$(grep -c storageos: <<<"$said")" 0
is "there is one plugin" "$(handlers)" handler_storageos.so
check "which can be read" inside test -s "/usr/lib/$multiarch/tcmu-runner/handler_storageos.so"
is "no pool is made" "$(find "$root/var/lib/storageos" -name .storageos-pool)" ""
check "the pool default is made" inside storageos pool create default /var/lib/storageos/volumes
check "and takes a volume" inside storageos create db --size 1M
cp "$ROOT/packaging/debian/tests/command-line" "$root/debs/"
check "the packages' own test passes" inside /debs/command-line
check "another pool is made" inside storageos pool create fast /srv/fast
check "and takes one" inside storageos create fast/log --size 1M

# ---- an upgrade

newer=$WORK/newer
mkdir "$newer"
for package in "${packages[@]}"; do
	sed -i "s/^Version: .*/Version: $version.1/; s/(= $version)/(= $version.1)/g" "$WORK/$package/DEBIAN/control"
	dpkg-deb -b --root-owner-group "$WORK/$package" "$newer" >/dev/null
done
mkdir "$root/newer" && cp "$newer"/*.deb "$root/newer"
# As an earlier package left it: the pool default is made, and not entered.
without_default() { sed '/^\[pool default\]/,/^uuid=/d' "$root/etc/storageos/storageos.conf" | grep .; }
config=$(without_default)
echo "$config" >"$root/etc/storageos/storageos.conf"
store user_0 db storageos/default/db
store user_1 disk qcow/srv/disk.qcow2
rm -f "$root/run/told"
said=$(with_runner -i -R /newer 2>&1)
is "they are upgraded while volumes are attached" \
	"$(inside dpkg-query -W -f '${Version} ' "${packages[@]}")" "$version.1 $version.1 $version.1 $version.1 "
like "a runner that serves LUNs is not restarted, and it is said" "$said" 'serves LUNs \(db disk\), so it was not restarted'
like "and what to do" "$said" '^ *systemctl restart tcmu-runner$'
is "systemd was told nothing but to read its units, and to unmount at a shutdown what lies on the LUNs" \
	"$(sort -u "$root/run/told")" "systemctl daemon-reload"$'\n'"systemctl start --no-block storageos-unmount.service"
is "there is one plugin" "$(handlers)" handler_storageos.so
like "the pool default is entered in the configuration" "$(cat "$root/etc/storageos/storageos.conf")" '^\[pool default\]$'
is "which else is as it was" "$(without_default)" "$config"
check "so are the volumes" inside storageos check db

rm "$root/run/told"
check "the module's package again, alone" dpkg_does -i "/newer/storageos-rbd_$version.1_$arch.deb"
is "systemd reads its drop-ins" "$(cat "$root/run/told")" "systemctl daemon-reload"

no_stores
said=$(with_runner -i "/newer/tcmu-handler-storageos_$version.1_$arch.deb" 2>&1)
like "a runner that serves nothing is restarted, and it is said" "$said" 'serves nothing: restarting it'
like "so that it has the plugin" "$(cat "$root/run/told")" 'deb-systemd-invoke try-restart tcmu-runner'
cp "$plugin" "$root/usr/lib/$multiarch/tcmu-runner/handler_storageos.so.bak"
like "a second copy that somebody left is named" \
	"$(dpkg_does -i "/newer/tcmu-handler-storageos_$version.1_$arch.deb" 2>&1)" \
	'handler_storageos.so.bak is a second copy'
rm "$root/usr/lib/$multiarch/tcmu-runner/handler_storageos.so.bak"

# ---- removal

store user_0 db 'storageos/default/db;create'
refuses "removal is refused while a volume is attached" 'serves volumes: default/db$' \
	dpkg_does -r tcmu-handler-storageos
refuses "and says what to do" '^ *storageos detach default/db$' dpkg_does -r tcmu-handler-storageos
like "the package is as it was" "$(state tcmu-handler-storageos) $(handlers)" '^.i handler_storageos.so$'
no_stores
store user_1 disk qcow/srv/disk.qcow2
printf '[pool cloud]\nrbd=rbd\nuuid=11111111-2222-4333-8444-555555555555\n' >>"$root/etc/storageos/storageos.conf"
store user_0 vm storageos/cloud/vm
refuses "so is that of the module while an image is attached" 'serves volumes: cloud/vm$' dpkg_does -r storageos-rbd
no_stores
store user_0 db storageos/default/db
check "other volumes keep nobody from it" dpkg_does -r storageos-rbd
refuses "which the command line tells then" "pool 'cloud' needs the package storageos-rbd" \
	inside storageos create cloud/x --size 1M
no_stores
store user_1 disk qcow/srv/disk.qcow2
check "another handler's LUNs keep nobody from it" dpkg_does -r tcmu-handler-storageos
check "no plugin is left" test ! -e "$root/usr/lib/$multiarch/tcmu-runner/handler_storageos.so"
check "nor anything like it" test ! -e "$root/usr/lib/$multiarch/storageos"
check "the others are removed" dpkg_does -r storageos-fuse storageos
check "the configuration stays" test -s "$root/etc/storageos/storageos.conf"
check "the volumes stay" test -s "$root/var/lib/storageos/volumes/db.vol"
mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
link=$root/etc/systemd/system/multi-user.target.wants/storageos-attach@default-db.service
ln -s /lib/systemd/system/storageos-attach@.service "$link"
check "they are purged" dpkg_does -P "${packages[@]}"
check "the configuration is gone" test ! -e "$root/etc/storageos"
check "so is what attached at boot" test ! -L "$link"
check "the volumes stay" test -s "$root/var/lib/storageos/volumes/db.vol"
check "those of other pools, too" test -s "$root/srv/fast/log.vol"
rm "$root/var/lib/storageos/volumes/db.vol"
check "installed once more" dpkg_does -i "/debs/storageos_${version}_$arch.deb"
check "purged without a volume" dpkg_does -P storageos
check "leaves nothing" test ! -e "$root/var/lib/storageos"
mkdir -p "$root/var/lib/storageos/volumes"
check "installed on a mount point whose file system is not there" \
	dpkg_does -i "/debs/storageos_${version}_$arch.deb"
is "it makes no pool of it" "$(ls -A "$root/var/lib/storageos/volumes")" ""
finish
