/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Helpers of the allocator's tests.
 */
#pragma once

#include "common/base/units.h"
#include "common/engine/slots-private.h"
#include "tests/harness.h"

#define SLOTS_OFFSET MIB

static const Seal slots_seal = {1};

static inline Slots *slots_over(Backing *backing)
{
	Slots *slots = slots_new(backing, SLOTS_OFFSET, &slots_seal, FALSE, NULL);

	CHECK(slots != NULL);
	return slots;
}

/* The slot of bit `bit` in group 0. */
static inline guint64 slot_at(guint bit)
{
	return FORMAT_FIRST_INDEX + bit;
}

/* The slots of a group that are behind the end of the backing. */
static inline guint slots_behind_end(const Slots *slots, guint64 group)
{
	guint64 end = (backing_size(slots->backing) - slots->offset) / FORMAT_SLOT_SIZE;
	guint64 first = word_slot(group, 0);

	return end > first + FORMAT_BITMAP_BITS
		       ? 0
		       : FORMAT_BITMAP_BITS - (guint)(end > first ? end - first : 0);
}

/* Checks that the counts agree with the bits, and that every word is in one of the six states. */
static inline void check_counts(Slots *slots)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&slots->lock);
	guint64 all = 0, all_whole = 0, all_used = 0;

	for (guint64 g = 0; g < slots->n_groups; g++) {
		const SlotGroup *group = group_locked(slots, g);
		guint n_cold = 0, n_whole = 0, warm_free = 0;

		for (guint w = 0; w < WORDS; w++) {
			n_cold += word_is_cold(group, w);
			n_whole += !word_is_cold(group, w) && !group->used[w];
			all_used += 64 - word_free(group, w);
			if (!word_is_cold(group, w))
				warm_free += word_free(group, w);
			else if (group->used[w] || word_is_written(group, w))
				FAIL("group %" G_GUINT64_FORMAT ", word %u: cold, and not free", g,
				     w);
		}
		CHECK_UINT(group->n_cold, n_cold);
		CHECK_UINT(group->n_whole, n_whole);
		CHECK_UINT(group->warm_free, warm_free);
		all += warm_free;
		all_whole += n_whole;
		all_used -= slots_behind_end(slots, g);
	}
	CHECK_UINT(slots->warm_free, all);
	CHECK_UINT(slots->n_whole, all_whole);
	CHECK_UINT(slots->n_used, all_used);
}

static inline void check_run(SlotRun run, guint64 slot, guint32 count)
{
	CHECK_UINT(run.slot, slot);
	CHECK_UINT(run.count, count);
}

/* Checks that slots_alloc() returns exactly this run. */
static inline void check_alloc(Slots *slots, guint64 slot, guint32 count)
{
	SlotRun runs[FORMAT_RECORD_BLOCKS_MAX];
	guint n = 0;

	if (!CHECK_INT(slots_alloc(slots, count, runs, &n), 0) || !CHECK_UINT(n, 1))
		return;
	check_run(runs[0], slot, count);
	check_counts(slots);
}

/* Frees taken slots as a checkpoint does: as if they were written, and the map had dropped them. */
static inline void retire_and_thaw(Slots *slots, guint64 slot, guint32 count)
{
	CHECK_INT(slots_reserve(slots, 1), 0);
	slots_gain(slots, slot, count);
	slots_retire(slots, slot, count);
	slots_freeze(slots);
	CHECK_INT(slots_write_bitmaps(slots, 2), 0);
	slots_switch(slots);
	while (slots_thaw(slots))
		;
	check_counts(slots);
}

static inline gboolean slot_is_taken(Slots *slots, guint64 slot)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&slots->lock);
	guint bit = slot_bit(slot);

	return group_locked(slots, slot_group(slot))->used[bit / 64] >> (bit % 64) & 1;
}
