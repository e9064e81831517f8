/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The marker that makes a directory a pool: the file `.storageos-pool`, JSON with the members
 * format, uuid and name.  That of a pool of Ceph is an object (store.h).
 */
#pragma once

#include <glib.h>

#define POOL_MARKER ".storageos-pool"

typedef struct {
	char *uuid; /* lower case */
	char *name;
} PoolMarker;

/* Of the text of a marker, wherever it is kept: `place`, for messages. */
PoolMarker *pool_marker_parse(const char *text, const char *place, GError **error);

/* The text of a new marker, with a new UUID.  Free the result. */
char *pool_marker_text(const char *name);

/* NULL with NOT_FOUND (no marker), CORRUPT, UNSUPPORTED (a later format) or IO. */
PoolMarker *pool_marker_read(const char *directory, GError **error);
void pool_marker_free(PoolMarker *marker);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PoolMarker, pool_marker_free)

/* Writes a marker with a new UUID; durable when it returns TRUE.  FALSE with EXISTS if there is one
 * already. */
gboolean pool_marker_write(const char *directory, const char *name, GError **error);

/* Gives the marker another name, and keeps its UUID; in one step, durable when it returns TRUE. */
gboolean pool_marker_rename(const char *directory, const char *name, GError **error);
