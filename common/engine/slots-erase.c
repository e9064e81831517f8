/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Erasing a group: every slot reads as zeros afterwards.  Slots that need no space are punched.  If
 * the backing cannot punch, bytes that are not zeros are overwritten.
 */
#include "common/base/bounds.h"
#include "common/base/large.h"
#include "common/engine/slots-private.h"

#include <errno.h>

#define PIECE WORD_BYTES

static const guint8 zeros[PIECE];

static gboolean is_zero(const guint8 *data, gsize length)
{
	return !data[0] && !memcmp(data, data + 1, length - 1);
}

/* Writes only where there is something else than zeros, so that a hole stays a hole. */
static int overwrite_with_zeros(Slots *slots, guint64 offset, guint64 end)
{
	guint8 *data = large_alloc(PIECE);
	int r = data ? 0 : -ENOMEM;

	while (offset < end && !r) {
		gsize length = (gsize)min_u64(end - offset, PIECE);

		if (backing_pread(slots->backing, data, length, offset) || !is_zero(data, length))
			r = backing_pwrite(slots->backing, zeros, length, offset);
		offset += length;
	}
	large_free(data, PIECE);
	return r;
}

/* Erases [offset, end) up to the end of the backing; gives space back. */
static int erase_bytes(Slots *slots, guint64 offset, guint64 end)
{
	int r;

	end = min_u64(end, backing_size(slots->backing));
	if (offset >= end)
		return 0;
	r = backing_punch(slots->backing, offset, end - offset);
	return r ? overwrite_with_zeros(slots, offset, end) : 0;
}

/* Fills [offset, end) with zeros; keeps the space below. */
static int zero_kept(Slots *slots, guint64 offset, guint64 end)
{
	int r = 0;

	for (; offset < end && !r; offset += PIECE)
		r = backing_pwrite(slots->backing, zeros, (gsize)min_u64(end - offset, PIECE),
				   offset);
	return r;
}

static gboolean is_kept(const SlotBits *kept, guint bit)
{
	return kept->words[bit / 64] >> (bit % 64) & 1;
}

/* Free slots of the group have no space below them any more, but those whose space is kept. */
static void note_erased(Slots *slots, guint64 number)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&slots->lock);
	SlotGroup *group = group_locked(slots, number);

	group->unknown = FALSE;
	for (guint w = 0; w < WORDS; w++) {
		if (word_is_backed(slots, number, w))
			continue;
		if (!group->used[w] && !word_is_cold(group, w))
			word_cool_down(slots, group, w);
		word_set_written(group, w, FALSE);
	}
}

/* How many bits of the group, from the first on, have space that is kept. */
static guint bits_backed(Slots *slots, guint64 number)
{
	guint64 words = slots_kept_backed(slots) / 64, before = number * WORDS;

	return words <= before ? 0 : (guint)min_u64(words - before, WORDS) * 64;
}

/* From the first slot that the bitmap covers to the end of the group. */
static int erase_group(Slots *slots, guint64 number, const SlotBits *kept)
{
	guint64 start = page_offset(slots, number, FORMAT_FIRST_INDEX);
	guint bit = 0, end, backed = bits_backed(slots, number);
	int r = 0;

	for (; bit < FORMAT_BITMAP_BITS && !r; bit = end) {
		gboolean keep = bit < backed || is_kept(kept, bit);
		guint64 from = start + (guint64)bit * FORMAT_SLOT_SIZE;

		for (end = bit + 1;
		     end < FORMAT_BITMAP_BITS && (end < backed || is_kept(kept, end)) == keep;
		     end++)
			;
		r = (keep ? zero_kept : erase_bytes)(slots, from,
						     start + (guint64)end * FORMAT_SLOT_SIZE);
	}
	if (!r)
		r = erase_bytes(slots, start + (guint64)FORMAT_BITMAP_BITS * FORMAT_SLOT_SIZE,
				page_offset(slots, number + 1, 0));
	if (!r)
		note_erased(slots, number);
	return r;
}

int slots_erase(Slots *slots, guint64 number, const SlotBits *kept)
{
	guint64 start = page_offset(slots, number, 0);
	int r;

	if (start >= backing_size(slots->backing))
		return 0;
	r = number < slots_groups(slots)
		    ? erase_group(slots, number, kept)
		    : erase_bytes(slots, start, page_offset(slots, number + 1, 0));
	return r ? r : 1;
}
