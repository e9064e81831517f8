#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The administrator's unit storageos-pool-full@.service is started for each pool that passes a mark, and for nothing else.
. "$(dirname "$0")/../lib.sh"
need systemd-escape systemd
need_root
need_built "$STORAGEOS"
# Units read the configuration in its default place.
own_namespace
own_config
for directory in /etc/storageos /etc/systemd/system; do
	[ -d $directory ] || { mkdir -p $directory && cleanup rmdir $directory; }
	must "a $directory of the test's own" mount -t tmpfs none $directory
	cleanup umount $directory
done
must "a /run" mount -t tmpfs none /run
cp "$STORAGEOS_CONFIG" /etc/storageos/storageos.conf
unset STORAGEOS_CONFIG STORAGEOS_FUSE
mkdir -p "$WORK/bin" "$WORK/run/pool-events" /run/systemd/system
cat >"$WORK/bin/systemctl" <<END
#!/bin/sh
echo "\$*" >>$WORK/started
[ ! -e $WORK/refuse ] || { echo no such unit; exit 1; }
END
chmod +x "$WORK/bin/systemctl"
PATH=$WORK/bin:$PATH

# pool_events MARK BEFORE: handles such an event of the pool a-b.
pool_events() {
	rm -f "$WORK/started"
	printf '{"pool":"a-b","mark":%s,"before":%s,"percent":85,"size":1000,"free":150,"time":1}' "$1" "$2" \
		>"$WORK/run/pool-events/a-b"
	"$STORAGEOS" pool events -q
}
started() { cat "$WORK/started" 2>/dev/null; }

check "without the unit" pool_events 80 0
is "nothing is started" "$(started)" ""
: >/etc/systemd/system/storageos-pool-full@.service
check "with it" pool_events 80 0
is "it is started for the pool, and not waited for" "$(started)" "start --no-block storageos-pool-full@$(systemd-escape a-b).service"
check "a pool that is less full again" pool_events 0 80
is "starts nothing" "$(started)" ""
touch "$WORK/refuse"
refuses "a unit that cannot be started fails the command" 'pool events: storageos-pool-full@.*: .*no such unit' pool_events 90 80
rm -r /run/systemd/system
check "a machine without systemd" pool_events 90 80
is "has none" "$(started)" ""
mkdir -p /run/systemd/system
export STORAGEOS_CONFIG=$WORK/storageos.conf
check "nor has another configuration" pool_events 90 80
is "which units do not read" "$(started)" ""
finish
