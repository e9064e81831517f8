/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names by which people call volumes and their snapshots.
 *
 *     NAME           a volume of the pool `default`
 *     POOL/NAME      a volume of another pool
 *     /PATH          a block device that is a volume
 *     VOLUME@SNAP    a snapshot of the volume that is called VOLUME in one of these ways
 *
 * Names of pools, volumes and snapshots match [a-z0-9][a-z0-9._-]{0,62}.
 */
#pragma once

#include <glib.h>

/* A parsed name; nothing is looked up. */
typedef struct {
	char *pool;	/* NULL for a block device */
	char *name;	/* of the volume; for a block device its absolute path */
	char *snapshot; /* NULL: the volume itself */
} VolumeName;

/* Parses the name of a volume.  NULL with INVALID, also for the name of a snapshot: whoever can do
 * something with a snapshot calls volume_name_parse_any(). */
VolumeName *volume_name_parse(const char *text, GError **error);

/* Parses the name of a volume or of a snapshot.  NULL with INVALID. */
VolumeName *volume_name_parse_any(const char *text, GError **error);

/* "POOL/NAME" or the path; of a snapshot followed by "@SNAP".  Free the result. */
char *volume_name_format(const VolumeName *name);
void volume_name_free(VolumeName *name);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VolumeName, volume_name_free)
