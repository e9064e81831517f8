/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Formatting, closing, flushing, and information about a volume.
 */
#include "common/engine/direct-growth.h"
#include "common/engine/journal-ring.h"
#include "common/engine/recovery.h"
#include "common/engine/volume-private.h"

#include <errno.h>
#include <sys/random.h>

#define CACHE_MIN (1 * MIB)
#define JOURNAL_SMALL (4 * MIB)
#define JOURNAL_LARGE (8 * MIB)
#define JOURNAL_LARGE_FROM (1 * GIB)
#define NODE_MEMORY ((guint64)4096 + 128) /* bytes that one cached node takes */

/* The open volumes of the process share one node cache. */
static Lock cache_lock = {.level = LOCK_CACHE};
static guint64 cache_bytes = 64 * MIB;
static GQueue cache_volumes = G_QUEUE_INIT;

static void cache_share_locked(void)
{
	guint64 each = cache_bytes / MAX(cache_volumes.length, 1);

	for (GList *l = cache_volumes.head; l; l = l->next)
		map_set_limit(((Volume *)l->data)->engine.map, MAX(each, CACHE_MIN) / NODE_MEMORY);
}

void volume_set_cache_size(guint64 bytes)
{
	lock_take(&cache_lock);
	cache_bytes = MAX(bytes, CACHE_MIN);
	cache_share_locked();
	lock_drop(&cache_lock);
}

void volume_join_cache(Volume *volume)
{
	lock_take(&cache_lock);
	volume->link.data = volume;
	g_queue_push_tail_link(&cache_volumes, &volume->link);
	cache_share_locked();
	lock_drop(&cache_lock);
}

static void cache_leave(Volume *volume)
{
	lock_take(&cache_lock);
	if (volume->link.data) {
		g_queue_unlink(&cache_volumes, &volume->link);
		cache_share_locked();
	}
	lock_drop(&cache_lock);
}

static gboolean random_bytes(void *to, gsize length, GError **error)
{
	if (getrandom(to, length, 0) != (gssize)length)
		return error_set_errno(error, errno, "random number");
	return TRUE;
}

gboolean volume_random_uuid(guint8 uuid[16], GError **error)
{
	if (!random_bytes(uuid, 16, error))
		return FALSE;
	uuid[6] = (guint8)((uuid[6] & 0x0f) | 0x40); /* RFC 4122, version 4 */
	uuid[8] = (guint8)((uuid[8] & 0x3f) | 0x80);
	return TRUE;
}

gboolean volume_check_size(guint64 size, guint32 logical_block_size, const char *name,
			   GError **error)
{
	if (size < VOLUME_SIZE_MIN || size > VOLUME_SIZE_MAX)
		return error_set(error, STORAGEOS_ERROR_INVALID,
				 "%s: size %" G_GUINT64_FORMAT " is out of range (1 MiB to 64 TiB)",
				 name, size);
	if ((logical_block_size != SECTOR_SIZE && logical_block_size != BLOCK_SIZE) ||
	    size % logical_block_size)
		return error_set(error, STORAGEOS_ERROR_INVALID,
				 "%s: size %" G_GUINT64_FORMAT
				 " is no multiple of the block size, %u (512 or 4096)",
				 name, size, logical_block_size);
	return TRUE;
}

gboolean volume_check_parameters(const VolumeParameters *p, const char *name, GError **error)
{
	guint64 journal = p->journal_size;

	if (!volume_check_size(p->size, p->logical_block_size ? p->logical_block_size : SECTOR_SIZE,
			       name, error))
		return FALSE;
	return !journal ||
	       (journal >= FORMAT_JOURNAL_MIN && journal <= FORMAT_JOURNAL_MAX &&
		journal % FORMAT_JOURNAL_UNIT == 0) ||
	       error_set(error, STORAGEOS_ERROR_INVALID,
			 "%s: journal of %" G_GUINT64_FORMAT
			 " bytes (64 KiB to 64 MiB, in units of 64 KiB)",
			 name, journal);
}

/* The superblock of a new volume. */
static gboolean superblock_new(const VolumeParameters *p, const BaseIdentity *base, Superblock *sb,
			       const char *name, GError **error)
{
	*sb = (Superblock){
		.incompatible = base ? FORMAT_INCOMPATIBLE_BASE : 0,
		.base_blocks = base ? blocks_covering(p->size) : 0,
		.size = p->size,
		.logical_block_size = p->logical_block_size ? p->logical_block_size : SECTOR_SIZE,
		.journal_size = p->journal_size,
		.ro_compatible = p->write_through ? FORMAT_RO_WRITE_THROUGH : 0,
		.generation = 1,
		.checkpoint = 1,
		.journal_sequence = 1,
		.fence_sequence = 1,
		.fence_generation = 2,
		.clean = TRUE,
	};
	if (!volume_check_parameters(p, name, error))
		return FALSE;
	if (base)
		sb->base = *base;
	if (p->properties && *p->properties->text) {
		sb->compatible = FORMAT_COMPATIBLE_PROPERTIES;
		sb->properties = *p->properties;
	}
	if (!sb->journal_size)
		sb->journal_size = p->size < JOURNAL_LARGE_FROM ? JOURNAL_SMALL : JOURNAL_LARGE;
	sb->levels = codec_levels(superblock_layout(sb), p->size);
	sb->groups_offset = FORMAT_JOURNAL_OFFSET + sb->journal_size;
	if (p->uuid)
		memcpy(sb->uuid, p->uuid, sizeof sb->uuid);
	return random_bytes(&sb->seed, sizeof sb->seed, error) &&
	       (p->uuid || volume_random_uuid(sb->uuid, error));
}

static int write_zeros(Backing *backing, guint64 offset, guint64 end)
{
	static const guint8 zeros[64 * 1024];
	int r = 0;

	for (; offset < end && !r; offset += sizeof zeros)
		r = backing_pwrite(backing, zeros, MIN(end - offset, sizeof zeros), offset);
	return r;
}

/* The superblocks are written last: a volume whose formatting was interrupted has none. */
static int write_format(Backing *backing, const Superblock *sb, const Tenure *tenure)
{
	SuperblockPair pair = {.home = 1};
	guint64 behind = tenure ? FORMAT_PULSE_OFFSET + FORMAT_TENURE_SIZE : FORMAT_TENURE_OFFSET;
	int r = backing_grow(backing, sb->groups_offset);

	if (!r)
		r = write_zeros(backing, 0, FORMAT_TENURE_OFFSET);
	if (!r)
		r = write_zeros(backing, behind, sb->groups_offset);
	if (!r)
		r = backing_flush(backing);
	return r ? r : superblock_store(backing, &pair, sb);
}

gboolean volume_format(Backing *backing, const VolumeParameters *parameters, GError **error)
{
	return volume_format_linked(backing, parameters, NULL, error);
}

gboolean volume_format_linked(Backing *backing, const VolumeParameters *parameters,
			      const BaseIdentity *base, GError **error)
{
	Tenure *tenure;
	Superblock sb;
	int r;

	if (!superblock_new(parameters, base, &sb, backing->name, error) ||
	    !backing_lock(backing, TRUE, error) || !tenure_take(backing, 0, &tenure, error))
		return FALSE;
	r = write_format(backing, &sb, tenure);
	tenure_end(tenure, TRUE);
	return r ? error_set_errno(error, r, "%s: write a new volume", backing->name) : TRUE;
}

void volume_free(Volume *volume)
{
	direct_growth_free(volume->growth);
	checkpointer_free(volume->checkpointer);
	tenure_end(volume->engine.tenure, !volume->abandoned);
	usage_state_free(volume->usage);
	cache_leave(volume);
	engine_clear(&volume->engine);
	volume_close(volume->base, NULL);
	volume_close(volume->base_left, NULL);
	ranges_clear(&volume->ranges);
	g_mutex_clear(&volume->setting_lock);
	g_mutex_clear(&volume->properties_lock);
	g_mutex_clear(&volume->usage_lock);
	lock_clear(&volume->gate_lock);
	g_cond_clear(&volume->gate_opened);
	lock_clear(&volume->flush_lock);
	g_cond_clear(&volume->flushed);
	if (volume->held)
		volume->release(volume->held);
	g_free(volume);
}

Volume *volume_new(Backing *backing, const char *name, gboolean read_only, GError **error)
{
	Volume *volume = g_try_new0(Volume, 1);

	if (!volume) {
		backing_free(backing);
		error_set_errno(error, ENOMEM, "%s: open", name);
		return NULL;
	}
	volume->engine.backing = backing;
	volume->engine.name = g_strdup(name);
	volume->engine.read_only = read_only;
	lock_init(&volume->engine.failure_lock, LOCK_FAILURE);
	g_mutex_init(&volume->setting_lock);
	g_mutex_init(&volume->properties_lock);
	g_mutex_init(&volume->usage_lock);
	lock_init(&volume->gate_lock, LOCK_GATE);
	g_cond_init(&volume->gate_opened);
	lock_init(&volume->flush_lock, LOCK_FLUSH);
	g_cond_init(&volume->flushed);
	ranges_init(&volume->ranges);
	return volume;
}

guint64 volume_available(const Volume *volume)
{
	return backing_available(volume->engine.backing);
}

void volume_keep(Volume *volume, gpointer held, GDestroyNotify release)
{
	volume->held = held;
	volume->release = release;
}

int thin_close(Volume *volume)
{
	int r;

	checkpointer_free(volume->checkpointer);
	volume->checkpointer = NULL;
	r = checkpoint_make(&volume->engine, TRUE);
	/* Space or memory ran out.  The journal has all changes: a flush suffices. */
	if (r == -ENOSPC || r == -ENOMEM) {
		journal_settle_marks(volume->engine.journal);
		r = backing_flush(volume->engine.backing);
	}
	return r;
}

gboolean volume_close(Volume *volume, GError **error)
{
	gboolean good = TRUE;
	int r = volume && !volume->engine.read_only ? volume->ops->close(volume) : 0;

	if (!volume)
		return TRUE;
	if (r)
		good = error_set_errno(error, r, "%s: close", volume->engine.name);
	volume_free(volume);
	return good;
}

void volume_abandon(Volume *volume)
{
	volume->abandoned = TRUE;
	volume_free(volume);
}

guint64 volume_size(const Volume *volume)
{
	return engine_size(&volume->engine);
}

gboolean volume_had_size(const Volume *volume, guint64 size)
{
	return volume->grown_from && size >= volume->grown_from && size < volume_size(volume);
}

guint32 volume_logical_block_size(const Volume *volume)
{
	return volume->logical_block_size;
}

int volume_check_range(const Volume *volume, guint64 offset, guint64 length)
{
	guint64 size = volume_size(volume);

	if ((offset | length) & (SECTOR_SIZE - 1))
		return -EINVAL;
	return offset > size || length > size - offset ? -EINVAL : 0;
}

int volume_check_writable(Volume *volume)
{
	if (volume->engine.read_only)
		return -EROFS;
	if (engine_has_failed(&volume->engine))
		return -ESHUTDOWN;
	return __atomic_load_n(&volume->on_standby, __ATOMIC_ACQUIRE) ? -EBUSY : 0;
}

void volume_get_uuid(const Volume *volume, char ret_uuid[37])
{
	uuid_format(volume->uuid, ret_uuid);
}

gint64 volume_failed_since(Volume *volume)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&volume->engine.failure_lock);

	return volume->engine.failed_since;
}

char *volume_failure(Volume *volume)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&volume->engine.failure_lock);

	return g_strdup(volume->engine.failure);
}

int thin_sync(Volume *volume)
{
	Engine *engine = &volume->engine;
	guint64 written = journal_written(engine->journal);
	int r = backing_flush(engine->backing);

	if (r)
		engine_fail(engine, "flush: %s", g_strerror(-r));
	else
		journal_mark_durable(engine->journal, written);
	checkpointer_note_flush(volume->checkpointer);
	return r;
}

/* Flushes for all requests that asked before (I1).  The flush lock is held, and dropped during the
 * I/O.
 *
 * Flushes are shared here and in backing_flush(), for different reasons.  There, checkpoints and
 * requests share one fdatasync.  Here, requests share the durable-mark that follows the fdatasync;
 * otherwise each would write one.  The flag `flushing` also lets scrub verify the marks while
 * nobody writes them (volume_verify_marks()). */
static void flush_unlocking(Volume *volume)
{
	guint64 ticket = ++volume->flush_begun;
	guint64 changes;
	int r;

	volume->flushing = TRUE;
	lock_drop(&volume->flush_lock);
	changes = __atomic_load_n(&volume->changes, __ATOMIC_ACQUIRE);
	r = volume->ops->sync(volume);
	lock_take(&volume->flush_lock);
	volume->flushing = FALSE;
	volume->flush_done = ticket;
	volume->flush_result = r;
	if (!r)
		volume->flushed_changes = changes;
	g_cond_broadcast(&volume->flushed);
}

int volume_flush(Volume *volume)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&volume->flush_lock);
	guint64 changes = __atomic_load_n(&volume->changes, __ATOMIC_ACQUIRE);
	guint64 ticket = volume->flush_begun + 1; /* of a flush that begins after this call */
	int r = volume_check_writable(volume);

	if (r == -EROFS || r == -EBUSY) /* nothing was changed */
		return 0;
	if (r)
		return r;
	while (volume->flush_done < ticket && volume->flushed_changes < changes) {
		if (engine_has_failed(&volume->engine))
			return -ESHUTDOWN;
		if (volume->flushing)
			lock_wait(&volume->flushed, &volume->flush_lock);
		else
			flush_unlocking(volume);
	}
	if (volume->flushed_changes >= changes)
		return 0;
	return volume->flush_result ? -EIO : 0;
}

/* Reads the marks and returns which are damaged.  Nobody writes marks meanwhile: no flush runs, and
 * none is left for the checkpoint thread to write. */
static guint look_at_marks(Volume *volume)
{
	guint damaged;

	lock_take(&volume->flush_lock);
	while (volume->flushing)
		lock_wait(&volume->flushed, &volume->flush_lock);
	volume->flushing = TRUE;
	lock_drop(&volume->flush_lock);
	journal_settle_marks(volume->engine.journal);
	damaged = journal_damaged_marks(volume->engine.backing, &volume->engine.seal, TRUE);
	lock_take(&volume->flush_lock);
	volume->flushing = FALSE;
	g_cond_broadcast(&volume->flushed);
	lock_drop(&volume->flush_lock);
	return damaged;
}

guint volume_verify_marks(Volume *volume, gboolean repair)
{
	guint damaged = look_at_marks(volume);

	if (!damaged || !repair)
		return 0;
	/* A flush rewrites the copies of the durable-mark; a checkpoint rewrites its own mark. */
	__atomic_add_fetch(&volume->changes, 1, __ATOMIC_RELEASE);
	if (volume_flush(volume) || volume_checkpoint(volume))
		return 0;
	return (guint)__builtin_popcount(damaged & ~look_at_marks(volume));
}

int thin_checkpoint(Volume *volume)
{
	return volume->checkpointer ? checkpointer_run(volume->checkpointer) : -EROFS;
}

static guint count_snapshots(Engine *engine)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = NULL;

	if (!engine->snapshots)
		return 0;
	locker = lock_hold(slots_lists_lock(engine->slots));
	return snapshots_count_locked(engine->snapshots);
}

gboolean volume_has_snapshots(Volume *volume)
{
	return count_snapshots(&volume->engine) > 0;
}

void thin_get_info(Volume *volume, VolumeInfo *ret_info)
{
	Engine *engine = &volume->engine;
	EngineScrub scrub = engine_get_scrub(engine);
	TidyInfo tidy = {0};
	guint64 groups = engine->journal ? slots_groups(engine->slots) : 0; /* with bitmaps */
	guint64 reserve = __atomic_load_n(&volume->reserve, __ATOMIC_RELAXED);
	guint64 slots = __atomic_load_n(&volume->reserve_slots, __ATOMIC_RELAXED);
	MapInfo map;

	if (volume->checkpointer)
		checkpointer_get_tidy_info(volume->checkpointer, &tidy);
	map_get_info(engine->map, &map);
	*ret_info = (VolumeInfo){
		.state = engine->read_only	     ? VOLUME_READ_ONLY
			 : engine_has_failed(engine) ? VOLUME_FAILED
						     : VOLUME_OK,
		.size = volume_size(volume),
		.logical_block_size = volume->logical_block_size,
		.write_through = volume->write_through,
		.generation = __atomic_load_n(&engine->durable_generation, __ATOMIC_RELAXED),
		.data_bytes = map.data_slots * FORMAT_SLOT_SIZE,
		.metadata_bytes = volume->groups_offset +
				  (map.node_slots + FORMAT_FIRST_INDEX * groups) * FORMAT_SLOT_SIZE,
		.head_bytes = map.head_data * FORMAT_SLOT_SIZE,
		.head_is_bound = map.head_bound,
		.snapshots = count_snapshots(engine),
		.depth = volume_depth(volume),
		.reserve_bytes = reserve,
		.reserve_ready = reserve && slots_kept_backed(engine->slots) >= slots,
		.pending_bytes = map.pending_bytes,
		.backing_bytes = backing_allocated(engine->backing),
		.place = backing_place(engine->backing),
		.journal_size = volume->journal_size,
		.journal_used = engine->journal ? journal_used(engine->journal) : 0,
		.checkpoints = volume->checkpointer ? checkpointer_count(volume->checkpointer) : 0,
		.checksum_errors = __atomic_load_n(&volume->checksum_errors, __ATOMIC_RELAXED),
		.copies_repaired = map.mended + slots_mended(engine->slots) +
				   engine->recovery_mended +
				   __atomic_load_n(&engine->scrub_mended, __ATOMIC_RELAXED),
		.cache_nodes = map.nodes,
		.cache_hits = map.hits,
		.cache_misses = map.misses,
		.scrub_time = scrub.time,
		.scrub_blocks = scrub.blocks,
		.scrub_errors = scrub.errors,
		.scrub_repaired = scrub.repaired,
		.tidied_bytes = tidy.moved_bytes,
		.run_bytes = tidy.run_bytes,
		.tidying = tidy.under_way,
	};
	if (ret_info->depth) {
		g_strlcpy(ret_info->base, volume->base_identity.name, sizeof ret_info->base);
		ret_info->base_bytes = blocks_to_bytes(map_base_blocks(engine->map));
	}
	uuid_format(volume->uuid, ret_info->uuid);
}

/* ---- what the two kinds of volumes do differently */

const VolumeLimits *volume_limits(const Volume *volume)
{
	return &volume->ops->limits;
}

gboolean volume_is_direct(const Volume *volume)
{
	return volume->ops->direct;
}

int volume_extent(Volume *volume, guint64 offset, gboolean *ret_mapped, guint64 *ret_length)
{
	int r = volume_check_range(volume, offset, SECTOR_SIZE);

	return r ? r : volume->ops->extent(volume, offset, ret_mapped, ret_length);
}

int volume_erase(Volume *volume)
{
	int r = wanted_still() ? volume_check_writable(volume) : -ECANCELED;

	return r ? r : volume->ops->erase(volume);
}

int volume_checkpoint(Volume *volume)
{
	return volume->ops->checkpoint(volume);
}

void volume_get_info(Volume *volume, VolumeInfo *ret_info)
{
	volume->ops->get_info(volume, ret_info);
}

gboolean volume_resize(Volume *volume, guint64 size, VolumeResizeFlags flags, guint seconds,
		       GError **error)
{
	int r = volume_check_writable(volume);

	if (!volume_check_size(size, volume->logical_block_size, volume->engine.name, error))
		return FALSE;
	if (r)
		return error_set_errno(error, r, "%s: change the size", volume->engine.name);
	return volume->ops->resize(volume, size, flags, seconds, error);
}

guint64 volume_settle(Volume *volume)
{
	return volume->checkpointer ? checkpointer_settle(volume->checkpointer, TRUE) : 0;
}

guint64 volume_settle_own(Volume *volume)
{
	return volume->checkpointer ? checkpointer_settle(volume->checkpointer, FALSE) : 0;
}

gboolean volume_settled(Volume *volume, guint64 ticket, guint seconds)
{
	return volume_is_direct(volume) ||
	       (volume->checkpointer &&
		checkpointer_settled(volume->checkpointer, ticket, seconds));
}

void volume_tidy(Volume *volume)
{
	if (volume->checkpointer)
		checkpointer_tidy(volume->checkpointer);
}
