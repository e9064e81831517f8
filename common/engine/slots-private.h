/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the allocator share.  Each stands on those below it, and none on one above:
 *
 *     slots-pairs.c   slots-trim.c   slots-tidy.c   slots-reserve.c     pairs; space; emptying;
 * kept slots.c         slots-pages.c      slots-erase.c           which slots; disk; zeros
 *     slots-neighbours.c                                                large requests
 *                        slots-groups.c                                 bits, counts, growth
 *                         run-list.c                                    lists of runs
 *
 * Functions whose names end in _locked must be called with the allocator's lock held.  Those in
 * _unlocking, too, but they drop it in between: what is free may have changed when they return.
 */
#pragma once

#include "common/engine/checked.h"
#include "common/engine/run-list.h"
#include "common/engine/slots.h"

#define WORDS (FORMAT_BITMAP_BITS / 64)
#define WORD_BYTES ((guint64)64 * FORMAT_SLOT_SIZE)

typedef struct {
	guint64 number;
	guint64 used[WORDS];
	guint64 cold[(WORDS + 63) / 64];    /* bit w: word w is cold; it is wholly free */
	guint64 written[(WORDS + 63) / 64]; /* bit w: all free slots of word w have space */
	guint64 marked[(WORDS + 63) / 64];  /* bit w: word w is to be emptied (slots-tidy.c) */
	guint16 n_cold;
	guint16 n_whole;   /* words that are wholly free, and warm */
	guint16 warm_free; /* free slots in words that are not cold, these included */
	guint8 home;	   /* of the page that counts: FORMAT_BITMAP_A or _B */
	gboolean has_page;
	gboolean unknown;	 /* cold words may have space below them */
	gboolean next;		 /* the running checkpoint wrote the other home */
	gboolean must_write;	 /* the other home holds a page that must never count */
	guint64 term, next_term; /* of the page that counts, and of the running checkpoint's */
} SlotGroup;

struct Slots {
	Backing *backing;
	guint64 offset;
	const Seal *seal;
	gboolean read_only;

	Lock lists_lock; /* of the maps; serializes changes of the lists */
	Lock lock;	 /* protects everything below but the lists */
	SlotGroup **groups;
	guint64 n_groups;
	guint64 warm_free; /* of all groups; so is n_whole */
	guint64 n_whole;
	guint64 n_used;	      /* slots that are not free */
	guint64 cursor_group; /* of small requests: they go on here */
	guint cursor_word;
	guint64 open_word;	/* of large requests, group * WORDS + word */
	guint64 loan;		/* free slots up to which a file counts as compact */
	guint large_to_refuse;	/* so many large requests take no cold word: one met a full disk */
	guint64 cold_from;	/* no word of a group before this one is cold */
	guint64 trim_group;	/* where slots_trim() continues */
	guint64 pair_cursor;	/* group * WORDS + word */
	guint64 whole_from;	/* no wholly free word is before this (group * WORDS + word) ... */
	gboolean whole_skipped; /* ... or only words that met a full disk */

	guint64 tidy_next[2];  /* by SlotsTidyKind: behind the last slot that was taken; 0: none */
	gboolean tidy_no_warm; /* the pass found no wholly free warm word */

	/* The first ones, see slots-reserve.c; after `kept_until` (monotonic microseconds) only
	 * `firm_words` of them are kept. */
	guint64 kept_words, firm_words, backed_words;
	gint64 kept_until;

	Lock grow_lock; /* held while the backing grows; taken before `lock` */

	RunList gained, retired;	       /* since the last freeze */
	RunList frozen_gained, frozen_retired; /* until the checkpoint's pages are written */
	RunList leaving;		       /* retired; freed once that checkpoint is durable */
	guint64 frozen_groups;		       /* n_groups at the last freeze */
	guint64 digest, frozen_digest;	       /* of the thread that writes pages */
	guint64 turnover;		       /* atomic; changed under lists_lock */
	guint64 mended;
};

/* The array moves while the backing grows; the groups stay where they are. */
static inline SlotGroup *group_locked(const Slots *slots, guint64 number)
{
	lock_check_held(&slots->lock);
	return slots->groups[number];
}

static inline guint64 page_offset(const Slots *slots, guint64 group, guint home)
{
	return slots_offset(slots, group << FORMAT_GROUP_SHIFT | home);
}

static inline guint word_free(const SlotGroup *group, guint word)
{
	return 64 - (guint)__builtin_popcountll(group->used[word]);
}

static inline gboolean word_is_cold(const SlotGroup *group, guint word)
{
	return group->cold[word / 64] >> (word % 64) & 1;
}

static inline gboolean word_is_written(const SlotGroup *group, guint word)
{
	return group->written[word / 64] >> (word % 64) & 1;
}

static inline void word_set_written(SlotGroup *group, guint word, gboolean written)
{
	guint64 mask = (guint64)1 << (word % 64);

	if (written)
		group->written[word / 64] |= mask;
	else
		group->written[word / 64] &= ~mask;
}

/* A cold word becomes warm. */
static inline void word_warm_up(Slots *slots, SlotGroup *group, guint word)
{
	group->cold[word / 64] &= ~((guint64)1 << (word % 64));
	group->n_cold--;
	group->n_whole++;
	group->warm_free = (guint16)(group->warm_free + 64);
	slots->n_whole++;
	slots->warm_free += 64;
}

/* Whether all slots of a word have space, which is kept. */
static inline gboolean word_is_backed(const Slots *slots, guint64 number, guint word)
{
	return number * WORDS + word < slots->backed_words;
}

/* A warm word, wholly free, becomes cold. */
static inline void word_cool_down(Slots *slots, SlotGroup *group, guint word)
{
	if (!CHECKED(slots->backing, !group->used[word] && !word_is_cold(group, word),
		     "I5: only a free word becomes cold"))
		return;
	group->cold[word / 64] |= (guint64)1 << (word % 64);
	word_set_written(group, word, FALSE);
	group->n_cold++;
	group->n_whole--;
	group->warm_free = (guint16)(group->warm_free - 64);
	slots->n_whole--;
	slots->warm_free -= 64;
	slots->cold_from = MIN(slots->cold_from, group->number);
}

/* The bits [bit, bit + length) of a word. */
static inline guint64 word_bits(guint bit, guint length)
{
	return (length == 64 ? ~(guint64)0 : ((guint64)1 << length) - 1) << bit;
}

/* The first run of zeros of a word that is not all ones: its first bit, and its length. */
static inline guint word_find_zeros(guint64 used, guint *ret_bit)
{
	guint bit = (guint)__builtin_ctzll(~used);
	guint64 rest = used >> bit;

	*ret_bit = bit;
	return rest ? (guint)__builtin_ctzll(rest) : 64 - bit;
}

/* Makes free slots of a word used.  A cold word becomes warm. */
static inline void word_use_bits(Slots *slots, SlotGroup *group, guint word, guint64 bits)
{
	guint n = (guint)__builtin_popcountll(bits);

	if (!CHECKED(slots->backing, !(group->used[word] & bits), "I5: no slot is taken twice"))
		return;
	if (word_is_cold(group, word))
		word_warm_up(slots, group, word);
	if (!group->used[word]) {
		group->n_whole--;
		slots->n_whole--;
	}
	group->used[word] |= bits;
	group->warm_free = (guint16)(group->warm_free - n);
	slots->warm_free -= n;
	slots->n_used += n;
}

/* The same for a user who writes the slots, or returns them by slots_give_back(): a word that is
 * full now counts as written. */
static inline void word_take_bits(Slots *slots, SlotGroup *group, guint word, guint64 bits)
{
	word_use_bits(slots, group, word, bits);
	if (!~group->used[word])
		word_set_written(group, word, TRUE);
}

/* The bitmap of the run's group has a bit for each of its slots. */
static inline gboolean run_fits_bitmap(SlotRun run)
{
	return slot_index(run.slot) >= FORMAT_FIRST_INDEX &&
	       slot_index(run.slot) + run.count <= FORMAT_LAST_INDEX + 1;
}

/* A slot's bit in its group's bitmap; and the first slot of a word. */
static inline guint slot_bit(guint64 slot)
{
	return (guint)slot_index(slot) - FORMAT_FIRST_INDEX;
}

static inline guint64 word_slot(guint64 number, guint word)
{
	return (number << FORMAT_GROUP_SHIFT) + FORMAT_FIRST_INDEX + (guint64)word * 64;
}

/* Cuts the part of a run that is not empty off which lies in the word of its first slot.  Returns
 * that word's bits, and the word. */
static inline guint64 run_cut_word(SlotRun *left, guint *ret_word)
{
	guint bit = slot_bit(left->slot);
	guint length = MIN(left->count, 64 - bit % 64);

	*ret_word = bit / 64;
	left->slot += length;
	left->count -= length;
	return word_bits(bit % 64, length);
}

/* Appends a group whose `used` is filled in.  Its wholly free words are cold; slots beyond the end
 * of the backing count as used, unless read-only.  0, and the group is the allocator's; or
 * -ENOMEM. */
int group_add_locked(Slots *slots, SlotGroup *group);

/* Takes up to `want` free slots of one word, and adds them to the runs.  Returns how many. */
guint32 word_take_slots(Slots *slots, SlotGroup *group, guint word, guint32 want, SlotRun *runs,
			guint *n_runs);

/* Takes up to `want` slots for a large request, as neighbours, without adding a group, and adds
 * them to the runs.  Returns how many. */
guint32 take_neighbours_locked(Slots *slots, guint32 want, SlotRun *runs, guint *n_runs);

/* Whether the file is compact after a large request has taken a cold word, of which it wants `want`
 * slots; FALSE as well while such requests leave cold words alone. */
gboolean may_take_cold_locked(const Slots *slots, guint32 want);

/* The disk is full: large requests leave cold words alone for a while, which note_large_locked()
 * counts. */
void refuse_cold_locked(Slots *slots);
void note_large_locked(Slots *slots);

/* Frees slots that were taken; `cold`: words that are wholly free then become cold.  FALSE: a word
 * has one that was not taken (I5 is broken); the slots in words before it are free now. */
gboolean give_back_locked(Slots *slots, SlotRun run, gboolean cold);

/* The lowest cold word: its group and its place there.  FALSE if no word is cold. */
gboolean find_cold_word_locked(Slots *slots, guint64 *ret_group, guint *ret_word);

/* The first wholly free word from *word (group * WORDS + word) on and round: a cold one, or a warm
 * one.  FALSE if there is none. */
gboolean find_whole_word_locked(const Slots *slots, gboolean cold, guint64 *word);

/* Adds a group to the `had` groups that the caller saw; 0 also if another thread has added one.
 * -ENOSPC, -ENOMEM, -EIO.  Called without the lock. */
int slots_grow(Slots *slots, guint64 had);
