#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What reaches the journal, with which fields: lines of storageos-fuse, of `storageos` in a unit, and events of all
# programs and the plugin.  The journal is a journald of the test's own, and never waited for.
. "$(dirname "$0")/../lib.sh"
need jq jq
need journalctl systemd
need systemd-cat systemd
need python3 python3
need_root
need_fuse
plugin_tests=$STORAGEOS_BUILD/tests/handler/test-plugin-1.5.4
need_built "$STORAGEOS" "$STORAGEOS_FUSE" "$STORAGEOS_PLUGIN" "$plugin_tests"
journald=$(find /lib/systemd /usr/lib/systemd -maxdepth 1 -name systemd-journald 2>/dev/null | head -n 1)
[ -n "$journald" ] || skip_all "there is no systemd-journald (package systemd)"

# The sockets of journald have fixed places below /run.
own_namespace
must "a /run of the test's own" mount -t tmpfs none /run
mkdir -p /run/log/journal
if [ ! -s /etc/machine-id ]; then
	tr -d - </proc/sys/kernel/random/uuid >/run/machine-id
	touch /etc/machine-id && mount --bind /run/machine-id /etc/machine-id || give_up "no machine ID"
fi
own_config
"$journald" 2>"$WORK/journald.log" &
journald_pid=$!
disown
cleanup kill -KILL $journald_pid
must "journald listens" wait_for 20 test -S /run/systemd/journal/socket

# Of each entry with the message: identifier, priority, event, volume, pool.
entries() { # REGEX
	journalctl --sync
	journalctl --directory=/run/log/journal -o json --output-fields=MESSAGE,PRIORITY,SYSLOG_IDENTIFIER,STORAGEOS_EVENT,STORAGEOS_VOLUME,STORAGEOS_POOL |
		jq -r --arg regex "$1" 'select((.MESSAGE | type == "string") and (.MESSAGE | test($regex))) |
			[.SYSLOG_IDENTIFIER, .PRIORITY, .STORAGEOS_EVENT, .STORAGEOS_VOLUME, .STORAGEOS_POOL] | map(. // "-") | join(" ")'
}
messages() { journalctl --sync; journalctl --directory=/run/log/journal -o cat "$@"; }
unit() { systemd-cat -t unit --level-prefix=false "$@"; } # its output goes where a unit's does

# ---- storageos-fuse

mkdir "$WORK/mnt"
cleanup unmount_for_certain "$WORK/mnt"
must "create" "$STORAGEOS" create db --size 64M
serve() { # OPTION...
	"$STORAGEOS_FUSE" --pid-file "$WORK/pid" "$@" db "$WORK/mnt"
}
is_served() { [ -e "$WORK/mnt/db" ]; }
ended() { [ ! -e "$WORK/pid" ]; } # the server removes it
must "serve" serve
is "in the background" "$(entries "volume 'default/db': served as")" "storageos-fuse 6 - default/db default"
unmount_for_certain "$WORK/mnt"
check "it ends" wait_for 20 ended
unit "$STORAGEOS_FUSE" --foreground db "$WORK/mnt" &
must "in the foreground of a unit" wait_for 20 is_served
unmount_for_certain "$WORK/mnt"
wait $!
served="storageos-fuse 6 - default/db default"
is "it is the same, once" "$(entries 'served as' | grep -v '^kernel ')" "$served"$'\n'"$served"
"$STORAGEOS_FUSE" --foreground db "$WORK/mnt" 2>"$WORK/said" &
must "in another foreground" wait_for 20 is_served
unmount_for_certain "$WORK/mnt"
wait $!
like "it is standard error" "$(<"$WORK/said")" "^storageos-fuse: volume 'default/db': served as"
is "alone" "$(entries 'served as' | grep -vc '^kernel ')" 2

# ---- storageos

config_set frontend=fuse
cleanup attached_end
must "attach in a unit" unit "$STORAGEOS" attach db
is "is an event" "$(entries 'attach default/db: attached over FUSE')" "storageos 6 attached default/db default"
must "detach" "$STORAGEOS" detach db
is "is one everywhere" "$(entries 'detach default/db: detached')" "storageos 6 detached default/db default"
refuses "what fails in a unit" '^$' unit "$STORAGEOS" scrub nothing
is "has the volume" "$(entries 'scrub default/nothing: ')" "storageos 3 - default/nothing default"
refuses "what fails elsewhere" 'scrub default/nothing: ' "$STORAGEOS" scrub nothing
is "is not in the journal" "$(entries 'scrub default/nothing: ' | wc -l)" 1
is "journalctl finds it by the volume" "$(messages STORAGEOS_VOLUME=default/nothing | grep -c scrub)" 1

# ---- events

mkdir "$WORK/pool.d"
printf '#!/bin/sh\necho no mail; exit 3\n' >"$WORK/pool.d/10-fails"
chmod +x "$WORK/pool.d/10-fails"
percent=$((100 - 100 * $(stat -f -c %a "$POOL") / $(stat -f -c %b "$POOL")))
sed -i "/^\\[pool default\\]\$/a warn=$((percent > 2 ? percent - 1 : 1))" "$STORAGEOS_CONFIG"
must "serve" serve
has_event() { [ -e "$WORK/run/pool-events/default" ]; }
check "a pool passes a mark" wait_for 20 has_event
is "that is an event of the pool" "$(entries '^pool default: .* are taken')" "storageos-fuse 4 pool-mark - default"
refuses "an executable that fails" '' unit "$STORAGEOS" pool events
is "is said of the pool" "$(entries '10-fails: ')" "storageos 4 - - default"
must "data" dd if=/dev/urandom of="$WORK/mnt/db" bs=1M count=1 conv=fsync,notrunc status=none
unmount_for_certain "$WORK/mnt"
check "it ends" wait_for 20 ended
python3 - "$POOL/db.vol" <<'END'
import sys
with open(sys.argv[1], "r+b") as f: # what lies behind the metadata
    data = f.read()
    for at in range(2 << 20, len(data), 4096):
        if len(set(data[at:at + 4096])) > 200:
            f.seek(at)
            f.write(bytes(4096))
END
refuses "a scrub finds damage" 'errors' "$STORAGEOS" scrub db
is "that is an event" "$(entries '^scrub default/db: [0-9]+ errors')" "storageos 3 scrub-damage default/db default"
refuses "a damaged block in a unit" '' unit "$STORAGEOS" compare db "$STORAGEOS_CONFIG"
is "is one, too" "$(entries 'checksum mismatch' | sort -u)" "storageos 3 block-damaged default/db default"
must "serve" serve
refuses "a damaged block" 'error' dd if="$WORK/mnt/db" of=/dev/null bs=1M count=1
is "that is an event" "$(entries 'checksum mismatch' | sort -u | grep fuse)" "storageos-fuse 3 block-damaged default/db default"
unmount_for_certain "$WORK/mnt"
check "it ends" wait_for 20 ended
check "the plugin in a runner" "$plugin_tests" "$STORAGEOS_PLUGIN" "open refuses" "it waits where"
is "a volume that it gives up is an event" "$(entries 'not served until tcmu-runner' | sort -u | cut -d' ' -f1-3)" "storageos 3 volume-lost"

# ---- a journald that takes nothing

kill -STOP $journald_pid
cat >"$WORK/flood.py" <<'END'
import socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.setblocking(False)
try:
    while True:
        s.sendto(b"MESSAGE=flood\n", "/run/systemd/journal/socket")
except BlockingIOError:
    print("full")
END
is "journald is stopped, and has no room" "$(python3 "$WORK/flood.py")" full
check "a server starts all the same" within 20 "$STORAGEOS_FUSE" db "$WORK/mnt"
check "and ends" within 20 umount "$WORK/mnt"
kill -CONT $journald_pid
finish
