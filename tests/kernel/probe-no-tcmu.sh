#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# `storageos probe` on a real kernel that has LIO without TCMU: what is missing, FUSE, and the next step.
. "$(dirname "$0")/guest.sh"
need_built "$STORAGEOS" "$STORAGEOS_FUSE" "$STORAGEOS_PLUGIN"
need tcmu-runner tcmu-runner
enter_guest --timeout 200 --no-tcmu
own_config
cp "$STORAGEOS_PLUGIN" "$(handler_directory)/"

SAID=$("$STORAGEOS" probe --json)
status=$?
said() { jq -r "$1" <<<"$SAID"; }
is "the status says FUSE" $status 3
is "the table's row" "$(said .row.name)" \
	"$(grep -q '^ID=debian' /etc/os-release && echo "Debian 9 to 12" || echo "any other")"
is "LIO is there, TCMU is not" "$(said '"\(.lio) \(.tcmu)"')" "true false"
is "probe names what is missing" \
	"$(said '[.modules | to_entries[] | select(.value == "missing") | .key] | join(" ")')" \
	target_core_user
is "the front end and why" "$(said '"\(.frontend): \(.reason)"')" \
	"fuse: no TCMU: kernel $(uname -r) lacks target_core_user"
like "the step names the module" "$(said .next_step)" '^missing target_core_user: '
like "the text has the same step" "$("$STORAGEOS" probe)" '^next step +missing target_core_user: '
SAID=$("$STORAGEOS" probe --kernel "$(uname -r)" --json)
is "its files alone tell the same" "$(said '"\(.lio) \(.tcmu) \(.modules.target_core_user)"')" \
	"true false missing"
like "the reason is the same" "$(said .reason)" \
	"^no TCMU: kernel $(uname -r) lacks target_core_user(;|$)"
finish
