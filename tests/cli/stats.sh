#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The statistics of a served volume: stats in every form, and the additions of status and info.
. "$(dirname "$0")/../lib.sh"
need jq jq
need python3 python3
need_root
need_built "$STORAGEOS" "$STORAGEOS_FUSE"
own_config

stat_of() { "$STORAGEOS" stats db --json | jq -r ".[0] | .$1"; }
metric() { # NAME{LABELS}: prints its value from the output in Prometheus's format
	"$STORAGEOS" stats --prometheus | awk -v m="$1" '$1 == m { print $2 }'
}
serve() {
	"$STORAGEOS_FUSE" --pid-file "$WORK/pid" "$1" "$WORK/mnt" && server=$(<"$WORK/pid")
}
all() { "$STORAGEOS" stats "$@" 2>&1; }

is "nothing is served: the message" "$(all)" "storageos: stats: no volume is served"
is "nothing is served: no metrics of a volume but that it is not" \
	"$("$STORAGEOS" stats --prometheus | grep -v "^#" | grep -vc -e _pool_ -e _collection_failed)" 0
must "create" "$STORAGEOS" create db --size 64M
refuses "stats of a volume that is not served" "nobody serves it; see: storageos attach default/db" \
	"$STORAGEOS" stats db
mkdir "$WORK/mnt"
cleanup unmount_for_certain "$WORK/mnt"
must "serve" serve db

# ---- the counters agree with what was done

dd if=/dev/urandom of="$WORK/mnt/db" bs=64k count=32 oflag=direct conv=notrunc,fsync status=none
dd if="$WORK/mnt/db" of=/dev/null bs=32k count=8 iflag=direct status=none
fallocate --punch-hole --offset 0 --length 1M "$WORK/mnt/db"
like "each line of --watch --json has its time" \
	"$("$STORAGEOS" stats --watch --json --count 1 | jq -r '.[0].time')" '^20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z$'
is "writes" "$(stat_of operations.write.count)" 32
is "bytes written" "$(stat_of operations.write.bytes)" $((2 << 20))
is "reads" "$(stat_of operations.read.count)" 8
is "bytes read" "$(stat_of operations.read.bytes)" $((256 << 10))
is "discards" "$(stat_of operations.discard.count)" 1
is "bytes discarded" "$(stat_of operations.discard.bytes)" $((1 << 20))
like "flushes" "$(stat_of operations.flush.count)" '^[1-9]$'
is "no errors" "$(stat_of 'operations | map(.errors) | add')" 0
is "percentiles rise" "$(stat_of 'operations.write.latency_ns |
	.p50 > 0 and .p50 <= .p95 and .p95 <= .p99 and .p99 <= .p999 and .p999 <= .max')" true
is "the histogram holds every request" \
	"$(stat_of 'operations.write | (.latency_ns.histogram | map(.[1]) | add) == .count')" true
is "nothing in flight" "$(stat_of in_flight)" 0
is "front end" "$(stat_of frontend)" fuse
is "process" "$(stat_of pid)" "$server"
is "the file that is open: its device" "$(stat_of device)" "$(stat -c %d "$POOL/db.vol")"
is "the file that is open: its inode" "$(stat_of inode)" "$(stat -c %i "$POOL/db.vol")"
is "size" "$(stat_of space.size)" $((64 << 20))
is "data" "$(stat_of space.data)" $((1 << 20))
# shellcheck disable=SC2016 # the variable is jq's
is "all other fields exist" "$(stat_of 'volume as $v | [.cache.hits, .cache.misses, .cache.nodes, .journal.size,
	.journal.used, .checkpoints, .generation, .checksum_errors, .copies_repaired, .space.metadata,
	.space.allocated, .space.reclaimable, .space.run, .space.tidied] | all(type == "number" and . >= 0)')" true

# A write behind the volume's end fails, and is counted as an error.
dd if=/dev/zero of="$WORK/mnt/db" bs=4k count=1 seek=16384 oflag=direct conv=notrunc status=none \
	2>/dev/null
is "an error is counted" "$(stat_of operations.write.errors)" 1

# ---- the other forms

text=$("$STORAGEOS" stats db)
like "text: the volume" "$text" '^default/db: ok; over fuse by process [0-9]+'
like "text: writes" "$text" '^  write +33 +2 MiB +1 '
like "text: space" "$text" 'size 64 MiB, allocated .*, data 1 MiB'
is "prometheus: writes" \
	"$(metric 'storageos_operation_duration_seconds_count{volume="default/db",operation="write"}')" 33
is "prometheus: bytes" \
	"$(metric 'storageos_operation_bytes_total{volume="default/db",operation="read"}')" 262144
is "prometheus: size" "$(metric 'storageos_size_bytes{volume="default/db"}')" $((64 << 20))
"$STORAGEOS" stats --prometheus >"$WORK/metrics"
cat >"$WORK/parse.py" <<-'END'
	import sys
	from prometheus_client.parser import text_string_to_metric_families as parse
	families = {f.name: f for f in parse(open(sys.argv[1]).read())}
	assert families["storageos_operation_duration_seconds"].type == "histogram"
	assert families["storageos_checkpoints"].type == "counter"
	assert all(f.documentation and (f.samples or f.name == "storageos_attachment_missing")
	           for f in families.values())
	buckets = [s for s in families["storageos_operation_duration_seconds"].samples
	           if s.name.endswith("_bucket") and s.labels["operation"] == "write"]
	values = [s.value for s in buckets]
	assert values == sorted(values) and values[-1] == 33 and buckets[-1].labels["le"] == "+Inf"
	END
check "prometheus: its own parser takes it" /usr/bin/python3 "$WORK/parse.py" "$WORK/metrics"
is "watch: a heading and a line each time" \
	"$("$STORAGEOS" stats db --watch --count 2 | grep -c -e '^volume  *r/s' -e '^default/db ')" 3
interval=$(limit 2)
"$STORAGEOS" stats db --watch --interval "$interval" --count 2 >"$WORK/watched" &
watch=$!
must "watch: its first line" wait_for 10 grep -q '^default/db ' "$WORK/watched"
dd if=/dev/zero of="$WORK/mnt/db" bs=4k count=100 oflag=direct conv=notrunc status=none
wait $watch
like "watch: what happens in the interval" "$(tail -n 1 "$WORK/watched")" \
	'^default/db +0 +0\.0 +0us +0us +[1-9][0-9]* '
is "watch: the rounded rate is that of about 100 writes" \
	"$(tail -n 1 "$WORK/watched" | awk -v s="$interval" '{ n = $6 * s; print (n >= 75 - s && n <= 104 + s / 2) }')" 1
is "watch: JSON, a line each time" \
	"$("$STORAGEOS" stats --watch --count 2 --json | jq -r '.[0].volume' | sort | uniq -c | xargs)" \
	"2 default/db"
is "usage: prometheus and JSON" "$("$STORAGEOS" stats --prometheus --json 2>/dev/null; echo $?)" 2
is "usage: an interval of nothing" "$("$STORAGEOS" stats --watch --interval 0 2>/dev/null; echo $?)" 2

# ---- additions of status and info

is "info: state" "$("$STORAGEOS" info db --json | jq -r .volume_state)" ok
is "info: data" "$("$STORAGEOS" info db --json | jq -r .data_bytes)" "$(stat_of space.data)"

# ---- several volumes; a server that dies; one that ends

must "create another" "$STORAGEOS" create other --size 8M
mkdir "$WORK/mnt2"
cleanup unmount_for_certain "$WORK/mnt2"
must "serve another" "$STORAGEOS_FUSE" other "$WORK/mnt2"
is "stats lists all served volumes by name" "$("$STORAGEOS" stats --json | jq -r '[.[].volume] | join(" ")')" \
	"default/db default/other"
kill -9 "$server"
must "the server is killed" wait_for 10 gone "$server"
refuses "stats of a volume whose server was killed" 'nobody serves it' "$STORAGEOS" stats db
is "the other volume is still listed" "$("$STORAGEOS" stats --json | jq -r '[.[].volume] | join(" ")')" \
	default/other
must "serve again" serve db
is "counters begin at zero" "$(stat_of operations.write.count)" 0
must "end" unmount "$WORK/mnt"
must "the server has ended" wait_for 10 gone "$server"
is "the server's socket is gone" "$(ls "$WORK/run/control")" default:other
must "end the other" unmount "$WORK/mnt2"

# ---- what others put beside the sockets

must "serve" serve db
echo >"$WORK/run/control/core.1"
mkdir "$WORK/run/control/db"
mkfifo "$WORK/run/control/default:x~"
is "what is no volume's socket is not asked" "$("$STORAGEOS" stats --json 2>&1 | jq -r '.[].volume')" default/db
check "nor is it an error" "$STORAGEOS" stats
is "nor for Prometheus" "$(metric storageos_collection_failed)" 0
echo >"$WORK/run/control/default:y"
refuses "a file in the place of a volume's socket is one" 'default/y: .*is a file and not the server' "$STORAGEOS" stats
rm -r "$WORK"/run/control/{core.1,db,default:x~,default:y}
must "end" unmount "$WORK/mnt"
must "the server has ended" wait_for 10 gone "$server"
long=$(printf 'p%.0s' {1..40})/$(printf 'v%.0s' {1..60})
must "a pool with a long name" "$STORAGEOS" pool create "${long%/*}" "$WORK/long"
must "with a volume that has one" "$STORAGEOS" create "$long" --size 16M
must "serve it" serve "$long"
name=$(ls "$WORK/run/control")
must "end" unmount "$WORK/mnt"
must "the server has ended" wait_for 10 gone "$server"
echo >"$WORK/run/control/$name"
refuses "a long name is said whole" "stats: $long: .*is a file and not the server" "$STORAGEOS" stats
rm "$WORK/run/control/$name"

# ---- a volume is made while the deleted volume of its name is still served

must "serve" serve db
pid=$(<"$WORK/pid")
must "the volume's file is removed" rm "$POOL/db.vol"
must "make another volume of that name" "$STORAGEOS" create db --size 16M
must "serve the new volume, too" "$STORAGEOS_FUSE" --pid-file "$WORK/pid2" db "$WORK/mnt2"
new=$(<"$WORK/pid2")
is "stats are those of the volume that has the name now" "$(stat_of pid) $(stat_of space.size)" "$new $((16 << 20))"
must "end the old one" unmount "$WORK/mnt"
must "the server has ended" wait_for 10 gone "$pid"
is "stats are still those of the new volume" "$(stat_of pid)" "$new"
must "end the new one" unmount "$WORK/mnt2"
must "the new server has ended" wait_for 10 gone "$new"
is "no socket is left" "$(ls -A "$WORK/run/control")" ""
finish
