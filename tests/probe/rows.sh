#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every row of the table of platforms: the row's name, what the kernel has, the front end, the step.
. "$(dirname "$0")/fixture.sh"

DEB=usr/lib/x86_64-linux-gnu
RPM=usr/lib64

# One platform: its kernel with the OPTIONs of kernel(), everything that attach needs installed.
row() { # ROW ID VERSION NAME LIBDIR RELEASE HAS FRONT-END STEP OPTION...
	local row=$1 id=$2 version=$3 name=$4 lib=$5 release=$6 has=$7 frontend=$8 step=$9 what
	shift 9
	what="$name $version, $release"
	root "root-$tap_count" "$id" "$version" "$name"
	kernel "$release" "$@"
	[ "$id" != ubuntu ] || [ -z "${DIGITALOCEAN-}" ] || digitalocean
	expect "$what, before anything is installed" "$row" "$frontend" "$step"
	software "$lib"
	expect "$what: $row: $frontend" "$row" "$frontend" "$step"
	is "$what: what it has" "$(said '"LIO \(.lio), TCMU \(.tcmu)"')" "$has"
	"$STORAGEOS" probe --root "$R" >>"$WORK/printed"
}

digitalocean() {
	mkdir -p "$R/var/lib/cloud/data"
	echo '{"v1": {"datasource": "DataSourceDigitalOcean", "errors": []}}' \
		>"$R/var/lib/cloud/data/result.json"
}

both="LIO true, TCMU true" lio="LIO true, TCMU false" neither="LIO false, TCMU false"
ubuntu_small=(--built-in "$FUSE configfs" --left-out "target_core_mod tcm_loop")
left_out=(--left-out "target_core_mod target_core_user tcm_loop uio")
ubuntu_small_18=(--built-in "$FUSE configfs" "${left_out[@]}")
missing="missing target_core_mod, uio, target_core_user, tcm_loop:"

# ---- the table

for version in 7.9 8.4; do
	release=3.10.0-1160.el7.x86_64
	[ $version = 7.9 ] || release=4.18.0-305.el8.x86_64
	row "RHEL 7 and 8" rhel $version "Red Hat Enterprise Linux" $RPM $release "$both" \
		tcmu none --modules "$ALL_TCMU $FUSE" --packed
done
row "CentOS 7" centos 7 "CentOS Linux" $RPM 3.10.0-1160.el7.x86_64 "$both" tcmu none \
	--modules "target_core_mod target_core_user tcm_loop uio $FUSE" --built-in configfs --packed

ubuntu_18() { # ROW
	local release
	for release in 4.15.0-20-generic 4.15.0-213-generic; do
		row "$1" ubuntu 18.04 Ubuntu $DEB $release "$neither" fuse \
			"install linux-image-extra-$release (on newer kernels linux-modules-extra-$release)" \
			"${ubuntu_small_18[@]}"
	done
	row "$1" ubuntu 18.04 Ubuntu $DEB 4.15.0-20-generic "$both" tcmu none \
		--modules "target_core_mod target_core_user tcm_loop uio" \
		--built-in "$FUSE configfs"
}

ubuntu_16() { # ROW
	local release=4.4.0-210-generic
	row "$1" ubuntu 16.04 Ubuntu $DEB $release "$neither" fuse \
		"linux-image-extra-$release brings LIO only" "${ubuntu_small[@]}"
	row "$1" ubuntu 16.04 Ubuntu $DEB $release "$lio" fuse none \
		--modules "target_core_mod tcm_loop uio" --built-in "$FUSE configfs"
}

ubuntu_18 "Ubuntu 18.04, standard"
ubuntu_16 "Ubuntu 16.04, standard"

row "Amazon Linux 2" amzn 2 "Amazon Linux" $RPM 4.14.252-195.483.amzn2.x86_64 "$lio" fuse none \
	--modules "$LIO $FUSE"

row "Ubuntu 18.04, AWS-optimised kernel" ubuntu 18.04 Ubuntu $DEB 4.15.0-1021-aws "$neither" fuse \
	"for TCMU use the generic kernel" --built-in "$FUSE configfs"
row "Ubuntu 16.04, AWS-optimised kernel" ubuntu 16.04 Ubuntu $DEB 4.4.0-1128-aws "$neither" fuse \
	"the generic kernel brings LIO, not TCMU" --built-in "$FUSE configfs"
# A configuration that says =m makes no package where the table knows of none.
row "Ubuntu 18.04, AWS-optimised kernel" ubuntu 18.04 Ubuntu $DEB 4.15.0-1021-aws "$neither" fuse \
	"for TCMU use the generic kernel" "${ubuntu_small_18[@]}"
row "Ubuntu 16.04, AWS-optimised kernel" ubuntu 16.04 Ubuntu $DEB 4.4.0-1128-aws "$neither" fuse \
	"the generic kernel brings LIO, not TCMU" "${ubuntu_small_18[@]}"
row "Ubuntu 16.04, GKE-optimised kernel" ubuntu 16.04 Ubuntu $DEB 4.4.0-1033-gke "$neither" fuse \
	"no LIO modules for this kernel" "${ubuntu_small_18[@]}"
row "Ubuntu 18.04, GKE-optimised kernel" ubuntu 18.04 Ubuntu $DEB 4.15.0-1034-gke "$neither" fuse \
	"$missing reinstall linux-modules-4.15.0-1034-gke" "${ubuntu_small_18[@]}"

for version in 16.04 18.04 22.04; do
	row "Ubuntu on Azure" ubuntu $version Ubuntu $DEB 5.4.0-1080-azure "$both" tcmu none \
		--modules "target_core_mod target_core_user tcm_loop uio" \
		--built-in "$FUSE configfs"
done

row "Ubuntu 18.04, GKE-optimised kernel" ubuntu 18.04 Ubuntu $DEB 4.15.0-1034-gke "$both" \
	tcmu none \
	--modules "target_core_mod target_core_user tcm_loop uio" --built-in "$FUSE configfs"
row "Ubuntu 16.04, GKE-optimised kernel" ubuntu 16.04 Ubuntu $DEB 4.4.0-1033-gke "$neither" fuse \
	"no LIO modules for this kernel" --built-in "$FUSE"

DIGITALOCEAN=yes
ubuntu_18 "Ubuntu 18.04 on DigitalOcean"
ubuntu_16 "Ubuntu 16.04 on DigitalOcean"
DIGITALOCEAN=

while read -r version release; do
	row "Debian 9 to 12" debian "$version" "Debian GNU/Linux" $DEB "$release" "$both" \
		tcmu none --modules "$ALL_TCMU $FUSE"
done <<-END
	9 4.9.0-19-amd64
	10 4.19.0-27-amd64
	11 5.10.0-30-amd64
	12 6.1.0-50-amd64
	12 6.1.0-50-cloud-amd64
	12 6.1.0-50-rt-amd64
END

# ---- the name does not decide

row "RHEL 7 and 8" rhel 8.4 "Red Hat Enterprise Linux" $RPM 4.18.0-305.el8.x86_64 "$lio" fuse \
	"missing target_core_user: install kernel-modules-4.18.0-305.el8.x86_64 (or kernel-modules-extra-4.18.0-305.el8.x86_64)" \
	--modules "$LIO uio $FUSE" --left-out target_core_user
row "Debian 9 to 12" debian 12 "Debian GNU/Linux" $DEB 6.1.0-mine "$neither" fuse \
	"$missing use a kernel that has them" \
	--built-in "configfs $FUSE"
row "Amazon Linux 2" amzn 2 "Amazon Linux" $RPM 5.10.210-201.amzn2.x86_64 "$both" tcmu none \
	--modules "$ALL_TCMU $FUSE"
row "Ubuntu 16.04, standard" ubuntu 16.04 Ubuntu $DEB 4.15.0-142-generic "$both" tcmu none \
	--modules "target_core_mod target_core_user tcm_loop uio" --built-in "$FUSE configfs"
row "Ubuntu 16.04, standard" ubuntu 16.04 Ubuntu $DEB 4.15.0-142-generic "$neither" fuse \
	"$missing install linux-modules-extra-4.15.0-142-generic" \
	"${ubuntu_small_18[@]}"
row "Ubuntu 18.04, standard" ubuntu 18.04 Ubuntu $DEB 4.15.0-99-generic "$neither" fuse \
	"$missing use a kernel that has them" \
	--built-in "$FUSE configfs"

# ---- not in the table

row "any other" fedora 40 "Fedora Linux" $RPM 6.8.5-301.fc40.x86_64 "$both" tcmu none \
	--modules "$ALL_TCMU $FUSE" --packed
row "any other" fedora 40 "Fedora Linux" $RPM 6.8.5-301.fc40.x86_64 "$neither" fuse \
	"$missing install kernel-modules-6.8.5-301.fc40.x86_64 (or kernel-modules-extra-6.8.5-301.fc40.x86_64)" \
	--modules "$FUSE" --built-in configfs "${left_out[@]}"
row "any other" rocky 9.3 "Rocky Linux" $RPM 5.14.0-362.el9.x86_64 "$both" tcmu none \
	--modules "$ALL_TCMU $FUSE" --packed
row "any other" sles 15.5 SLES $RPM 5.14.21-150500.53-default "$neither" fuse \
	"$missing install kernel-default (kernel-default-base has fewer modules)" \
	--modules "$FUSE" --built-in configfs "${left_out[@]}"
row "any other" arch "" "Arch Linux" usr/lib 6.9.1-arch1-1 "$both" tcmu none \
	--modules "$ALL_TCMU $FUSE"
row "any other" alpine 3.20 "Alpine Linux" usr/lib 6.6.32-0-virt "$neither" fuse \
	"$missing use the kernel linux-lts" \
	--modules "$FUSE" --built-in configfs
row "any other" ubuntu 22.04 Ubuntu $DEB 5.15.0-1040-aws "$neither" fuse \
	"$missing install linux-modules-extra-5.15.0-1040-aws" \
	"${ubuntu_small_18[@]}"
row "any other" ubuntu 22.04 Ubuntu $DEB 5.15.0-1040-kvm "$neither" fuse \
	"$missing use the generic kernel (linux-image-generic)" \
	--built-in "$FUSE configfs"
row "any other" ubuntu 18.04 Ubuntu $DEB 5.4.0-1100-gcp "$both" tcmu none \
	--modules "target_core_mod target_core_user tcm_loop uio" --built-in "$FUSE configfs"
row "any other" debian "" "Debian GNU/Linux" $DEB 6.12.5-amd64 "$both" tcmu none \
	--modules "$ALL_TCMU $FUSE"
row "any other" nobody 1 "Nobody's Own" $RPM 5.0.0 "$both" tcmu none \
	--built-in "$ALL_TCMU $FUSE"
row "any other" gentoo "" Gentoo $RPM 6.6.30-gentoo "LIO false, TCMU true" fuse \
	"missing tcm_loop: use a kernel that has them" \
	--modules "target_core_mod target_core_user uio configfs $FUSE"
row "any other" nobody 1 "Nobody's Own" $RPM 5.0.0 "$neither" none \
	"missing fuse, loop: use a kernel that has them" --built-in configfs
row "any other" nobody 1 "Nobody's Own" $RPM 5.0.0 "$lio" fuse \
	"missing target_core_user: install the package that has this kernel's other modules, or use a kernel that has them" \
	--modules "$LIO uio $FUSE" --no-config

# A kernel that is a file and its configuration, no directory of modules at all.
root monolith "" "" ""
software $RPM
rmdir "$R/lib/modules"
for module in $ALL_TCMU $FUSE; do
	echo "CONFIG_$(option_of "$module")=y"
done >"$R/boot/config-6.6.1"
expect "a kernel of which there is the configuration alone" "any other" tcmu none
is "everything is built in" "$(said '[.modules[]] | unique | join(",")')" "built in"

# ---- what the kernel does not tell

missing_program() { # FILE STEP FRONT-END NAME
	root "without-$1-$tap_count" debian 12 "Debian GNU/Linux"
	kernel 6.1.0-50-amd64 --modules "$ALL_TCMU $FUSE"
	software $DEB "$1"
	expect "without $1: $3" "Debian 9 to 12" "$3" "$2"
}
missing_program tcmu-runner "apt-get install tcmu-runner" fuse
missing_program targetcli "apt-get install targetcli-fb" fuse
missing_program handler_storageos.so "apt-get install tcmu-handler-storageos" fuse
missing_program storageos-fuse none tcmu
missing_program fusermount3 none tcmu
missing_program libfuse3.so.3 none tcmu
is "a libfuse that is not there is a warning" "$(said '.warnings | join("; ")')" \
	"storageos-fuse is linked against libfuse3.so.3, which is not in the usual places"

root only-ours rhel 8.4 "Red Hat Enterprise Linux"
kernel 4.18.0-305.el8.x86_64 --modules "$ALL_TCMU $FUSE"
software $RPM tcmu-runner targetcli handler_storageos.so storageos-fuse
expect "the command line alone: one step for all packages" "RHEL 7 and 8" none \
	"dnf install tcmu-runner targetcli tcmu-handler-storageos"
root only-ours-16 ubuntu 16.04 Ubuntu
kernel 4.4.0-210-generic "${ubuntu_small[@]}"
software $DEB tcmu-runner targetcli handler_storageos.so storageos-fuse
expect "the same where TCMU is not to be had: storageos-fuse" "Ubuntu 16.04, standard" none \
	"apt-get install storageos-fuse"
root nothing debian 12 "Debian GNU/Linux"
kernel 6.1.0-50-amd64 --modules "$ALL_TCMU $FUSE"
expect "nothing at all is installed: what will be used once it is" "Debian 9 to 12" tcmu none
is "and that it is not is a warning" "$(said '.warnings | join("; ")')" \
	"no package of storageos is installed there: apt-get install storageos"

# ---- the configuration there

root asks-for-fuse debian 12 "Debian GNU/Linux"
kernel 6.1.0-50-amd64 --modules "$ALL_TCMU $FUSE"
software $DEB
mkdir "$R/etc/storageos"
printf '[storageos]\nfrontend=fuse\n' >"$R/etc/storageos/storageos.conf"
expect "the configuration there asks for FUSE" "Debian 9 to 12" fuse none
printf '[storageos]\nfrontend=tcmu\n' >"$R/etc/storageos/storageos.conf"
rm "$R/usr/bin/targetcli"
expect "it asks for TCMU, which lacks targetcli" "Debian 9 to 12" none \
	"apt-get install targetcli-fb"

# ---- the document

# Every line that docs/install.md shows of probe's output was printed above (but two steps that other
# tests are for), and every row is there.
documented() {
	sed -nE 's/^    ((platform|table row|front end|next step)  .*)/\1/p' "$ROOT/docs/install.md"
}
is "docs/install.md shows what probe prints" \
	"$(documented | grep -v 'upgrade tcmu-runner\|restart tcmu-runner' | grep -vxFf "$WORK/printed")" ""
is "of every row of the table" \
	"$(grep '^table row' "$WORK/printed" | sort -u | grep -vxFf <(documented))" ""

check "nothing in any of these roots was executed" test ! -e "$WORK/executed"
finish
