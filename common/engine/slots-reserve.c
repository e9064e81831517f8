/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Space that is kept below free slots.  The kept words are the first ones of the volume, whatever
 * is in them.  They get space from the first on: `backed_words` of them have it, and do not lose
 * it: nobody punches them, and none of them becomes cold.
 *
 * Space that somebody has begun to ask for is kept until a time: if nobody asks any more, it goes
 * back.  Until then only whoever asks has it allocated.
 */
#include "common/engine/slots-private.h"

#include <errno.h>

static guint64 words_covering(guint64 n)
{
	return n / 64 + (n % 64 != 0);
}

static void keep_locked(Slots *slots, guint64 words)
{
	guint64 before = slots->kept_words;

	slots->kept_words = words;
	/* Cold words that are kept no more may have space, which slots_trim() gives back. */
	for (guint64 g = slots->kept_words / WORDS; g < slots->n_groups && g * WORDS < before; g++)
		group_locked(slots, g)->unknown = TRUE;
	slots->backed_words = MIN(slots->backed_words, slots->kept_words);
}

void slots_keep(Slots *slots, guint64 n)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&slots->lock);

	slots->firm_words = words_covering(n);
	keep_locked(slots, slots->firm_words);
}

void slots_keep_until(Slots *slots, guint64 n, gint64 until)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&slots->lock);

	slots->kept_until = until;
	keep_locked(slots, words_covering(n));
}

guint64 slots_kept_backed(Slots *slots)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&slots->lock);

	return slots->backed_words * 64;
}

/* Every slot of these words has space now. */
static void note_backed(Slots *slots, guint64 number, guint word, guint n)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&slots->lock);
	SlotGroup *group = group_locked(slots, number);

	for (guint w = word; w < word + n; w++) {
		if (word_is_cold(group, w))
			word_warm_up(slots, group, w);
		word_set_written(group, w, TRUE);
	}
	slots->backed_words = number * WORDS + word + n;
}

int slots_back_some(Slots *slots)
{
	guint64 at, kept, groups;
	guint word, n;
	int r;

	lock_take(&slots->lock);
	at = slots->backed_words;
	kept = slots->kept_words;
	groups = slots->n_groups;
	lock_drop(&slots->lock);
	if (at >= kept)
		return 0;
	if (at / WORDS >= groups) {
		r = slots_grow(slots, groups);
		return r ? r : 1;
	}
	word = (guint)(at % WORDS);
	n = (guint)MIN(kept - at, WORDS - word);
	r = backing_allocate(slots->backing, slots_offset(slots, word_slot(at / WORDS, word)),
			     n * WORD_BYTES);
	if (r)
		return r;
	note_backed(slots, at / WORDS, word, n);
	return at + n < kept;
}

int slots_tend_kept(Slots *slots)
{
	gboolean for_a_time;

	lock_take(&slots->lock);
	if (slots->kept_words != slots->firm_words && g_get_monotonic_time() >= slots->kept_until)
		keep_locked(slots, slots->firm_words);
	for_a_time = slots->kept_words != slots->firm_words;
	lock_drop(&slots->lock);
	return for_a_time ? 0 : slots_back_some(slots);
}

/* If that fails, nothing but the space is lost, until the volume needs it. */
void slots_trim_tail(Slots *slots)
{
	guint64 end = page_offset(slots, slots_groups(slots), 0);
	guint64 size = backing_size(slots->backing);

	if (slots->backing->ops->allocate && size > end)
		backing_punch(slots->backing, end, size - end);
}
