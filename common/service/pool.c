/* SPDX-License-Identifier: Apache-2.0 */
#include "common/service/pool-private.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/service/claim.h"
#include "common/base/error.h"
#include "common/base/files.h"
#include "common/engine/format.h"
#include "common/base/logging.h"
#include "common/base/names.h"
#include "common/service/pool-base.h"
#include "common/service/pool-marker.h"
#include "common/service/pool-store.h"
#include "common/service/pool-watch.h"
#include "common/service/readers.h"
#include "common/service/registry.h"
#include "common/engine/superblock.h"
#include "common/engine/tenure.h"
#include "common/base/text.h"
#include "common/base/units.h"

static Backing *volume_open_backing(const Config *config, const VolumeName *name,
				    BackingOpenFlags flags, GError **error)
{
	g_autofree char *path = pool_existing_path(config, name, error);
	Backing *backing = path ? backing_open(path, flags, error) : NULL;

	if (!backing)
		pool_fail("open", name, error);
	return backing;
}

/* ---- the pool's space */

/* What lives as long as an open volume. */
typedef struct {
	Claim *claim;
	PoolWatch *watch;
} Held;

static void held_release(gpointer data)
{
	Held *held = data;

	pool_watch_leave(held->watch);
	claim_release(held->claim);
	g_free(held);
}

/* Watches the pool's space for a volume that is written to; NULL if it has no pool, or cannot be
 * watched. */
static PoolWatch *pool_watch(const Config *config, const VolumeName *name, Backing *backing)
{
	const ConfigPool *pool = name->pool ? config_find_pool(config, name->pool) : NULL;
	g_autoptr(GError) error = NULL;
	PoolWatch *watch;

	if (!pool)
		return NULL;
	watch = pool_watch_join(config, pool, &error);
	if (watch)
		pool_watch_limit(watch, backing);
	else
		log_warning("pool %s: its space is not watched: %s", pool->name, error->message);
	return watch;
}

PoolWatch *pool_quota_watch(const Config *config, const VolumeName *name, Backing *backing)
{
	const ConfigPool *pool = name->pool ? config_find_pool(config, name->pool) : NULL;

	return pool && pool->quota ? pool_watch(config, name, backing) : NULL;
}

static void volume_hold(Volume *volume, Claim *claim, PoolWatch *watch)
{
	Held *held = g_new0(Held, 1);

	*held = (Held){claim, watch};
	volume_keep(volume, held, held_release);
}

Volume *pool_volume_open(const Config *config, const VolumeName *name, VolumeOpenFlags flags,
			 GError **error)
{
	g_autofree char *text = volume_name_format(name);
	g_autoptr(PoolWatch) watch = NULL;
	Volume *volume;
	gboolean read_only = name->snapshot || flags & VOLUME_OPEN_READ_ONLY;
	Backing *backing =
		volume_open_backing(config, name, read_only ? BACKING_OPEN_READ_ONLY : 0, error);

	if (!backing)
		return NULL;
	if (name->snapshot)
		return pool_snapshot_open(config, name, backing, FALSE, NULL, error);
	if (!read_only)
		watch = pool_quota_watch(config, name, backing);
	volume = volume_open_linked(backing, text, flags, pool_base_open, &(PoolBases){config, 0},
				    error);
	if (volume && watch)
		volume_hold(volume, NULL, g_steal_pointer(&watch));
	return volume;
}

/* ---- serving */

/* Adds to the error what the volume is served as, if its holder has said so. */
static void claim_explain_busy(const Config *config, const char *uuid, GError **error)
{
	g_autofree char *as = claim_holder_as(config, uuid);
	g_autofree char *text = as && error ? g_strdup((*error)->message) : NULL;

	if (!text)
		return;
	g_clear_error(error);
	error_set(error, STORAGEOS_ERROR_BUSY, "%s: it is %s already", text, as);
}

/* Locks the volume's file before it claims the UUID: the UUID may change until the file is locked,
 * and an error should rather name who has the file than who has the UUID. */
static Claim *claim_file(const Config *config, Backing *backing, const char *text, const char *as,
			 gboolean writes, GError **error)
{
	gboolean locked = backing_lock(backing, writes, error);
	char uuid[UUID_TEXT];
	SuperblockPair pair;

	if (!superblock_load(backing, &pair, locked ? error : NULL))
		return NULL;
	uuid_format(pair.current.uuid, uuid);
	if (locked)
		return claim_take(config, uuid, text, as, error);
	claim_explain_busy(config, uuid, error);
	return NULL;
}

/* The UUID of an image is for ever, and who has it on this machine is better known here than by
 * Ceph. */
static Claim *claim_backing(const Config *config, Backing *backing, const char *text,
			    const char *as, gboolean writes, GError **error)
{
	char uuid[UUID_TEXT];
	guint8 bytes[16];

	if (!backing->ops->identity)
		return claim_file(config, backing, text, as, writes, error);
	backing->ops->identity(backing, bytes);
	uuid_format(bytes, uuid);
	return claim_take(config, uuid, text, as, error);
}

void pool_note(const Config *config, const VolumeName *name, const char *uuid,
	       const char *uuid_of_pool)
{
	g_autoptr(GError) error = NULL;

	if (!registry_note(config, name, uuid, uuid_of_pool, &error))
		log_warning("volume %s/%s: cannot note in the registry that it exists: %s",
			    name->pool, name->name, error->message);
}

void pool_note_renamed(const Config *config, const VolumeName *name, const char *uuid,
		       const char *uuid_of_pool)
{
	g_autoptr(VolumeName) from = NULL;
	RegistryEntry known;

	if (registry_find(config, name, &known, NULL) && !strcmp(known.uuid, uuid))
		return;
	from = registry_find_renaming(config, name, uuid);
	if (from)
		registry_note_renamed(config, from, name, uuid_of_pool, NULL);
}

/* Called before the first request, so that a volume that was written to is never replaced by a new,
 * empty one. */
static void pool_note_served(const Config *config, const VolumeName *name, Volume *volume)
{
	const ConfigPool *pool = name->pool ? config_find_pool(config, name->pool) : NULL;
	g_autofree char *uuid = pool ? pool_uuid(pool, NULL) : NULL;
	VolumeInfo info;

	if (!uuid)
		return;
	volume_get_info(volume, &info);
	pool_note_renamed(config, name, info.uuid, uuid);
	pool_note(config, name, info.uuid, uuid);
}

Volume *pool_volume_serve(const Config *config, const VolumeName *name, VolumeOpenFlags flags,
			  const char *as, GError **error)
{
	g_autofree char *text = volume_name_format(name);
	gboolean writes = !name->snapshot && !(flags & VOLUME_OPEN_READ_ONLY);
	g_autoptr(Backing) backing =
		volume_open_backing(config, name, writes ? 0 : BACKING_OPEN_READ_ONLY, error);
	g_autoptr(PoolWatch) watch = NULL;
	g_autoptr(Claim) claim = NULL;
	Volume *volume;

	if (!backing)
		return NULL;
	if (name->snapshot)
		return pool_snapshot_open(config, name, g_steal_pointer(&backing), TRUE, as, error);
	if (!writes && pool_is_ceph(config, name)) {
		error_set(error, STORAGEOS_ERROR_UNSUPPORTED,
			  "%s is an image of Ceph, and not served for reading only (see: rbd map "
			  "--read-only)",
			  text);
		return NULL;
	}
	claim = claim_backing(config, backing, text, as, writes, error);
	if (!claim) {
		pool_fail("open", name, error);
		return NULL;
	}
	watch = writes ? pool_watch(config, name, backing) : NULL;
	volume = volume_open_linked(g_steal_pointer(&backing), text, flags, pool_base_open,
				    &(PoolBases){config, 0}, error);
	if (!volume)
		return NULL;
	volume_hold(volume, g_steal_pointer(&claim), g_steal_pointer(&watch));
	pool_note_served(config, name, volume);
	return volume;
}

gboolean pool_has_superblock(Backing *backing, GError **error)
{
	static const guint64 homes[] = {FORMAT_SUPERBLOCK_A, FORMAT_SUPERBLOCK_B};
	guint8 block[FORMAT_SUPERBLOCK_SIZE];
	gboolean found = FALSE;
	int err = 0;

	for (guint i = 0; i < G_N_ELEMENTS(homes) && !err; i++) {
		err = backing_pread(backing, block, sizeof block, homes[i]);
		found |= !err && !memcmp(block, FORMAT_MAGIC, strlen(FORMAT_MAGIC));
	}
	if (err)
		return error_set_errno(error, err, "read %s", backing->name);
	return found || error_set(error, STORAGEOS_ERROR_NOT_FOUND, "%s holds none", backing->name);
}

/* The superblocks are at the first end. */
gboolean pool_wipe_device(Backing *backing, GError **error)
{
	guint64 size = backing_size(backing);
	gsize edge = (gsize)MIN(size, POOL_EDGE);
	g_autofree char *zeros = g_try_malloc0(POOL_EDGE);
	int err = zeros ? 0 : -ENOMEM;

	if (!pool_has_superblock(backing, error))
		return FALSE;
	if (!err)
		err = backing_pwrite(backing, zeros, edge, 0);
	if (!err)
		err = backing_pwrite(backing, zeros, edge, size - edge);
	if (!err)
		err = backing_flush(backing);
	return !err || error_set_errno(error, err, "wipe %s", backing->name);
}

static void note_deleted(const Config *config, const VolumeName *name, const char *uuid)
{
	g_autofree char *uuid_of_pool = pool_uuid(config_find_pool(config, name->pool), NULL);
	g_autoptr(GError) error = NULL;

	if (uuid_of_pool)
		pool_note_renamed(config, name, uuid, uuid_of_pool);
	if (uuid_of_pool && !registry_note_deleted(config, name, uuid, uuid_of_pool, &error))
		log_warning("volume %s/%s: cannot note in the registry that it was deleted: %s",
			    name->pool, name->name, error->message);
}

/* Always TRUE. */
static gboolean pool_note_deleted(const Config *config, const VolumeName *name, Backing *backing)
{
	SuperblockPair pair = {0};
	char uuid[UUID_TEXT];

	superblock_load(backing, &pair, NULL); /* the UUID stays zero if the volume is damaged */
	uuid_format(pair.current.uuid, uuid);
	note_deleted(config, name, uuid);
	return TRUE;
}

/* A damaged volume has no snapshots that could be read. */
static gboolean snapshots_are_unused(const Config *config, Backing *backing, GError **error)
{
	char uuid[UUID_TEXT];
	SuperblockPair pair;

	if (!superblock_load(backing, &pair, NULL))
		return TRUE;
	uuid_format(pair.current.uuid, uuid);
	return readers_check_none(config->run_directory, uuid, error);
}

/* Nobody has it on this machine, as the lock says, nor on another one. */
static gboolean volume_is_unused(const Config *config, const VolumeName *name, Backing *backing,
				 GError **error)
{
	Tenure *tenure;

	if (!backing_lock(backing, TRUE, error) ||
	    (!name->pool && !pool_has_superblock(backing, error)) ||
	    !tenure_take(backing, 0, &tenure, error))
		return FALSE;
	tenure_end(tenure, TRUE);
	return snapshots_are_unused(config, backing, error);
}

static gboolean delete_image(const Config *config, const VolumeName *name, GError **error)
{
	char uuid[UUID_TEXT];

	if (!pool_store_delete(config_find_pool(config, name->pool), name->name, uuid, error))
		return pool_fail("delete", name, error);
	note_deleted(config, name, uuid);
	return TRUE;
}

static gboolean delete_file(const Config *config, const VolumeName *name, GError **error)
{
	g_autofree char *path = pool_existing_path(config, name, error);
	g_autoptr(Backing) backing = path ? backing_open(path, 0, error) : NULL;
	gboolean done = backing && volume_is_unused(config, name, backing, error) &&
			pool_check_no_clones(config, name, backing, error);

	if (done && !name->pool)
		done = pool_wipe_device(backing, error);
	else if (done)
		done = !unlink(path) || error_set_errno(error, errno, "remove %s", path);
	if (done && name->pool)
		done = files_sync_parent(path, error) && pool_note_deleted(config, name, backing);
	return done || pool_fail("delete", name, error);
}

gboolean pool_volume_may_delete(const Config *config, const VolumeName *name, GError **error)
{
	g_autofree char *path = NULL;
	g_autoptr(Backing) backing = NULL;
	gboolean may;

	if (!pool_check_thin(config, name, error))
		return pool_fail("delete", name, error);
	path = pool_existing_path(config, name, error);
	backing = path ? backing_open(path, 0, error) : NULL;
	may = backing && backing_lock(backing, TRUE, error) &&
	      (name->pool || pool_has_superblock(backing, error)) &&
	      snapshots_are_unused(config, backing, error) &&
	      pool_check_no_clones(config, name, backing, error);
	return may || pool_fail("delete", name, error);
}

gboolean pool_volume_delete(const Config *config, const VolumeName *name, GError **error)
{
	return pool_is_ceph(config, name) ? delete_image(config, name, error)
					  : delete_file(config, name, error);
}
