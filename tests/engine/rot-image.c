/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/engine/rot-image.h"

#include <errno.h>

#include "common/base/bytes.h"

typedef struct {
	Backing base;
	GMutex lock;
	RotImage *image; /* of a copy: the image; not owned */
	guint64 shown;	 /* bytes of the image that show, from its start */
	guint64 size;
	guint8 *own[ROT_UNITS_MAX]; /* the bytes of each unit that differs from the image */
	GArray *owned;		    /* guint64: the numbers of the units in `own` */
	GPtrArray *spare;	    /* memory for the next units: rot_copy_renew() frees nothing */
	GPtrArray **versions;	    /* of a recorder; else NULL */
	gboolean note;
} RotBacking;

/* The unit's bytes, for a change; `whole`: of all of them. */
static guint8 *make_own(RotBacking *rot, guint64 unit, gboolean whole)
{
	guint8 *bytes = rot->own[unit];
	guint64 offset = unit * ROT_UNIT, shown = 0;

	if (bytes)
		return bytes;
	bytes = rot->spare->len ? g_ptr_array_remove_index_fast(rot->spare, rot->spare->len - 1)
				: g_malloc(ROT_UNIT);
	if (!whole && offset < rot->shown) {
		shown = MIN(ROT_UNIT, rot->shown - offset);
		memcpy(bytes, rot->image->bytes + offset, shown);
	}
	if (!whole)
		memset(bytes + shown, 0, ROT_UNIT - shown);
	rot->own[unit] = bytes;
	g_array_append_val(rot->owned, unit);
	return bytes;
}

static void keep_version(RotBacking *rot, guint64 unit, const guint8 *bytes)
{
	GPtrArray *list;

	if (!rot->versions)
		return;
	list = rot->versions[unit];
	if (!list) {
		list = rot->versions[unit] = g_ptr_array_new_with_free_func(g_free);
		g_ptr_array_add(list, g_malloc0(ROT_UNIT)); /* the unit before its first write */
	}
	if (memcmp(list->pdata[list->len - 1], bytes, ROT_UNIT))
		g_ptr_array_add(list, memcpy(g_malloc(ROT_UNIT), bytes, ROT_UNIT));
}

static void note_read(RotBacking *rot, guint64 offset, gsize length)
{
	if (rot->note && rot->image && offset < rot->image->size)
		memset(rot->image->read + offset, 1, MIN(length, rot->image->size - offset));
}

static int rot_preadv(Backing *backing, const struct iovec *iov, int count, guint64 offset,
		      BackingFlags flags)
{
	RotBacking *rot = (RotBacking *)backing;
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&rot->lock);
	IovCursor to = iov_cursor(iov, count);
	gsize length = iov_length(iov, count);

	(void)flags;
	if (offset > rot->size || length > rot->size - offset)
		return -ENXIO;
	note_read(rot, offset, length);
	while (length) {
		gsize piece = MIN(length, ROT_UNIT - offset % ROT_UNIT);
		const guint8 *own = rot->own[offset / ROT_UNIT];

		if (own)
			iov_copy_in(&to, own + offset % ROT_UNIT, piece);
		else if (offset < rot->shown)
			iov_copy_in(&to, rot->image->bytes + offset, piece);
		else
			iov_zero(&to, piece);
		offset += piece;
		length -= piece;
	}
	return 0;
}

static int rot_pwritev(Backing *backing, const struct iovec *iov, int count, guint64 offset,
		       BackingFlags flags)
{
	RotBacking *rot = (RotBacking *)backing;
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&rot->lock);
	IovCursor from = iov_cursor(iov, count);
	gsize length = iov_length(iov, count);

	(void)flags;
	if (offset > rot->size || length > rot->size - offset)
		return -ENOSPC;
	while (length) {
		gsize piece = MIN(length, ROT_UNIT - offset % ROT_UNIT);
		guint8 *own = make_own(rot, offset / ROT_UNIT, piece == ROT_UNIT);

		iov_copy_out(&from, own + offset % ROT_UNIT, piece);
		keep_version(rot, offset / ROT_UNIT, own);
		offset += piece;
		length -= piece;
	}
	return 0;
}

static int rot_flush(Backing *backing)
{
	(void)backing;
	return 0;
}

static int rot_punch(Backing *backing, guint64 offset, guint64 length)
{
	(void)backing, (void)offset, (void)length;
	return -EOPNOTSUPP;
}

static guint64 rot_size(Backing *backing)
{
	RotBacking *rot = (RotBacking *)backing;
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&rot->lock);

	return rot->size;
}

static int rot_grow(Backing *backing, guint64 size)
{
	RotBacking *rot = (RotBacking *)backing;
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&rot->lock);

	if (size > (guint64)ROT_UNITS_MAX * ROT_UNIT)
		return -ENOSPC;
	rot->size = MAX(rot->size, size);
	return 0;
}

static gboolean rot_lock(Backing *backing, gboolean exclusive, GError **error)
{
	(void)backing, (void)exclusive, (void)error;
	return TRUE;
}

static guint64 rot_allocated(Backing *backing)
{
	return rot_size(backing);
}

static void rot_free(Backing *backing)
{
	RotBacking *rot = (RotBacking *)backing;

	for (guint64 unit = 0; unit < ROT_UNITS_MAX; unit++) {
		g_free(rot->own[unit]);
		if (rot->versions && rot->versions[unit])
			g_ptr_array_unref(rot->versions[unit]);
	}
	g_free(rot->versions);
	g_array_unref(rot->owned);
	g_ptr_array_set_free_func(rot->spare, g_free);
	g_ptr_array_unref(rot->spare);
	g_mutex_clear(&rot->lock);
	g_free(rot);
}

static const BackingOps rot_ops = {
	.kind = "rot",
	.preadv = rot_preadv,
	.pwritev = rot_pwritev,
	.flush = rot_flush,
	.punch = rot_punch,
	.size = rot_size,
	.grow = rot_grow,
	.lock = rot_lock,
	.allocated = rot_allocated,
	.free = rot_free,
};

static RotBacking *rot_new(RotImage *image)
{
	RotBacking *rot = g_new0(RotBacking, 1);

	backing_init(&rot->base, &rot_ops, "image");
	rot->image = image;
	rot->size = rot->shown = image ? image->size : 0;
	rot->owned = g_array_new(FALSE, FALSE, sizeof(guint64));
	rot->spare = g_ptr_array_new();
	g_mutex_init(&rot->lock);
	return rot;
}

Backing *rot_recorder_new(void)
{
	RotBacking *rot = rot_new(NULL);

	rot->versions = g_new0(GPtrArray *, ROT_UNITS_MAX);
	return &rot->base;
}

RotImage *rot_recorder_image(Backing *recorder)
{
	RotBacking *rot = (RotBacking *)recorder;
	RotImage *image = g_new0(RotImage, 1);

	image->size = rot->size;
	image->n_units = (rot->size + ROT_UNIT - 1) / ROT_UNIT;
	image->bytes = g_malloc0(image->n_units * ROT_UNIT);
	image->versions = g_new0(GPtrArray *, image->n_units);
	image->read = g_malloc0(image->size);
	for (guint64 unit = 0; unit < image->n_units; unit++) {
		if (rot->own[unit])
			memcpy(image->bytes + unit * ROT_UNIT, rot->own[unit], ROT_UNIT);
		if (rot->versions[unit])
			image->versions[unit] = g_ptr_array_ref(rot->versions[unit]);
	}
	return image;
}

void rot_image_free(RotImage *image)
{
	if (!image)
		return;
	for (guint64 i = 0; i < image->n_units; i++)
		g_clear_pointer(&image->versions[i], g_ptr_array_unref);
	g_free(image->versions);
	g_free(image->bytes);
	g_free(image->read);
	g_free(image);
}

Backing *rot_copy_new(RotImage *image)
{
	return &rot_new(image)->base;
}

void rot_copy_renew(Backing *copy)
{
	RotBacking *rot = (RotBacking *)copy;

	for (guint i = 0; i < rot->owned->len; i++) {
		guint64 unit = g_array_index(rot->owned, guint64, i);

		g_ptr_array_add(rot->spare, g_steal_pointer(&rot->own[unit]));
	}
	g_array_set_size(rot->owned, 0);
	rot->size = rot->shown = rot->image->size;
}

void rot_copy_flip(Backing *copy, guint64 offset, guint bit)
{
	make_own((RotBacking *)copy, offset / ROT_UNIT, FALSE)[offset % ROT_UNIT] ^=
		(guint8)(1u << bit);
}

void rot_copy_put(Backing *copy, guint64 unit, const guint8 *bytes)
{
	memcpy(make_own((RotBacking *)copy, unit, TRUE), bytes, ROT_UNIT);
}

void rot_copy_cut(Backing *copy, guint64 size)
{
	RotBacking *rot = (RotBacking *)copy;

	rot->size = rot->shown = size;
	if (size % ROT_UNIT)
		make_own(rot, size / ROT_UNIT, FALSE); /* zeros behind the cut, once it grows */
}

void rot_copy_note(Backing *copy)
{
	((RotBacking *)copy)->note = TRUE;
}
