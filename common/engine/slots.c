/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which slots are given out: the policy.
 *
 * Slots come in words of 64.  A word is in one of six states.  "Space" is what the file system
 * below has allocated; a write to a slot that has none may meet a full disk, and a flush after it
 * takes twice as long.
 *
 *     state           free slots   space below it
 *     cold            64           none, as far as is known
 *     warm            64           some slots have it
 *     warm, written   64           every slot has it
 *     part            1 to 63      the used slots have it, others may
 *     part, written   1 to 63      every slot has it
 *     full            0            every slot has it, as soon as its users have written it
 *
 * Words leave these states in this way:
 *   - a cold word becomes warm when it is chosen; warm, part and full follow as slots are taken;
 *   - a full word whose slots become free again is "part, written", at last "warm, written";
 *   - slots that come back unwritten make their word not written; if writing them met a full disk,
 *     a wholly free word becomes cold as well;
 *   - slots_trim() makes warm words cold, slots_warm_up() makes cold words warm and written;
 *   - a word that has space which is kept (slots-reserve.c) is written, and never becomes cold.
 * Nobody knows at open what has space: wholly free words count as cold, no word as written.
 *
 * Data (slots_alloc) goes by the size of the request.  A *large* one, of LARGE slots or more, gets
 * neighbours as long as that leaves the file compact (slots-neighbours.c).  A small one, or what a
 * large one still wants then, uses up fragments, in this order:
 *   1. free slots of words in use in part, from a cursor on and round (next fit), so that writes go
 *      through the backing in one direction;
 *   2. warm words that are wholly free, likewise;
 *   3. the lowest cold word, which becomes warm and where the cursor goes;
 *   4. a new group.
 * The search ends with the last slot asked for, or when no group can be added.  It warms up at
 * most n / 64 + 1 words and adds at most one group, unless other threads take what it has added.
 *
 * Data on a full disk (slots_alloc_written) takes written words alone, in one sweep.
 *
 * Nodes (slots_alloc_nodes) need space now, so that a checkpoint never meets a full disk.  A
 * *place* is a whole word or a single slot:
 *   1. a wholly free word, cold or warm: the first from the hint on in the hint's group, or else
 *      the lowest, leaving out those that met a full disk as long as there are others;
 *   2. a single slot of a word that is not cold, from the cursor on;
 *   3. a new group.
 * A place that is not written is filled with zeros.  Where this meets a full disk, the place is
 * given back and another one is tried, without the hint, and 1 and 2 swap their turns: on a full
 * disk either kind may have space below while the other has none.  The search ends with the first
 * place that has space, or when there is no place and no group can be added.  After NODE_PLACES
 * places that met a full disk, half of them of each kind while there are both, only a slot of a
 * written word is left to try.
 */
#include "common/engine/slots-private.h"

#include <errno.h>

#define LARGE 16	/* slots: 64 KiB */
#define NODE_PLACES 128 /* that meet a full disk before the search ends */

/* Of words that are not cold: those in use in part, all, or those that are written. */
typedef enum { WARM_PART, WARM_ANY, WARM_WRITTEN } WarmKind;

typedef enum { PLACE_WORD, PLACE_SLOT } PlaceKind;

Slots *slots_new(Backing *backing, guint64 groups_offset, const Seal *seal, gboolean read_only,
		 GError **error)
{
	Slots *slots = g_try_new0(Slots, 1);

	if (!slots) {
		error_set_errno(error, ENOMEM, "%s: allocator", backing->name);
		return NULL;
	}
	slots->backing = backing;
	slots->offset = groups_offset;
	slots->seal = seal;
	slots->read_only = read_only;
	lock_init(&slots->lists_lock, LOCK_MAP);
	lock_init(&slots->lock, LOCK_SLOTS);
	lock_init(&slots->grow_lock, LOCK_GROW);
	return slots;
}

void slots_free(Slots *slots)
{
	if (!slots)
		return;
	for (guint64 g = 0; slots->groups && g < slots->n_groups; g++)
		g_free(slots->groups[g]);
	g_free(slots->groups);
	run_list_clear(&slots->gained);
	run_list_clear(&slots->retired);
	run_list_clear(&slots->frozen_gained);
	run_list_clear(&slots->frozen_retired);
	run_list_clear(&slots->leaving);
	lock_clear(&slots->lists_lock);
	lock_clear(&slots->lock);
	lock_clear(&slots->grow_lock);
	g_free(slots);
}

Lock *slots_lists_lock(Slots *slots)
{
	return &slots->lists_lock;
}

static gboolean word_suits(const SlotGroup *group, guint word, WarmKind kind)
{
	if (!~group->used[word] || word_is_cold(group, word))
		return FALSE;
	return kind == WARM_ANY ||
	       (kind == WARM_PART ? group->used[word] != 0 : word_is_written(group, word));
}

/* How many slots are free in words of that kind; for WARM_WRITTEN, at most. */
static guint64 count_free(WarmKind kind, guint64 warm_free, guint64 n_whole)
{
	return kind == WARM_PART ? warm_free - n_whole * 64 : warm_free;
}

/* Takes slots of one group from the cursor's word on. */
static guint32 take_from_group(Slots *slots, SlotGroup *group, guint32 want, WarmKind kind,
			       SlotRun *runs, guint *n_runs)
{
	guint32 got = 0;

	while (got < want && count_free(kind, group->warm_free, group->n_whole) &&
	       slots->cursor_word < WORDS) {
		if (word_suits(group, slots->cursor_word, kind))
			got += word_take_slots(slots, group, slots->cursor_word, want - got, runs,
					       n_runs);
		if (got < want)
			slots->cursor_word++;
	}
	return got;
}

/* Takes slots of words of that kind from the cursor on, until `want` are taken or none is left.
 * Returns how many. */
static guint32 take_warm_slots(Slots *slots, guint32 want, WarmKind kind, SlotRun *runs,
			       guint *n_runs)
{
	guint32 got = 0;

	/* The cursor's group comes twice: its words before the cursor are visited last. */
	for (guint64 visited = 0; visited <= slots->n_groups; visited++) {
		if (!count_free(kind, slots->warm_free, slots->n_whole))
			break;
		if (slots->cursor_group >= slots->n_groups)
			slots->cursor_group = 0;
		got += take_from_group(slots, group_locked(slots, slots->cursor_group), want - got,
				       kind, runs, n_runs);
		if (got == want || !count_free(kind, slots->warm_free, slots->n_whole))
			break;
		slots->cursor_group++;
		slots->cursor_word = 0;
	}
	return got;
}

/* Takes slots as for a small request, without a new group. */
static guint32 take_scattered(Slots *slots, guint32 want, SlotRun *runs, guint *n_runs)
{
	guint32 got = take_warm_slots(slots, want, WARM_PART, runs, n_runs);

	while (got < want) {
		got += take_warm_slots(slots, want - got, WARM_ANY, runs, n_runs);
		if (got == want ||
		    !find_cold_word_locked(slots, &slots->cursor_group, &slots->cursor_word))
			break;
		word_warm_up(slots, group_locked(slots, slots->cursor_group), slots->cursor_word);
	}
	return got;
}

/* Takes slots without a new group.  *large: it is a large request; FALSE from when on it takes what
 * a small one does. */
static guint32 take_slots(Slots *slots, guint32 want, gboolean *large, SlotRun *runs, guint *n_runs)
{
	guint32 got = *large ? take_neighbours_locked(slots, want, runs, n_runs) : 0;

	*large = *large && may_take_cold_locked(slots, want - got);
	if (got < want && !*large)
		got += take_scattered(slots, want - got, runs, n_runs);
	return got;
}

int slots_alloc(Slots *slots, guint32 n, SlotRun *runs, guint *ret_n_runs)
{
	gboolean large = n >= LARGE;
	guint n_runs = 0;
	guint32 got = 0;
	int r = 0;

	lock_take(&slots->lock);
	if (large)
		note_large_locked(slots);
	while (!r) {
		guint64 had = slots->n_groups;

		got += take_slots(slots, n - got, &large, runs, &n_runs);
		if (got == n)
			break;
		lock_drop(&slots->lock);
		r = slots_grow(slots, had);
		lock_take(&slots->lock);
		if (r == -ENOSPC)
			refuse_cold_locked(slots);
		if (r == -ENOSPC && large)
			r = 0;
	}
	lock_drop(&slots->lock);
	if (r)
		slots_give_back(slots, runs, n_runs, FALSE);
	else
		*ret_n_runs = n_runs;
	return r;
}

int slots_alloc_written(Slots *slots, guint32 n, SlotRun *runs, guint *ret_n_runs)
{
	guint n_runs = 0;
	gboolean enough;

	lock_take(&slots->lock);
	enough = take_warm_slots(slots, n, WARM_WRITTEN, runs, &n_runs) == n;
	for (guint i = 0; i < n_runs && !enough; i++)
		give_back_locked(slots, runs[i], FALSE); /* all of them are still written */
	lock_drop(&slots->lock);
	*ret_n_runs = n_runs;
	return enough ? 0 : -ENOSPC;
}

/* Takes the first wholly free word of one group, from `word` on.  *ret_written: it has space below
 * every slot. */
static gboolean group_take_whole_word(Slots *slots, guint64 number, guint word, SlotRun *ret_run,
				      gboolean *ret_written)
{
	SlotGroup *group = group_locked(slots, number);
	guint n_runs = 0;

	if (!group->n_cold && group->warm_free < 64)
		return FALSE;
	while (word < WORDS && group->used[word])
		word++;
	if (word == WORDS)
		return FALSE;
	*ret_written = word_is_written(group, word);
	word_take_slots(slots, group, word, 64, ret_run, &n_runs);
	return TRUE;
}

/* Takes a wholly free word: the first from the hint on in the hint's group, or else the lowest that
 * has not met a full disk, or else the lowest. */
static gboolean take_whole_word(Slots *slots, guint64 hint, SlotRun *ret_run, gboolean *ret_written)
{
	if (hint && slot_is_usable(hint, slots->n_groups) &&
	    group_take_whole_word(slots, slot_group(hint), slot_bit(hint) / 64, ret_run,
				  ret_written))
		return TRUE;
	for (;;) {
		for (guint64 g = slots->whole_from / WORDS; g < slots->n_groups; g++) {
			guint word = (guint)(slots->whole_from % WORDS);

			if (group_take_whole_word(slots, g, word, ret_run, ret_written))
				return TRUE;
			slots->whole_from = (g + 1) * WORDS;
		}
		if (!slots->whole_skipped)
			return FALSE;
		slots->whole_skipped = FALSE;
		slots->whole_from = 0;
	}
}

/* Takes a single slot of a word that is not cold. */
static gboolean take_single_slot(Slots *slots, SlotRun *ret_run, gboolean *ret_written)
{
	const SlotGroup *group;
	SlotRun one;
	guint n_runs = 0, word;

	if (!take_warm_slots(slots, 1, WARM_ANY, &one, &n_runs))
		return FALSE;
	group = group_locked(slots, slot_group(one.slot));
	word = slot_bit(one.slot) / 64;
	*ret_run = one;
	/* A word that is full now counts as written: this slot may have been its one exception. */
	*ret_written = word_is_written(group, word) && ~group->used[word];
	return TRUE;
}

static gboolean take_place(Slots *slots, PlaceKind kind, guint64 hint, SlotRun *ret_run,
			   gboolean *ret_written)
{
	return kind == PLACE_WORD ? take_whole_word(slots, hint, ret_run, ret_written)
				  : take_single_slot(slots, ret_run, ret_written);
}

static PlaceKind place_other_kind(PlaceKind kind)
{
	return kind == PLACE_WORD ? PLACE_SLOT : PLACE_WORD;
}

/* Takes a place for nodes: of that kind, or else of the other, or else in a new group. */
static int take_place_or_grow(Slots *slots, PlaceKind kind, guint64 hint, SlotRun *ret_run,
			      gboolean *ret_written)
{
	int r = 0;

	lock_take(&slots->lock);
	while (!r) {
		guint64 had = slots->n_groups;

		if (take_place(slots, kind, hint, ret_run, ret_written) ||
		    take_place(slots, place_other_kind(kind), hint, ret_run, ret_written))
			break;
		lock_drop(&slots->lock);
		r = slots_grow(slots, had);
		lock_take(&slots->lock);
	}
	lock_drop(&slots->lock);
	return r;
}

static int run_write_zeros(Slots *slots, const SlotRun *run)
{
	static const guint8 zeros[64 * FORMAT_SLOT_SIZE];

	return backing_pwrite(slots->backing, zeros, (gsize)run->count * FORMAT_SLOT_SIZE,
			      slots_offset(slots, run->slot));
}

int slots_alloc_nodes(Slots *slots, guint64 hint, SlotRun *ret_run)
{
	PlaceKind kind = PLACE_WORD;
	guint n_runs;

	for (guint places = 0; places < NODE_PLACES; places++) {
		gboolean written;
		int r = take_place_or_grow(slots, kind, hint, ret_run, &written);

		if (r)
			return r;
		if (!written && !slots->read_only)
			r = run_write_zeros(slots, ret_run);
		if (!r)
			return 0;
		slots_give_back(slots, ret_run, 1, r == -ENOSPC);
		if (r != -ENOSPC)
			return r;
		hint = 0;
		kind = place_other_kind(kind);
	}
	return slots_alloc_written(slots, 1, ret_run, &n_runs);
}

/* Whether all slots of a run are free. */
static gboolean run_is_free(const SlotGroup *group, SlotRun run)
{
	while (run.count) {
		guint word;
		guint64 bits = run_cut_word(&run, &word);

		if (group->used[word] & bits)
			return FALSE;
	}
	return TRUE;
}

static void use_run(Slots *slots, SlotGroup *group, SlotRun run)
{
	while (run.count) {
		guint word;
		guint64 bits = run_cut_word(&run, &word);

		word_use_bits(slots, group, word, bits);
	}
}

int slots_take(Slots *slots, const SlotRun *run)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = NULL;
	SlotGroup *group;
	int r = 0;

	if (!CHECKED(slots->backing, run_fits_bitmap(*run), "I9: record_decode() bounded the run"))
		return -EUCLEAN;
	for (guint64 had; !r && (had = slots_groups(slots)) <= slot_group(run->slot);)
		r = slots_grow(slots, had);
	if (r)
		return r;
	locker = lock_hold(&slots->lock);
	group = group_locked(slots, slot_group(run->slot));
	if (!run_is_free(group, *run))
		return -EUCLEAN;
	use_run(slots, group, *run);
	return 0;
}

/* Whether the run was written is unknown; on a full disk, some part of it was not. */
static void note_unwritten_locked(Slots *slots, SlotRun run, gboolean full)
{
	guint64 number = slot_group(run.slot);
	SlotGroup *group = group_locked(slots, number);
	guint bit = slot_bit(run.slot);
	guint last = (bit + run.count - 1) / 64;

	for (guint w = bit / 64; w <= last; w++)
		word_set_written(group, w, word_is_backed(slots, number, w));
	if (!full)
		return;
	group->unknown = TRUE;
	refuse_cold_locked(slots);
	slots->whole_from = MAX(slots->whole_from, number * WORDS + last + 1);
	slots->whole_skipped = TRUE;
	slots->cursor_group = number;
	slots->cursor_word = last + 1;
}

void slots_give_back(Slots *slots, const SlotRun *runs, guint n_runs, gboolean full)
{
	lock_take(&slots->lock);
	for (guint i = 0; i < n_runs; i++) {
		if (give_back_locked(slots, runs[i], full))
			note_unwritten_locked(slots, runs[i], full);
	}
	if (n_runs && !full) { /* these are taken again first */
		slots->cursor_group = slot_group(runs->slot);
		slots->cursor_word = slot_bit(runs->slot) / 64;
	}
	lock_drop(&slots->lock);
}
