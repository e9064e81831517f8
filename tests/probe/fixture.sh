# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Roots of platforms that are not here, for `storageos probe --root`: os-release, kernels, programs.
# On top of tests/lib.sh.
#
#   root NAME ID VERSION LONG-NAME    a new root $WORK/NAME with an os-release, in $R
#   kernel RELEASE [OPTION]...        a kernel in $R; of the modules that are not named it was built
#                                     without
#       --modules "M..."              loadable: files, and an index made by depmod
#       --built-in "M..."             in modules.builtin
#       --left-out "M..."             it was built with them, in a package that is not installed
#       --packed                      the files are .ko.xz
#       --no-config                   it has left no configuration
#   software LIBDIR [WITHOUT]...      tcmu-runner, libtcmu, targetcli, libfuse, fusermount3, and ours:
#                                     plugin, storageos-fuse, storageos; but those
#   probe [OPTION]...                 of $R: its JSON in $SAID, its exit status in $STATUS
#   said FILTER                       what jq makes of it
#   expect NAME ROW FRONT-END STEP    what it must say of $R; STEP "none" for none
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

ALL_TCMU="target_core_mod target_core_user tcm_loop uio configfs"
# shellcheck disable=SC2034 # the tests use it
LIO="target_core_mod tcm_loop configfs"
FUSE="fuse loop"

need depmod kmod
need gcc gcc
need jq jq
need xz xz-utils
need tcmu-runner tcmu-runner
need_built "$STORAGEOS" "$STORAGEOS_FUSE" "$STORAGEOS_PLUGIN"
PATH=$PATH:/usr/sbin:/sbin

# ---- stubs

option_of() {
	case $1 in
	target_core_mod) echo TARGET_CORE ;;
	target_core_user) echo TCM_USER2 ;;
	tcm_loop) echo LOOPBACK_TARGET ;;
	uio) echo UIO ;;
	configfs) echo CONFIGFS_FS ;;
	fuse) echo FUSE_FS ;;
	loop) echo BLK_DEV_LOOP ;;
	esac
}

directory_of() {
	case $1 in
	target_core_*) echo drivers/target ;;
	tcm_loop) echo drivers/target/loopback ;;
	uio) echo drivers/uio ;;
	loop) echo drivers/block ;;
	*) echo "fs/$1" ;;
	esac
}

# What depmod takes for a module: an object file that says so.
make_stubs() {
	local module
	mkdir "$WORK/stubs" || return
	for module in $ALL_TCMU $FUSE; do
		# shellcheck disable=SC2028 # the escapes are for the compiler
		echo "static const char info[] __attribute__((section(\".modinfo\"), used)) =
			\"license=GPL\\0name=$module\";" |
			gcc -c -x c -o "$WORK/stubs/$module.ko" - &&
			xz -k --check=crc32 "$WORK/stubs/$module.ko" || return
	done
}
make_stubs || give_up "cannot make stub modules"

make_programs() {
	local file
	mkdir "$WORK/programs" || return
	for file in /usr/bin/tcmu-runner /usr/lib/*/libtcmu.so.2 /usr/lib/*/libfuse3.so.3 \
		"$STORAGEOS_FUSE" "$STORAGEOS_PLUGIN" "$STORAGEOS"; do
		cp -L "$file" "$WORK/programs/" || return
	done
	printf '#!/bin/sh\necho "%s" >>"%s"\n' executed "$WORK/executed" \
		>"$WORK/programs/targetcli" &&
		chmod +x "$WORK/programs/targetcli" &&
		cp "$WORK/programs/targetcli" "$WORK/programs/fusermount3"
}
make_programs || give_up "cannot copy the programs"

# ---- roots

root() {
	R=$WORK/$1
	mkdir -p "$R/etc" "$R/boot" "$R/usr/bin" "$R/usr/sbin" "$R/lib/modules" ||
		give_up "cannot make $R"
	[ -n "$2" ] || return 0
	printf 'NAME="%s"\nID=%s\nVERSION_ID="%s"\nPRETTY_NAME="%s %s"\n' "$4" "$2" "$3" "$4" "$3" \
		>"$R/etc/os-release"
}

kernel() {
	local release=$1 modules='' built_in='' left_out='' suffix=ko config=yes module to
	shift
	while [ $# -gt 0 ]; do
		case $1 in
		--modules) modules=$2; shift ;;
		--built-in) built_in=$2; shift ;;
		--left-out) left_out=$2; shift ;;
		--packed) suffix=ko.xz ;;
		--no-config) config=no ;;
		esac
		shift
	done
	to=$R/lib/modules/$release
	mkdir -p "$to/kernel" || give_up "cannot make $to"
	touch "$to/modules.order" "$to/modules.builtin.modinfo"
	for module in $built_in; do
		echo "kernel/$(directory_of "$module")/$module.ko"
	done >"$to/modules.builtin"
	for module in $modules; do
		mkdir -p "$to/kernel/$(directory_of "$module")"
		ln "$WORK/stubs/$module.$suffix" "$to/kernel/$(directory_of "$module")/"
	done
	depmod -b "$R" "$release" || give_up "depmod"
	[ $config = no ] || kernel_config "$modules $left_out" "$built_in" \
		>"$R/boot/config-$release"
}

kernel_config() { # MODULES BUILT-IN
	local module
	echo "CONFIG_X86_64=y"
	for module in $ALL_TCMU $FUSE; do
		if [[ " $2 " == *" $module "* ]]; then
			echo "CONFIG_$(option_of "$module")=y"
		elif [[ " $1 " == *" $module "* ]]; then
			echo "CONFIG_$(option_of "$module")=m"
		else
			echo "# CONFIG_$(option_of "$module") is not set"
		fi
	done
}

software() {
	local lib=$R/$1
	shift
	mkdir -p "$lib/tcmu-runner"
	ln "$WORK/programs/tcmu-runner" "$WORK/programs/fusermount3" \
		"$WORK/programs/storageos-fuse" "$WORK/programs/storageos" \
		"$WORK/programs/targetcli" "$R/usr/bin/" &&
		ln "$WORK/programs/libtcmu.so.2" "$WORK/programs/libfuse3.so.3" "$lib/" &&
		ln "$WORK/programs/handler_storageos.so" "$lib/tcmu-runner/" ||
		give_up "no programs"
	while [ $# -gt 0 ]; do
		find "$R/usr" -name "$1" ! -type d -delete
		shift
	done
}

# ---- what it says

probe() {
	SAID=$("$STORAGEOS" probe --root "$R" --json "$@" 2>"$WORK/complaint")
	STATUS=$?
}

said() {
	jq -r "$1" <<<"$SAID"
}

expect() {
	local status
	case $3 in
	tcmu) status=0 ;;
	fuse) status=3 ;;
	none) status=4 ;;
	esac
	probe
	is "$1" "$(said '"\(.row.name) | \(.frontend) | \(.next_step // "none")"') | $STATUS" \
		"$2 | $3 | $4 | $status"
}
