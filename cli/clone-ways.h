/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ways to make a volume of a snapshot: by a reflink of the file, which copies nothing and binds
 * nothing; as a linked clone, which needs the snapshot; by a copy.
 */
#pragma once

#include "cli/cli.h"

typedef enum {
	CLONE_REFLINK = 1 << 0,
	CLONE_LINKED = 1 << 1,
	CLONE_COPY = 1 << 2,
} CloneWays;

/* Makes the volume `to` of the snapshot `from`, in the first of these ways that is possible at all;
 * *ret_how is its name ("reflink", "linked", "copy").  Holds signals back (interrupt.h).  FALSE:
 * nothing is left. */
gboolean clone_make(const Cli *cli, const VolumeName *from, const VolumeName *to, CloneWays ways,
		    const char **ret_how, GError **error);
