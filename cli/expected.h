/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The volumes that this machine is configured to serve after a boot: those of an enabled unit
 * storageos-attach@, and those of a backstore in the target's saved configuration.  What cannot be
 * read is left out.
 */
#pragma once

#include "common/service/volume-name.h"

/* Where that configuration names a volume or a snapshot. */
typedef struct {
	VolumeName *name;
	char *where;	 /* "unit UNIT in DIRECTORY", "backstore NAME in FILE" */
	gboolean serves; /* FALSE: another unit of ours, such as storageos-scrub@ */
} ExpectedUse;

/* All places (ExpectedUse *).  Free with g_ptr_array_unref(). */
GPtrArray *expected_uses(void);

/* The names (VolumeName *) of what is to be served, each once.  Does not look whether they exist.
 * Free with g_ptr_array_unref(). */
GPtrArray *expected_volumes(void);

/* What `systemd-escape --unescape` makes of the instance of a unit; NULL if it is not the escaped
 * form of any text.  Free the result. */
char *expected_unescape(const char *instance);
