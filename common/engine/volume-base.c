/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading through a linked clone.  The base is entered before blocks are looked up, so that it is
 * there if one of them is the base's; once flatten has taken it away, none is.
 *
 * Blocks of the base are read when no slot of the clone is being read any more (map_lookup_end()):
 * a base that does not answer holds up nothing but the requests that need it.
 */
#include "common/engine/volume-base.h"

#include <errno.h>
#include <string.h>

#include "common/base/bounds.h"
#include "common/engine/volume-private.h"

#define LEAVE_SECONDS 25
#define LEAVE_PAUSE_US 1000

Volume *volume_base_enter(Volume *volume)
{
	Volume *base;

	if (G_LIKELY(!volume->linked))
		return NULL;
	__atomic_add_fetch(&volume->base_users, 1, __ATOMIC_SEQ_CST);
	base = __atomic_load_n(&volume->base, __ATOMIC_SEQ_CST);
	if (!base)
		volume_base_leave(volume, volume);
	return base;
}

void volume_base_leave(Volume *volume, const Volume *base)
{
	if (base)
		__atomic_sub_fetch(&volume->base_users, 1, __ATOMIC_SEQ_CST);
}

/* If a request does not come back from the base's backing, the base stays open with the clone. */
void volume_base_drop(Volume *volume)
{
	Volume *base = __atomic_exchange_n(&volume->base, NULL, __ATOMIC_SEQ_CST);
	gint64 until = g_get_monotonic_time() + LEAVE_SECONDS * G_TIME_SPAN_SECOND;

	while (base && __atomic_load_n(&volume->base_users, __ATOMIC_SEQ_CST) &&
	       g_get_monotonic_time() < until)
		g_usleep(LEAVE_PAUSE_US);
	if (__atomic_load_n(&volume->base_users, __ATOMIC_SEQ_CST))
		volume->base_left = base;
	else
		volume_close(base, NULL);
}

guint volume_depth(Volume *volume)
{
	Volume *base = volume_base_enter(volume);
	guint depth = base ? 1 + volume_depth(base) : 0;

	volume_base_leave(volume, base);
	return depth;
}

/* ---- opening */

static gboolean base_fits(const Volume *volume, const BaseIdentity *wanted, GError **error)
{
	const BaseIdentity *found = &volume->base->self;

	return (!memcmp(found->snapshot, wanted->snapshot, sizeof wanted->snapshot) &&
		found->generation == wanted->generation && found->size == wanted->size &&
		found->root == wanted->root) ||
	       error_set(error, STORAGEOS_ERROR_CORRUPT,
			 "%s: its base '%s' is not what the clone was made of: it has another "
			 "size or content",
			 volume->engine.name, wanted->name);
}

gboolean volume_base_open(Volume *volume, const Superblock *sb, VolumeBaseOpen open_base,
			  gpointer data, GError **error)
{
	if (!(sb->incompatible & FORMAT_INCOMPATIBLE_BASE))
		return TRUE;
	volume->linked = TRUE;
	volume->base_identity = sb->base;
	if (!open_base)
		return error_set(error, STORAGEOS_ERROR_UNSUPPORTED,
				 "%s: it is a linked clone of '%s', which is needed to read it",
				 volume->engine.name, sb->base.name);
	volume->base = open_base(&sb->base, data, error);
	return volume->base && base_fits(volume, &sb->base, error);
}

void volume_as_base(const Volume *snapshot, const char *name, BaseIdentity *ret_base)
{
	*ret_base = snapshot->self;
	g_strlcpy(ret_base->name, name, sizeof ret_base->name);
}

gboolean volume_find_base(Backing *backing, BaseIdentity *ret_base)
{
	SuperblockPair pair;

	if (!superblock_load(backing, &pair, NULL) ||
	    !(pair.current.incompatible & FORMAT_INCOMPATIBLE_BASE))
		return FALSE;
	*ret_base = pair.current.base;
	return TRUE;
}

/* ---- reading */

static gboolean is_base(const MapEntry *entry)
{
	return !entry->slot && !entry->zero;
}

/* The blocks of the base that begin with the first one: how many bytes, from `offset` on. */
static gsize base_run(const MapEntry *entries, guint64 offset, gsize length)
{
	gsize run = MIN(length, BLOCK_SIZE - (offset & (BLOCK_SIZE - 1)));

	for (guint i = 1; run < length && is_base(&entries[i]) == is_base(entries); i++)
		run += MIN(length - run, BLOCK_SIZE);
	return run;
}

static void cursor_skip(IovCursor *cursor, gsize length)
{
	while (length) {
		gsize n = length;

		iov_next(cursor, &n);
		length -= n;
	}
}

int volume_base_read(Volume *base, const MapEntry *entries, IovCursor to, guint64 offset,
		     gsize length, BackingFlags flags, guint64 *ret_offset)
{
	int r = 0;

	while (length && !r) {
		gsize run = base_run(entries, offset, length);

		if (is_base(entries))
			r = volume_read_piece(base, &to, offset, run, flags, ret_offset);
		else
			cursor_skip(&to, run);
		entries += block_of(offset + run) - block_of(offset);
		offset += run;
		length -= run;
	}
	return r;
}

/* ---- extents */

/* How many blocks of a leaf, from `block` on, are in the state of the first one, of which
 * *ret_entry is the entry. */
static int leaf_state(Volume *volume, guint64 block, MapEntry *ret_entry, guint64 *ret_n)
{
	Map *map = volume->engine.map;
	MapEntry entries[FORMAT_POINTERS_MAX];
	guint64 end = min_u64(map_leaf_end(map, block), blocks_covering(volume_size(volume)));
	guint max = (guint)(end - block), n = 1, epoch;
	int r = map_lookup(map, block, max, entries, FALSE, &epoch);

	if (r)
		return r;
	map_lookup_end(map, epoch);
	while (n < max && !entries[n].slot == !entries->slot && entries[n].zero == entries->zero)
		n++;
	*ret_entry = *entries;
	*ret_n = n;
	return 0;
}

int volume_base_extent(Volume *volume, Volume *base, guint64 block, gboolean *ret_mapped,
		       guint64 *ret_n)
{
	guint64 n = 0, length, end = map_base_blocks(volume->engine.map);
	MapEntry entry;
	int r = map_hole(volume->engine.map, block, &entry, &n);

	if (!r && !n)
		r = leaf_state(volume, block, &entry, &n);
	if (r)
		return r;
	n = min_u64(n, blocks_covering(volume_size(volume)) - block);
	*ret_mapped = entry.slot != 0;
	if (is_base(&entry) && block < end) {
		r = volume_extent(base, blocks_to_bytes(block), ret_mapped, &length);
		n = min_u64(n, min_u64(blocks_covering(length), end - block));
	}
	*ret_n = n;
	return r;
}
