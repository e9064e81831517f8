/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/engine/rot-image.h"

#include <errno.h>

#include "common/bytes.h"

typedef struct {
	Backing base;
	GMutex lock;
	RotImage *image; /* of a copy; not owned ... */
	guint64 shown;   /* ... and how much of it is there, from its start */
	GHashTable *own; /* unit + 1 -> its bytes, where they are not the image's */
	guint64 size;
	GHashTable *versions; /* of a recorder: unit + 1 -> GPtrArray */
	gboolean note;
} RotBacking;

static guint8 *own_unit(const RotBacking *rot, guint64 unit)
{
	return g_hash_table_lookup(rot->own, GSIZE_TO_POINTER(unit + 1));
}

/* The unit's bytes, to be changed. */
static guint8 *make_own(RotBacking *rot, guint64 unit)
{
	guint8 *bytes = own_unit(rot, unit);
	guint64 offset = unit * ROT_UNIT;

	if (bytes)
		return bytes;
	bytes = g_malloc0(ROT_UNIT);
	if (offset < rot->shown)
		memcpy(bytes, rot->image->bytes + offset, MIN(ROT_UNIT, rot->shown - offset));
	g_hash_table_insert(rot->own, GSIZE_TO_POINTER(unit + 1), bytes);
	return bytes;
}

static void keep_version(RotBacking *rot, guint64 unit, const guint8 *bytes)
{
	GPtrArray *list;

	if (!rot->versions)
		return;
	list = g_hash_table_lookup(rot->versions, GSIZE_TO_POINTER(unit + 1));
	if (!list) {
		list = g_ptr_array_new_with_free_func(g_free);
		g_ptr_array_add(list, g_malloc0(ROT_UNIT)); /* before it was written */
		g_hash_table_insert(rot->versions, GSIZE_TO_POINTER(unit + 1), list);
	}
	if (memcmp(list->pdata[list->len - 1], bytes, ROT_UNIT))
		g_ptr_array_add(list, memcpy(g_malloc(ROT_UNIT), bytes, ROT_UNIT));
}

static void note_read(RotBacking *rot, guint64 offset, gsize length)
{
	guint64 first = offset / ROT_UNIT, end = (offset + length + ROT_UNIT - 1) / ROT_UNIT;

	if (rot->note && rot->image && first < rot->image->n_units)
		memset(rot->image->read + first, 1, MIN(end, rot->image->n_units) - first);
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
		const guint8 *own = own_unit(rot, offset / ROT_UNIT);

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
		guint8 *own = make_own(rot, offset / ROT_UNIT);

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

	g_hash_table_unref(rot->own);
	if (rot->versions)
		g_hash_table_unref(rot->versions);
	g_mutex_clear(&rot->lock);
	g_free(backing->name);
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

	rot->base.ops = &rot_ops;
	rot->base.name = g_strdup("image");
	rot->image = image;
	rot->size = rot->shown = image ? image->size : 0;
	rot->own = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	g_mutex_init(&rot->lock);
	return rot;
}

Backing *rot_recorder_new(void)
{
	RotBacking *rot = rot_new(NULL);

	rot->versions = g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)g_ptr_array_unref);
	return &rot->base;
}

RotImage *rot_recorder_image(Backing *recorder)
{
	RotBacking *rot = (RotBacking *)recorder;
	RotImage *image = g_new0(RotImage, 1);
	GHashTableIter iter;
	gpointer key, value;

	image->size = rot->size;
	image->n_units = (rot->size + ROT_UNIT - 1) / ROT_UNIT;
	image->bytes = g_malloc0(image->n_units * ROT_UNIT);
	image->versions = g_new0(GPtrArray *, image->n_units);
	image->read = g_malloc0(image->n_units);
	g_hash_table_iter_init(&iter, rot->own);
	while (g_hash_table_iter_next(&iter, &key, &value))
		memcpy(image->bytes + (GPOINTER_TO_SIZE(key) - 1) * ROT_UNIT, value, ROT_UNIT);
	g_hash_table_iter_init(&iter, rot->versions);
	while (g_hash_table_iter_next(&iter, &key, &value))
		image->versions[GPOINTER_TO_SIZE(key) - 1] = g_ptr_array_ref(value);
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

void rot_copy_flip(Backing *copy, guint64 offset, guint bit)
{
	make_own((RotBacking *)copy, offset / ROT_UNIT)[offset % ROT_UNIT] ^= (guint8)(1u << bit);
}

void rot_copy_put(Backing *copy, guint64 unit, const guint8 *bytes)
{
	memcpy(make_own((RotBacking *)copy, unit), bytes, ROT_UNIT);
}

void rot_copy_cut(Backing *copy, guint64 size)
{
	RotBacking *rot = (RotBacking *)copy;

	rot->size = rot->shown = size;
	if (size % ROT_UNIT)
		make_own(rot, size / ROT_UNIT); /* zeros behind the cut, once it grows */
}

void rot_copy_note(Backing *copy)
{
	((RotBacking *)copy)->note = TRUE;
}
