#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What reads bytes of others, under libFuzzer for a short while each: what is kept is sound, and
# nothing new is found quickly.  $STORAGEOS_FUZZ_SECONDS for each target, 20 unless set;
# $STORAGEOS_FUZZ_BUILD is a build directory for that, used where it is set.
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
