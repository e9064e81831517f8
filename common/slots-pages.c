/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is on disk: the two lists of changes since a checkpoint, and the bitmap pages that a
 * checkpoint makes of the pages before and of them.
 */
#include "common/slots-private.h"

#include <errno.h>
#include <stdlib.h>

#define LIST_RUN_MAX (((guint64)1 << 24) - 1)

static void list_clear(List *list)
{
	g_free(list->runs);
	*list = (List){0};
}

static int list_reserve(List *list, gsize entries)
{
	gsize capacity = list->capacity ? list->capacity : 1024;
	guint64 *runs;

	if (list->n + entries <= list->capacity)
		return 0;
	while (capacity < list->n + entries)
		capacity *= 2;
	runs = g_try_realloc_n(list->runs, capacity, sizeof *runs);
	if (!runs)
		return -ENOMEM;
	list->runs = runs;
	list->capacity = capacity;
	return 0;
}

static inline SlotRun unpack(guint64 v)
{
	return (SlotRun){.slot = v & (((guint64)1 << FORMAT_SLOT_BITS) - 1),
			 .count = (guint32)(v >> FORMAT_SLOT_BITS)};
}

static inline guint64 pack(SlotRun run)
{
	return run.slot | (guint64)run.count << FORMAT_SLOT_BITS;
}

/* Room was made by slots_reserve(). */
static void list_add(List *list, guint64 slot, guint32 count)
{
	list->slots += count;
	if (list->n) {
		SlotRun last = unpack(list->runs[list->n - 1]);

		if (last.slot + last.count == slot && last.count + count <= LIST_RUN_MAX) {
			last.count += count;
			list->runs[list->n - 1] = pack(last);
			return;
		}
	}
	list->runs[list->n++] = pack((SlotRun){slot, count});
}

/* Picks the newer of two pages that is not above the checkpoint. */
static gboolean group_pick(Slots *slots, Group *group, guint64 number, guint64 checkpoint,
			   const FormatBitmap *pages)
{
	guint64 best = 0;

	for (guint home = 0; home < 2; home++) {
		guint64 generation;

		if (!bitmap_verify(&pages[home], slots->seed, number, &generation))
			continue;
		if (generation > checkpoint) {
			group->must_write = TRUE;
		} else if (!group->has_page || generation > best) {
			group->has_page = TRUE;
			group->home = (guint8)home;
			best = generation;
		}
	}
	if (!group->has_page)
		return FALSE;
	for (guint w = 0; w < WORDS; w++)
		group->used[w] = get_le64(pages[group->home].bits + w * 8);
	return TRUE;
}

gboolean slots_load(Slots *slots, guint64 groups, guint64 checkpoint, GError **error)
{
	g_autofree FormatBitmap *pages = g_try_new(FormatBitmap, 2);

	for (guint64 g = 0; g < groups; g++) {
		g_autofree Group *group = g_try_new0(Group, 1);
		int r = pages && group ? 0 : -ENOMEM;

		if (!r)
			r = backing_pread(slots->backing, pages, 2 * sizeof *pages,
					  page_offset(slots, g, 0));
		if (r)
			return error_set_errno(error, r,
					       "%s: read bitmap of group %" G_GUINT64_FORMAT,
					       slots->backing->name, g);
		if (!group_pick(slots, group, g, checkpoint, pages))
			return error_set(error, STORAGEOS_ERROR_CORRUPT,
					 "%s: bitmap of group %" G_GUINT64_FORMAT
					 ": neither copy is valid",
					 slots->backing->name, g);
		group->unknown = TRUE;
		if (group_add_locked(slots, group))
			return error_set_errno(error, ENOMEM, "%s: allocator",
					       slots->backing->name);
		g_steal_pointer(&group);
	}
	return TRUE;
}

int slots_reserve(Slots *slots, gsize entries)
{
	int r = list_reserve(&slots->gained, entries);

	return r ? r : list_reserve(&slots->lost, entries);
}

void slots_gain(Slots *slots, guint64 slot, guint32 count)
{
	list_add(&slots->gained, slot, count);
}

void slots_lose(Slots *slots, guint64 slot, guint32 count)
{
	list_add(&slots->lost, slot, count);
}

void slots_freeze(Slots *slots)
{
	List gained = slots->frozen_gained, lost = slots->frozen_lost;

	/* What was thawed is empty: its memory serves the next lists. */
	slots->frozen_gained = slots->gained;
	slots->frozen_lost = slots->lost;
	slots->gained = gained;
	slots->lost = lost;
	lock_take(&slots->lock);
	slots->frozen_groups = slots->n_groups;
	lock_drop(&slots->lock);
}

static int compare_runs(const void *a, const void *b)
{
	guint64 x = unpack(*(const guint64 *)a).slot, y = unpack(*(const guint64 *)b).slot;

	return x < y ? -1 : x > y;
}

/* Applies the runs of one group from *at on; the list is sorted.  FALSE if a bit is that way
 * already. */
static gboolean apply_runs(FormatBitmap *page, guint64 number, const List *list, gsize *at,
			   gboolean used)
{
	for (; *at < list->n; (*at)++) {
		SlotRun run = unpack(list->runs[*at]);
		guint64 bit = slot_index(run.slot) - FORMAT_FIRST_INDEX;

		if (slot_group(run.slot) != number)
			break;
		for (guint32 i = 0; i < run.count; i++, bit++) {
			guint8 mask = (guint8)(1u << (bit % 8));

			if (((page->bits[bit / 8] & mask) != 0) == used)
				return FALSE;
			page->bits[bit / 8] ^= mask;
		}
	}
	return TRUE;
}

static int write_page(Slots *slots, Group *group, guint64 number, guint64 generation,
		      gsize *gained, gsize *lost)
{
	FormatBitmap page;
	guint64 unused;
	int r;

	memset(&page, 0, sizeof page);
	if (group->has_page) {
		r = backing_pread(slots->backing, &page, sizeof page,
				  page_offset(slots, number, group->home));
		if (r)
			return r;
		if (!bitmap_verify(&page, slots->seed, number, &unused))
			return -EBADMSG;
	}
	if (!apply_runs(&page, number, &slots->frozen_gained, gained, TRUE) ||
	    !apply_runs(&page, number, &slots->frozen_lost, lost, FALSE))
		return -EUCLEAN;
	bitmap_seal(&page, slots->seed, number, generation);
	r = backing_pwrite(slots->backing, &page, sizeof page,
			   page_offset(slots, number, !group->home));
	if (!r)
		group->next = TRUE;
	return r;
}

static guint64 list_group(const List *list, gsize at)
{
	return at < list->n ? slot_group(unpack(list->runs[at]).slot) : G_MAXUINT64;
}

int slots_write_bitmaps(Slots *slots, guint64 generation)
{
	gsize gained = 0, lost = 0;

	/* A slot can be gained and then lost between two freezes, never the other way round, so
	 * the order within each list does not matter. */
	if (slots->frozen_gained.n)
		qsort(slots->frozen_gained.runs, slots->frozen_gained.n, sizeof(guint64),
		      compare_runs);
	if (slots->frozen_lost.n)
		qsort(slots->frozen_lost.runs, slots->frozen_lost.n, sizeof(guint64), compare_runs);
	for (guint64 g = 0; g < slots->frozen_groups; g++) {
		Group *group;
		int r;

		lock_take(&slots->lock); /* the array may move while the backing grows */
		group = slots->groups[g];
		lock_drop(&slots->lock);
		if (group->has_page && !group->must_write &&
		    list_group(&slots->frozen_gained, gained) != g &&
		    list_group(&slots->frozen_lost, lost) != g)
			continue;
		r = write_page(slots, group, g, generation, &gained, &lost);
		if (r)
			return r;
	}
	return 0;
}

void slots_thaw(Slots *slots)
{
	lock_take(&slots->lock);
	for (guint64 g = 0; g < slots->frozen_groups; g++) {
		Group *group = slots->groups[g];

		if (!group->next)
			continue;
		group->home = !group->home;
		group->has_page = TRUE;
		group->next = FALSE;
		group->must_write = FALSE;
	}
	for (gsize i = 0; i < slots->frozen_lost.n; i++)
		give_back_locked(slots, unpack(slots->frozen_lost.runs[i]), FALSE);
	slots->frozen_gained.n = slots->frozen_lost.n = 0;
	slots->frozen_gained.slots = slots->frozen_lost.slots = 0;
	lock_drop(&slots->lock);
}

guint64 slots_frozen_groups(const Slots *slots)
{
	return slots->frozen_groups;
}

guint64 slots_pending_bytes(Slots *slots)
{
	return (slots->lost.slots + slots->frozen_lost.slots) * FORMAT_SLOT_SIZE;
}

guint64 slots_lost_bytes(Slots *slots)
{
	return slots->lost.slots * FORMAT_SLOT_SIZE;
}

guint64 slots_gained_bytes(Slots *slots)
{
	return slots->gained.slots * FORMAT_SLOT_SIZE;
}

void lists_clear(Slots *slots)
{
	list_clear(&slots->gained);
	list_clear(&slots->lost);
	list_clear(&slots->frozen_gained);
	list_clear(&slots->frozen_lost);
}
