#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What the tools of the field say of scripts, man pages, units, the udev rule, the AppArmor profile,
# and that bash completes volumes.
. "$(dirname "$0")/../lib.sh"
need shellcheck shellcheck
need man man-db
need systemd-analyze systemd
need apparmor_parser apparmor
need_root
need_built "$STORAGEOS"

# ---- scripts

scripts() {
	find . \( -name 'build*' -o -name .git -o -path ./tests/fuzz/seeds \) -prune -o -type f -print0 |
		xargs -0 awk 'FNR > 2 { nextfile }
			FNR == 1 && /^#!\/bin\/(ba)?sh/ || /^# shellcheck shell=/ || FNR == 2 && /shellcheck shell=/ {
				print FILENAME
				nextfile
			}'
}
cd "$ROOT" || give_up "no $ROOT"
scripts >"$WORK/scripts"
like "the scripts of the project are found" "$(wc -l <"$WORK/scripts")" '^[4-9][0-9]|^[0-9]{3}'
# SC1091 a library's path is not known to it     SC2317 functions are called by their names, by lib.sh
# SC2119, SC2120 functions whose arguments can be left out     SC2015 A && B || C: C also after B
check "shellcheck finds nothing" \
	xargs -a "$WORK/scripts" -n 6 -P 2 shellcheck -x -P SCRIPTDIR -e SC1091,SC2015,SC2119,SC2120,SC2317

# ---- the look of the C

# Version 14 (Debian 12's) and no other: another version breaks other lines with the same options.
need clang-format-14 clang-format-14
c_files() {
	find cli common fuse-fallback handler tests -name '*.[ch]' -not -path 'tests/runner-host/include/*' -print0
}
is "clang-format 14 would change no file" \
	"$(c_files | xargs -0 -n 40 -P 2 clang-format-14 --dry-run 2>&1 | sed -n 's/: warning: .*//p')" ""
printf 'int  a;\n' >"$WORK/a.c"
like "which it would tell" "$(clang-format-14 --style=file:.clang-format --dry-run "$WORK/a.c" 2>&1)" 'a.c:1:4: warning'

# ---- formats

# A precision counts bytes: common/base/text.h cuts between characters.
is "no format cuts a text but a digest" \
	"$(grep -rnE '%\.([0-9]+|\*)s' --include='*.[ch]' cli common fuse-fallback handler |
		grep -vE 'digest|"%s%\.\*s\\n", lead, n, line')" ""

# ---- macros

is "no macro that evaluates its arguments twice is given a call" \
	"$(tests/packages/evaluated-twice cli common fuse-fallback handler tests)" ""
mkdir "$WORK/twice"
cat >"$WORK/twice/a.c" <<'END'
#define SQUARE(x) ((x) * (x))
int a = MIN(b, c + sizeof(d)); /* MAX(e(), f) */
int g = CLAMP(b,
	      h(c), 1);
int i = SQUARE(j++);
END
is "which would be found" "$(tests/packages/evaluated-twice "$WORK/twice" | sed "s,$WORK/,,")" \
'twice/a.c:3: int g = CLAMP(b,
twice/a.c:5: int i = SQUARE(j++);'

# ---- memory

is "nothing that the plugin does allocates so that it may abort, but what docs/design.md lists" \
	"$(tests/packages/aborting-allocations)" ""
mkdir -p "$WORK/abort/docs" "$WORK/abort/handler" "$WORK"/abort/common/{base,backing,engine,service,check,machine}
touch "$WORK"/abort/common/{check/scrub,machine/runner-generation}.c
echo "## Allocations that abort: \`listed\`" >"$WORK/abort/docs/design.md"
echo 'a = g_new0(Thing, count);' >"$WORK/abort/handler/listed.c"
echo 'a = g_strdup(name); b = g_new0(Thing, 1);' >"$WORK/abort/handler/other.c"
is "which would be found" "$(tests/packages/aborting-allocations "$WORK/abort")" \
	'handler/listed.c:1: computed size: a = g_new0(Thing, count);
handler/other.c: not in the table of docs/design.md'

# ---- man pages

for page in docs/man/*; do
	is "man finds nothing wrong in $(basename "$page")" \
		"$(MANWIDTH=80 man --warnings -E UTF-8 -l -Tutf8 -Z "$page" 2>&1 >/dev/null)" ""
done
# lacking PAGE: the verbs of which the examples of storageos(8) have no command.
lacking() {
	local verb
	sed -n '/^\.SH EXAMPLES/,/^\.SH SEE/p' "$1" >"$WORK/examples"
	for verb in $("$STORAGEOS" help | sed -n 's/^  \([a-z][a-z]*\) .*/\1/p'); do
		grep -qE "(^|[|(] ?|ssh [a-z]+ )storageos $verb( |\$|\))" "$WORK/examples" || echo "$verb"
	done
}
like "the verbs are found" "$("$STORAGEOS" help | grep -cE '^  [a-z]')" '^[2-9][0-9]$'
is "each verb has an example in its man page" "$(lacking docs/man/storageos.8)" ""
sed '/^storageos map /d' docs/man/storageos.8 >"$WORK/without"
is "one without would be found" "$(lacking "$WORK/without")" "map"

# ---- units

# Where they will be, with what they start: a copy of what is installed, on top of /.  What this
# machine has of them does not count, be it installed or its administrator's.
in_namespace() { # SCRIPT: in a mount namespace with the units and the rule in /run
	apart bash -c "
		set -e
		mount -t tmpfs none /run
		for d in /etc/systemd/system /etc/udev/rules.d /usr/lib/udev/rules.d; do
			[ ! -d \$d ] || mount -t tmpfs none \$d
		done
		mkdir -p /run/systemd/system /run/udev/rules.d
		cp packaging/systemd/*.service /run/systemd/system
		sed -i 's,/usr/bin/storageos,$STORAGEOS,; /^Documentation=/d' /run/systemd/system/*.service
		mkdir -p /run/systemd/system/tcmu-runner.service.d
		cp packaging/systemd/tcmu-runner.conf /run/systemd/system/tcmu-runner.service.d/
		for unit in rtslib-fb-targetctl target; do
			mkdir -p /run/systemd/system/\$unit.service.d
			cp packaging/systemd/target-restore.conf /run/systemd/system/\$unit.service.d/
		done
		mkdir -p /run/systemd/system/run-storageos-mnt-.mount.d
		cp packaging/systemd/server-mount.conf /run/systemd/system/run-storageos-mnt-.mount.d/
		printf '[Mount]\\nWhat=storageos\\nWhere=/run/storageos/mnt/default/db\\n' \
			>/run/systemd/system/run-storageos-mnt-default-db.mount
		for unit in storageos-fuse@:server storageos-attach@:attach storageos-recover@:attach tcmu-runner:runner; do
			mkdir -p /run/systemd/system/\${unit%:*}.service.d
			cp packaging/systemd/rbd-\${unit#*:}.conf /run/systemd/system/\${unit%:*}.service.d/
		done
		cp packaging/udev/*.rules /run/udev/rules.d
		$1"
}
for unit in storageos-fuse@default-db storageos-attach@default-db storageos-recover@default-db storageos-snapshot storageos-pool-events storageos-scrub@default-db storageos-metrics storageos-unmount tcmu-runner \
	rtslib-fb-targetctl; do
	is "systemd finds nothing wrong in $unit" \
		"$(in_namespace "systemd-analyze verify --man=no $unit.service" 2>&1)" ""
done
for unit in storageos-snapshot storageos-metrics storageos-scrub@default-db; do
	is "nor in $unit.timer" "$(in_namespace "cp packaging/systemd/*.timer /run/systemd/system
		sed -i /^Documentation=/d /run/systemd/system/*.timer
		systemd-analyze verify --man=no $unit.timer" 2>&1)" ""
done
is "nor in storageos-pool-events.path" "$(in_namespace "cp packaging/systemd/*.path /run/systemd/system
	sed -i /^Documentation=/d /run/systemd/system/*.path
	systemd-analyze verify --man=no storageos-pool-events.path" 2>&1)" ""
is "nor in the mount of a server" "$(in_namespace "systemd-analyze verify --man=no run-storageos-mnt-default-db.mount" 2>&1)" ""
like "which it reads with its drop-in" "$(in_namespace "echo Sooner=yes >>/run/systemd/system/run-storageos-mnt-.mount.d/server-mount.conf
	systemd-analyze verify --man=no run-storageos-mnt-default-db.mount" 2>&1)" 'server-mount.conf.*Unknown key'
refuses "which it would" 'Unknown key' in_namespace \
	"echo Restarts=no >>/run/systemd/system/storageos-fuse@.service
	systemd-analyze verify --man=no storageos-fuse@default-db.service 2>&1 | grep . && exit 1"
# Standard error follows standard output where the unit does not say otherwise.
is "no unit keeps its errors out of the journal" \
	"$(grep -l '^StandardOutput=' packaging/systemd/*.service | xargs -r grep -L '^StandardError=journal')" ""
# As in docs/design.md: 10 is no sandbox at all.
# Without what the package for Ceph adds to it where that is installed.
tight() { # UNIT THRESHOLD
	# shellcheck disable=SC2016
	apart bash -c '
		for d in /usr/lib/systemd/system/storageos-*.service.d; do
			[ ! -d "$d" ] || mount -t tmpfs none "$d"
		done
		systemd-analyze security --offline=true --threshold="$2" "packaging/systemd/$1.service"' bash "$@"
}
check "the sandbox of storageos-fuse@ is tight" tight storageos-fuse@ 36
for unit in attach@ recover@ unmount; do
	check "so is that of storageos-$unit" tight "storageos-$unit" 49
done
for unit in scrub@ metrics; do
	check "and that of storageos-$unit" tight "storageos-$unit" 40
done
for page in $(sed -n 's/^Documentation=//p' packaging/systemd/*.service | tr ' ' '\n' | sort -u); do
	name=${page#man:}
	section=${name##*(}
	check "$page is there" test -e "docs/man/${name%(*}.${section%)}"
done

# ---- udev: `udevadm verify` came after Debian 12, but every user of rules reads them all, and says
# what it cannot read

rules_messages() {
	in_namespace "${1-}
		udevadm test --action=add /sys/class/mem/null 2>&1" | grep -F storageos.rules |
		grep -v 'Reading rules file'
}
is "udev reads the rule" "$(rules_messages)" ""
like "and would say what it cannot" \
	"$(rules_messages 'sed -i s/IMPORT/IMPART/ /run/udev/rules.d/*')" "Invalid key|invalid rule"

# ---- the rest

check "apparmor_parser reads the profile" apparmor_parser --skip-kernel-load --skip-cache \
	packaging/apparmor/usr.bin.storageos-fuse
check "systemd-tmpfiles makes the directories" systemd-tmpfiles --create --root="$WORK/root" \
	"$ROOT/packaging/systemd/tmpfiles.conf"
is "with their modes" "$(stat -c '%a %U' "$WORK/root/run/storageos" "$WORK/root/var/lib/storageos" | sort -u)" \
	"755 root"
is "a module that is not there keeps systemd-modules-load from nothing" \
	"$(apart bash -c '
		mount -t tmpfs none /run && mkdir /run/modules-load.d &&
		echo no_such_module >/run/modules-load.d/storageos.conf &&
		/lib/systemd/systemd-modules-load /run/modules-load.d/storageos.conf 2>&1
		echo "status $?"')" "Failed to find module 'no_such_module'"$'\n'"status 0"

# ---- bash completion

own_config
must "a volume" "$STORAGEOS" create db --size 1M
must "and another" "$STORAGEOS" create dump --size 1M
must "and a pool" "$STORAGEOS" pool create fast "$WORK/fast"
must "with one" "$STORAGEOS" create fast/log --size 1M
ln -s "$STORAGEOS" "$WORK/storageos"
complete_line() { # WORD...: what can stand for the last
	PATH=$WORK:$PATH bash -c '
		. /usr/share/bash-completion/bash_completion && . "$0" || exit
		COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=${#COMP_LINE}
		_storageos
		printf "%s\n" "${COMPREPLY[@]}" | sort | xargs' "$ROOT/packaging/completion/storageos" "$@"
}
like "bash completes verbs" "$(complete_line storageos at)" '^attach$'
like "of which it knows all" "$(complete_line storageos '')" 'attach.* create .*info.* probe '
is "also for help" "$(complete_line storageos help att)" attach
is "volumes" "$(complete_line storageos attach d)" "db default/db default/dump dump"
is "volumes of other pools" "$(complete_line storageos info f)" "fast/log"
is "also behind options" "$(complete_line storageos --config "$STORAGEOS_CONFIG" check du)" dump
is "for create pools" "$(complete_line storageos create f)" fast/
is "for detach what is attached: nothing here" "$(complete_line storageos detach '')" ""
is "pools" "$(complete_line storageos list '')" "default fast"
like "options" "$(complete_line storageos attach --)" '^--config --frontend --help --json --quiet --read-only$'
is "and their values" "$(complete_line storageos attach --frontend '')" "auto fuse tcmu"
is "which depend on the verb" "$(complete_line storageos detach --all --frontend '')" "fuse tcmu"
must "a snapshot" "$STORAGEOS" snapshot create db@monday --freeze never
is "what snapshot takes" "$(complete_line storageos snapshot re)" "release rename"
is "snapshots" "$(complete_line storageos snapshot delete db@)" db@monday
is "also for rollback" "$(complete_line storageos rollback default/db@m)" default/db@monday
is "for diff" "$(complete_line storageos diff db@monday default/db@m)" default/db@monday
is "and for export" "$(complete_line storageos export db@)" db@monday
is "whose formats are known" "$(complete_line storageos export --format r)" "raw rbd-diff"
is "volumes for a new one" "$(complete_line storageos snapshot create fa)" fast/log@
like "options of a verb below a verb" "$(complete_line storageos snapshot delete --d)" '^--dry-run$'
is "what pool takes" "$(complete_line storageos pool '')" "create delete events import list rename set show"

# ---- fstab

printf '%s\n' '# by hand' '/dev/sda1 / ext4 defaults 0 1' \
	'/dev/storageos/default/my-db /srv/my\040db xfs discard,x-systemd.device-timeout=20 0 2' \
	'/dev/storageos/fast/log:part1 /srv/log ext4 nofail 0 2' \
	'/dev/storageos/_device/dev:sdb /srv/raw ext4 noauto 0 0' \
	'/dev/storageos/default/swap none swap sw,pri=5 0 0' \
	'/dev/storageos/default/later none swap noauto 0 0' >"$WORK/fstab"
check "the generator reads fstab" env STORAGEOS_FSTAB="$WORK/fstab" \
	packaging/systemd/storageos-generator "$WORK/units" "$WORK/early"
is "and makes a drop-in for each mount of a volume" "$(cd "$WORK/units" && echo ./*.mount.d)" \
	'./srv-log.mount.d ./srv-my\x20db.mount.d ./srv-raw.mount.d'
is "after which it is unmounted before what serves it ends" \
	"$(cat "$WORK"/units/srv-my*/50-storageos.conf)" \
'[Unit]
After=tcmu-runner.service rtslib-fb-targetctl.service target.service
After=storageos-attach@default-my\x2ddb.service
Before=remote-fs.target'
is "a device is waited for as long as it is attached, if the line does not tell how long" \
	"$(cd "$WORK/units" && grep -H Job ./*.device.d/*)" \
'./dev-storageos-_device-dev:sdb.device.d/50-storageos.conf:JobRunningTimeoutSec=5min
./dev-storageos-default-later.device.d/50-storageos.conf:JobRunningTimeoutSec=5min
./dev-storageos-default-swap.device.d/50-storageos.conf:JobRunningTimeoutSec=5min
./dev-storageos-fast-log:part1.device.d/50-storageos.conf:JobRunningTimeoutSec=5min'
is "the boot does not wait where it would in vain" "$(cd "$WORK/early" && echo *)" \
	'dev-storageos-default-later.swap dev-storageos-default-swap.swap srv-my\x20db.mount srv-raw.mount'
unit=$(cat "$WORK/early"/srv-my*.mount)
like "the mount is as in fstab" "$unit" '^Where=/srv/my db$'
like "with nofail" "$unit" '^Options=discard,nofail$'
is "so that it is no part of local-fs.target" "$(grep -c '^Before=' <<<"$unit")" 0
is "but leaves options as they are where it would not" "$(tail -n 1 "$WORK/units/srv-log.mount.d/50-storageos.conf")" \
	'After=storageos-attach@fast-log.service'
is "a block device that is a volume goes by its path" \
	"$(tail -n 1 "$WORK/units/srv-raw.mount.d/50-storageos.conf")" 'After=storageos-attach@-dev-sdb.service'
is "swap is used after the volume is attached, and given back before it is not" \
	"$(cat "$WORK/units/dev-storageos-default-swap.swap.d/50-storageos.conf")" \
'[Unit]
After=tcmu-runner.service rtslib-fb-targetctl.service target.service
After=storageos-attach@default-swap.service'
unit=$(<"$WORK/early/dev-storageos-default-swap.swap")
like "swap is as in fstab" "$unit" '^What=/dev/storageos/default/swap$'
like "with its options" "$unit" '^Options=sw,pri=5$'
like "and does not come before swap.target, which early services wait for" "$unit" '^DefaultDependencies=no$'
check "it is a unit that systemd takes" systemd-analyze verify --man=no "$WORK/early/dev-storageos-default-swap.swap"

# Other names of what lies on a volume are known while it is attached.
fake=$WORK/fake
mkdir -p "$fake/dev/storageos/default" "$fake/dev/disk"/by-{uuid,label,partuuid} "$fake/dev/mapper" \
	"$fake"/sys/{class/block,devices/sda,devices/sdb/sdb1,devices/dm-0/slaves}
touch "$fake"/dev/{sda,sdb,sdb1,dm-0} "$fake/sys/devices/sdb/sdb1/partition"
for block in sda sdb sdb/sdb1 dm-0; do ln -s "../../devices/$block" "$fake/sys/class/block/${block##*/}"; done
ln -s ../../sdb/sdb1 "$fake/sys/devices/dm-0/slaves/sdb1"
ln -s ../../sdb "$fake/dev/storageos/default/db"
ln -s ../../sda "$fake/dev/disk/by-uuid/1111"
ln -s ../../sdb "$fake/dev/disk/by-uuid/2222"
ln -s ../../sdb1 "$fake/dev/disk/by-partuuid/3333"
ln -s ../../sdb "$fake/dev/disk/by-label/my\\x20data"
ln -s ../dm-0 "$fake/dev/mapper/vg-lv"
by_other_names() {
	env STORAGEOS_FSTAB="$fake/fstab" STORAGEOS_DEV="$fake/dev" STORAGEOS_SYS="$fake/sys" \
		packaging/systemd/storageos-generator "$fake/units" "$fake/early" 2>&1
}
while IFS=$'\t' read -r line unit warned; do
	rm -rf "$fake"/{units,early,fstab}
	mkdir "$fake/units" "$fake/early"
	echo "$line" >"$fake/fstab"
	said=$(by_other_names)
	case $unit in
	none) is "'$line' is not on a volume" "$(ls "$fake/units" "$fake/early")$said" "$(ls "$fake/units" "$fake/early")" ;;
	*) like "'$line' is ordered" "$(cat "$fake/units/$unit.d/50-storageos.conf")" \
		'^After=storageos-attach@default-db.service$' ;;
	esac
	case $line in
	*nofail* | *_netdev*) is "'$line': its unit stays" "$(ls "$fake/early")" "" ;;
	*) is "'$line': its unit is no part of local-fs.target" "$(grep -Ls '^Before=' "$fake/early"/*)" \
		"$([ "$unit" = none ] || echo "$fake/early/$unit")" ;;
	esac
	case $warned in
	yes) like "'$line': a warning says by which name" "$said" 'in vain. Name it by /dev/storageos/default/db' ;;
	no) is "'$line': no warning" "$said" "" ;;
	esac
done <<-'END'
	UUID=1111 /srv/a ext4 defaults 0 2	none	no
	UUID=9999 /srv/a ext4 defaults 0 2	none	no
	/dev/sda /srv/a ext4 defaults 0 2	none	no
	tmpfs /tmp tmpfs defaults 0 0	none	no
	server:/export /srv/nfs nfs defaults 0 0	none	no
	UUID=2222 /srv/a ext4 defaults 0 2	srv-a.mount	yes
	UUID="2222" /srv/a ext4 defaults 0 2	srv-a.mount	yes
	UUID=2222 /srv/a ext4 nofail 0 2	srv-a.mount	no
	UUID=2222 /srv/a ext4 _netdev 0 2	srv-a.mount	no
	PARTUUID=3333 /srv/a ext4 defaults 0 2	srv-a.mount	yes
	LABEL="my\040data" /srv/a ext4 noauto 0 2	srv-a.mount	no
	/dev/disk/by-uuid/2222 /srv/a ext4 defaults 0 2	srv-a.mount	yes
	/dev/mapper/vg-lv /srv/a ext4 defaults 0 2	srv-a.mount	yes
	/dev/sdb1 /srv/a ext4 defaults 0 2	srv-a.mount	yes
END
echo 'UUID=2222 none swap sw 0 0' >"$fake/fstab"
like "swap by its UUID: a warning" "$(by_other_names)" 'UUID=2222 is on the volume /dev/storageos/default/db'
unit='dev-disk-by\x2duuid-2222.swap'
like "its unit is ordered" "$(cat "$fake/units/$unit.d/50-storageos.conf")" '^After=storageos-attach@default-db.service$'
like "and not before swap.target" "$(cat "$fake/early/$unit")" '^DefaultDependencies=no$'
ln -s ../../sda "$fake/dev/storageos/default/other"
ln -s ../../sda "$fake/sys/devices/dm-0/slaves/sda"
echo '/dev/mapper/vg-lv /srv/a ext4 nofail 0 2' >"$fake/fstab"
by_other_names >"$WORK/said"
is "what is on two volumes is after both" "$(grep attach "$fake/units/srv-a.mount.d/50-storageos.conf" | xargs)" \
	'After=storageos-attach@default-db.service After=storageos-attach@default-other.service'

# In a cycle systemd leaves out a job, at shutdown perhaps that of the mount.
cycles() { # LINE [COMMAND]: those of what fstab makes of this line, and what serves the volume
	echo "$1" >"$fake/fstab"
	in_namespace "
		mkdir /run/normal /run/early /run/late
		SYSTEMD_FSTAB='$fake/fstab' /lib/systemd/system-generators/systemd-fstab-generator /run/normal /run/early /run/late
		STORAGEOS_FSTAB='$fake/fstab' STORAGEOS_DEV='$fake/dev' STORAGEOS_SYS='$fake/sys' \
			packaging/systemd/storageos-generator /run/normal /run/early
		${2-}
		SYSTEMD_UNIT_PATH=/run/early:/etc/systemd/system:/run/systemd/system:/run/normal:/lib/systemd/system \
			systemd-analyze verify --man=no \$(find /run/normal /run/early -type f -printf '%f\n' | grep -E 'mount|swap') \
				tcmu-runner.service multi-user.target" 2>&1 | grep -i cycle
}
for line in /dev/storageos/default/db UUID=2222; do
	for options in defaults noauto nofail _netdev x-systemd.automount; do
		is "'$line' with $options: no cycle" "$(cycles "$line /srv/a ext4 $options 0 2")" ""
	done
done
for options in sw noauto; do
	is "swap with $options: no cycle" "$(cycles "/dev/storageos/default/db none swap $options 0 0")" ""
done
like "one would be found" "$(cycles '/dev/storageos/default/db /srv/a ext4 noauto 0 2' 'rm /run/early/*')" 'ordering cycle'
finish
