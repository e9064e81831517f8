/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Neighbouring slots for large requests, within a bound on the size of the file.  The words and
 * their states are those of slots.c.
 *
 * The bound.  The file is *compact* if the free slots that have space below them (those of words
 * that are not cold) are at most a quarter of the slots in use: those of data, of metadata, pending
 * free, and taken.  So what the backing takes in the file system, as far as is known, is at most
 * 1.25 times what is in use.  A large request takes a cold word, or adds a group, only if the file
 * is compact afterwards.  Slots that become free later leave the file as large as it is; so by what
 * large requests take, it never exceeds 1.25 times the most that was in use at one time.
 *
 * The loan (slots_lend()).  A file also counts as compact while no more than the loan is free in
 * it. A small volume needs that: what was written since the last checkpoint alone may be a quarter
 * of it, and 1.25 times leaves large requests nothing but fragments then.  The same requests repay
 * most of it, since what they replace becomes wholly free; slots_trim() and the pass that tidies do
 * the rest while the volume is idle.
 *
 * The policy.  The *open* word is the last one that a large request took.  It takes, in this order:
 *   1. the free slots at the end of the open word, if they suffice, or if the word behind them
 *      would be taken in 2., too;
 *   2. wholly free words: the word behind those that it has just taken; or else a warm one, from
 *      the open word on and round; or else the lowest cold one.  Cold ones within the bound;
 *   3. a new group, within the bound;
 *   4. what a small request takes.
 * So a request of 256 slots gets at most four runs before it comes to 4.
 *
 * A cold word that meets a full disk costs its request a checkpoint (volume-write.c).  After that,
 * or when no group can be added, the next REFUSED large requests leave cold words to 4.
 *
 * Cold words make the next flush slower, so warm ones come first, and those that slots_warm_up()
 * has written ahead are among them.  On a volume that has nothing but fragments left, warm space
 * means fragments: there, one slower flush is the price of one write to the backing instead of
 * dozens.  What slots_trim() punches is cold, and is taken again within the same bound.
 */
#include "common/engine/slots-private.h"

#define REFUSED 256 /* large requests: 64 MiB if each is of 1 MiB */

void refuse_cold_locked(Slots *slots)
{
	slots->large_to_refuse = REFUSED;
}

void note_large_locked(Slots *slots)
{
	if (slots->large_to_refuse)
		slots->large_to_refuse--;
}

void slots_lend(Slots *slots, guint64 bytes)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&slots->lock);

	slots->loan = bytes / FORMAT_SLOT_SIZE;
}

gboolean may_take_cold_locked(const Slots *slots, guint32 want)
{
	guint32 n = MIN(want, 64);
	guint64 free_after = slots->warm_free + 64 - n;

	return !slots->large_to_refuse &&
	       (free_after * 4 <= slots->n_used + n || free_after <= slots->loan);
}

/* Whether a large request may take a word that is wholly free as the open one. */
static gboolean may_open(const Slots *slots, const SlotGroup *group, guint word, guint32 want)
{
	return word < WORDS && !group->used[word] &&
	       (!word_is_cold(group, word) || may_take_cold_locked(slots, want));
}

/* Whether the word behind the open one would be opened by a request that begins now. */
static gboolean is_next(const Slots *slots, const SlotGroup *group, guint word, guint32 want)
{
	return may_open(slots, group, word, want) &&
	       (!word_is_cold(group, word) || !slots->n_whole);
}

/* Takes the slots at the end of the open word. */
static guint32 take_rest_of_open_word(Slots *slots, guint32 want, SlotRun *runs, guint *n_runs)
{
	guint64 number = slots->open_word / WORDS;
	guint word = (guint)(slots->open_word % WORDS), rest;
	SlotGroup *group;
	guint32 got;

	if (number >= slots->n_groups)
		return 0;
	group = group_locked(slots, number);
	if (!group->used[word])
		return 0; /* it became wholly free meanwhile */
	rest = (guint)__builtin_clzll(group->used[word]);
	if (!rest || (rest < want && !is_next(slots, group, word + 1, want - rest)))
		return 0;
	got = MIN(rest, want);
	word_take_bits(slots, group, word, word_bits(64 - rest, got));
	runs[(*n_runs)++] = (SlotRun){word_slot(number, word) + 64 - rest, got};
	return got;
}

/* Makes a wholly free word the open one, for a request that wants `want` more slots; `neighbour`:
 * the one behind the open word, if it can be had.  FALSE if there is none. */
static gboolean open_whole_word(Slots *slots, guint32 want, gboolean neighbour)
{
	guint64 next = slots->open_word + 1, number;
	guint word;

	if (neighbour && next % WORDS &&
	    may_open(slots, group_locked(slots, next / WORDS), (guint)(next % WORDS), want)) {
		slots->open_word = next;
		return TRUE;
	}
	if (slots->n_whole && find_whole_word_locked(slots, FALSE, &slots->open_word))
		return TRUE;
	if (!may_take_cold_locked(slots, want) || !find_cold_word_locked(slots, &number, &word))
		return FALSE;
	slots->open_word = number * WORDS + word;
	return TRUE;
}

guint32 take_neighbours_locked(Slots *slots, guint32 want, SlotRun *runs, guint *n_runs)
{
	guint32 got = take_rest_of_open_word(slots, want, runs, n_runs);

	while (got < want && open_whole_word(slots, want - got, got > 0))
		got += word_take_slots(slots, group_locked(slots, slots->open_word / WORDS),
				       (guint)(slots->open_word % WORDS), want - got, runs, n_runs);
	return got;
}
