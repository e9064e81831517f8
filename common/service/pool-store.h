/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pools of Ceph: a volume is an image, made by us or by others, and the pool is what a module calls
 * a store (store.h).
 *
 * The configuration must have the pool's UUID.  Nothing asks Ceph for it alone: whatever asks Ceph
 * for something else sends it along, and it is compared there.  Every function that asks Ceph waits
 * for it as store.h says, and must not be followed by a fork() without exec().
 */
#pragma once

#include "common/engine/codec.h"
#include "common/service/pool-marker.h"
#include "common/service/pool.h"

/* The version of the module and of Ceph's library: "0.1.0, librbd 1.16.0".  UNSUPPORTED: "needs the
 * package storageos-rbd", or why it cannot be used.  Free the result. */
char *pool_store_version(GError **error);

/* "rbd:POOL[/NAMESPACE]/IMAGE?...", for backing_open().  Free the result. */
char *pool_store_uri(const ConfigPool *pool, const char *volume);

/* Whether the pool can be used, as far as this machine tells.  INVALID: the configuration has no
 * UUID for it; UNSUPPORTED: "pool 'x' needs the package storageos-rbd". */
gboolean pool_store_check(const ConfigPool *pool, GError **error);

/* Whether Ceph has the pool that the configuration names. */
gboolean pool_store_ask(const ConfigPool *pool, GError **error);

/* The names of all images, also of those that no volume can have.  Free with g_ptr_array_unref().
 */
GPtrArray *pool_store_list(const ConfigPool *pool, GError **error);

gboolean pool_store_space(const ConfigPool *pool, guint64 *ret_whole, guint64 *ret_available,
			  GError **error);

/* Makes the image, empty, which has blocks of 512 bytes and no write cache. */
gboolean pool_store_create(const ConfigPool *pool, const char *volume,
			   const VolumeParameters *parameters, char ret_uuid[UUID_TEXT],
			   GError **error);
gboolean pool_store_delete(const ConfigPool *pool, const char *volume, char ret_uuid[UUID_TEXT],
			   GError **error);

/* The marker of the pool that is where `wanted` says, which has no UUID.  NOT_FOUND: there is none.
 */
PoolMarker *pool_store_marker(const ConfigPool *wanted, GError **error);

/* As pool_check_adopt(), of `wanted` with the UUID of that marker. */
gboolean pool_store_check_adopt(const Config *config, const ConfigPool *wanted, GError **error);

/* As pool_create(), of the pool that `wanted` describes, without a UUID. */
gboolean pool_store_make(const Config *config, const ConfigPool *wanted, gboolean adopt,
			 GError **error);
