/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading.  The blocks of a piece are looked up at one instant, so that a read sees all or nothing
 * of a write of up to VOLUME_ATOMIC_MAX bytes.  Blocks are read in the order of their slots,
 * straight into the caller's memory: those in neighbouring slots, or nearly so, with one call. Each
 * is verified there (I4).  A block of which only a part is wanted is read to the stack, because its
 * checksum covers the whole block.
 *
 * A piece whose blocks are scattered would wait for the disk once for each group of neighbours.  So
 * the groups are first read without waiting, as long as they are in memory; at the first one that
 * is not, all that are left are asked for at once.
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
	guint64 bad;		 /* the first damaged block; G_MAXUINT64: none was found */
} Reading;

/* Logs and counts a damaged block (I4).  Returns -EBADMSG. */
static int bad_block(Volume *volume, guint64 block, guint64 slot, guint64 *ret_offset)
{
	const LoggingFields fields = {.event = "block-damaged", .volume = volume->engine.name};

	__atomic_fetch_add(&volume->checksum_errors, 1, __ATOMIC_RELAXED);
	logging_write_fields_limited(&volume->bad_blocks, LOGGING_ERROR, &fields,
				     "volume %s: block %" G_GUINT64_FORMAT
				     " (slot %" G_GUINT64_FORMAT "): checksum mismatch",
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

static int read_block(Volume *volume, Volume *base, guint64 block, guint8 *to, BackingFlags flags,
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
	return !r && base && map_found_base(&entry)
		       ? volume_read_block(base, block, to, flags, ret_offset)
		       : r;
}

int volume_read_block(Volume *volume, guint64 block, guint8 *to, BackingFlags flags,
		      guint64 *ret_offset)
{
	Volume *base = volume_base_enter(volume);
	int r = read_block(volume, base, block, to, flags, ret_offset);

	volume_base_leave(volume, base);
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

/* Blocks whose slots are no further apart are asked for together, or read together, with what lies
 * between.  A call costs as much as some slots that nobody wants. */
#define PREFETCH_GAP 8
#define READ_GAP 4
#define READ_SPAN 256 /* slots that are read together, at most: 1 MiB */

/* A block that is to be read. */
typedef struct {
	guint64 slot;
	guint index;  /* in reading->entries */
	IovCursor to; /* its memory */
} SlotRead;

static int compare_slots(const void *a, const void *b)
{
	guint64 x = ((const SlotRead *)a)->slot, y = ((const SlotRead *)b)->slot;

	return x < y ? -1 : x > y;
}

/* Advances the caller's cursor over n whole blocks.  Holes become zeros; the others are returned in
 * the order of their slots.  Returns how many these are. */
static guint sort_blocks(Reading *reading, guint n, SlotRead *ret_reads)
{
	gboolean sorted = TRUE;
	guint n_reads = 0;

	for (guint i = 0; i < n; i++) {
		guint64 slot = reading->entries[i].slot;

		if (!slot) {
			iov_zero(reading->to, BLOCK_SIZE);
			continue;
		}
		sorted = sorted && (!n_reads || ret_reads[n_reads - 1].slot < slot);
		ret_reads[n_reads++] = (SlotRead){slot, i, *reading->to};
		iov_advance(reading->to, BLOCK_SIZE);
	}
	if (!sorted)
		qsort(ret_reads, n_reads, sizeof *ret_reads, compare_slots);
	return n_reads;
}

/* Asks for blocks in the order of their slots. */
static void prefetch(const Engine *engine, const SlotRead *reads, guint n)
{
	for (guint i = 0, end; i < n; i = end) {
		for (end = i + 1; end < n && reads[end].slot - reads[end - 1].slot <= PREFETCH_GAP;
		     end++)
			;
		backing_prefetch(engine->backing, slots_offset(engine->slots, reads[i].slot),
				 (reads[end - 1].slot - reads[i].slot + 1) * FORMAT_SLOT_SIZE);
	}
}

/* Asks for all blocks that are left; behind these whole blocks one may be wanted in part. */
static void prefetch_rest(const Reading *reading, const SlotRead *reads, guint n, guint n_whole)
{
	const Engine *engine = &reading->volume->engine;

	prefetch(engine, reads, n);
	for (guint i = n_whole; i < reading->n; i++)
		if (reading->entries[i].slot)
			backing_prefetch(engine->backing,
					 slots_offset(engine->slots, reading->entries[i].slot),
					 FORMAT_SLOT_SIZE);
}

/* How many of n blocks are read together, from the first on. */
static guint group_length(const SlotRead *reads, guint n)
{
	guint end = 1;

	while (end < n && reads[end].slot - reads[end - 1].slot <= READ_GAP &&
	       reads[end].slot - reads[0].slot < READ_SPAN)
		end++;
	return end;
}

static gboolean vector_add(struct iovec *iov, int *count, void *base, gsize length)
{
	struct iovec *last = *count ? &iov[*count - 1] : NULL;

	if (last && (guint8 *)last->iov_base + last->iov_len == base) {
		last->iov_len += length;
		return TRUE;
	}
	if (*count == VOLUME_VECTOR)
		return FALSE;
	iov[(*count)++] = (struct iovec){base, length};
	return TRUE;
}

/* Makes the vector of a group: the memory of its blocks, and `unwanted` for each slot between them.
 * Returns its length; 0: the memory is in too many pieces. */
static int group_vector(const SlotRead *reads, guint n, guint8 *unwanted, struct iovec *ret_iov)
{
	int count = 0;

	for (guint i = 0; i < n; i++) {
		IovCursor to = reads[i].to;
		gsize left = BLOCK_SIZE, piece;

		for (guint64 slot = i ? reads[i - 1].slot + 1 : reads[i].slot; slot < reads[i].slot;
		     slot++)
			if (!vector_add(ret_iov, &count, unwanted, BLOCK_SIZE))
				return 0;
		for (; left; left -= piece) {
			void *base;

			piece = left;
			base = iov_next(&to, &piece);
			if (!vector_add(ret_iov, &count, base, piece))
				return 0;
		}
	}
	return count;
}

/* Reads a group into the caller's memory and does not verify it.  `left`: that many blocks are
 * left, these included.  -ENXIO: the backing ends before their end, or the memory is in too many
 * pieces; the memory's content is undefined. */
static int read_group(Reading *reading, const SlotRead *reads, guint n, guint left, guint n_whole)
{
	const Engine *engine = &reading->volume->engine;
	guint64 offset = slots_offset(engine->slots, reads->slot);
	struct iovec iov[VOLUME_VECTOR];
	guint8 unwanted[BLOCK_SIZE];
	int count = group_vector(reads, n, unwanted, iov);

	if (!count)
		return -ENXIO;
	if (reading->in_memory && (n < left || n_whole < reading->n)) {
		int r = backing_preadv(engine->backing, iov, count, offset, BACKING_NOWAIT);

		if (r != -EAGAIN)
			return r;
		reading->in_memory = FALSE;
		prefetch_rest(reading, reads, left, n_whole);
	}
	return backing_preadv(engine->backing, iov, count, offset, reading->flags);
}

/* Reads one block alone.  A damaged one is noted, if none before it is. */
static int read_alone(Reading *reading, guint64 block, const SlotRead *read)
{
	guint8 whole[BLOCK_SIZE];
	IovCursor to = read->to;
	int r = read_entry(reading->volume, block, &reading->entries[read->index], whole,
			   reading->flags, NULL);

	if (!r)
		iov_copy_in(&to, whole, BLOCK_SIZE);
	if (r != -EBADMSG)
		return r;
	reading->bad = min_u64(reading->bad, block);
	return 0;
}

/* Verifies the blocks of a group; `read`: they were read.  Those that do not match their checksum
 * in the caller's memory are read again alone. */
static int verify_group(Reading *reading, guint64 first, const SlotRead *reads, guint n,
			gboolean read)
{
	const Seal *seal = &reading->volume->engine.seal;
	int r = 0;

	for (guint i = 0; i < n && !r; i++) {
		guint64 block = first + reads[i].index;
		IovCursor at = reads[i].to;

		if (!read ||
		    !seal_block_vector_fits(seal, block, &at, reading->entries[reads[i].index].crc))
			r = read_alone(reading, block, &reads[i]);
	}
	return r;
}

/* Reads n whole blocks, and advances the caller's cursor.  A slot between blocks may be unreadable:
 * so what cannot be read together is read block by block. */
static int read_whole(Reading *reading, guint64 block, guint n)
{
	SlotRead reads[FORMAT_RECORD_BLOCKS_MAX];
	guint left = sort_blocks(reading, n, reads), length;
	int r = 0;

	for (const SlotRead *at = reads; left && !r; at += length, left -= length) {
		int together;

		length = group_length(at, left);
		together = read_group(reading, at, length, left, n);
		if (together && together != -ENXIO &&
		    (together == -EAGAIN || at[length - 1].slot - at->slot < length))
			return together;
		r = verify_group(reading, block, at, length, !together);
	}
	if (r || reading->bad == G_MAXUINT64)
		return r;
	if (reading->ret_offset)
		*reading->ret_offset = blocks_to_bytes(reading->bad);
	return -EBADMSG;
}

static int read_entries(Reading *reading, guint64 offset, gsize length)
{
	int r = 0;

	while (length && !r) {
		gsize from = offset & (BLOCK_SIZE - 1), done;
		guint64 block = block_of(offset);
		guint n = 1;

		if (from || length < BLOCK_SIZE) {
			done = MIN(length, BLOCK_SIZE - from);
			r = read_part(reading, block, reading->entries, from, done);
		} else {
			n = (guint)(length >> BLOCK_SHIFT);
			done = (gsize)n * BLOCK_SIZE;
			r = read_whole(reading, block, n);
		}
		reading->entries += n;
		reading->n -= n;
		offset += done;
		length -= done;
	}
	return r;
}

/* ---- the base of a linked clone */

/* The blocks of the base that begin with the first one: how many bytes, from `offset` on. */
static gsize base_run(const MapEntry *entries, guint64 offset, gsize length)
{
	gsize run = MIN(length, BLOCK_SIZE - (offset & (BLOCK_SIZE - 1)));

	for (guint i = 1; run < length && map_found_base(&entries[i]) == map_found_base(entries);
	     i++)
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

/* Reads those parts of [offset, offset + length) that `entries` say are the base's, to their
 * places. */
static int base_read(Volume *base, const MapEntry *entries, IovCursor to, guint64 offset,
		     gsize length, BackingFlags flags, guint64 *ret_offset)
{
	int r = 0;

	while (length && !r) {
		gsize run = base_run(entries, offset, length);

		if (map_found_base(entries))
			r = volume_read_piece(base, &to, offset, run, flags, ret_offset);
		else
			cursor_skip(&to, run);
		entries += block_of(offset + run) - block_of(offset);
		offset += run;
		length -= run;
	}
	return r;
}

static int read_piece(Volume *volume, Volume *base, IovCursor *to, guint64 offset, gsize length,
		      BackingFlags flags, guint64 *ret_offset)
{
	IovCursor begin = *to;
	MapEntry entries[FORMAT_RECORD_BLOCKS_MAX];
	guint64 first = block_of(offset);
	guint n = (guint)(block_of(offset + length - 1) - first + 1);
	Reading reading = {volume,     flags, ret_offset, to, entries, n, flags == BACKING_WAIT,
			   G_MAXUINT64};
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
	return !r && base ? base_read(base, entries, begin, offset, length, flags, ret_offset) : r;
}

int thin_read_piece(Volume *volume, IovCursor *to, guint64 offset, gsize length, BackingFlags flags,
		    guint64 *ret_offset)
{
	Volume *base = volume_base_enter(volume);
	int r = read_piece(volume, base, to, offset, length, flags, ret_offset);

	volume_base_leave(volume, base);
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
