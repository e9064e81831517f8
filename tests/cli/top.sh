#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# storageos top: plain tables without a terminal; on one, a table that is drawn anew, sorted by keys, fits the
# window, and leaves the terminal as it was however it ends.
. "$(dirname "$0")/../lib.sh"
need tmux tmux
need_root
need_fuse
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
own_config

top() { "$STORAGEOS" top "$@"; }
is "nothing is served" "$(top --count 1)" "VOLUME                        R/S      W/S   RMIB/S   WMIB/S     MEAN      99%     HELD WAITING   USED STATE"
for volume in quiet busy; do
	mkdir "$WORK/$volume"
	cleanup unmount_for_certain "$WORK/$volume"
	must "create $volume" "$STORAGEOS" create "$volume" --size 64M
	must "serve it" "$STORAGEOS_FUSE" "$volume" "$WORK/$volume"
done
dd if=/dev/urandom of="$WORK/busy/busy" bs=1M count=32 conv=notrunc,fsync iflag=fullblock status=none

names() { sed -n 's,^default/\([a-z]*\) .*,\1,p' | xargs; }
is "the busiest is first" "$(top --count 1 | names)" "busy quiet"
is "by name" "$(top --count 1 --sort n | names)" "busy quiet"
is "two tables" "$(top --count 2 --interval 1 --sort n | names)" "busy quiet busy quiet"
like "what is used, and the state" "$(top --count 1)" '^default/busy .* 0 +50% ok$'
like "the second is of the interval alone" "$(top --count 2 --interval 1 | grep busy | tail -n 1)" \
	'^default/busy +0 +0 +0\.0 +0\.0 +0us +0us +- +0 +50% ok$'
is "no escape sequences" "$(top --count 1 | grep -c $'\033')" 0
refuses "JSON" "stats --watch --json" top --json
refuses "no such key" "invalid --sort 'x'" top --sort x
refuses "no interval" "invalid --interval 0" top --interval 0

# ---- limits

held() { "$STORAGEOS" top --count 1 | awk '/default\/busy/ { print $8 }'; }
must "a limit" "$STORAGEOS" set busy read_iops=30
like "of a volume with a limit, how long requests were held back" "$(held)" '^0us$'
must "read" dd if="$WORK/busy/busy" of=/dev/null bs=4k count=30 iflag=direct status=none
like "is more once they were" "$(held)" '^[0-9.]+ms$'
must "no limit" "$STORAGEOS" set busy read_iops=none
is "none of one without" "$(held)" -

# ---- on a terminal

session=storageos-$$
pane() { tmux -L "$session" "$@"; }
screen() { pane capture-pane -p; }
shows() { screen | grep -qE -- "$1"; }
keys() { pane send-keys "$@"; }
cleanup tmux -L "$session" kill-server
must "a terminal" pane -f /dev/null new-session -d -x 110 -y 12 "PS1='prompt> ' bash --norc --noprofile"
# A first command, whose output must come back.
keys "stty -a >$WORK/before; echo was-before" Enter
must "it works" wait_for 10 shows '^was-before'
begin() {
	keys "clear; echo was-before" Enter
	wait_for 10 shows '^was-before'
	keys "'$STORAGEOS' top --interval 1" Enter
}
# ended HOW: the screen, the cursor and the modes are as before.
ended() {
	check "what was there is back ($1)" wait_for 10 shows '^was-before'
	keys "stty -a >$WORK/after" Enter
	check "the shell answers ($1)" wait_for 10 test -s "$WORK/after"
	is "the modes are as before ($1)" "$(grep -v rows "$WORK/after")" "$(grep -v rows "$WORK/before")"
	is "the cursor is there ($1)" "$(pane display-message -p '#{cursor_flag}#{alternate_on}')" 10
	rm -f "$WORK/after"
}
begin
must "the table is there" wait_for 10 shows '^default/busy .* ok$'
like "with its heading" "$(screen)" '^storageos top  [0-9:]+  2 volumes, by requests'
is "on the other screen, without a cursor" "$(pane display-message -p '#{cursor_flag}#{alternate_on}')" 01
is "what was there is not" "$(screen | grep -c was-before)" 0
keys u
check "a key sorts" wait_for 5 shows 'by used'
keys n
check "another one sorts otherwise" wait_for 5 shows 'by name'
pane resize-window -x 40 -y 4
narrow() { [ "$(screen | grep -c '^default/')" = 1 ] && screen | head -n 1 | grep -q '^storageos top'; }
check "a small window has what fits" wait_for 5 narrow
pane resize-window -x 110 -y 12
check "a large one has all" wait_for 5 shows '^default/quiet .* ok$'
keys q
ended q
child() { pgrep -P "$(pane display-message -p '#{pane_pid}')" -x storageos; }
for signal in INT TERM HUP; do
	begin
	must "once more" wait_for 10 shows '^default/busy'
	kill -$signal "$(child)"
	ended "SIG$signal"
done
begin
must "and again" wait_for 10 shows '^default/busy'
keys C-c
ended "Ctrl-C"
colours() { pane capture-pane -pe | grep -c $'\033\[7m'; }
begin
must "in colours" wait_for 10 shows '^default/busy'
is "the heading is inverse" "$(colours)" 1
keys q
ended "q again"
keys "NO_COLOR=1 '$STORAGEOS' top" Enter
must "without" wait_for 10 shows '^default/busy'
is "it is not" "$(colours)" 0
keys q
must "a pool that is past a mark" "$STORAGEOS" pool set default quota=64M -q
must "its first" "$STORAGEOS" pool set default warn=10 -q
begin
pane resize-window -x 40 -y 5
with_pool() { narrow && shows '^pool default: '; }
check "has its line in a small window, too" wait_for 20 with_pool
keys q
for volume in quiet busy; do must "end" unmount "$WORK/$volume"; done
finish
