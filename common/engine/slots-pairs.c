/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pairs of slots for inner nodes: a slot and the one FORMAT_COPY_DISTANCE behind it.  The bits of a
 * group are stripes of STRIPE_WORDS words; the pairs of a word of an even stripe are its bits with
 * those of the same word of the stripe that follows.
 *
 * The policy.  Like nodes in slots.c, pairs need space below them now.  A place is a run of pairs
 * in one pair of words; a cursor goes round over all groups.  There are two ways to look:
 *   PAIR_WHOLE   two wholly free words within NEAR_GROUPS groups from the cursor, or else any pair
 *                from the cursor on, or else a new group;
 *   PAIR_WARM    a pair that probably has space below: both words are written, or both are partly
 *                used (only words that are wholly free are ever punched).
 * A place that is not written is filled with zeros.  Where this meets a full disk, the place is
 * given back, the cursor moves on, and the search goes on the other way.  It ends with the first
 * place that has space.  When neither way finds a place, or after PAIR_PLACES attempts, only pairs
 * of written words are left to try (PAIR_WRITTEN).
 */
#include "common/engine/slots-private.h"

#include <errno.h>

#define STRIPE_WORDS (FORMAT_COPY_DISTANCE / 64)
#define PAIR_PLACES 128
#define NEAR_GROUPS 64

/* PAIR_ANY: also of words that are partly used. */
typedef enum { PAIR_WHOLE, PAIR_ANY, PAIR_WARM, PAIR_WRITTEN } PairKind;

/* Takes the first run of pairs in a pair of words, of which `word` is the first. */
static gboolean word_take_pairs(Slots *slots, guint64 number, guint word, PairKind kind,
				SlotRun *ret_run, gboolean *ret_written)
{
	SlotGroup *group = group_locked(slots, number);
	guint64 first = group->used[word], second = group->used[word + STRIPE_WORDS];
	guint64 used = first | second;
	guint bit, length;

	*ret_written = word_is_written(group, word) && word_is_written(group, word + STRIPE_WORDS);
	if (kind == PAIR_WHOLE ? used != 0 : !~used)
		return FALSE;
	if (kind == PAIR_WARM && !*ret_written && (!first || !second))
		return FALSE;
	if (kind == PAIR_WRITTEN && !*ret_written)
		return FALSE;
	length = word_find_zeros(used, &bit);
	word_take_bits(slots, group, word, word_bits(bit, length));
	word_take_bits(slots, group, word + STRIPE_WORDS, word_bits(bit, length));
	*ret_run = (SlotRun){word_slot(number, word) + bit, length};
	return TRUE;
}

gboolean slots_take_pair(Slots *slots, guint64 slot)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&slots->lock);
	guint bit = slot_bit(slot), word = bit / 64;
	guint64 mask = (guint64)1 << (bit % 64);
	SlotGroup *group;

	if (!node_slot_is_usable(1, slot, slots->n_groups))
		return FALSE;
	group = group_locked(slots, slot_group(slot));
	if ((group->used[word] | group->used[word + STRIPE_WORDS]) & mask)
		return FALSE;
	word_take_bits(slots, group, word, mask);
	word_take_bits(slots, group, word + STRIPE_WORDS, mask);
	return TRUE;
}

/* Looks for pairs in `groups` groups from the cursor's on, and in its words before the cursor. */
static gboolean sweep_for_pairs(Slots *slots, guint64 groups, PairKind kind, SlotRun *ret_run,
				gboolean *ret_written)
{
	guint64 at = slots->pair_cursor / WORDS;
	guint word = (guint)(slots->pair_cursor % WORDS);

	for (guint64 i = 0; i <= groups && slots->n_groups; i++, at++, word = 0) {
		const SlotGroup *group = group_locked(slots, at % slots->n_groups);

		if (!group->n_cold && group->warm_free < 2)
			continue;
		for (; word < WORDS; word++) {
			if (word / STRIPE_WORDS % 2)
				continue;
			if (!word_take_pairs(slots, at % slots->n_groups, word, kind, ret_run,
					     ret_written))
				continue;
			slots->pair_cursor = at % slots->n_groups * WORDS + word;
			return TRUE;
		}
	}
	return FALSE;
}

static int take_place_for_pairs(Slots *slots, PairKind kind, SlotRun *ret_run,
				gboolean *ret_written)
{
	int r = 0;

	lock_take(&slots->lock);
	while (!r) {
		guint64 had = slots->n_groups;

		if ((kind == PAIR_WHOLE &&
		     sweep_for_pairs(slots, MIN(had, NEAR_GROUPS), kind, ret_run, ret_written)) ||
		    sweep_for_pairs(slots, had, kind == PAIR_WHOLE ? PAIR_ANY : kind, ret_run,
				    ret_written))
			break;
		lock_drop(&slots->lock);
		r = kind == PAIR_WHOLE ? slots_grow(slots, had) : -ENOSPC;
		lock_take(&slots->lock);
	}
	lock_drop(&slots->lock);
	return r;
}

static SlotRun run_of_copies(const SlotRun *run)
{
	return (SlotRun){run->slot + FORMAT_COPY_DISTANCE, run->count};
}

/* So that both runs have space below them. */
static int write_zeros_twice(Slots *slots, const SlotRun *run)
{
	static const guint8 zeros[64 * FORMAT_SLOT_SIZE];
	gsize length = (gsize)run->count * FORMAT_SLOT_SIZE;
	SlotRun copies = run_of_copies(run);
	int r = backing_pwrite(slots->backing, zeros, length, slots_offset(slots, run->slot));

	return r ? r
		 : backing_pwrite(slots->backing, zeros, length, slots_offset(slots, copies.slot));
}

static void give_back_with_copies(Slots *slots, const SlotRun *run, gboolean full)
{
	SlotRun both[2] = {*run, run_of_copies(run)};

	slots_give_back(slots, both, 2, full);
	if (!full)
		return;
	lock_take(&slots->lock);
	slots->pair_cursor++; /* the next search begins behind this place */
	lock_drop(&slots->lock);
}

void slots_give_back_pairs(Slots *slots, const SlotRun *run)
{
	give_back_with_copies(slots, run, FALSE);
}

int slots_alloc_pairs(Slots *slots, SlotRun *ret_run)
{
	PairKind kind = PAIR_WHOLE;
	guint missed = 0; /* ways to look, one after the other, that found no place */
	gboolean written;

	for (guint places = 0; places < PAIR_PLACES && missed < 2; places++) {
		int r = take_place_for_pairs(slots, kind, ret_run, &written);

		missed = r ? missed + 1 : 0;
		if (!r && !written && !slots->read_only) {
			r = write_zeros_twice(slots, ret_run);
			if (r)
				give_back_with_copies(slots, ret_run, r == -ENOSPC);
		}
		if (r != -ENOSPC)
			return r;
		kind = kind == PAIR_WHOLE ? PAIR_WARM : PAIR_WHOLE;
	}
	return take_place_for_pairs(slots, PAIR_WRITTEN, ret_run, &written);
}
