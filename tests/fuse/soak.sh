#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Under mixed load the server's descriptors do not grow, and its threads are bounded: a few seconds of
# tests/bench/soak.
exec bash "$(dirname "$0")/../bench/soak" 12
