#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# attach waits for a tcmu-runner that answers late, and does not choose another front end for that; probe does not wait.
. "$(dirname "$0")/guest.sh"
need_built "$STORAGEOS" "$STORAGEOS_PLUGIN" "$STORAGEOS_FUSE"
need tcmu-runner tcmu-runner
need targetcli targetcli-fb
need jq jq
enter_guest --timeout 300
plugin_install
modprobe -a loop fuse 2>/dev/null

link=$WORK/dev/default/db
runner_stops() { kill -STOP "$(pidof tcmu-runner)"; }
runner_goes_on() { kill -CONT "$(pidof tcmu-runner)"; }
runner_goes_on_after() { (sleep "$1" && runner_goes_on) & }
is_served() { "$STORAGEOS" status db --json | jq -r '.[0] | "\(.state) \(.frontend)"'; }

must "start tcmu-runner" runner_start
must "make a volume" "$STORAGEOS" create db --size 64M

runner_stops
runner_goes_on_after 9
is "attach" "$("$STORAGEOS" attach db 2>"$WORK/said")" "$link"
like "over TCMU, once tcmu-runner answers" "$(<"$WORK/said")" 'attached over TCMU \(.*offer'
wait
must "detach" "$STORAGEOS" detach db

runner_stops
runner_goes_on_after 9
check "a front end that is asked for is waited for, too" "$STORAGEOS" attach db --frontend tcmu
wait
must "detach" "$STORAGEOS" detach db

runner_stops
like "probe does not wait" "$("$STORAGEOS" probe)" 'does not answer on D-Bus \(no answer within 5 s\)'
script -qec "$STORAGEOS attach db" /dev/null >"$WORK/said" 2>&1 &
waiting=$!
said() { grep -q "$1" "$WORK/said"; }
check "a terminal shows what attach waits for" wait_for 20 said 'attach default/db: waiting for tcmu-runner, [0-9]* s'
begun=$SECONDS
kill -INT "$(pidof storageos)"
wait $waiting
in_time "a signal ends it" $begun 10
check "and nothing is left of it" test ! -e "$link"
is "nor served" "$(is_served)" "detached null"
is "attach, if tcmu-runner hangs" "$("$STORAGEOS" attach db 2>"$WORK/said")" "$link"
like "over FUSE, and it says why" "$(<"$WORK/said")" \
	'attached over FUSE \(no TCMU: tcmu-runner does not answer on D-Bus \(no answer within 30 s\)\)'
runner_goes_on
must "detach" "$STORAGEOS" detach db

must "tcmu-runner ends" runner_kill
mkdir "$WORK/bin"
printf '%s\n' '#!/bin/sh' 'sleep 25' "exec $(type -P tcmu-runner)" >"$WORK/bin/tcmu-runner"
chmod +x "$WORK/bin/tcmu-runner"
is "attach, if it starts slowly" "$(PATH=$WORK/bin:$PATH "$STORAGEOS" attach db 2>"$WORK/said")" "$link"
like "over TCMU" "$(<"$WORK/said")" 'attached over TCMU'
must "detach" "$STORAGEOS" detach db

# ---- started by systemd, which the test plays

runner_ends() { kill -9 "$(pidof tcmu-runner)" && wait_for 20 runner_dead; }
runner_dead() { ! pidof tcmu-runner; }
must "tcmu-runner ends" runner_ends
mkdir -p /run/systemd/system
cleanup rmdir /run/systemd/system
rm "$WORK/bin/tcmu-runner"
printf '%s\n' '#!/bin/sh' 'echo "the job failed"' 'exit 1' >"$WORK/bin/systemctl"
chmod +x "$WORK/bin/systemctl"
PATH=$WORK/bin:$PATH
refuses "a unit that fails is no start" 'the job failed' "$STORAGEOS" attach db --frontend tcmu
printf '%s\n' '#!/bin/sh' 'sleep 3' 'tcmu-runner >/dev/null 2>&1 &' >"$WORK/bin/systemctl"
check "a unit that starts is waited for" "$STORAGEOS" attach db --frontend tcmu
must "detach" "$STORAGEOS" detach db
finish
