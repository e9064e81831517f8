#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# storageos-fuse writes its log lines to the journal with fields that name the volume, by journald's native
# protocol: to a socket in journald's place, as in a machine with systemd.
. "$(dirname "$0")/../lib.sh"
need python3 python3
need_root
need_fuse
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
own_config

# journal.py COMMAND...: runs it beside a journal of its own, in a mount namespace of its own, and prints
# each entry as one line.  Entries: KEY=VALUE lines (or, with newlines in it, KEY, its length and it).
cat >"$WORK/journal.py" <<'END'
import os, socket, subprocess, sys
os.makedirs("/run/systemd/journal", exist_ok=True)
entries = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
entries.bind("/run/systemd/journal/socket")
stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
stream.bind("/run/systemd/journal/stdout")
stream.listen()
client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
client.connect("/run/systemd/journal/stdout")
subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=client, timeout=120)
entries.setblocking(False)
while True:
    try:
        data = entries.recv(65536).decode()
    except BlockingIOError:
        break
    print(" | ".join(sorted(data.splitlines())))
END
journal() { apart bash -c 'mount -t tmpfs none /run && exec "$@"' bash python3 "$WORK/journal.py" "$@"; }

mkdir "$WORK/mnt"
cleanup unmount_for_certain "$WORK/mnt"
must "create" "$STORAGEOS" create db --size 64M
served() { # OPTION...: serves, and ends
	"$STORAGEOS_FUSE" "$@" db "$WORK/mnt" &
	wait_for 20 test -e "$WORK/mnt/db"
	umount "$WORK/mnt"
	wait
	sleep 1
}
export -f served wait_for limit
export WORK
entry="MESSAGE=volume 'default/db': served as $WORK/mnt/db | PRIORITY=6 | STORAGEOS_POOL=default | STORAGEOS_VOLUME=default/db | SYSLOG_IDENTIFIER=storageos-fuse"
is "in the background" "$(journal bash -c 'served' | grep -F 'served as')" "$entry"
is "in the foreground, with the journal as standard error" "$(journal bash -c 'served --foreground' | grep -F 'served as')" "$entry"
foreground() {
	"$STORAGEOS_FUSE" --foreground db "$WORK/mnt" 2>"$WORK/said" &
	wait_for 20 test -e "$WORK/mnt/db"
	umount "$WORK/mnt"
	wait
}
check "in the foreground, without" foreground
like "it is standard error" "$(cat "$WORK/said")" "^storageos-fuse: volume 'default/db': served as"
finish
