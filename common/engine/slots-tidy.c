/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the pass that tidies space (tidy.h): which words it empties, and where it writes.
 *
 * A word is *sparse* if at most SPARSE of its slots are in use.  What the pass moves goes to wholly
 * free words, which it fills one after the other: the words that it writes are never sparse, and
 * what it wrote stays together.  Each kind of move has a cursor of its own, so that blocks that
 * stay where they are for long (gathered ones) and blocks that are soon moved again (evicted ones)
 * are not in one word.
 */
#include "common/engine/slots-private.h"

#include <errno.h>

#define SPARSE 51u /* used slots: a file of words with more is at most 64/52 of what is live */

static gboolean word_is_marked(const SlotGroup *group, guint word)
{
	return group->marked[word / 64] >> (word % 64) & 1;
}

/* ---- which words are emptied */

/* How many words have so many slots in use, of those that are neither wholly free nor full. */
typedef struct {
	guint64 words[64];
} SlotsUse;

static void group_add_use(Slots *slots, guint64 number, SlotsUse *use)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&slots->lock);
	const SlotGroup *group = group_locked(slots, number);

	for (guint w = 0; w < WORDS; w++) {
		guint n_free = word_free(group, w);

		if (n_free && n_free < 64)
			use->words[64 - n_free]++;
	}
}

static void group_mark(Slots *slots, guint64 number, guint used_max, SlotsUse *rest)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&slots->lock);
	SlotGroup *group = group_locked(slots, number);

	memset(group->marked, 0, sizeof group->marked);
	for (guint w = 0; w < WORDS; w++) {
		guint used = 64 - word_free(group, w);

		if (!used || used > used_max || !rest->words[used])
			continue;
		rest->words[used]--;
		group->marked[w / 64] |= (guint64)1 << (w % 64);
	}
}

/* Leaves in *use the words to be marked: those with the fewest slots in use, `words` at most, until
 * `max` slots in use are in them.  Returns how many slots that are. */
static guint64 choose_sparsest(SlotsUse *use, guint64 max, guint64 words)
{
	guint64 chosen = 0;

	for (guint used = 1; used <= SPARSE; used++) {
		guint64 most = MIN(words, (max - chosen) / used);

		use->words[used] = MIN(use->words[used], most);
		words -= use->words[used];
		chosen += use->words[used] * used;
	}
	return chosen;
}

void slots_get_space(Slots *slots, SlotsSpace *ret_space)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&slots->lock);
	guint64 whole = slots->n_whole * 64;

	*ret_space = (SlotsSpace){.whole = whole, .loose = slots->warm_free - whole};
}

guint64 slots_mark_sparse(Slots *slots, guint64 max, guint64 words)
{
	guint64 n = slots_groups(slots), chosen;
	SlotsUse use = {0};

	for (guint64 g = 0; g < n && words; g++)
		group_add_use(slots, g, &use);
	chosen = choose_sparsest(&use, max, words);
	for (guint64 g = 0; g < n; g++)
		group_mark(slots, g, SPARSE, &use);
	return chosen;
}

void slots_get_marked(Slots *slots, const MapEntry *entries, guint n, gboolean *ret_marked)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&slots->lock);

	for (guint i = 0; i < n; i++) {
		guint64 slot = entries[i].slot;

		ret_marked[i] = slot && word_is_marked(group_locked(slots, slot_group(slot)),
						       slot_bit(slot) / 64);
	}
}

/* ---- where the pass writes */

/* Every slot of a word that is not cold is in use or free and warm. */
static guint64 backed_locked(const Slots *slots)
{
	return slots->n_used + slots->warm_free;
}

guint64 slots_backed(Slots *slots)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&slots->lock);

	return backed_locked(slots);
}

/* Takes up to `want` slots of a word, from a bit on that is free, and adds them to the runs; they
 * are neighbours.  The kind's cursor moves behind them. */
static guint32 take_of_word(Slots *slots, SlotsTidyKind kind, guint64 slot, guint32 want,
			    SlotRun *runs, guint *n_runs)
{
	SlotGroup *group = group_locked(slots, slot_group(slot));
	guint word = slot_bit(slot) / 64, bit = slot_bit(slot) % 64;
	guint64 rest = group->used[word] >> bit;
	guint32 n = rest ? (guint32)__builtin_ctzll(rest) : 64 - bit;
	SlotRun *last = *n_runs ? &runs[*n_runs - 1] : NULL;

	n = MIN(n, want);
	if (!n)
		return 0;
	word_take_bits(slots, group, word, word_bits(bit, n));
	group->marked[word / 64] &= ~((guint64)1 << (word % 64));
	if (last && last->slot + last->count == slot)
		last->count += n;
	else
		runs[(*n_runs)++] = (SlotRun){slot, n};
	slots->tidy_next[kind] = slot + n;
	return n;
}

/* Takes what is left of the word that the kind's last call took slots of. */
static guint32 take_of_last_word(Slots *slots, SlotsTidyKind kind, guint32 want, SlotRun *runs,
				 guint *n_runs)
{
	guint64 next = slots->tidy_next[kind];

	if (!next || !slot_is_usable(next, slots->n_groups) || slot_bit(next) % 64 == 0)
		return 0;
	return take_of_word(slots, kind, next, want, runs, n_runs);
}

/* The word at which the kind goes on looking for wholly free ones. */
static guint64 next_word(const Slots *slots, SlotsTidyKind kind)
{
	guint64 next = slots->tidy_next[kind];

	return next && slot_is_usable(next, slots->n_groups)
		       ? slot_group(next) * WORDS + slot_bit(next) / 64
		       : 0;
}

/* Takes a wholly free word, or a part of it.  0: there is none, or taking a cold one would exceed
 * the limit. */
static guint32 take_whole_word(Slots *slots, SlotsTidyKind kind, guint32 want, guint64 limit,
			       SlotRun *runs, guint *n_runs)
{
	guint64 word = next_word(slots, kind);

	if (slots->tidy_no_warm || !find_whole_word_locked(slots, FALSE, &word)) {
		slots->tidy_no_warm = TRUE;
		if (backed_locked(slots) + 64 > limit ||
		    !find_whole_word_locked(slots, TRUE, &word))
			return 0;
	}
	return take_of_word(slots, kind, word_slot(word / WORDS, (guint)(word % WORDS)), want, runs,
			    n_runs);
}

int slots_alloc_tidy(Slots *slots, SlotsTidyKind kind, guint32 n, guint64 limit, SlotRun *runs,
		     guint *ret_n_runs)
{
	guint64 next = slots->tidy_next[kind];
	guint n_runs = 0;
	guint32 got;
	int r = 0;

	lock_take(&slots->lock);
	got = take_of_last_word(slots, kind, n, runs, &n_runs);
	while (got < n && !r) {
		guint64 had = slots->n_groups;
		guint32 more = take_whole_word(slots, kind, n - got, limit, runs, &n_runs);

		got += more;
		if (more)
			continue;
		if (backed_locked(slots) + 64 > limit) {
			r = -ENOSPC;
			break;
		}
		lock_drop(&slots->lock);
		r = slots_grow(slots, had);
		lock_take(&slots->lock);
	}
	if (r)
		slots->tidy_next[kind] = next;
	lock_drop(&slots->lock);
	if (r)
		slots_give_back(slots, runs, n_runs, FALSE);
	else
		*ret_n_runs = n_runs;
	return r;
}

void slots_begin_tidy(Slots *slots)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&slots->lock);

	slots->tidy_no_warm = FALSE;
}
