/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading.  All blocks of a piece are looked up at one instant; neighbouring slots become one read
 * straight into the caller's memory, and every block is verified there.  Blocks of which only a
 * part is wanted go over a block on the stack, since the checksum covers all of it.
 *
 * What a block was looked up to be is read, however often it is read: looked up anew, it might be
 * of a write that the blocks beside it are not of.  A mismatch is read once more, by itself: then
 * it is a medium error.
 */
#include "common/base/bounds.h"
#include "common/engine/map-scan.h"
#include "common/engine/volume-private.h"

#include <errno.h>

typedef struct {
	Volume *volume;
	BackingFlags flags;
	guint64 *ret_offset;
	IovCursor *to;
} Reading;

static int bad_block(Volume *volume, guint64 block, guint64 slot, guint64 *ret_offset)
{
	__atomic_fetch_add(&volume->checksum_errors, 1, __ATOMIC_RELAXED);
	logging_write_limited(&volume->bad_blocks, LOGGING_ERROR,
			      "volume %s: block %" G_GUINT64_FORMAT " (slot %" G_GUINT64_FORMAT
			      "): checksum mismatch",
			      volume->engine.name, block, slot);
	if (ret_offset)
		*ret_offset = blocks_to_bytes(block);
	return -EBADMSG;
}

int volume_bad_node(Volume *volume, guint64 first, guint n, guint64 *ret_offset)
{
	Map *map = volume->engine.map;
	guint64 end = first + n, next; /* where the leaf after that of `first` begins */
	MapEntry entries[FORMAT_POINTERS_MAX];
	guint epoch;

	while ((next = map_leaf_end(map, first)) < end &&
	       !map_lookup(map, first, (guint)(next - first), entries, FALSE, &epoch)) {
		map_lookup_end(map, epoch);
		first = next;
	}
	return bad_block(volume, first, 0, ret_offset);
}

static int read_slot(Volume *volume, guint64 block, const MapEntry *entry, guint8 *to,
		     BackingFlags flags)
{
	struct iovec iov = {to, BLOCK_SIZE};
	int r = backing_preadv(volume->engine.backing, &iov, 1,
			       slots_offset(volume->engine.slots, entry->slot), flags);

	if (r)
		return r == -ENXIO ? -EBADMSG : r;
	return seal_block_fits(&volume->engine.seal, block, to, entry->crc) ? 0 : -EBADMSG;
}

/* One whole block, as it was looked up: what is in its slot stays until map_lookup_end(). */
static int read_entry(Volume *volume, guint64 block, const MapEntry *entry, guint8 *to,
		      BackingFlags flags, guint64 *ret_offset)
{
	if (!entry->slot) {
		memset(to, 0, BLOCK_SIZE);
		return 0;
	}
	for (guint attempt = 0; attempt < 2; attempt++) {
		int r = read_slot(volume, block, entry, to, flags);

		if (r != -EBADMSG)
			return r;
	}
	return bad_block(volume, block, entry->slot, ret_offset);
}

int volume_read_block(Volume *volume, guint64 block, guint8 *to, BackingFlags flags,
		      guint64 *ret_offset)
{
	MapEntry entry;
	guint epoch;
	int r = map_lookup(volume->engine.map, block, 1, &entry, flags == BACKING_NOWAIT, &epoch);

	if (r == -EBADMSG)
		return bad_block(volume, block, 0, ret_offset);
	if (r)
		return r;
	r = read_entry(volume, block, &entry, to, flags, ret_offset);
	map_lookup_end(volume->engine.map, epoch);
	return r;
}

/* Reads whole blocks in neighbouring slots; moves the caller's cursor on. */
static int read_run(Reading *reading, guint64 block, guint n, const MapEntry *entries)
{
	Volume *volume = reading->volume;
	struct iovec iov[VOLUME_VECTOR];
	IovCursor verify = *reading->to;
	gsize length = (gsize)n * BLOCK_SIZE, got;
	int pieces = iov_take(reading->to, length, iov, VOLUME_VECTOR, &got);
	int r = 0;

	if (got < length) /* in more pieces than fit: go block by block over the stack */
		*reading->to = verify;
	else
		r = backing_preadv(volume->engine.backing, iov, pieces,
				   slots_offset(volume->engine.slots, entries->slot),
				   reading->flags);
	if (r && r != -ENXIO)
		return r;
	for (guint i = 0; i < n; i++) {
		guint8 whole[BLOCK_SIZE];
		IovCursor at = verify;

		if (got == length && !r &&
		    seal_block_vector_fits(&volume->engine.seal, block + i, &verify,
					   entries[i].crc))
			continue;
		verify = at;
		r = read_entry(volume, block + i, &entries[i], whole, reading->flags,
			       reading->ret_offset);
		if (r)
			return r;
		iov_copy_in(&verify, whole, BLOCK_SIZE);
	}
	*reading->to = verify;
	return 0;
}

static int read_part(Reading *reading, guint64 block, const MapEntry *entry, gsize from,
		     gsize length)
{
	guint8 whole[BLOCK_SIZE];
	int r = read_entry(reading->volume, block, entry, whole, reading->flags,
			   reading->ret_offset);

	if (!r)
		iov_copy_in(reading->to, whole + from, length);
	return r;
}

/* How many whole blocks from the first on can be read as one: holes, or neighbouring slots. */
static guint run_length(const MapEntry *entries, guint n)
{
	guint i = 1;

	while (i < n && entries[i].slot == (entries->slot ? entries->slot + i : 0))
		i++;
	return i;
}

static int read_entries(Reading *reading, const MapEntry *entries, guint64 offset, gsize length)
{
	int r = 0;

	while (length && !r) {
		gsize from = offset & (BLOCK_SIZE - 1), done;
		guint64 block = block_of(offset);
		guint n = 1;

		if (from || length < BLOCK_SIZE) {
			done = MIN(length, BLOCK_SIZE - from);
			r = read_part(reading, block, entries, from, done);
		} else {
			n = run_length(entries, (guint)(length >> BLOCK_SHIFT));
			done = (gsize)n * BLOCK_SIZE;
			if (entries->slot)
				r = read_run(reading, block, n, entries);
			else
				iov_zero(reading->to, done);
		}
		entries += n;
		offset += done;
		length -= done;
	}
	return r;
}

int volume_read_piece(Volume *volume, IovCursor *to, guint64 offset, gsize length,
		      BackingFlags flags, guint64 *ret_offset)
{
	MapEntry entries[FORMAT_RECORD_BLOCKS_MAX];
	Reading reading = {volume, flags, ret_offset, to};
	guint64 first = block_of(offset);
	guint n = (guint)(block_of(offset + length - 1) - first + 1);
	guint epoch;
	int r = map_lookup(volume->engine.map, first, n, entries, flags == BACKING_NOWAIT, &epoch);

	if (r == -EBADMSG)
		return volume_bad_node(volume, first, n, ret_offset);
	if (r)
		return r;
	r = read_entries(&reading, entries, offset, length);
	map_lookup_end(volume->engine.map, epoch);
	return r;
}

static int read_all(Volume *volume, const struct iovec *iov, int n_iov, guint64 offset,
		    BackingFlags flags, guint64 *ret_offset)
{
	gsize length = iov_length(iov, n_iov);
	IovCursor to = iov_cursor(iov, n_iov);
	int r = volume_check_range(volume, offset, length);

	if (r)
		return r;
	while (length && !r) {
		gsize piece = MIN(length, VOLUME_ATOMIC_MAX);

		r = volume_read_piece(volume, &to, offset, piece, flags, ret_offset);
		offset += piece;
		length -= piece;
	}
	return r;
}

int volume_read(Volume *volume, const struct iovec *iov, int n_iov, guint64 offset,
		guint64 *ret_offset)
{
	return read_all(volume, iov, n_iov, offset, BACKING_WAIT, ret_offset);
}

int volume_read_nowait(Volume *volume, const struct iovec *iov, int n_iov, guint64 offset,
		       guint64 *ret_offset)
{
	return read_all(volume, iov, n_iov, offset, BACKING_NOWAIT, ret_offset);
}

/* Leaves of the map that one question of volume_extent() may look at: 256 MiB. */
#define EXTENT_LEAVES 256

/* How many blocks from `block` on, in its leaf, are mapped, or not, as the first is. */
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

/* Moves *block on over leaves that there are not, to the end of the volume at most. */
static int skip_hole(Volume *volume, guint64 *block)
{
	guint64 end, last = blocks_covering(volume_size(volume));
	int r = *block < last ? map_next_leaf(volume->engine.map, block, &end) : 0;

	if (!r || *block > last)
		*block = last;
	return MIN(r, 0);
}

int volume_extent(Volume *volume, guint64 offset, gboolean *ret_mapped, guint64 *ret_length)
{
	guint64 first = block_of(offset), block = first,
		last = blocks_covering(volume_size(volume));
	gboolean mapped = FALSE, here;
	int r = volume_check_range(volume, offset, SECTOR_SIZE);

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
			break; /* it changes inside the leaf */
		if (!mapped)
			r = skip_hole(volume, &block);
	}
	if (r)
		return r == -EBADMSG ? bad_block(volume, block, 0, NULL) : r;
	*ret_mapped = mapped;
	*ret_length = min_u64(blocks_to_bytes(block), volume_size(volume)) - offset;
	return 0;
}
