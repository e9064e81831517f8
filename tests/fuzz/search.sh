#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs each fuzz target under libFuzzer for a short time: no stored input may fail, and no new failure
# may be found.  $STORAGEOS_FUZZ_SECONDS is the time for each target (default 20);
# $STORAGEOS_FUZZ_BUILD, if set, is the build directory.
. "$(dirname "$0")/../lib.sh"
need clang clang

while read -r line; do
	case $line in
	"ok "*) ok "${line#* - }" ;;
	"not ok "*) not_ok "${line#* - }" ;;
	"Bail out!"*) give_up "${line#Bail out! }" ;;
	"1.."*) ;;
	*) echo "$line" ;;
	esac
done < <("$ROOT/tests/fuzz/run" --jobs 2 ${STORAGEOS_FUZZ_BUILD:+--build-dir "$STORAGEOS_FUZZ_BUILD"} \
	"${STORAGEOS_FUZZ_SECONDS:-20}")
[ $tap_count -gt 0 ] || give_up "no target was run"
finish
