#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# attach waits for a tcmu-runner that answers late, and does not choose another front end for that; probe does not wait.
. "$(dirname "$0")/guest.sh"
need_built "$STORAGEOS" "$STORAGEOS_PLUGIN" "$STORAGEOS_FUSE"
need tcmu-runner tcmu-runner
need targetcli targetcli-fb
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
finish
