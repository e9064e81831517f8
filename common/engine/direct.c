/* SPDX-License-Identifier: Apache-2.0 */
#include "common/engine/direct.h"

#include <errno.h>
#include <string.h>

#include "common/base/bounds.h"
#include "common/base/error.h"
#include "common/engine/direct-growth.h"
#include "common/engine/volume-private.h"
#include "common/engine/wanted.h"

#define GRANULARITY (64 * KIB) /* of what the backings below give back */
#define ZEROS_PIECE (64 * KIB)
#define CHANGE_TRIES 10

/* The backing says that this volume is not ours any more; nothing else ends as these do. */
static int fail_if_fenced(Volume *volume, int r)
{
	if (r != -ESHUTDOWN && r != -EROFS)
		return r;
	if (!engine_has_failed(&volume->engine))
		engine_fail(&volume->engine, "the backing refuses changes: %s", g_strerror(-r));
	return -ESHUTDOWN;
}

static int direct_throttle(Volume *volume, guint64 bytes, guint changes, gboolean nowait)
{
	int r = volume_check_writable(volume);

	(void)bytes, (void)changes;
	return r ? r : volume_gate_pass(volume, nowait);
}

/* What lies behind the end of the backing has become smaller there: -EIO. */
static int direct_read_piece(Volume *volume, IovCursor *to, guint64 offset, gsize length,
			     BackingFlags flags, guint64 *ret_offset)
{
	struct iovec part[VOLUME_VECTOR];
	int r = 0;

	(void)ret_offset;
	while (length && !r) {
		gsize done;
		int n = iov_take(to, length, part, VOLUME_VECTOR, &done);

		r = backing_preadv(volume->engine.backing, part, n, offset, flags);
		offset += done;
		length -= done;
	}
	return r == -ENXIO ? -EIO : r;
}

/* After -EAGAIN nothing was written: a vector that takes two calls is not tried without waiting. */
static int direct_write_held(Volume *volume, IovCursor *from, guint64 offset, gsize length,
			     gboolean nowait, guint64 *ret_offset)
{
	struct iovec part[VOLUME_VECTOR];
	int r = wanted_still() ? 0 : -ECANCELED;

	(void)ret_offset;
	while (length && !r) {
		gsize done;
		int n = iov_take(from, length, part, VOLUME_VECTOR, &done);

		if (nowait && done < length)
			return -EAGAIN;
		r = backing_pwritev(volume->engine.backing, part, n, offset,
				    nowait ? BACKING_NOWAIT : BACKING_WAIT);
		offset += done;
		length -= done;
	}
	__atomic_fetch_add(&volume->changes, 1, __ATOMIC_RELEASE);
	return fail_if_fenced(volume, r);
}

static int write_zeros(Volume *volume, guint64 offset, guint64 length)
{
	static const guint8 zeros[ZEROS_PIECE];
	int r = 0;

	while (length && !r) {
		gsize piece = (gsize)min_u64(length, sizeof zeros);

		r = wanted_still() ? backing_pwrite(volume->engine.backing, zeros, piece, offset)
				   : -ECANCELED;
		offset += piece;
		length -= piece;
	}
	return r;
}

static int direct_zero_held(Volume *volume, guint64 offset, guint64 length)
{
	int r = wanted_still() ? backing_punch(volume->engine.backing, offset, length) : -ECANCELED;

	if (r == -EOPNOTSUPP)
		r = write_zeros(volume, offset, length);
	__atomic_fetch_add(&volume->changes, 1, __ATOMIC_RELEASE);
	return fail_if_fenced(volume, r);
}

static guint direct_write_together(Volume *volume, VolumeWrite *writes, guint n, gboolean nowait)
{
	(void)volume, (void)writes, (void)n, (void)nowait;
	return 0;
}

static int direct_sync(Volume *volume)
{
	int r = backing_flush(volume->engine.backing);

	if (r)
		engine_fail(&volume->engine, "flush: %s", g_strerror(-r));
	return r;
}

static int direct_extent(Volume *volume, guint64 offset, gboolean *ret_mapped, guint64 *ret_length)
{
	*ret_mapped = TRUE;
	*ret_length = volume_size(volume) - offset;
	return 0;
}

/* Overwritten and not punched: what was punched may still be in what the backing keeps of it. */
static int direct_erase(Volume *volume)
{
	guint64 size = volume_size(volume);
	RangeHold hold;
	int r;

	ranges_hold(&volume->ranges, &hold, 0, G_MAXUINT64, FALSE);
	r = write_zeros(volume, 0, size);
	__atomic_fetch_add(&volume->changes, 1, __ATOMIC_RELEASE);
	ranges_release(&volume->ranges, &hold);
	r = fail_if_fenced(volume, r);
	return r ? r : volume_flush(volume);
}

static gboolean direct_resize(Volume *volume, guint64 size, VolumeResizeFlags flags, guint seconds,
			      GError **error)
{
	Engine *engine = &volume->engine;
	int r;

	(void)flags;
	if (size < volume_size(volume))
		return error_set(error, STORAGEOS_ERROR_UNSUPPORTED,
				 "%s: it becomes smaller only where it lies: %s", engine->name,
				 backing_keeper(engine->backing));
	if (volume_is_on_standby(volume))
		return error_set(error, STORAGEOS_ERROR_BUSY, "%s: it is on standby", engine->name);
	r = direct_growth_run(volume->growth, size, seconds);
	if (r == -EBUSY)
		return error_set(error, STORAGEOS_ERROR_BUSY,
				 "%s: it becomes larger when its storage answers; ask again",
				 engine->name);
	if (r)
		return error_set_errno(error, fail_if_fenced(volume, r), "%s: change the size",
				       engine->name);
	__atomic_store_n(&engine->size, size, __ATOMIC_RELEASE);
	return TRUE;
}

/* ---- what users keep */

static int read_properties(Volume *volume, Properties *ret_properties)
{
	Backing *backing = volume->engine.backing;

	return backing->ops->read_properties(backing, ret_properties->text,
					     sizeof ret_properties->text);
}

static gboolean fail_to_set(const Volume *volume, int r, GError **error)
{
	const char *name = volume->engine.name;

	switch (r) {
	case -ECANCELED:
		return error_set(error, STORAGEOS_ERROR_BUSY,
				 "%s: others are changing its properties; try again", name);
	case -EBADMSG:
		return error_set(error, STORAGEOS_ERROR_INVALID,
				 "%s: what is in the place of its properties is no text of at most "
				 "%u bytes; remove it before",
				 name, PROPERTIES_MAX);
	case -ETIMEDOUT:
		return error_set(error, STORAGEOS_ERROR_IO,
				 "%s: its storage does not answer; its properties may still be "
				 "changed",
				 name);
	default:
		return error_set_errno(error, r, "%s: change its properties", name);
	}
}

/* What others write between reading and writing is read again. */
static gboolean direct_set_properties(Volume *volume, const Property *changes, guint n,
				      GError **error)
{
	Backing *backing = volume->engine.backing;
	int r = volume->engine.read_only ? -EROFS : -ECANCELED;
	Properties before, next;

	if (!backing->ops->write_properties)
		return volume_check_thin(volume, error);
	for (guint tries = 0; r == -ECANCELED && tries < CHANGE_TRIES; tries++) {
		r = read_properties(volume, &before);
		if (r)
			break;
		next = before;
		for (guint i = 0; i < n; i++)
			if (!properties_change(&next, &changes[i], error))
				return FALSE;
		r = backing->ops->write_properties(backing, before.text, next.text);
	}
	if (r)
		return fail_to_set(volume, r, error);
	volume_take_properties(volume, &next);
	return TRUE;
}

/* What is no text of properties counts as none. */
static gboolean take_properties(Volume *volume, GError **error)
{
	Properties properties;
	int r = volume->engine.backing->ops->read_properties ? read_properties(volume, &properties)
							     : -EBADMSG;

	if (!r)
		volume_take_properties(volume, &properties);
	return !r || r == -EBADMSG ||
	       error_set_errno(error, r, "%s: read its properties", volume->engine.name);
}

static void direct_get_info(Volume *volume, VolumeInfo *ret_info)
{
	Engine *engine = &volume->engine;

	*ret_info = (VolumeInfo){
		.state = engine->read_only	     ? VOLUME_READ_ONLY
			 : engine_has_failed(engine) ? VOLUME_FAILED
						     : VOLUME_OK,
		.size = volume_size(volume),
		.logical_block_size = volume->logical_block_size,
		.write_through = TRUE,
		.data_bytes = volume_size(volume),
		.head_bytes = volume_size(volume),
		.head_is_bound = TRUE,
		.backing_bytes = backing_allocated(engine->backing),
		.place = backing_place(engine->backing),
	};
	uuid_format(volume->uuid, ret_info->uuid);
}

const VolumeOps volume_ops_direct = {
	.direct = TRUE,
	.limits = {.discard_granularity = GRANULARITY},
	.throttle = direct_throttle,
	.read_piece = direct_read_piece,
	.write_held = direct_write_held,
	.zero_held = direct_zero_held,
	.write_together = direct_write_together,
	.sync = direct_sync,
	.extent = direct_extent,
	.erase = direct_erase,
	.checkpoint = volume_flush,
	.resize = direct_resize,
	.set_properties = direct_set_properties,
	.get_info = direct_get_info,
	.close = volume_flush,
};

static gboolean take_size(Volume *volume, GError **error)
{
	Engine *engine = &volume->engine;
	guint64 size = backing_size(engine->backing) & ~(guint64)(SECTOR_SIZE - 1);

	if (!volume_check_size(size, SECTOR_SIZE, engine->name, error))
		return FALSE;
	__atomic_store_n(&engine->size, size, __ATOMIC_RELEASE);
	return TRUE;
}

static gboolean begin_standby(Volume *volume, GError **error)
{
	if (!volume_can_stand_by(volume))
		return error_set(error, STORAGEOS_ERROR_UNSUPPORTED,
				 "%s: a %s cannot be on standby", volume->engine.name,
				 volume->engine.backing->ops->kind);
	volume->on_standby = TRUE;
	return TRUE;
}

/* AWAITED if anybody has the lock: whether that one lives shows only by trying to take it, which
 * takes half a minute where it does not. */
static gboolean is_free(Volume *volume, GError **error)
{
	BackingOwner owner = {0};

	if (!backing_can_be_taken_over(volume->engine.backing))
		return TRUE;
	if (!backing_owner(volume->engine.backing, &owner, error))
		return FALSE;
	return !*owner.client ||
	       error_set(error, STORAGEOS_ERROR_AWAITED, "%s: %s has its lock, or has died with it",
			 volume->engine.name, owner.client);
}

static gboolean take_lock(Volume *volume, VolumeOpenFlags flags, GError **error)
{
	gboolean writes = !volume->engine.read_only;

	if (flags & VOLUME_OPEN_STANDBY)
		return begin_standby(volume, error);
	if (flags & VOLUME_OPEN_HASTY && writes && !is_free(volume, error))
		return FALSE;
	return backing_lock(volume->engine.backing, writes, error);
}

static gboolean take_content(Volume *volume, const guint8 *uuid, VolumeOpenFlags flags,
			     GError **error)
{
	volume->ops = &volume_ops_direct;
	volume->logical_block_size = SECTOR_SIZE;
	volume->write_through = TRUE;
	memcpy(volume->uuid, uuid, sizeof volume->uuid);
	return take_lock(volume, flags, error) && take_size(volume, error) &&
	       take_properties(volume, error);
}

Volume *direct_open(Backing *backing, const char *name, const guint8 *uuid, VolumeOpenFlags flags,
		    GError **error)
{
	Volume *volume = volume_new(backing, name, (flags & VOLUME_OPEN_READ_ONLY) != 0, error);

	if (volume && take_content(volume, uuid, flags, error)) {
		volume->growth = direct_growth_new(backing);
		if (volume->growth)
			return volume;
		error_set_errno(error, ENOMEM, "%s: open", name);
	}
	if (volume)
		volume_free(volume);
	return NULL;
}

/* ---- standby */

gboolean volume_can_stand_by(const Volume *volume)
{
	return volume->ops->direct && !volume->engine.read_only &&
	       backing_can_be_taken_over(volume->engine.backing);
}

gboolean volume_is_on_standby(const Volume *volume)
{
	return __atomic_load_n(&volume->on_standby, __ATOMIC_ACQUIRE);
}

gboolean volume_owner(Volume *volume, BackingOwner *ret_owner, GError **error)
{
	return backing_owner(volume->engine.backing, ret_owner, error);
}

/* Without the properties of now, those that it had go on. */
gboolean volume_take_over(Volume *volume, const char *client, GError **error)
{
	g_autoptr(GError) problem = NULL;

	if (!backing_take_over(volume->engine.backing, client, error) || !take_size(volume, error))
		return FALSE;
	if (!take_properties(volume, &problem))
		log_warning("%s", problem->message);
	__atomic_store_n(&volume->on_standby, FALSE, __ATOMIC_RELEASE);
	return TRUE;
}

gboolean volume_is_fenced(Volume *volume)
{
	return backing_is_fenced(volume->engine.backing);
}
