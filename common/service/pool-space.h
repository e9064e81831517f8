/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much space a pool has.
 *
 * A pool with a quota has no more than that, of which its files take what the file system has
 * allocated to them (what several of them share counts for each), whatever else is in the file
 * system.
 *
 * Threading: any.
 */
#pragma once

#include "common/service/config.h"

typedef struct {
	guint64 size; /* of its file system, its quota, or of Ceph's pool: the least; bytes */
	guint64 free; /* what its volumes can still take; bytes */
	gint64 left;  /* of the quota, less than 0 if it is exceeded; G_MAXINT64: no quota */
} PoolSpace;

/* Asks the file system, or Ceph, and waits for it; of Ceph as pool-store.h says.  Does not check
 * that the pool is there. */
gboolean pool_space_read(const ConfigPool *pool, PoolSpace *ret_space, GError **error);

/* How full it is: the percentage of `size` that is not `free`, rounded down. */
guint pool_space_percent(guint64 size, guint64 free);
