/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The size is in the superblock, and a checkpoint changes it together with the map's root
 * (checkpoint.h).  Before a volume becomes smaller, all blocks behind the new end are made a hole,
 * and their slots are freed: the checkpoint then has nothing to cut off.
 *
 * If the size is not a multiple of BLOCK_SIZE, the rest of the last block behind the end is zeros.
 * It is zeroed before a volume becomes smaller, and a write of a part of the block keeps the rest.
 */
#include "common/base/bounds.h"
#include "common/engine/volume-private.h"
#include "common/engine/volume-properties.h"
#include "common/engine/volume-reserve.h"

#include <errno.h>

/* ---- finding what is mapped */

static gboolean is_zero(const guint8 *data, gsize length)
{
	return !length || (!data[0] && !memcmp(data, data + 1, length - 1));
}

/* If `offset` is inside a block, looks at the rest of that block. */
static int look_at_edge(Volume *volume, guint64 offset, VolumeMapped *mapped)
{
	guint8 rest[BLOCK_SIZE];
	guint64 end = min_u64(blocks_to_bytes(blocks_covering(offset)), volume_size(volume));
	gsize length = (gsize)(end - offset);
	struct iovec iov = {rest, length};
	IovCursor to = iov_cursor(&iov, 1);
	int r = length ? volume_read_piece(volume, &to, offset, length, BACKING_WAIT, NULL) : 0;

	if (!r && !is_zero(rest, length))
		*mapped = (VolumeMapped){length, offset, end};
	return r;
}

int volume_mapped_behind(Volume *volume, guint64 offset, VolumeMapped *ret_mapped)
{
	guint64 at = blocks_to_bytes(blocks_covering(offset)), size = volume_size(volume);
	VolumeMapped mapped = {0};
	int r = look_at_edge(volume, offset, &mapped);

	while (!r && at < size) {
		gboolean here;
		guint64 length;

		r = volume_extent(volume, at, &here, &length);
		if (!r && here) {
			mapped.first = mapped.bytes ? mapped.first : at;
			mapped.bytes += length;
			mapped.end = at + length;
		}
		at += r ? 0 : length;
	}
	if (!r)
		*ret_mapped = mapped;
	return r;
}

/* ---- growing */

/* Has a checkpoint change the size.  If that checkpoint met a full disk, the resize is completed by
 * a later one, so a larger size that requests can see already is a success. */
static gboolean change_size(Volume *volume, guint64 size, guint seconds, GError **error)
{
	gboolean grows = size > volume_size(volume);
	int r = checkpointer_resize(volume->checkpointer, size, seconds);

	__atomic_fetch_add(&volume->changes, 1, __ATOMIC_RELEASE);
	if (!r || (grows && volume_size(volume) == size))
		return TRUE;
	if (r == -ETIMEDOUT)
		return error_set(error, STORAGEOS_ERROR_BUSY,
				 "%s: it takes longer than %u s to become durable, and goes on",
				 volume->engine.name, seconds);
	if (r == -ENOTEMPTY)
		return error_set(error, STORAGEOS_ERROR_BUSY,
				 "%s: what lies behind the new end cannot be freed now",
				 volume->engine.name);
	return error_set_errno(error, r, "%s: change the size", volume->engine.name);
}

/* Completes an earlier resize that timed out or met a full disk. */
static gboolean end_pending(Volume *volume, guint seconds, GError **error)
{
	guint64 next = __atomic_load_n(&volume->engine.next_size, __ATOMIC_RELAXED);

	return next == volume_size(volume) || change_size(volume, next, seconds, error);
}

/* ---- shrinking */

/* EXISTS if blocks behind the new end are mapped. */
static gboolean refuse_to_lose(Volume *volume, guint64 size, GError **error)
{
	VolumeMapped mapped = {0};
	g_autofree char *bytes = NULL, *first = NULL, *end = NULL;
	int r = volume_mapped_behind(volume, size, &mapped);

	if (r)
		return error_set_errno(error, r, "%s: look at what lies behind the new end",
				       volume->engine.name);
	if (!mapped.bytes)
		return TRUE;
	bytes = size_format(mapped.bytes);
	first = size_format(mapped.first);
	end = size_format(mapped.end);
	return error_set(error, STORAGEOS_ERROR_EXISTS,
			 "it would cut off %s of data between %s and %s (bytes %" G_GUINT64_FORMAT
			 " to %" G_GUINT64_FORMAT ")",
			 bytes, first, end, mapped.first, mapped.end - 1);
}

/* Makes all blocks behind the new end a hole, and waits until their slots are free. */
static gboolean cut_off(Volume *volume, guint64 size, guint seconds, GError **error)
{
	int r = volume_zero(volume, size, volume_size(volume) - size);

	if (r)
		return error_set_errno(error, r, "%s: discard what lies behind the new end",
				       volume->engine.name);
	return volume_settled(volume, volume_settle_own(volume), seconds) ||
	       error_set(error, STORAGEOS_ERROR_BUSY,
			 "%s: it takes longer than %u s to free what lies behind the new end",
			 volume->engine.name, seconds);
}

/* What the reserve is to be at that size. */
static gboolean resize_reserve(Volume *volume, guint64 size, guint seconds, GError **error)
{
	const VolumeReserveWatch watch = {.seconds = MAX(seconds, 1)}; /* 0 has no end */
	Properties properties;

	volume_get_properties(volume, &properties);
	return volume_reserve_change(volume, &properties, size, &watch, error);
}

static gboolean shrink_volume(Volume *volume, guint64 size, VolumeResizeFlags flags, guint seconds,
			      GError **error)
{
	if (!(flags & VOLUME_RESIZE_SHRINK))
		return error_set(error, STORAGEOS_ERROR_BUSY,
				 "%s: it is in use, and has %" G_GUINT64_FORMAT
				 " bytes: to become smaller it has to be detached",
				 volume->engine.name, volume_size(volume));
	if (!(flags & VOLUME_RESIZE_DISCARD) && !refuse_to_lose(volume, size, error))
		return FALSE;
	return cut_off(volume, size, seconds, error) && change_size(volume, size, seconds, error) &&
	       resize_reserve(volume, size, seconds, error);
}

static gboolean grow_volume(Volume *volume, guint64 size, guint seconds, GError **error)
{
	if (!resize_reserve(volume, size, seconds, error))
		return FALSE;
	if (change_size(volume, size, seconds, error))
		return TRUE;
	/* A resize that goes on needs it. */
	if (__atomic_load_n(&volume->engine.next_size, __ATOMIC_RELAXED) < size)
		resize_reserve(volume, volume_size(volume), seconds, NULL);
	return FALSE;
}

gboolean thin_resize(Volume *volume, guint64 size, VolumeResizeFlags flags, guint seconds,
		     GError **error)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&volume->setting_lock);

	if (!end_pending(volume, seconds, error))
		return FALSE;
	if (size == volume_size(volume))
		return TRUE;
	return size < volume_size(volume) ? shrink_volume(volume, size, flags, seconds, error)
					  : grow_volume(volume, size, seconds, error);
}
