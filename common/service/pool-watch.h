/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The space of the pools whose volumes this process serves: one thread for each pool measures it,
 * each second while less than 16 GiB of a quota are left, otherwise each 5 s; a pool of Ceph each
 * minute.  It
 *   - makes an event when the pool has crossed a mark (pool-event.h);
 *   - allows the volumes what the pool's quota leaves (BackingOps.limit).
 * It reads the configuration again when its file has changed.
 *
 * Nobody waits for the thread: a file system that does not answer stops that thread alone, which
 * ends when it answers again; until then the quota is the one last measured.
 *
 * Threading: any.
 */
#pragma once

#include "common/backing/backing.h"
#include "common/service/config.h"

typedef struct PoolWatch PoolWatch;

/* Begins to watch the pool, or joins who does already.  If the pool has a quota, waits for the
 * first measurement, 2 s at most.  NULL with *error if there is no thread. */
PoolWatch *pool_watch_join(const Config *config, const ConfigPool *pool, GError **error);

/* Limits a backing in the pool to what the quota leaves.  The backing must be gone before
 * pool_watch_leave(). */
void pool_watch_limit(PoolWatch *watch, Backing *backing);

/* Does not wait; but of a pool of Ceph, the last one waits until a question to Ceph has ended
 * (store.h), because the process may end afterwards, and Ceph's libraries not be in use then.  NULL
 * is allowed. */
void pool_watch_leave(PoolWatch *watch);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PoolWatch, pool_watch_leave)
