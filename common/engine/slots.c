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
 *   - slots_trim() makes warm words cold, slots_warm_up() makes cold words warm and written.
 * Nobody knows at open what has space: wholly free words count as cold, no word as written.
 *
 * Data (slots_alloc) takes, in this order:
 *   1. free slots of words that are not cold, from a cursor on and round (next fit), so that
 *      writes go through the backing in one direction;
 *   2. the lowest cold word, which becomes warm and where the cursor goes;
 *   3. a new group.
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
 * place that has space, when there is no place and no group can be added, or after NODE_PLACES
 * places that met a full disk, half of them of each kind while there are both.
 */
#include "common/engine/slots-private.h"

#include <errno.h>

#define NODE_PLACES 128 /* that meet a full disk before the search ends */

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
	for (guint64 g = 0; g < slots->n_groups; g++)
		g_free(slots->groups[g]);
	g_free(slots->groups);
	run_list_clear(&slots->gained);
	run_list_clear(&slots->retired);
	run_list_clear(&slots->frozen_gained);
	run_list_clear(&slots->frozen_retired);
	lock_clear(&slots->lists_lock);
	lock_clear(&slots->lock);
	lock_clear(&slots->grow_lock);
	g_free(slots);
}

Lock *slots_lists_lock(Slots *slots)
{
	return &slots->lists_lock;
}

/* Takes up to `want` free slots of one word, and adds them to the runs.  Returns how many. */
static guint32 word_take_slots(Slots *slots, SlotGroup *group, guint64 number, guint word,
			       guint32 want, SlotRun *runs, guint *n_runs)
{
	guint32 got = 0;

	while (got < want && ~group->used[word]) {
		SlotRun *last = *n_runs ? &runs[*n_runs - 1] : NULL;
		guint bit, length = word_find_zeros(group->used[word], &bit);
		guint64 slot = word_slot(number, word) + bit;

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

/* Takes warm slots from the cursor on, until `want` are taken or none is left.  `written`: only of
 * words that are written.  Returns how many. */
static guint32 take_warm_slots(Slots *slots, guint32 want, gboolean written, SlotRun *runs,
			       guint *n_runs)
{
	guint32 got = 0;

	/* The cursor's group comes twice: its words before the cursor are visited last. */
	for (guint64 visited = 0; got < want && slots->warm_free && visited <= slots->n_groups;
	     visited++) {
		SlotGroup *group;

		if (slots->cursor_group >= slots->n_groups)
			slots->cursor_group = 0;
		group = group_locked(slots, slots->cursor_group);
		while (got < want && group->warm_free && slots->cursor_word < WORDS) {
			guint word = slots->cursor_word;

			if (~group->used[word] && !word_is_cold(group, word) &&
			    (!written || word_is_written(group, word)))
				got += word_take_slots(slots, group, slots->cursor_group, word,
						       want - got, runs, n_runs);
			if (got < want)
				slots->cursor_word++;
		}
		if (got < want) {
			slots->cursor_group++;
			slots->cursor_word = 0;
		}
	}
	return got;
}

/* Warms up the lowest cold word and moves the cursor there.  FALSE if no word is cold. */
static gboolean warm_up_lowest_word(Slots *slots)
{
	for (guint64 g = 0; g < slots->n_groups; g++) {
		SlotGroup *group = group_locked(slots, g);

		for (guint i = 0; group->n_cold && i < G_N_ELEMENTS(group->cold); i++) {
			if (!group->cold[i])
				continue;
			slots->cursor_group = g;
			slots->cursor_word = i * 64 + (guint)__builtin_ctzll(group->cold[i]);
			word_warm_up(slots, group, slots->cursor_word);
			return TRUE;
		}
	}
	return FALSE;
}

int slots_alloc(Slots *slots, guint32 n, SlotRun *runs, guint *ret_n_runs)
{
	guint n_runs = 0;
	guint32 got = 0;
	int r = 0;

	lock_take(&slots->lock);
	while (!r) {
		guint64 had = slots->n_groups;

		got += take_warm_slots(slots, n - got, FALSE, runs, &n_runs);
		if (got == n)
			break;
		if (warm_up_lowest_word(slots))
			continue;
		lock_drop(&slots->lock);
		r = slots_grow(slots, had);
		lock_take(&slots->lock);
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
	enough = take_warm_slots(slots, n, TRUE, runs, &n_runs) == n;
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
	word_take_slots(slots, group, number, word, 64, ret_run, &n_runs);
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

	if (!take_warm_slots(slots, 1, FALSE, &one, &n_runs))
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
	return -ENOSPC;
}

int slots_take(Slots *slots, const SlotRun *run)
{
	guint bit = slot_bit(run->slot);
	SlotGroup *group;
	int r = 0;

	if (!CHECKED(slots->backing, run_fits_bitmap(*run), "I9: record_decode() bounded the run"))
		return -EUCLEAN;
	for (guint64 had; !r && (had = slots_groups(slots)) <= slot_group(run->slot);)
		r = slots_grow(slots, had);
	if (r)
		return r;
	lock_take(&slots->lock);
	group = group_locked(slots, slot_group(run->slot));
	for (guint32 i = 0; i < run->count && !r; i++)
		if (group->used[(bit + i) / 64] >> ((bit + i) % 64) & 1)
			r = -EUCLEAN;
	for (guint32 i = 0; i < run->count && !r; i++)
		word_use_bits(slots, group, (bit + i) / 64, (guint64)1 << ((bit + i) % 64));
	lock_drop(&slots->lock);
	return r;
}

/* Whether the run was written is unknown; on a full disk, some part of it was not. */
static void note_unwritten_locked(Slots *slots, SlotRun run, gboolean full)
{
	guint64 number = slot_group(run.slot);
	SlotGroup *group = group_locked(slots, number);
	guint bit = slot_bit(run.slot);
	guint last = (bit + run.count - 1) / 64;

	for (guint w = bit / 64; w <= last; w++)
		word_set_written(group, w, FALSE);
	if (!full)
		return;
	group->unknown = TRUE;
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
