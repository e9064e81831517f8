/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening a thin volume, and the table of what it does.
 */
#include "common/engine/direct.h"
#include "common/engine/recovery.h"
#include "common/engine/volume-private.h"
#include "common/engine/volume-reserve.h"

const VolumeOps volume_ops_thin = {
	.limits = {.atomic_max = VOLUME_ATOMIC_MAX, .discard_granularity = BLOCK_SIZE},
	.throttle = thin_throttle,
	.read_piece = thin_read_piece,
	.write_held = thin_write_held,
	.zero_held = thin_zero_held,
	.write_together = thin_write_together,
	.sync = thin_sync,
	.extent = thin_extent,
	.erase = thin_erase,
	.checkpoint = thin_checkpoint,
	.resize = thin_resize,
	.set_properties = thin_set_properties,
	.get_info = thin_get_info,
	.close = thin_close,
};

const VolumeLimits *volume_kind_limits(gboolean direct)
{
	return direct ? &volume_ops_direct.limits : &volume_ops_thin.limits;
}

static gboolean load_superblock(gpointer data, GError **error)
{
	Engine *engine = data;
	const Superblock *sb = &engine->superblock.current;

	if (!superblock_load(engine->backing, &engine->superblock, error) ||
	    !superblock_fits(engine->backing, sb, error))
		return FALSE;
	return !(sb->ro_compatible & ~FORMAT_RO_COMPATIBLE_KNOWN) || engine->read_only ||
	       error_set(error, STORAGEOS_ERROR_UNSUPPORTED,
			 "%s: has features that allow this program reading only", engine->name);
}

static gboolean open_engine(Volume *volume, VolumeOpenFlags flags, VolumeBaseOpen open_base,
			    gpointer data, GError **error)
{
	Engine *engine = &volume->engine;
	const Superblock *sb = &engine->superblock.current;

	if (!tenure_lock(engine->backing, !engine->read_only,
			 flags & VOLUME_OPEN_HASTY ? TENURE_HASTY : 0, load_superblock, engine,
			 &engine->tenure, error) ||
	    !volume_base_open(volume, sb, open_base, data, error) ||
	    !engine_init(engine, sb, error))
		return FALSE;
	engine->size = engine->next_size = sb->size;
	volume->grown_from = sb->grown_from;
	volume->logical_block_size = sb->logical_block_size;
	volume->write_through = (sb->ro_compatible & FORMAT_RO_WRITE_THROUGH) != 0;
	volume->journal_size = sb->journal_size;
	volume->groups_offset = sb->groups_offset;
	memcpy(volume->uuid, sb->uuid, sizeof volume->uuid);
	volume->properties = sb->properties;
	engine->durable_generation = sb->checkpoint;
	engine_set_scrub(engine, &(EngineScrub){sb->scrub_time, sb->scrub_blocks, sb->scrub_errors,
						sb->scrub_repaired});
	volume_join_cache(volume);
	return recovery_run(engine, error);
}

/* Half of a stream is nothing to write to. */
static gboolean check_receiving(Volume *volume, VolumeOpenFlags flags, GError **error)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED =
		lock_hold(slots_lists_lock(volume->engine.slots));
	const Snapshot *receiving = snapshots_receiving_locked(volume->engine.snapshots);

	return (flags & (VOLUME_OPEN_RECEIVE | VOLUME_OPEN_READ_ONLY)) || !receiving ||
	       error_set(error, STORAGEOS_ERROR_BUSY,
			 "%s: snapshot '%s' is being received into it (to give that up: "
			 "storageos import %s --abort)",
			 volume->engine.name, receiving->name, volume->engine.name);
}

Volume *volume_open(Backing *backing, const char *name, VolumeOpenFlags flags, GError **error)
{
	return volume_open_linked(backing, name, flags, NULL, NULL, error);
}

static Volume *open_direct(Backing *backing, const char *name, VolumeOpenFlags flags,
			   GError **error)
{
	guint8 uuid[16];

	backing->ops->identity(backing, uuid);
	return direct_open(backing, name, uuid, flags, error);
}

static void fail_as_lost(gpointer engine, const char *by)
{
	engine_fail(engine, "%s has taken its disk", by);
}

Volume *volume_open_linked(Backing *backing, const char *name, VolumeOpenFlags flags,
			   VolumeBaseOpen open_base, gpointer data, GError **error)
{
	Volume *volume;

	if (backing->ops->identity)
		return open_direct(backing, name, flags, error);
	volume = volume_new(backing, name, (flags & VOLUME_OPEN_READ_ONLY) != 0, error);
	if (!volume)
		return NULL;
	volume->ops = &volume_ops_thin;
	if (open_engine(volume, flags, open_base, data, error) &&
	    check_receiving(volume, flags, error)) {
		if (volume->engine.read_only)
			return volume;
		volume_reserve_open(volume);
		volume->checkpointer = checkpointer_new(&volume->engine, error);
		if (volume->engine.tenure && volume->checkpointer)
			tenure_on_loss(volume->engine.tenure, fail_as_lost, &volume->engine);
		if (volume->checkpointer)
			return volume;
	}
	volume_free(volume);
	return NULL;
}
