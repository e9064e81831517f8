#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Under mixed load the server's descriptors and threads do not grow: a few seconds of tests/bench/soak.
exec bash "$(dirname "$0")/../bench/soak" 12
