/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which blocks are mapped.  Of a linked clone, the clone and its base are looked at piece by piece,
 * as far as the clone reads the base.
 */
#include <errno.h>

#include "common/base/bounds.h"
#include "common/engine/volume-private.h"

/* How many leaves of the map one call of volume_extent() looks at (I9): they cover 256 MiB. */
#define EXTENT_LEAVES 256

/* How many blocks from `block` on are mapped, or are holes, as the first one is; to the end of its
 * leaf at most. */
static int leaf_extent(Volume *volume, guint64 block, gboolean *ret_mapped, guint *ret_n)
{
	MapEntry entries[FORMAT_POINTERS_MAX];
	guint64 end = map_leaf_end(volume->engine.map, block);
	guint max = (guint)(min_u64(end, blocks_covering(volume_size(volume))) - block);
	guint n = 1, epoch;
	int r = map_lookup(volume->engine.map, block, max, entries, FALSE, &epoch);

	if (r)
		return r;
	map_lookup_end(volume->engine.map, epoch);
	while (n < max && !entries[n].slot == !entries->slot)
		n++;
	*ret_mapped = entries->slot != 0;
	*ret_n = n;
	return 0;
}

/* Moves *block to the next leaf that exists, or to the end of the volume. */
static int skip_hole(Volume *volume, guint64 *block)
{
	guint64 end, last = blocks_covering(volume_size(volume));
	int r = *block < last ? map_next_leaf(volume->engine.map, block, &end) : 0;

	if (!r || *block > last)
		*block = last;
	return MIN(r, 0);
}

static int extent_alone(Volume *volume, guint64 offset, gboolean *ret_mapped, guint64 *ret_length)
{
	guint64 first = block_of(offset), block = first,
		last = blocks_covering(volume_size(volume));
	gboolean mapped = FALSE, here;
	int r = 0;

	for (guint i = 0; !r && block < last && i < EXTENT_LEAVES; i++) {
		guint n;

		r = leaf_extent(volume, block, &here, &n);
		if (r)
			break;
		if (block == first)
			mapped = here;
		else if (here != mapped)
			break;
		block += n;
		if (node_place(map_layout(volume->engine.map), block) && block < last)
			break; /* the state changes inside the leaf */
		if (!mapped)
			r = skip_hole(volume, &block);
	}
	if (r)
		return r == -EBADMSG ? volume_bad_node(volume, block, 1, NULL) : r;
	*ret_mapped = mapped;
	*ret_length = min_u64(blocks_to_bytes(block), volume_size(volume)) - offset;
	return 0;
}

/* ---- of a linked clone */

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

/* Whether the clone or its base has `block`, and how many blocks from there on, at least, are the
 * same; of a hole of both, not always all. */
static int base_extent(Volume *volume, Volume *base, guint64 block, gboolean *ret_mapped,
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
	if (map_found_base(&entry) && block < end) {
		r = volume_extent(base, blocks_to_bytes(block), ret_mapped, &length);
		n = min_u64(n, min_u64(blocks_covering(length), end - block));
	}
	*ret_n = n;
	return r;
}

static int extent_with_base(Volume *volume, Volume *base, guint64 offset, gboolean *ret_mapped,
			    guint64 *ret_length)
{
	guint64 block = block_of(offset), last = blocks_covering(volume_size(volume)), n;
	gboolean mapped, here;
	int r = base_extent(volume, base, block, &mapped, &n);

	for (guint i = 0; !r && i < EXTENT_LEAVES && block + n < last; i++) {
		block += n;
		r = base_extent(volume, base, block, &here, &n);
		if (!r && here != mapped)
			n = 0;
		if (!n)
			break;
	}
	if (r)
		return r == -EBADMSG ? volume_bad_node(volume, block, 1, NULL) : r;
	*ret_mapped = mapped;
	*ret_length = min_u64(blocks_to_bytes(block + n), volume_size(volume)) - offset;
	return 0;
}

/* ---- */

int thin_extent(Volume *volume, guint64 offset, gboolean *ret_mapped, guint64 *ret_length)
{
	Volume *base = volume_base_enter(volume);
	int r = base ? extent_with_base(volume, base, offset, ret_mapped, ret_length)
		     : extent_alone(volume, offset, ret_mapped, ret_length);

	volume_base_leave(volume, base);
	return r;
}
