#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# `storageos probe --root` of what is no root, of a hostile one, and of several kernels: an answer or
# one clear line, soon, and nothing outside the root is read or anything in it written.
. "$(dirname "$0")/fixture.sh"

DEB=usr/lib/x86_64-linux-gnu
good() { # NAME: a whole Debian 12 in $R
	root "$1" debian 12 "Debian GNU/Linux"
	kernel 6.1.0-50-amd64 --modules "$ALL_TCMU $FUSE"
	software $DEB
}
# The one line of what cannot be looked at; the status is 1, the time short.
fails() { # NAME REGEX OPTION...
	local name=$1 regex=$2 said status
	shift 2
	said=$(within 10 "$STORAGEOS" probe "$@" 2>&1 </dev/null)
	status=$?
	is "$name: status" $status 1
	like "$name: says why" "$said" "^storageos: probe: $regex"
	is "$name: in one line" "$(wc -l <<<"$said")" 1
}

# ---- no root

fails "a root that is not there" "open the root directory $WORK/none: No such file" \
	--root "$WORK/none"
echo >"$WORK/file"
fails "a root that is a file" "open the root directory $WORK/file: Not a directory" \
	--root "$WORK/file"
mkfifo "$WORK/fifo"
fails "a root that is a FIFO" "open the root directory $WORK/fifo: Not a directory" \
	--root "$WORK/fifo"
mkdir "$WORK/empty"
fails "an empty root" "no kernel in $WORK/empty \(nothing in lib/modules, no boot/config" \
	--root "$WORK/empty"
is "an argument that is none of ours is usage" \
	"$("$STORAGEOS" probe "$WORK/empty" >/dev/null 2>&1; echo $?)" 2

# ---- kernels

good kernels
kernel 6.1.0-9-amd64 --modules "$FUSE" --left-out "$ALL_TCMU"
kernel 5.10.0-30-amd64 --modules "$FUSE"
mkdir "$R/lib/modules/7.0.0-removed" "$R/lib/modules/7.0.0-removed/updates"
touch "$R/boot/config-6.1.0-50-amd64.bak" "$R/boot/config-7.0.0"
probe
is "of several kernels the newest that has modules" "$(said .kernel)" 6.1.0-50-amd64
probe --kernel 6.1.0-9-amd64
is "or the one that is named" "$(said '"\(.kernel) \(.frontend)"') $STATUS" \
	"6.1.0-9-amd64 fuse 3"
like "and its step" "$(said .next_step)" '^missing .*: reinstall linux-image-6.1.0-9-amd64$'
mkdir -p "$R/proc/sys/kernel"
echo 5.10.0-30-amd64 >"$R/proc/sys/kernel/osrelease"
probe
is "a root whose /proc names the kernel that runs" "$(said .kernel)" 5.10.0-30-amd64
echo 5.10.0-31-amd64 >"$R/proc/sys/kernel/osrelease"
probe
is "or one that is not there" "$(said .kernel)" 6.1.0-50-amd64
fails "a kernel that is not there" \
	"no kernel 4.4 in $R \(installed: 6.1.0-50-amd64, 6.1.0-9-amd64, 5.10.0-30-amd64, " \
	--root "$R" --kernel 4.4
fails "another kernel of this machine" "no kernel 9.9.9 in / .*; the one that runs is $(uname -r)$" \
	--kernel 9.9.9
is "the one that runs is there" "$("$STORAGEOS" probe --kernel "$(uname -r)" --json | jq -r .kernel)" "$(uname -r)"
fails "a kernel that climbs" "no kernel \.\./.* in $R" \
	--root "$R" --kernel ../../../../etc

# ---- os-release

# os-release as it is then; the answer must be that of an unknown platform.
unknown() { # NAME WARNING
	probe
	is "os-release $1: the kernel is looked at all the same" \
		"$(said '"\(.row.name) | \(.frontend) | \(.platform)"') | $STATUS" \
		"any other | tcmu | unknown distribution | 0"
	if [ -n "$2" ]; then
		like "os-release $1: said" "$(said '.warnings | join(" ")')" "$2"
	else
		is "os-release $1: nothing to say" "$(said '.warnings | length')" 0
	fi
}
good os-release
file=$R/etc/os-release
rm "$file"
unknown "that is not there" ''
mkfifo "$file"
unknown "that is a FIFO" 'not a regular file'
rm "$file" && mkdir "$file"
unknown "that is a directory" 'not a regular file'
rmdir "$file" && truncate -s 100M "$file"
unknown "of 100 MB" 'not a regular file of 65536 bytes at most'
ln -sf os-release "$file"
unknown "that is a link to itself" 'Too many levels of symbolic links'
ln -sf /dev/zero "$file"
unknown "that is a link to a device" ''
rm "$file" && mknod "$file" c 1 5
unknown "that is a device" 'not a regular file'
rm "$file" && head -c 65000 /dev/urandom >"$file"
probe
is "os-release of random bytes" "$(said '"\(.row.name) | \(.frontend)"') | $STATUS" \
	"any other | tcmu | 0"
printf 'NAME="\033]0;owned\a\033[2J\nID="debian\nVERSION_ID=%s\n' "$(printf '9%.0s' {1..5000})" \
	>"$file"
"$STORAGEOS" probe --root "$R" >"$WORK/text"
is "no control character of it reaches the terminal" \
	"$(tr -d '[:print:]\n' <"$WORK/text" | wc -c)" 0
is "and no line is longer than a few hundred characters" \
	"$(awk 'length > 400' "$WORK/text" | wc -l)" 0
printf 'ID="ubuntu"  \r\nVERSION_ID='"'18.04'"'\r\n# NAME=x\nNAME=Ubuntu' >"$file"
probe
is "quotes, white space and no last newline are understood" "$(said .platform)" "Ubuntu 18.04"
mkdir -p "$R/usr/lib" && mv "$file" "$R/usr/lib/os-release"
probe
is "it may be in /usr/lib" "$(said .platform)" "Ubuntu 18.04"

# ---- links

# What lies outside must never be seen, whichever way a link leads there.
mkdir -p "$WORK/outside/modules/9.9.9/kernel" "$WORK/outside/bin"
printf 'ID=debian\nVERSION_ID=12\nNAME=Outside\n' >"$WORK/outside/os-release"
cp "$WORK/programs/tcmu-runner" "$WORK/outside/bin/"
touch "$WORK/outside/modules/9.9.9/modules.dep"
good links
for target in "$WORK/outside" ../../outside ../../../../../../../../..$WORK/outside; do
	ln -sfn "$target/os-release" "$R/etc/os-release"
	rm -rf "${R:?}/usr/local"
	mkdir "$R/usr/local"
	ln -sfn "$target/bin" "$R/usr/local/bin"
	rm -f "$R/usr/bin/tcmu-runner"
	probe
	is "a link to $target: os-release" "$(said .platform)" "unknown distribution"
	is "a link to $target: tcmu-runner" "$(said .tcmu_runner.program)" null
done
mkdir "$WORK/linked" "$WORK/linked/lib"
ln -sfn "$WORK/outside/modules" "$WORK/linked/lib/modules"
fails "modules behind a link out of the root" "no kernel in" --root "$WORK/linked"

good merged
mv "$R/lib/modules" "$R/usr/lib/modules" && rmdir "$R/lib" && ln -s /usr/lib "$R/lib"
mv "$R/etc/os-release" "$R/usr/lib/" && ln -s ../usr/lib/os-release "$R/etc/os-release"
ln -s usr/bin "$R/bin"
expect "links within the root are followed, absolute ones from it" "Debian 9 to 12" tcmu none
ln -s "$WORK/merged" "$WORK/by-link"
R=$WORK/by-link
expect "the root itself may be given by a link" "Debian 9 to 12" tcmu none
(cd "$WORK/merged/usr" && exec "$STORAGEOS" probe --root .. --json) | jq -r .frontend >"$WORK/said"
is "and by a relative path" "$(<"$WORK/said")" tcmu

good loops
ln -s loop2 "$R/loop1"
ln -s loop1 "$R/loop2"
rm -rf "${R:?}/usr/bin" "$R/usr/sbin"
ln -s ../loop1 "$R/usr/bin"
expect "directories that are loops of links" "Debian 9 to 12" none \
	"apt-get install tcmu-runner targetcli-fb"
deep=$R/usr/sbin
for _ in {1..80}; do deep=$deep/d; done
mkdir -p "$deep"
cp "$WORK/programs/targetcli" "$deep/tcmu-runner"
rmdir "$R/usr/local" 2>/dev/null
ln -s "${deep#"$R"}" "$R/usr/local"
expect "a directory that is too deep" "Debian 9 to 12" none \
	"apt-get install tcmu-runner targetcli-fb"

# ---- indexes and programs

good index
to=$R/lib/modules/6.1.0-50-amd64
rm "$to/modules.dep"
probe
is "without an index modprobe finds nothing" "$(said '[.modules[]] | unique | join(",")')" missing
like "and depmod is advised" "$(said '.warnings | join(" ")')" 'no /lib/modules/.*: depmod --basedir .* 6.1.0-50'
is "as the step, too" "$(said .next_step)" "depmod --basedir $R 6.1.0-50-amd64"
check "which is what helps" eval "$(said .next_step)"
probe
is "then everything is there" "$(said '"\(.frontend) \(.next_step)"') $STATUS" "tcmu null 0"
# FUSE is there, and what TCMU lacks no index brings.
rm "$to/modules.dep"
for module in $FUSE; do echo "kernel/$(directory_of "$module")/$module.ko"; done >"$to/modules.builtin"
sed -i 's/^CONFIG_TCM_USER2=.*/# CONFIG_TCM_USER2 is not set/' "$R/boot/config-6.1.0-50-amd64"
probe
like "no index brings what the kernel was built without" "$(said .next_step)" '^missing .*: use a kernel that has them$'
: >"$to/modules.builtin"
sed -i 's/^# CONFIG_TCM_USER2 is not set/CONFIG_TCM_USER2=m/' "$R/boot/config-6.1.0-50-amd64"
depmod -b "$R" 6.1.0-50-amd64
rm "$to/kernel/drivers/target/target_core_user.ko"
probe
is "a module that only the index knows is missing" "$(said .modules.target_core_user)" missing
head -c 3000000 /dev/urandom >"$to/modules.dep"
head -c 300000 /dev/urandom >"$to/modules.builtin"
head -c 300000 /dev/urandom >"$R/boot/config-6.1.0-50-amd64"
probe
is "random bytes for indexes and configuration" "$(said .lio) $STATUS" "false 4"

good programs
rm "$R/usr/bin/tcmu-runner"
for what in truncated random empty other-machine; do
	case $what in
	truncated) head -c 50000 "$WORK/programs/tcmu-runner" ;;
	random) head -c 200000 /dev/urandom ;;
	empty) ;;
	other-machine) printf '\177ELF\001\002\001'; tail -c +8 "$WORK/programs/tcmu-runner" ;;
	esac >"$R/usr/bin/tcmu-runner"
	chmod +x "$R/usr/bin/tcmu-runner"
	probe
	is "a tcmu-runner that is $what: its generation is not known" \
		"$(said '.tcmu_runner | "\(.generation) \(.program)"') $STATUS" \
		"null /usr/bin/tcmu-runner 0"
done
rm "$R/usr/bin/tcmu-runner" && mkfifo -m 755 "$R/usr/bin/tcmu-runner"
expect "a tcmu-runner that is a FIFO is none" "Debian 9 to 12" fuse "apt-get install tcmu-runner"

# ---- nothing is changed

good untouched
chmod -R a-w "$R"
find "$R" -printf '%p %s %m %T@ %C@\n' | sort >"$WORK/before"
probe
find "$R" -printf '%p %s %m %T@ %C@\n' | sort >"$WORK/after"
check "nothing in a root is written" cmp "$WORK/before" "$WORK/after"
check "nothing in any of these roots was executed" test ! -e "$WORK/executed"
finish
