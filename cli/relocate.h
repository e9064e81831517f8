/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `rename` and `move` share: a detached volume gets another name (pool-move.h), and the user
 * is told what still has the old one.
 */
#pragma once

#include "cli/cli.h"

/* Makes `from` the volume `to`, or with `dry` only looks whether that can be done, and reports it
 * as `done` ("renamed from").  Returns the exit status. */
int relocate(const Cli *cli, const Verb *verb, const VolumeName *from, const VolumeName *to,
	     const char *done, gboolean dry);
