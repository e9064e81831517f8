#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The metrics of pools, scrubs and volumes that nobody serves, and of attachments that are missing; the file for
# the textfile collector, and that alert rules and dashboard name only metrics that there are.
. "$(dirname "$0")/../lib.sh"
need jq jq
need promtool prometheus
need_root
need_fuse
need_built "$STORAGEOS" "$STORAGEOS_FUSE"

# Nothing of what this machine is configured to serve is seen.
own_namespace
own_config
for directory in /etc/systemd/system /etc/rtslib-fb-target /etc/target; do
	[ ! -d $directory ] || mount -t tmpfs none $directory
done
target=/etc/rtslib-fb-target
[ -d $target ] || target=/etc/target

metrics() { "$STORAGEOS" stats --prometheus; }
metric() { metrics | awk -v m="storageos_$1" '$1 == m { print $2 }'; }

# ---- pools and volumes that nobody serves

must "create" "$STORAGEOS" create db --size 64M
must "create another" "$STORAGEOS" create log --size 32M
is "the pool is ready" "$(metric 'pool_ready{pool="default"}')" 1
is "its volumes" "$(metric 'pool_volumes{pool="default"}')" 2
is "what it has promised" "$(metric 'pool_promised_bytes{pool="default"}')" $((96 << 20))
is "what its volumes take" "$(metric 'pool_used_bytes{pool="default"}')" \
	"$("$STORAGEOS" list --json | jq '[.[].allocated] | add')"
is "the size of its file system" "$(metric 'pool_size_bytes{pool="default"}')" \
	"$(($(stat -f -c '%b * %S' "$POOL")))"
free=$(metric 'pool_free_bytes{pool="default"}')
now=$(($(stat -f -c '%a * %S' "$POOL")))
check "its free space" [ $((free - now)) -lt $((256 << 20)) -a $((now - free)) -lt $((256 << 20)) ]
is "a volume is detached" "$(metric 'volume_state{volume="default/db",state="detached"}')" 1
is "and nothing else" "$(metrics | grep -c '^storageos_volume_state{volume="default/db",.* 1$')" 1
is "each state has a sample" "$(metrics | sed -n 's/^storageos_volume_state{volume="default.db",state="\(.*\)"} .*/\1/p' | xargs)" \
	"detached attached broken in_use missing failed hung full unwatched"
is "it is not served" "$(metric 'volume_served{volume="default/db"}')" 0
is "nothing is expected" "$(metrics | grep -c '^storageos_attachment_missing')" 0
is "it was never scrubbed" "$(metric 'scrub_timestamp_seconds{volume="default/db"}')" 0
before=$(date +%s)
must "scrub" "$STORAGEOS" scrub db
check "the time of the scrub" [ "$(metric 'scrub_timestamp_seconds{volume="default/db"}')" -ge "$before" ]
is "it found nothing" "$(metric 'scrub_errors{volume="default/db"}')" 0
is "all servers answer" "$(metric collection_failed)" 0

# ---- what should be served

mkdir -p /etc/systemd/system/multi-user.target.wants
for volume in default/db /dev/vg/by-id /srv/no Bad; do
	ln -s /dev/null "/etc/systemd/system/multi-user.target.wants/$(systemd-escape \
		--template=storageos-attach@.service "$volume")"
done
echo '{"storage_objects": [
	{"plugin": "user", "config": "storageos/log;create", "name": "log"},
	{"plugin": "user", "config": "storageos/fast/x@monday", "name": "x"},
	{"plugin": "user", "config": "qcow//srv/x", "name": "q"}, {"plugin": "fileio", "dev": "/srv/f"}, 7]}' \
	>$target/saveconfig.json
is "who is missing" "$(metrics | sed -n 's/^storageos_attachment_missing{volume="\(.*\)"} 1$/\1/p' | sort | xargs)" \
	"/dev/vg/by-id /srv/no default/db default/log fast/x@monday"
mkdir "$WORK/mnt"
cleanup unmount_for_certain "$WORK/mnt"
must "serve" "$STORAGEOS_FUSE" --pid-file "$WORK/pid" db "$WORK/mnt"
is "one that is served is not missing" "$(metric 'attachment_missing{volume="default/db"}')" 0
is "it is served" "$(metric 'volume_served{volume="default/db"}')" 1
is "it is in use" "$(metric 'volume_state{volume="default/db",state="in_use"}')" 1

# ---- limits

is "there is no limit" "$(metrics | grep -c '^storageos_limit_\(iops\|bytes_per_second\){')" 0
must "set limits" "$STORAGEOS" set db read_iops=50 write_bytes=64M
is "the limit of reads" "$(metric 'limit_iops{volume="default/db",operation="read"}')" 50
is "and of bytes that are written" "$(metric 'limit_bytes_per_second{volume="default/db",operation="write"}')" $((64 << 20))
is "there is no other" "$(metrics | grep -c '^storageos_limit_\(iops\|bytes_per_second\){')" 2
must "read" dd if="$WORK/mnt/db" of=/dev/null bs=4k count=25 iflag=direct status=none
check "reads have waited" [ "$(metric 'limit_waits_total{volume="default/db",operation="read"}')" -ge 15 ]
seconds=$(metric 'limit_wait_seconds_total{volume="default/db",operation="read"}')
check "how long" awk -v s="$seconds" 'BEGIN { exit !(s > .2) }'
is "none waits now" "$(metric 'limit_waiting{volume="default/db",operation="read"}')" 0
is "none was refused" "$(metric 'limit_refused_total{volume="default/db",operation="read"}')" 0
is "no write has waited" "$(metric 'limit_waits_total{volume="default/db",operation="write"}')" 0
must "no limits" "$STORAGEOS" set db read_iops=none write_bytes=none

# ---- damage

must "one more" "$STORAGEOS" create cut --size 64M
truncate -s 2M "$POOL/cut.vol"
is "a file that was cut" "$(metric 'volume_unreadable{volume="default/cut"}')" 1
is "the others can be read" "$(metric 'volume_unreadable{volume="default/db"}')" 0
rm "$POOL/cut.vol"
is "a file that is gone" "$(metric 'volume_state{volume="default/cut",state="missing"}')" 1
mv "$POOL/.storageos-pool" "$WORK/marker"
is "a pool that is not there" "$(metric 'pool_ready{pool="default"}')" 0
is "has no size" "$(metrics | grep -c '^storageos_pool_size_bytes')" 0
mv "$WORK/marker" "$POOL/.storageos-pool"

# ---- the format, and the file

metrics >"$WORK/metrics"
is "promtool finds nothing wrong" "$(promtool check metrics <"$WORK/metrics" 2>&1)" ""
is "each metric is in one piece" "$(sed -n 's/^# TYPE \([^ ]*\) .*/\1/p' "$WORK/metrics" | sort | uniq -d)" ""
mkdir "$WORK/text"
(umask 077; "$STORAGEOS" stats --prometheus --output "$WORK/text/storageos.prom" >"$WORK/out" 2>&1)
is "the file is written, silently" "$(cat "$WORK/out")" ""
is "others can read it" "$(stat -c %a "$WORK/text/storageos.prom")" 644
is "it is the same" "$(grep -v '[0-9]$' "$WORK/text/storageos.prom")" "$(grep -v '[0-9]$' "$WORK/metrics")"
is "no other file is left" "$(ls "$WORK/text")" storageos.prom
inode=$(stat -c %i "$WORK/text/storageos.prom")
exec 5<"$WORK/text/storageos.prom"
must "once more" "$STORAGEOS" stats --prometheus --output "$WORK/text/storageos.prom"
check "a reader has all of the old one" [ "$(wc -l <&5)" -gt 100 -a "$(stat -c %i "$WORK/text/storageos.prom")" != "$inode" ]
refuses "a directory that there is not" "stats: .*$WORK/none" "$STORAGEOS" stats --prometheus -o "$WORK/none/storageos.prom"
refuses "a file needs metrics" 'needs --prometheus' "$STORAGEOS" stats -o "$WORK/x"
kill -STOP "$(<"$WORK/pid")"
refuses "a server that does not answer" 'stats: default/db: ' \
	"$STORAGEOS" stats --prometheus -o "$WORK/text/storageos.prom"
kill -CONT "$(<"$WORK/pid")"
is "is in the file all the same" "$(grep -c -e '^storageos_collection_failed 1$' \
	-e '^storageos_volume_served{volume="default/db"} 0$' "$WORK/text/storageos.prom")" 2

# ---- rules and dashboard

cd "$ROOT/packaging/observability" || give_up "no rules"
check "promtool takes the rules" promtool check rules storageos-alerts.yml
check "each alert fires for what it is meant for" promtool test rules storageos-alerts-test.yml storageos-alerts-slow-test.yml
is "each alert has a test" "$(sed -n 's/.*- alert: //p' storageos-alerts.yml | sort -u)" \
	"$(grep -ohE 'alertname: [A-Za-z]+' storageos-alerts*-test.yml | cut -d' ' -f2 | sort -u)"
named() { grep -ohE 'storageos_[a-z0-9_]+' "$@" | sort -u; }
there() { sed -n 's/^# TYPE \([^ ]*\) histogram/\1_bucket\n\1_sum\n\1_count/p; s/^# TYPE \([^ ]*\) .*/\1/p' "$WORK/metrics" | sort -u; }
is "the rules name only metrics that there are" "$(named storageos-alerts.yml | comm -23 - <(there))" ""
is "so does the dashboard" "$(named storageos-dashboard.json | comm -23 - <(there))" ""
is "labels too" "$(grep -ohE 'state=~?\\?"[a-z|_]+' storageos-*.yml storageos-dashboard.json | grep -oE '[a-z_]+$|[a-z_]+\|' | tr -d '|' |
	grep -vx state | sort -u | comm -23 - <(sed -n 's/.*state="\(.*\)".*/\1/p' "$WORK/metrics" | sort -u))" ""
# shellcheck disable=SC2016 # the variables are Grafana's
jq -r '.panels[].targets[]?.expr' storageos-dashboard.json |
	sed 's/\$__rate_interval/5m/g; s/"\$[a-z]*"/".*"/g' >"$WORK/expressions"
check "the dashboard has expressions" [ "$(wc -l <"$WORK/expressions")" -gt 20 ]
{
	printf 'groups:\n- name: dashboard\n  rules:\n'
	awk '{ gsub(/\047/, "\047\047"); printf "  - {record: \047d%d\047, expr: \047%s\047}\n", NR, $0 }' "$WORK/expressions"
} >"$WORK/dashboard.yml"
check "Prometheus can parse each of them" promtool check rules "$WORK/dashboard.yml"
is "its panels have ids and do not overlap" "$(jq '[.panels[] | .gridPos as $g | range($g.x; $g.x + $g.w) as $x |
	range($g.y; $g.y + $g.h) as $y | [$x, $y]] | length - (unique | length)' storageos-dashboard.json)-$(
	jq '[.panels[].id] | length - (unique | length)' storageos-dashboard.json)" 0-0
finish
