/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The allocator on disk: bitmap pages are loaded at open, and each checkpoint writes those that the
 * lists of changes alter.
 *
 * A page is written to the home that does not count, so that the checkpoint before stays whole
 * until the superblock leads to this one (I6).  A change that finds its bit already in the wanted
 * state shows that I5 is broken, and ends the checkpoint.
 */
#include "common/engine/bitmap-pages.h"
#include "common/base/logging.h"
#include "common/engine/slots-private.h"
#include "common/engine/superblock.h"

#include <errno.h>

#define THAW_RUNS 4096 /* in one call */

static BitmapPlace bitmap_place(const Slots *slots)
{
	return (BitmapPlace){slots->backing, slots->offset, slots->seal};
}

/* Rewrites a damaged copy of the page. */
static void mend_page(Slots *slots, guint64 number, const BitmapChoice *choice)
{
	BitmapPlace place = bitmap_place(slots);

	if (!choice->damaged)
		return;
	if (slots->read_only || bitmap_mend(&place, number, choice)) {
		log_warning("%s: bitmap of group %" G_GUINT64_FORMAT
			    ": a copy is damaged; the other is used",
			    slots->backing->name, number);
		return;
	}
	slots->mended++;
	log_warning("%s: bitmap of group %" G_GUINT64_FORMAT
		    ": a copy was damaged; it was rewritten",
		    slots->backing->name, number);
}

static int load_group(Slots *slots, guint64 number, guint64 checkpoint, gboolean thorough,
		      BitmapChoice *choice)
{
	BitmapPlace place = bitmap_place(slots);
	g_autofree SlotGroup *group = g_try_new0(SlotGroup, 1);
	int r = group ? bitmap_choose(&place, number, checkpoint, thorough, choice) : -ENOMEM;

	if (!r && !choice->found)
		r = -EBADMSG;
	if (r)
		return r;
	for (guint w = 0; w < WORDS; w++)
		group->used[w] = get_le64(choice->page.bits + w * 8);
	group->has_page = TRUE;
	group->home = (guint8)choice->home;
	group->term = choice->term;
	group->must_write = choice->future;
	group->unknown = TRUE;
	lock_take(&slots->lock);
	r = group_add_locked(slots, group);
	if (!r)
		g_steal_pointer(&group);
	lock_drop(&slots->lock);
	return r;
}

/* Undoes load_groups(). */
static void unload_groups(Slots *slots)
{
	for (guint64 g = 0; g < slots->n_groups; g++)
		g_free(slots->groups[g]);
	slots->n_groups = slots->warm_free = slots->n_whole = slots->n_used = slots->digest = 0;
}

/* Loads all groups and adds up their digest.  0, or a negative errno for group *ret_at, whose
 * newest page is of generation *ret_newest.  -EBADMSG also if that generation shows that the
 * superblock is too old. */
static int load_groups(Slots *slots, const Superblock *sb, gboolean thorough, guint64 *ret_at,
		       guint64 *ret_newest)
{
	g_autofree BitmapChoice *choice = g_try_new0(BitmapChoice, 1);
	int r = choice ? 0 : -ENOMEM;

	for (guint64 g = 0; g < sb->groups && !r; g++) {
		*ret_at = g;
		r = load_group(slots, g, sb->checkpoint, thorough, choice);
		*ret_newest = choice->newest;
		if (choice->newest > sb->generation + FORMAT_STAMPS_AHEAD)
			r = -EBADMSG;
		if (r)
			break;
		slots->digest += choice->term;
		mend_page(slots, g, choice); /* overwrites a copy that is damaged or older */
	}
	return r;
}

gboolean slots_load(Slots *slots, const Superblock *sb, GError **error)
{
	gboolean thorough = !sb->clean;
	guint64 at = 0, newest = 0;
	int r = load_groups(slots, sb, thorough, &at, &newest);

	if (!thorough && (r == -EBADMSG || (!r && slots->digest != sb->bitmap_digest))) {
		unload_groups(slots);
		r = load_groups(slots, sb, TRUE, &at, &newest);
	}
	if (!superblock_is_newest(slots->backing->name, sb, at, newest, error))
		return FALSE;
	if (r == -EBADMSG)
		return error_set(error, STORAGEOS_ERROR_CORRUPT,
				 "%s: bitmap of group %" G_GUINT64_FORMAT
				 ": no copy is valid; `storageos check --repair` rebuilds it",
				 slots->backing->name, at);
	if (r)
		return error_set_errno(error, r, "%s: read bitmap of group %" G_GUINT64_FORMAT,
				       slots->backing->name, at);
	if (slots->digest != sb->bitmap_digest)
		return error_set(error, STORAGEOS_ERROR_CORRUPT,
				 "%s: a bitmap page is older than the checkpoint; `storageos check "
				 "--repair` rebuilds all pages",
				 slots->backing->name);
	return TRUE;
}

int slots_reserve(Slots *slots, gsize entries)
{
	int r = run_list_reserve(&slots->gained, entries);

	return r ? r : run_list_reserve(&slots->retired, entries);
}

static void add_change(Slots *slots, RunList *list, guint64 slot, guint32 count)
{
	if (CHECKED(slots->backing, list->n < list->capacity, "I5: slots_reserve() made room"))
		run_list_add(list, slot, count);
	__atomic_store_n(&slots->turnover, slots->turnover + count, __ATOMIC_RELAXED);
}

guint64 slots_turnover(const Slots *slots)
{
	return __atomic_load_n(&slots->turnover, __ATOMIC_RELAXED);
}

void slots_gain(Slots *slots, guint64 slot, guint32 count)
{
	add_change(slots, &slots->gained, slot, count);
}

void slots_retire(Slots *slots, guint64 slot, guint32 count)
{
	add_change(slots, &slots->retired, slot, count);
}

void slots_freeze(Slots *slots)
{
	RunList gained = slots->frozen_gained, retired = slots->frozen_retired;

	if (!CHECKED(slots->backing, !gained.n && !retired.n,
		     "I5: the pages of the checkpoint before are written"))
		return;
	/* The memory of the empty lists serves the next changes. */
	slots->frozen_gained = slots->gained;
	slots->frozen_retired = slots->retired;
	slots->gained = gained;
	slots->retired = retired;
	lock_take(&slots->lock);
	slots->frozen_groups = slots->n_groups;
	lock_drop(&slots->lock);
}

/* Applies the runs of one group to its page, from run *at of the sorted list on.  FALSE if a bit
 * has the wanted state already (I5 is broken). */
static gboolean page_apply_runs(const Slots *slots, FormatBitmap *page, guint64 number,
				const RunList *list, gsize *at, gboolean used)
{
	for (; *at < list->n; (*at)++) {
		SlotRun run = run_list_get(list, *at);
		guint64 bit = slot_index(run.slot) - FORMAT_FIRST_INDEX;

		if (slot_group(run.slot) != number)
			break;
		if (!CHECKED(slots->backing, run_fits_bitmap(run),
			     "I5: a change lies in one group's bitmap"))
			return FALSE;
		for (guint32 i = 0; i < run.count; i++, bit++) {
			guint8 mask = (guint8)(1u << (bit % 8));

			if (((page->bits[bit / 8] & mask) != 0) == used)
				return FALSE;
			page->bits[bit / 8] ^= mask;
		}
	}
	return TRUE;
}

static int write_page(Slots *slots, SlotGroup *group, guint64 number, guint64 generation,
		      gsize *gained, gsize *retired)
{
	BitmapPlace place = bitmap_place(slots);
	FormatBitmap page;
	int r = 0;

	memset(&page, 0, sizeof page);
	if (group->has_page)
		r = bitmap_read(&place, number, group->home, group->term, &page);
	if (r)
		return r;
	if (!page_apply_runs(slots, &page, number, &slots->frozen_gained, gained, TRUE) ||
	    !page_apply_runs(slots, &page, number, &slots->frozen_retired, retired, FALSE))
		return -EUCLEAN;
	bitmap_seal(&page, slots->seal, number, generation);
	r = bitmap_write(&place, number, !group->home, &page);
	if (r)
		return r;
	group->next = TRUE;
	group->next_term = bitmap_term(&page, number);
	return 0;
}

/* The frozen lists are on the disk: what was retired waits for the checkpoint to be durable, and
 * the next freeze may come. */
static void set_aside(Slots *slots)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&slots->lists_lock);
	RunList empty = slots->leaving;

	if (!CHECKED(slots->backing, !empty.n, "I6: the checkpoint before was thawed"))
		return;
	slots->leaving = slots->frozen_retired;
	slots->frozen_retired = empty;
	run_list_empty(&slots->frozen_gained);
}

int slots_write_bitmaps(Slots *slots, guint64 generation)
{
	gsize gained = 0, retired = 0;

	slots->frozen_digest = slots->digest;
	/* Between two freezes a slot may be gained and then retired, never the reverse.  So each
	 * list may be sorted, as long as the gained list is applied first. */
	run_list_sort(&slots->frozen_gained);
	run_list_sort(&slots->frozen_retired);
	for (guint64 g = 0; g < slots->frozen_groups; g++) {
		SlotGroup *group;
		int r;

		lock_take(&slots->lock); /* the array may move while the backing grows */
		group = group_locked(slots, g);
		lock_drop(&slots->lock);
		if (group->has_page && !group->must_write &&
		    run_list_group(&slots->frozen_gained, gained) != g &&
		    run_list_group(&slots->frozen_retired, retired) != g)
			continue;
		r = write_page(slots, group, g, generation, &gained, &retired);
		if (r)
			return r;
		slots->frozen_digest += group->next_term - group->term;
	}
	if (!CHECKED(slots->backing,
		     gained == slots->frozen_gained.n && retired == slots->frozen_retired.n,
		     "I5: every change lies in a group of the checkpoint"))
		return -EUCLEAN;
	set_aside(slots);
	return 0;
}

void slots_switch(Slots *slots)
{
	lock_take(&slots->lock);
	for (guint64 g = 0; g < slots->frozen_groups; g++) {
		SlotGroup *group = group_locked(slots, g);

		if (!group->next)
			continue;
		group->home = !group->home;
		group->term = group->next_term;
		group->has_page = TRUE;
		group->next = FALSE;
		group->must_write = FALSE;
	}
	slots->digest = slots->frozen_digest;
	lock_drop(&slots->lock);
}

gboolean slots_thaw(Slots *slots)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&slots->lock);
	RunList *leaving = &slots->leaving;

	for (guint i = 0; i < THAW_RUNS && leaving->n; i++)
		give_back_locked(slots, run_list_take_last(leaving), FALSE);
	return leaving->n > 0;
}

guint64 slots_frozen_groups(const Slots *slots)
{
	return slots->frozen_groups;
}

guint64 slots_frozen_digest(const Slots *slots)
{
	return slots->frozen_digest;
}

int slots_verify_page(Slots *slots, guint64 number, guint64 checkpoint, gboolean repair,
		      guint *ret_repaired)
{
	BitmapPlace place = {slots->backing, slots->offset, slots->seal};
	g_autofree BitmapChoice *choice = g_try_new(BitmapChoice, 1);
	guint damaged;
	guint64 term;
	int r = choice ? bitmap_choose(&place, number, checkpoint, TRUE, choice) : -ENOMEM;

	*ret_repaired = 0;
	if (r)
		return r;
	lock_take(&slots->lock); /* the array may move while the backing grows */
	term = group_locked(slots, number)->term;
	lock_drop(&slots->lock);
	if (!choice->found || choice->term != term)
		return 2;
	damaged = (guint)__builtin_popcount(choice->damaged);
	if (damaged && repair && !bitmap_mend(&place, number, choice))
		*ret_repaired = damaged;
	return (int)damaged;
}

guint64 slots_mended(const Slots *slots)
{
	return slots->mended;
}

guint64 slots_pending_bytes(Slots *slots)
{
	return (slots->retired.slots + slots->frozen_retired.slots + slots->leaving.slots) *
	       FORMAT_SLOT_SIZE;
}

guint64 slots_retired_bytes(Slots *slots)
{
	return slots->retired.slots * FORMAT_SLOT_SIZE;
}

guint64 slots_gained_bytes(Slots *slots)
{
	return slots->gained.slots * FORMAT_SLOT_SIZE;
}
