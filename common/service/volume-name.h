/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names by which people call volumes.
 *
 *     NAME         a volume of the pool `default`
 *     POOL/NAME    a volume of another pool
 *     /PATH        a block device that is a volume
 *
 * Names of pools and volumes match [a-z0-9][a-z0-9._-]{0,62}.
 */
#pragma once

#include <glib.h>

/* A parsed name; nothing is looked up. */
typedef struct {
	char *pool; /* NULL for a block device */
	char *name; /* of the volume; for a block device its absolute path */
} VolumeName;

/* Parses a name.  NULL with INVALID. */
VolumeName *volume_name_parse(const char *text, GError **error);
char *volume_name_format(const VolumeName *name); /* "POOL/NAME" or the path */
void volume_name_free(VolumeName *name);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VolumeName, volume_name_free)
