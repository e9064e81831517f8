/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading.  The blocks of a piece are looked up at one instant, so that a read sees all or nothing
 * of a write of up to VOLUME_ATOMIC_MAX bytes.  Blocks in neighbouring slots are read straight into
 * the caller's memory with one call, and each is verified there (I4).  A block of which only a part
 * is wanted is read to the stack, because its checksum covers the whole block.
 *
 * A piece whose blocks are scattered would wait for the disk once for each run.  So its runs are
 * first read without waiting, as long as they are in memory; at the first one that is not, all that
 * are left are asked for at once.
 *
 * A block that does not match its checksum is read once more, alone and from the same slot; if it
 * does not match again, the read fails.  The block is not looked up again: the map may by then have
 * a later write of it, which the read would mix with older content of the other blocks.
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
	const MapEntry *entries; /* of the blocks that are left */
	guint n;		 /* how many */
	gboolean in_memory;	 /* as far as was seen: so try without waiting first */
} Reading;

/* Logs and counts a damaged block (I4).  Returns -EBADMSG. */
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

/* Reads one whole block from the slot in which it was looked up.  The slot is not reused before
 * map_lookup_end(). */
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

/* Reads a part of one block, and advances the caller's cursor. */
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

/* Blocks whose slots are no further apart are asked for together, with what lies between. */
#define PREFETCH_GAP 8

static int compare_slots(const void *a, const void *b)
{
	guint64 x = *(const guint64 *)a, y = *(const guint64 *)b;

	return x < y ? -1 : x > y;
}

/* Asks for all blocks that are left, in the order of their slots. */
static void prefetch_rest(const Reading *reading)
{
	const Engine *engine = &reading->volume->engine;
	guint64 slots[FORMAT_RECORD_BLOCKS_MAX];
	guint n = 0, end;

	for (guint i = 0; i < reading->n; i++)
		if (reading->entries[i].slot)
			slots[n++] = reading->entries[i].slot;
	qsort(slots, n, sizeof *slots, compare_slots);
	for (guint i = 0; i < n; i = end) {
		for (end = i + 1; end < n && slots[end] - slots[end - 1] <= PREFETCH_GAP; end++)
			;
		backing_prefetch(engine->backing, slots_offset(engine->slots, slots[i]),
				 (slots[end - 1] - slots[i] + 1) * FORMAT_SLOT_SIZE);
	}
}

/* Reads n slots, which are followed by others if fewer than all that are left. */
static int read_slots(Reading *reading, const struct iovec *iov, int count, guint64 slot, guint n)
{
	const Engine *engine = &reading->volume->engine;
	guint64 offset = slots_offset(engine->slots, slot);

	if (reading->in_memory && n < reading->n) {
		int r = backing_preadv(engine->backing, iov, count, offset, BACKING_NOWAIT);

		if (r != -EAGAIN)
			return r;
		reading->in_memory = FALSE;
		prefetch_rest(reading);
	}
	return backing_preadv(engine->backing, iov, count, offset, reading->flags);
}

/* Reads n neighbouring slots into the caller's memory and does not verify them; the caller's cursor
 * stays where it is.  -ENXIO: the backing ends before their end, or the memory is in more than
 * VOLUME_VECTOR pieces; the memory's content is undefined. */
static int read_neighbours(Reading *reading, guint64 slot, guint n)
{
	struct iovec iov[VOLUME_VECTOR];
	IovCursor to = *reading->to;
	gsize length = (gsize)n * BLOCK_SIZE, got;
	int pieces = iov_take(&to, length, iov, VOLUME_VECTOR, &got);

	if (got < length)
		return -ENXIO;
	return read_slots(reading, iov, pieces, slot, n);
}

/* Reads whole blocks in neighbouring slots, and advances the caller's cursor.  At the start of
 * round i the cursor is before block i.  A block that matches its checksum in the caller's memory
 * is skipped; any other is read again alone. */
static int read_run(Reading *reading, guint64 block, guint n, const MapEntry *entries)
{
	const Seal *seal = &reading->volume->engine.seal;
	int r = read_neighbours(reading, entries->slot, n);

	if (r && r != -ENXIO)
		return r;
	for (guint i = 0; i < n; i++) {
		IovCursor next = *reading->to;
		int alone;

		if (!r && seal_block_vector_fits(seal, block + i, &next, entries[i].crc)) {
			*reading->to = next;
			continue;
		}
		alone = read_part(reading, block + i, &entries[i], 0, BLOCK_SIZE);
		if (alone)
			return alone;
	}
	return 0;
}

/* How many of n blocks, from the first on, are all holes, or are all in neighbouring slots. */
static guint run_length(const MapEntry *entries, guint n)
{
	guint i = 1;

	while (i < n && entries[i].slot == (entries->slot ? entries->slot + i : 0))
		i++;
	return i;
}

static int read_entries(Reading *reading, guint64 offset, gsize length)
{
	int r = 0;

	while (length && !r) {
		gsize from = offset & (BLOCK_SIZE - 1), done;
		const MapEntry *entries = reading->entries;
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
		reading->entries += n;
		reading->n -= n;
		offset += done;
		length -= done;
	}
	return r;
}

int volume_read_piece(Volume *volume, IovCursor *to, guint64 offset, gsize length,
		      BackingFlags flags, guint64 *ret_offset)
{
	MapEntry entries[FORMAT_RECORD_BLOCKS_MAX];
	guint64 first = block_of(offset);
	guint n = (guint)(block_of(offset + length - 1) - first + 1);
	Reading reading = {volume, flags, ret_offset, to, entries, n, flags == BACKING_WAIT};
	guint epoch;
	int r = map_lookup(volume->engine.map, first, n, entries, flags == BACKING_NOWAIT, &epoch);

	if (r == -EBADMSG)
		return volume_bad_node(volume, first, n, ret_offset);
	if (r)
		return r;
	if (volume->checkpointer)
		checkpointer_note_read(volume->checkpointer, first, n, entries);
	r = read_entries(&reading, offset, length);
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
			break; /* the state changes inside the leaf */
		if (!mapped)
			r = skip_hole(volume, &block);
	}
	if (r)
		return r == -EBADMSG ? bad_block(volume, block, 0, NULL) : r;
	*ret_mapped = mapped;
	*ret_length = min_u64(blocks_to_bytes(block), volume_size(volume)) - offset;
	return 0;
}
