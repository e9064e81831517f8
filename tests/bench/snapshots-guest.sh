#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What `tests/bench/snapshots --kernel` runs: the same in a guest, with the plugin in tcmu-runner, and dm-thin.
# STORAGEOS_BUILD: an optimized build with the plugin (default: build).
. "$(dirname "$0")/../kernel/guest.sh"
need_built "$STORAGEOS" "$STORAGEOS_PLUGIN"
need tcmu-runner tcmu-runner
need targetcli targetcli-fb
need fio fio
need mkfs.xfs xfsprogs
need lvcreate lvm2
need thin_delta thin-provisioning-tools
# The guest has no arguments but those in its environment.
: "${STORAGEOS_ARGUMENTS=$*}"
enter_guest --timeout 900 --disk 8G --mem 1536 --env "STORAGEOS_ARGUMENTS=$STORAGEOS_ARGUMENTS"
need_loop
modprobe dm-thin-pool || give_up "no dm-thin"
plugin_install
runner_start || give_up "no tcmu-runner"
# shellcheck disable=SC2086 # words
python3 "$ROOT/tests/bench/snapshots" --inside $STORAGEOS_ARGUMENTS
tap_finished=yes
