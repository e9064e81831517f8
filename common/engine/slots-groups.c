/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The groups in memory: their bits, the counts of free slots, and growth.
 */
#include "common/engine/slots-private.h"

#include <errno.h>

guint64 slots_offset(const Slots *slots, guint64 slot)
{
	return slots->offset + slot * FORMAT_SLOT_SIZE;
}

/* Counts the free slots of a new group.  Wholly free words become cold. */
static void group_count(Slots *slots, SlotGroup *group)
{
	for (guint w = 0; w < WORDS; w++) {
		guint n = word_free(group, w);

		group->warm_free = (guint16)(group->warm_free + n);
		slots->warm_free += n;
		if (n == 64)
			word_cool_down(slots, group, w);
	}
}

/* Marks slots beyond the end of the backing as used: a block device may end within a group. */
static void group_cut_at_end(const Slots *slots, SlotGroup *group, guint64 number)
{
	guint64 end = (backing_size(slots->backing) - slots->offset) / FORMAT_SLOT_SIZE;
	guint64 first = number << FORMAT_GROUP_SHIFT;
	guint64 usable = end > first + FORMAT_FIRST_INDEX ? end - first - FORMAT_FIRST_INDEX : 0;

	for (guint64 bit = usable; bit < FORMAT_BITMAP_BITS; bit++)
		group->used[bit / 64] |= (guint64)1 << (bit % 64);
}

int group_add_locked(Slots *slots, SlotGroup *group)
{
	guint64 n = slots->n_groups;

	if ((n & (n - 1)) == 0) {
		SlotGroup **groups = g_try_realloc_n(slots->groups, n ? n * 2 : 1, sizeof *groups);

		if (!groups)
			return -ENOMEM;
		slots->groups = groups;
	}
	if (!slots->read_only)
		group_cut_at_end(slots, group, n);
	slots->groups[slots->n_groups++] = group;
	group_count(slots, group);
	return 0;
}

/* Writes the homes of the new group's pages, and of the copies of the next group's, now, so that a
 * checkpoint does not meet a full disk there. */
int slots_grow(Slots *slots, guint64 had)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&slots->grow_lock);
	static const guint8 zeros[FORMAT_FIRST_INDEX * FORMAT_SLOT_SIZE];
	g_autofree SlotGroup *group = NULL;
	guint64 size, end;
	int r;

	if (slots->n_groups >
	    had) /* another thread has; only holders of grow_lock change n_groups */
		return 0;
	if (had >= FORMAT_GROUPS_MAX)
		return -ENOSPC;
	group = g_try_new0(SlotGroup, 1);
	if (!group)
		return -ENOMEM;
	end = page_offset(slots, had + 1, 0);
	size = backing_size(slots->backing);
	r = size < end && !slots->read_only ? backing_grow(slots->backing, end) : 0;
	if (r == -ENOSPC && size >= page_offset(slots, had, FORMAT_FIRST_INDEX + 64))
		r = 0; /* a short group at the end of a device: one word at least */
	if (!r && !slots->read_only)
		r = backing_pwrite(slots->backing, zeros, sizeof zeros, page_offset(slots, had, 0));
	if (r)
		return r;
	lock_take(&slots->lock);
	r = group_add_locked(slots, group);
	if (!r)
		g_steal_pointer(&group);
	lock_drop(&slots->lock);
	return r;
}

guint64 slots_groups(Slots *slots)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&slots->lock);

	return slots->n_groups;
}

/* Whether the bits of all slots of a run are set. */
static gboolean run_is_taken_locked(const Slots *slots, SlotRun run)
{
	const SlotGroup *group = group_locked(slots, slot_group(run.slot));
	guint bit = slot_bit(run.slot);

	for (guint32 i = 0; i < run.count; i++)
		if (!(group->used[(bit + i) / 64] >> ((bit + i) % 64) & 1))
			return FALSE;
	return TRUE;
}

gboolean give_back_locked(Slots *slots, SlotRun run, gboolean cold)
{
	guint64 number = slot_group(run.slot);
	guint bit = slot_bit(run.slot);
	SlotGroup *group;

	if (!CHECKED(slots->backing,
		     number < slots->n_groups && run_fits_bitmap(run) &&
			     run_is_taken_locked(slots, run),
		     "I5: only slots that were taken become free"))
		return FALSE;
	group = group_locked(slots, number);
	for (guint32 i = 0; i < run.count; i++)
		group->used[(bit + i) / 64] &= ~((guint64)1 << ((bit + i) % 64));
	group->warm_free = (guint16)(group->warm_free + run.count);
	slots->warm_free += run.count;
	for (guint w = bit / 64; w <= (bit + run.count - 1) / 64; w++) {
		if (group->used[w])
			continue;
		slots->whole_from = MIN(slots->whole_from, number * WORDS + w);
		if (cold)
			word_cool_down(slots, group, w);
	}
	return TRUE;
}
