/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Erasing: what a group's slots hold goes, whoever had them.  Space is given back where the backing
 * can do that, since it reads as zeros then; else what is not zeros is overwritten.
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

/* Takes no space for what never had any: that reads as zeros. */
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

/* [offset, end), as far as the backing goes. */
static int erase_bytes(Slots *slots, guint64 offset, guint64 end)
{
	int r;

	end = min_u64(end, backing_size(slots->backing));
	if (offset >= end)
		return 0;
	r = backing_punch(slots->backing, offset, end - offset);
	return r ? overwrite_with_zeros(slots, offset, end) : 0;
}

/* Has space below, and keeps it. */
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

/* What is free of the group has no space below any more. */
static void note_erased(Slots *slots, guint64 number)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&slots->lock);
	SlotGroup *group = group_locked(slots, number);

	group->unknown = FALSE;
	for (guint w = 0; w < WORDS; w++) {
		if (!group->used[w] && !word_is_cold(group, w))
			word_cool_down(slots, group, w);
		word_set_written(group, w, FALSE);
	}
}

/* From the first slot that the bitmap speaks of to the group's end. */
static int erase_group(Slots *slots, guint64 number, const SlotBits *kept)
{
	guint64 start = page_offset(slots, number, FORMAT_FIRST_INDEX);
	guint bit = 0, end;
	int r = 0;

	for (; bit < FORMAT_BITMAP_BITS && !r; bit = end) {
		gboolean keep = is_kept(kept, bit);
		guint64 from = start + (guint64)bit * FORMAT_SLOT_SIZE;

		for (end = bit + 1; end < FORMAT_BITMAP_BITS && is_kept(kept, end) == keep; end++)
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
