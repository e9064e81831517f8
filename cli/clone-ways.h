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

/* The names of what is cloned and of the new volume, the verb's two arguments.  FALSE: the error
 * has been printed. */
gboolean clone_names_parse(const Cli *cli, const Verb *verb, VolumeName **ret_from,
			   VolumeName **ret_to);

/* Makes the volume `to` of the snapshot `from` (with CLONE_COPY also of a volume that nobody
 * changes meanwhile, or has open for writing), in the first of these ways that is possible at all;
 * *ret_how is its name ("reflink", "linked", "copy").  Holds signals back (interrupt.h).  FALSE:
 * nothing is left. */
gboolean clone_make(const Cli *cli, const VolumeName *from, const VolumeName *to, CloneWays ways,
		    const char **ret_how, GError **error);

/* Reports it: `from` as `member` of the JSON, "TO: DONE from FROM" as the line. */
void clone_report(const Cli *cli, const char *member, const char *done, const VolumeName *from,
		  const VolumeName *to, const char *how);
