/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Space below free slots: given back (trim), or allocated ahead (warm up).  A word that is being
 * punched or written is taken in memory for that time, so that no other thread gets its slots; on
 * disk its slots are free all the time.
 */
#include "common/engine/slots-private.h"

#include <errno.h>

#define WORDS_AT_ONCE 64u /* 16 MiB */

/* Takes the first wholly free words from *word on that are adjacent, and all warm or all cold, but
 * none that are kept.  Returns how many, and in *word the first. */
static guint take_trimmable(Slots *slots, SlotGroup *group, gboolean cold, guint *word)
{
	guint64 first = group->number * WORDS;
	guint n = 0;

	if (first + *word < slots->kept_words)
		*word = (guint)MIN(slots->kept_words - first, WORDS);
	while (*word < WORDS && (group->used[*word] || word_is_cold(group, *word) != cold))
		(*word)++;
	while (*word + n < WORDS && n < WORDS_AT_ONCE && !group->used[*word + n] &&
	       word_is_cold(group, *word + n) == cold) {
		word_use_bits(slots, group, *word + n, ~(guint64)0);
		n++;
	}
	return n;
}

/* Punches words that take_trimmable() took, and frees them.  FALSE: the backing cannot punch. */
static gboolean trim_words_unlocking(Slots *slots, guint64 number, guint word, guint n)
{
	SlotRun run = {word_slot(number, word), n * 64};
	int r;

	lock_drop(&slots->lock);
	r = backing_punch(slots->backing, slots_offset(slots, run.slot), n * WORD_BYTES);
	lock_take(&slots->lock);
	for (guint i = 0; i < n; i++)
		give_back_locked(slots, (SlotRun){run.slot + i * 64, 64}, !r);
	return !r;
}

/* Punches cold words that may have space below them: those that were free when the volume was
 * opened, and those that met a full disk.  Returns the number of bytes punched. */
static guint64 trim_unknown_unlocking(Slots *slots, guint64 number)
{
	SlotGroup *group = group_locked(slots, number);
	guint64 trimmed = 0;
	guint word = 0, n;

	if (!group->unknown)
		return 0;
	group->unknown = FALSE;
	while ((n = take_trimmable(slots, group, TRUE, &word)) > 0) {
		if (!trim_words_unlocking(slots, number, word, n))
			break; /* the backing cannot punch */
		trimmed += n * WORD_BYTES;
		word += n;
	}
	return trimmed;
}

guint64 slots_trim(Slots *slots, guint64 keep, guint64 limit)
{
	guint64 trimmed = 0;

	lock_take(&slots->lock);
	for (guint64 i = 0; i < slots->n_groups && trimmed < limit; i++) {
		guint64 number = slots->trim_group % slots->n_groups;
		SlotGroup *group = group_locked(slots, number);
		guint word = 0, n;

		trimmed += trim_unknown_unlocking(slots, number);
		while (group->n_whole && trimmed < limit &&
		       slots->warm_free * FORMAT_SLOT_SIZE > keep &&
		       (n = take_trimmable(slots, group, FALSE, &word)) > 0) {
			if (!trim_words_unlocking(slots, number, word, n))
				limit = 0; /* the backing cannot punch */
			else
				trimmed += n * WORD_BYTES;
			word += n;
		}
		slots->trim_group = number + 1;
	}
	lock_drop(&slots->lock);
	return trimmed;
}

guint64 slots_warm_bytes(Slots *slots)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&slots->lock);

	return slots->warm_free * FORMAT_SLOT_SIZE;
}

/* Takes the lowest cold words, up to `max` adjacent ones.  When they are freed they are warm. */
static guint take_cold_words(Slots *slots, guint max, SlotRun *ret_run)
{
	guint64 number;
	SlotGroup *group;
	guint word, n = 0;

	if (!find_cold_word_locked(slots, &number, &word))
		return 0;
	group = group_locked(slots, number);
	for (; word + n < WORDS && n < max && word_is_cold(group, word + n); n++)
		word_use_bits(slots, group, word + n, ~(guint64)0);
	*ret_run = (SlotRun){word_slot(number, word), n * 64};
	return n;
}

static void give_back_written(Slots *slots, SlotRun run)
{
	guint word = slot_bit(run.slot) / 64;
	SlotGroup *group;

	lock_take(&slots->lock);
	group = group_locked(slots, slot_group(run.slot));
	give_back_locked(slots, run, FALSE);
	for (guint i = 0; i < run.count / 64; i++)
		word_set_written(group, word + i, TRUE);
	lock_drop(&slots->lock);
}

int slots_warm_up(Slots *slots)
{
	static const guint8 zeros[WORD_BYTES];
	guint64 offset;
	SlotRun run;
	int r = 0;
	guint n;

	lock_take(&slots->lock);
	n = take_cold_words(slots, WORDS_AT_ONCE / 4, &run);
	lock_drop(&slots->lock);
	if (!n)
		return -ENOSPC;
	offset = slots_offset(slots, run.slot);
	for (guint i = 0; i < n && !r; i++, offset += WORD_BYTES)
		r = backing_pwrite(slots->backing, zeros, WORD_BYTES, offset);
	if (r)
		slots_give_back(slots, &run, 1, TRUE);
	else
		give_back_written(slots, run);
	return r;
}
