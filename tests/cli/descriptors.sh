#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Standard input, output and error are closed, in every combination: no file that a program opens takes
# their place, so that no message is written into a volume.  A server keeps no descriptor that it
# inherited.
. "$(dirname "$0")/../lib.sh"
need jq jq
need python3 python3
need_root
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
need_fuse
own_config

vol=$POOL/db.vol
combinations=("<&-" ">&-" "2>&-" "<&- >&-" "<&- 2>&-" ">&- 2>&-" "<&- >&- 2>&-")

# with CLOSED COMMAND...: ignores the status, because the command may be unable to print its result.
with() {
	local closed=$1 seconds
	shift
	seconds=$(limit 60)
	(eval "exec $closed"; exec timeout -k 5 "$seconds" "$@") 3>&- 4>&- </dev/null >"$WORK/out" 2>"$WORK/err"
	return 0
}

# ---- verbs that only look

must "make a volume" "$STORAGEOS" create db --size 64M
mkdir "$WORK/mnt"
cleanup unmount_for_certain "$WORK/mnt"
serve() { # CLOSED [OPTION...]: sets $server to the server's PID
	local closed=$1
	shift
	with "$closed" "$STORAGEOS_FUSE" --pid-file "$WORK/pid" "$@" db "$WORK/mnt"
	server=$(<"$WORK/pid") && [ -e "$WORK/mnt/db" ]
}
end() { unmount "$WORK/mnt" && wait_for 20 gone "$server"; }
must "serve it" serve "3>&-"
random_file "$WORK/data" $((4 << 20))
must "write to it" dd if="$WORK/data" of="$WORK/mnt/db" bs=1M oflag=direct conv=notrunc status=none
must "end" end
cp --sparse=always "$vol" "$WORK/before"

looking=("list" "list --json" "info db" "check db" "check db --repair" "check db --json" "status" "stats"
	"stats db" "pool" "pool list" "scrub db --status" "detach db" "udev loop0" "nonsense" "--help"
	"create db --size 1G")
for closed in "${combinations[@]}"; do
	bad=
	[ "$closed" != "<&- >&- 2>&-" ] || looking+=(probe) # slow, so only once
	for verb in "${looking[@]}"; do
		# shellcheck disable=SC2086 # words
		with "$closed" "$STORAGEOS" $verb
		cmp -s "$vol" "$WORK/before" || { bad+="$verb; " && cp --sparse=always "$WORK/before" "$vol"; }
	done
	is "$closed: no verb that looks changes the volume" "$bad" ""
done

# ---- verbs that change the volume

whole() { "$STORAGEOS" check "$1" --json | jq -e '.errors == 0' >/dev/null; }
changes() { # CLOSED: prints the verbs that do not leave the volume whole
	local closed=$1 size
	rm -f "$POOL/new.vol"
	with "$closed" "$STORAGEOS" create new --size 16M
	"$STORAGEOS" check new >/dev/null 2>&1 || echo "create; "
	for size in 80M 96M; do
		with "$closed" "$STORAGEOS" resize new "$size"
		[ "$("$STORAGEOS" info new --json | jq .size)" = $((${size%M} << 20)) ] || echo "resize $size: size; "
		"$STORAGEOS" check new >/dev/null 2>&1 || echo "resize $size; "
	done
	with "$closed" "$STORAGEOS" scrub new
	"$STORAGEOS" check new >/dev/null 2>&1 || echo "scrub; "
	with "$closed" "$STORAGEOS" delete new --yes
	[ ! -e "$POOL/new.vol" ] || with "$closed" "$STORAGEOS" delete new
}
for closed in "${combinations[@]}"; do
	is "$closed: create, resize, scrub leave it whole" "$(changes "$closed")" ""
done

# ---- one superblock is damaged and no question can be asked: the other is the only good one

flip_bits "$vol" 60
cp --sparse=always "$vol" "$WORK/damaged"
for closed in "${combinations[@]}"; do
	with "$closed" "$STORAGEOS" check db --repair
	cmp "$vol" "$WORK/damaged" >/dev/null ||
		{ not_ok "$closed: check --repair" "wrote into it"; cp --sparse=always "$WORK/damaged" "$vol"; continue; }
	with "$closed" "$STORAGEOS" check db --repair --yes
	check "$closed: check --repair does what it is told, and nothing else" "$STORAGEOS" check db
	cp --sparse=always "$WORK/damaged" "$vol"
done
cp --sparse=always "$WORK/before" "$vol"

# ---- a server

# Prints the server's descriptors that are inherited, or that are the volume's and below 3.
low() { readlink "/proc/$server/fd/0" "/proc/$server/fd/1" "/proc/$server/fd/2" | sort -u; }
for closed in "${combinations[@]}"; do
	if ! serve "$closed"; then
		not_ok "$closed: storageos-fuse serves" "$(<"$WORK/err")"
		continue
	fi
	is "$closed: storageos-fuse has /dev/null there" "$(low)" /dev/null
	check "$closed: it reads" cmp -n $((4 << 20)) "$WORK/data" "$WORK/mnt/db"
	check "$closed: it writes" dd if="$WORK/data" of="$WORK/mnt/db" bs=1M count=4 seek=8 oflag=direct conv=notrunc,fsync
	check "$closed: it ends" end
	check "$closed: the volume is whole" "$STORAGEOS" check db
done

foreground() { # CLOSED
	(eval "exec $1"; exec "$STORAGEOS_FUSE" --foreground --pid-file "$WORK/pid" db "$WORK/mnt") \
		</dev/null >"$WORK/out" 2>"$WORK/err" &
	wait_for 20 test -e "$WORK/mnt/db" && server=$(<"$WORK/pid")
	cleanup stop $!
}
must "serve in the foreground, all closed" foreground "<&- >&- 2>&-"
is "the server has /dev/null at the closed descriptors" "$(low)" /dev/null
must "end" end
check "the volume is whole" "$STORAGEOS" check db

# ---- inherited descriptors

: >"$WORK/lock"
free() { flock -n "$WORK/lock" true; }
inherits() { find "/proc/$server/fd" -lname "$WORK/lock"; }
exec 9<"$WORK/lock"
flock 9
must "serve, with a lock open" serve "3>&-"
exec 9<&-
is "the server has not kept the lock's descriptor" "$(inherits)" ""
check "the lock is free while it serves" wait_for 5 free
must "end" end
exec 9<"$WORK/lock"
flock 9
must "serve in the foreground, with a lock open" foreground "3>&-"
exec 9<&-
check "the lock is free while it serves in the foreground" wait_for 5 free
must "end" end
# shellcheck disable=SC2086
start_with_pipe() { within 30 cat < <("$STORAGEOS_FUSE" --pid-file "$WORK/pid" db "$WORK/mnt" 7>&1); }
check "an inherited pipe is closed when the server has started" start_with_pipe
server=$(<"$WORK/pid")
must "end" end

# ---- inherited ignored or blocked signals

ignoring() {
	python3 - "$STORAGEOS_FUSE" --pid-file "$WORK/pid" db "$WORK/mnt" <<-'END'
	import os, signal, sys
	for s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
	    signal.signal(s, signal.SIG_IGN)
	signal.pthread_sigmask(signal.SIG_SETMASK, range(1, 32))
	os.execv(sys.argv[1], sys.argv[1:])
	END
}
must "serve, started by a process that ignores signals" ignoring
server=$(<"$WORK/pid")
kill -TERM "$server"
check "SIGTERM ends it" wait_for 30 gone "$server"
kill -9 "$server" 2>/dev/null
check "the volume is whole" "$STORAGEOS" check db

# ---- in the source: only common/base/fd.c makes descriptors

calls='open openat open64 creat socket accept accept4 socketpair eventfd timerfd_create signalfd epoll_create
	epoll_create1 memfd_create pipe pipe2 mkstemp mkostemp g_mkstemp g_mkstemp_full inotify_init1 pidfd_open dup
	fopen freopen io_uring_setup'
bare() { # FILE...: prints the lines with such a call that are not in or after an fd_above_stdio(
	awk -v calls="$calls" 'BEGIN { gsub(/[ \t\n]+/, "|", calls); call = "(^|[^_[:alnum:].>\"])(" calls ")\\(" }
		$0 ~ call && $0 !~ /^[ \t]*(\/\*| \*)|\/\*.*\(\)/ && before $0 !~ /fd_above_stdio\(/ { print FILENAME ": " $0 }
		{ before = $0 }' "$@"
}
# shellcheck disable=SC2046 # words
is "every descriptor is made by common/base/fd.h, or goes through it" \
	"$(cd "$ROOT" && bare $(find common cli handler fuse-fallback -name '*.c' ! -path common/base/fd.c))" ""
finish
