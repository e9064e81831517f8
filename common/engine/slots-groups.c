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

static guint group_count_used(const SlotGroup *group)
{
	guint n = 0;

	for (guint w = 0; w < WORDS; w++)
		n += 64 - word_free(group, w);
	return n;
}

/* Counts the free slots of a new group.  Wholly free words become cold. */
static void group_count(Slots *slots, SlotGroup *group)
{
	for (guint w = 0; w < WORDS; w++) {
		guint n = word_free(group, w);

		group->warm_free = (guint16)(group->warm_free + n);
		slots->warm_free += n;
		if (n < 64)
			continue;
		group->n_whole++;
		slots->n_whole++;
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
	group->number = n;
	slots->n_used += group_count_used(group);
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
	group->unknown = size >= end; /* if a process made it that died */
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

void slots_assume_groups(Slots *slots, guint64 groups)
{
	slots->n_groups = groups;
}

guint64 slots_groups(Slots *slots)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&slots->lock);

	return slots->n_groups;
}

gboolean find_cold_word_locked(Slots *slots, guint64 *ret_group, guint *ret_word)
{
	for (; slots->cold_from < slots->n_groups; slots->cold_from++) {
		const SlotGroup *group = group_locked(slots, slots->cold_from);
		guint i = 0;

		if (!group->n_cold)
			continue;
		while (!group->cold[i])
			i++;
		*ret_group = slots->cold_from;
		*ret_word = i * 64 + (guint)__builtin_ctzll(group->cold[i]);
		return TRUE;
	}
	return FALSE;
}

gboolean find_whole_word_locked(const Slots *slots, gboolean cold, guint64 *word)
{
	guint64 number = *word / WORDS;
	guint w = (guint)(*word % WORDS);

	for (guint64 i = 0; slots->n_groups && i <= slots->n_groups; i++, number++, w = 0) {
		const SlotGroup *group = group_locked(slots, number % slots->n_groups);

		if (cold ? !group->n_cold : !group->n_whole)
			continue;
		while (w < WORDS && (group->used[w] || word_is_cold(group, w) != cold))
			w++;
		if (w == WORDS)
			continue;
		*word = number % slots->n_groups * WORDS + w;
		return TRUE;
	}
	return FALSE;
}

guint32 word_take_slots(Slots *slots, SlotGroup *group, guint word, guint32 want, SlotRun *runs,
			guint *n_runs)
{
	guint32 got = 0;

	while (got < want && ~group->used[word]) {
		SlotRun *last = *n_runs ? &runs[*n_runs - 1] : NULL;
		guint bit, length = word_find_zeros(group->used[word], &bit);
		guint64 slot = word_slot(group->number, word) + bit;

		length = MIN(length, want - got);
		word_take_bits(slots, group, word, word_bits(bit, length));
		if (last && last->slot + last->count == slot)
			last->count += length;
		else
			runs[(*n_runs)++] = (SlotRun){slot, length};
		got += length;
	}
	return got;
}

/* Frees taken slots of a word. */
static void word_free_bits(Slots *slots, SlotGroup *group, guint word, guint64 bits, gboolean cold)
{
	guint n = (guint)__builtin_popcountll(bits);

	group->used[word] &= ~bits;
	group->warm_free = (guint16)(group->warm_free + n);
	slots->warm_free += n;
	slots->n_used -= n;
	if (group->used[word])
		return;
	group->n_whole++;
	slots->n_whole++;
	slots->whole_from = MIN(slots->whole_from, group->number * WORDS + word);
	if (cold && !word_is_backed(slots, group->number, word))
		word_cool_down(slots, group, word);
}

gboolean give_back_locked(Slots *slots, SlotRun run, gboolean cold)
{
	SlotGroup *group;

	if (!CHECKED(slots->backing, slot_group(run.slot) < slots->n_groups && run_fits_bitmap(run),
		     "I5: a run that becomes free lies in one group's bitmap"))
		return FALSE;
	group = group_locked(slots, slot_group(run.slot));
	while (run.count) {
		guint word;
		guint64 bits = run_cut_word(&run, &word);

		if (!CHECKED(slots->backing, (group->used[word] & bits) == bits,
			     "I5: only slots that were taken become free"))
			return FALSE;
		word_free_bits(slots, group, word, bits, cold);
	}
	return TRUE;
}
