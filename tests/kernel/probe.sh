#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# `storageos probe` on a real kernel with TCMU, as modules, runner, plugin and other daemons appear and
# disappear; `attach` agrees with it.
. "$(dirname "$0")/guest.sh"
need_built "$STORAGEOS" "$STORAGEOS_FUSE" "$STORAGEOS_PLUGIN"
need tcmu-runner tcmu-runner
need targetcli targetcli-fb
need python3 python3
enter_guest --timeout 300

probe() {
	SAID=$("$STORAGEOS" probe --json)
	STATUS=$?
}
said() { jq -r "$1" <<<"$SAID"; }
warnings() { said '.warnings | join("; ")'; }
runner_off_bus() { ! runner_on_bus; }
reason_of() { "$STORAGEOS" status "$1" --json | jq -r '.[0] | "\(.frontend): \(.reason)"'; }

# ---- after boot: modules exist but are not loaded; the plugin is not installed

probe
is "the kernel" "$(said .kernel)" "$(uname -r)"
is "probe finds the modules" "$(said '.modules | "\(.target_core_user) \(.tcm_loop) \(.uio)"')" \
	"loadable loadable loadable"
is "probe reports loaded modules" "$(said .modules.configfs)" \
	"$(grep -q '^configfs ' /proc/modules && echo loaded || echo "built in")"
is "configfs is mounted" "$(said .configfs)" /sys/kernel/config
is "the netlink family comes with the module" "$(said .tcmu_netlink)" false
is "the runner is installed and does not run" \
	"$(said '.tcmu_runner | "\(.program) \(.generation) \(.running)"')" \
		"/usr/bin/tcmu-runner G false"
is "the plugin is missing, so FUSE" "$(said '"\(.frontend) \(.next_step)"') $STATUS" \
	"fuse apt-get install tcmu-handler-storageos 3"

# ---- the runner was started before the plugin was installed

modprobe -a target_core_user tcm_loop sd_mod sg
tcmu-runner >/dev/null 2>&1 &
echo $! >"$WORK/runner.pid"
disown
must "start the runner without the plugin" wait_for 30 runner_on_bus
cp "$STORAGEOS_PLUGIN" "$(handler_directory)/"
probe
is "the runner does not list the subtype" \
	"$(said '.tcmu_runner | "\(.running) \(.subtype) \(.loaded_plugin)"')" \
	"true false absent"
is "FUSE is chosen, and the runner must be restarted" "$(said '"\(.frontend) \(.next_step)"') $STATUS" \
	"fuse systemctl restart tcmu-runner 3"
must "end it" runner_stop
must "wait for its name to go" wait_for 10 runner_off_bus

# ---- everything is there

plugin_install
rmmod tcm_loop target_core_user
probe
is "TCMU is chosen when everything can be loaded" \
	"$(said '"\(.frontend) \(.next_step // "none") \(.lio) \(.tcmu)"') $STATUS" \
	"tcmu none true true 0"
must "make a volume" "$STORAGEOS" create db --size 64M
must "attach it" "$STORAGEOS" attach db
cleanup "$STORAGEOS" detach db
like "attach uses TCMU, as probe says" "$(reason_of db)" '^tcmu: '
probe
is "modules are loaded" "$(said '.modules | "\(.target_core_user) \(.tcm_loop)"')" "loaded loaded"
is "the netlink family exists" "$(said .tcmu_netlink)" true
is "the runner runs and has our plugin" \
	"$(said '.tcmu_runner | "\(.running) \(.subtype) \(.loaded_plugin)"')" "true true current"
is "there is one device, which is ours" "$(said '.tcmu_in_use | "\(.devices) \(.own_devices)"')" "1 1"
is "only the runner serves it" \
	"$(said '.tcmu_in_use.users | map("\(.pid) \(.command) \(.listens) \(.is_runner)") | join(";")')" \
	"$(pidof tcmu-runner) tcmu-runner true true"
like "the runner has the device's ring open" "$(said '.tcmu_in_use.users[0].device')" '^/dev/uio[0-9]+$'
is "TCMU, and nothing to do" "$(said '"\(.frontend) \(.next_step // "none")"') $STATUS" \
	"tcmu none 0"
is "no warning of other daemons or of the plugin" "$(warnings | grep -c 'daemon\|plugin')" 0
text=$("$STORAGEOS" probe)
note "$text"
is "for people: one screen" "$(($(wc -l <<<"$text") <= 24))" 1

# ---- a second daemon

cat >"$WORK/listen.py" <<'END'
# Joins the multicast group that announces TCMU devices, as a second daemon would.
import socket, struct, time
NETLINK_GENERIC, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP = 16, 270, 1
FAMILY_NAME, MCAST_GROUPS, MCAST_GROUP_ID = 2, 7, 2
def attributes(data):
    found = {}
    while len(data) >= 4:
        length, kind = struct.unpack_from("HH", data)
        found[kind & 0x3fff] = data[4:length]
        data = data[(length + 3) & ~3:]
    return found
s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC)
s.bind((0, 0))
name = struct.pack("HH", 4 + 16, FAMILY_NAME) + b"TCM-USER".ljust(16, b"\0")
s.send(struct.pack("IHHII", 20 + len(name), 16, 1, 1, 0) + struct.pack("BBH", 3, 1, 0) + name)
groups = attributes(attributes(s.recv(8192)[20:])[MCAST_GROUPS])
group = struct.unpack("I", attributes(groups[1])[MCAST_GROUP_ID])[0]
s.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group)
print("listening", flush=True)
time.sleep(600)
END
python3 "$WORK/listen.py" >"$WORK/listening" &
other=$!
disown
must "a second daemon listens for TCMU devices" wait_for 20 grep -q listening "$WORK/listening"
probe
is "probe finds the second daemon" \
	"$(said ".tcmu_in_use.users[] | select(.pid == $other) | \"\(.listens) \(.is_runner)\"")" \
	"true false"
like "the second daemon is a warning" "$(warnings)" \
	"process $other \(python3[0-9.]*\) listens for TCMU devices: a second TCMU daemon can corrupt"
is "the runner runs all the same: TCMU" "$(said .frontend)" tcmu

must "detach the volume" "$STORAGEOS" detach db
must "end the runner" kill "$(pidof tcmu-runner)"
must "wait for its name to go" wait_for 10 runner_off_bus
probe
is "attach would start a runner beside the other daemon, so FUSE is chosen" "$(said .frontend) $STATUS" "fuse 3"
like "the reason names it" "$(said .reason)" "another daemon serves TCMU \(process $other, python3"
like "the next step is to end the daemon" "$(said .next_step)" "end process $other"
must "attach" "$STORAGEOS" attach db
is "attach prints the same reason" "$(reason_of db)" "$(said '"\(.frontend): \(.reason)"')"
must "detach" "$STORAGEOS" detach db
kill $other
wait_for 10 gone $other
probe
is "without the other daemon, TCMU is chosen" "$(said .frontend)" tcmu

# ---- the plugin is upgraded under the runner

must "attach" "$STORAGEOS" attach db
plugin=$(handler_directory)/handler_storageos.so
cp "$plugin" "$plugin.dpkg-new"
probe
like "a second copy is a warning" "$(warnings)" "tcmu-runner also loads $plugin.dpkg-new when"
mv "$plugin.dpkg-new" "$plugin"
probe
is "the runner has the old plugin" "$(said .tcmu_runner.loaded_plugin)" replaced
like "the old plugin is a warning" "$(warnings)" \
	'still uses the plugin that was replaced after it was started'
is "TCMU is chosen, and the step says what a restart means" \
	"$(said '"\(.frontend): \(.next_step)"')" \
	"tcmu: systemctl restart tcmu-runner (it serves 1 device, whose I/O waits meanwhile)"
must "detach" "$STORAGEOS" detach db
must "end the runner" kill "$(pidof tcmu-runner)"
must "wait for its name to go" wait_for 10 runner_off_bus

# ---- no more modules may be loaded

rmmod target_core_user
modprobe -a fuse loop
echo 1 >/proc/sys/kernel/modules_disabled
probe
is "a machine that loads no more modules: FUSE" "$(said .frontend) $STATUS" "fuse 3"
like "the reason names it" "$(said .reason)" \
	'may not load .*target_core_user.* \(kernel.modules_disabled'
must "attach" "$STORAGEOS" attach db
is "attach prints the same reason as probe" "$(reason_of db)" "$(said '"\(.frontend): \(.reason)"')"
check "detach" "$STORAGEOS" detach db
finish
