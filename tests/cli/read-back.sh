#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What import and export have written is read back: where it has changed on the way, the command fails and leaves nothing.
. "$(dirname "$0")/../lib.sh"
need python3 python3
need qemu-img qemu-utils
need qemu-nbd qemu-utils
need_strace
need_root
need_built "$STORAGEOS"
own_config

image=$WORK/image.raw
yes "a line that can be found" | head -c 1M >"$image"
truncate -s 16M "$image"
sum_of() { "$STORAGEOS" export "$1" - --format raw 2>/dev/null | sha256sum; }
volumes() { find "$POOL" -name '*.vol*' -printf '%f\n' | sort | xargs; }

# changed FILES COMMAND...: while the command runs, a line of the image is changed in one of the files, once it is there.
cat >"$WORK/changed.py" <<'END'
import glob, subprocess, sys, time

def change(names):
    for name in names:
        with open(name, "r+b") as file:
            at = file.read().find(b"a line that can be found\n")
            if at >= 0:
                file.seek(at)
                file.write(b"A")
                return True
    return False

command = subprocess.Popen(sys.argv[2:])
changed = False
while command.poll() is None:
    changed = changed or change(glob.glob(sys.argv[1]))
    time.sleep(0.01)
print("changed meanwhile" if changed else "never changed")
sys.exit(command.returncode)
END
changed() { python3 "$WORK/changed.py" "$@"; }

# ---- a volume

import() { # FILE ARGUMENT...: each flush takes a second
	changed "$POOL/$1" strace -f -qq -o /dev/null -e trace=fdatasync -e inject=fdatasync:delay_enter="$(limit 1)s" \
		"$STORAGEOS" import "${@:2}" --format raw
}
refuses "a new volume that changes" 'the block at byte [0-9]+ is damaged' import '.new.vol.*' new "$image"
is "is not there" "$(volumes)" ""
like "without verifying, it is" "$(import '.new.vol.*' new "$image" --no-verify 2>&1)" '^changed meanwhile$'
refuses "and is damaged" 'lost: bytes [0-9]+-[0-9]+' "$STORAGEOS" check new
random_file "$WORK/other.raw" $((1 << 20))
truncate -s 16M "$WORK/other.raw"
must "another volume" "$STORAGEOS" import old "$WORK/other.raw" --format raw
before=$(sum_of old)
refuses "one that is written over" 'the block at byte [0-9]+ is damaged' import old.vol old "$image" --force
is "holds what it held" "$(sum_of old)" "$before"
check "and is whole" "$STORAGEOS" check old

# ---- a raw image

must "a volume of the image" "$STORAGEOS" import new "$image" --format raw --force
# Its file is opened twice: to write it, and to read it back.
export_raw() {
	changed "$WORK/out.raw" strace -f -qq -o /dev/null -P "$WORK/out.raw" -e trace=openat,fsync \
		-e inject=openat:delay_enter="$(limit 1)s":when=2 -e inject=fsync:delay_enter="$(limit 1)s" \
		"$STORAGEOS" export new "$WORK/out.raw" --format raw "$@"
}
refuses "a raw image that changes" 'out.raw does not read as it was written, from byte [0-9]+ on$' export_raw
check "is not there" test ! -e "$WORK/out.raw"
like "without verifying, it is" "$(export_raw --no-verify 2>&1)" '^changed meanwhile$'
is "with another byte" "$(cmp -l "$image" "$WORK/out.raw" | wc -l)" 1

# ---- an image of qemu's: on its way to qemu-nbd, each line is another

real=$(command -v qemu-nbd)
mkdir "$WORK/bin"
cat >"$WORK/bin/qemu-nbd" <<END
#!/usr/bin/env python3
import socket, subprocess, sys, threading, time

place = sys.argv[1].removeprefix("--socket=")
behind = "$WORK/nbd"
server = subprocess.Popen(["$real", f"--socket={behind}", *sys.argv[2:]])
listener = socket.socket(socket.AF_UNIX)
listener.bind(place)
listener.listen(16)

def carry(source, sink, change):
    while data := source.recv(1 << 20):
        sink.sendall(data.replace(b"found\n", b"FOUND\n") if change else data)
    sink.shutdown(socket.SHUT_WR)

def serve():
    while True:
        client, _ = listener.accept()
        real = socket.socket(socket.AF_UNIX)
        while real.connect_ex(behind):
            time.sleep(0.01)
        for ends in ((client, real, True), (real, client, False)):
            threading.Thread(target=carry, args=ends, daemon=True).start()

threading.Thread(target=serve, daemon=True).start()
server.wait()
END
chmod +x "$WORK/bin/qemu-nbd"
by_proxy() { PATH=$WORK/bin:$PATH "$STORAGEOS" "$@"; }
refuses "a qcow2 image that changes" 'bytes 0 to 1048576 do not read as they were written$' \
	by_proxy export new "$WORK/out.qcow2" --format qcow2
check "is not there" test ! -e "$WORK/out.qcow2"
check "without verifying, it is" by_proxy export new "$WORK/out.qcow2" --format qcow2 --no-verify
refuses "with other lines" 'Content mismatch at offset 0' qemu-img compare -f qcow2 -F raw "$WORK/out.qcow2" "$image"
finish
