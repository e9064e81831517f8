/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cursor sweeps over the warm free slots, group after group, round and round (next fit), so that
 * writes go through the backing in one direction.  Only when no warm slot is left does the lowest
 * cold word become warm; only when no word is left does the backing grow by a group.
 *
 * When a volume is opened nobody knows what the file system has space for: words that are wholly
 * free count as cold, until the first trim punches them.
 */
#include "common/slots.h"
#include "common/logging.h"

#include <errno.h>
#include <stdlib.h>

#define WORDS (FORMAT_BITMAP_BITS / 64)
#define WORD_BYTES ((guint64)64 * FORMAT_SLOT_SIZE)
#define TRIM_WORDS_AT_ONCE 64u /* 16 MiB */
#define LIST_RUN_MAX (((guint64)1 << 24) - 1)

typedef struct {
	guint64 used[WORDS];
	guint64 cold[(WORDS + 63) / 64]; /* bit w: word w is cold, and wholly free */
	guint16 n_cold;
	guint16 warm_free; /* free slots in warm words */
	guint8 home;       /* of the page that counts: FORMAT_BITMAP_A or _B */
	gboolean has_page;
	gboolean unknown;   /* loaded: nobody knows which cold words have space below */
	gboolean next;      /* the running checkpoint wrote the other home */
	gboolean must_write; /* the other home holds a page that must never count */
} Group;

/* Runs packed as in a journal record: slot | count << 40. */
typedef struct {
	guint64 *runs;
	gsize n, capacity;
	guint64 slots;
} List;

struct Slots {
	Backing *backing;
	guint64 offset;
	guint64 seed;
	gboolean read_only;

	GMutex lock; /* everything below but the lists */
	Group **groups;
	guint64 n_groups;
	guint64 warm_free;
	guint64 cursor_group;
	guint cursor_word;
	guint64 trim_group; /* slots_trim goes on here */

	GMutex grow_lock; /* held while the backing grows; taken before `lock` */

	List gained, lost;               /* since the last freeze */
	List frozen_gained, frozen_lost; /* of the running checkpoint */
	guint64 frozen_groups;           /* n_groups when it began */
};

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

Slots *slots_new(Backing *backing, guint64 groups_offset, guint64 seed, gboolean read_only,
		 GError **error)
{
	Slots *slots = g_try_new0(Slots, 1);

	if (!slots) {
		error_set_errno(error, ENOMEM, "%s: allocator", backing->name);
		return NULL;
	}
	slots->backing = backing;
	slots->offset = groups_offset;
	slots->seed = seed;
	slots->read_only = read_only;
	g_mutex_init(&slots->lock);
	g_mutex_init(&slots->grow_lock);
	return slots;
}

void slots_free(Slots *slots)
{
	if (!slots)
		return;
	for (guint64 g = 0; g < slots->n_groups; g++)
		g_free(slots->groups[g]);
	g_free(slots->groups);
	list_clear(&slots->gained);
	list_clear(&slots->lost);
	list_clear(&slots->frozen_gained);
	list_clear(&slots->frozen_lost);
	g_mutex_clear(&slots->lock);
	g_mutex_clear(&slots->grow_lock);
	g_free(slots);
}

guint64 slots_offset(const Slots *slots, guint64 slot)
{
	return slots->offset + slot * FORMAT_SLOT_SIZE;
}

static guint64 page_offset(const Slots *slots, guint64 group, guint home)
{
	return slots_offset(slots, group << FORMAT_GROUP_SHIFT | home);
}

static guint word_free(const Group *group, guint word)
{
	return 64 - (guint)__builtin_popcountll(group->used[word]);
}

static gboolean word_is_cold(const Group *group, guint word)
{
	return group->cold[word / 64] >> (word % 64) & 1;
}

static void word_warm_up(Slots *slots, Group *group, guint word)
{
	group->cold[word / 64] &= ~((guint64)1 << (word % 64));
	group->n_cold--;
	group->warm_free = (guint16)(group->warm_free + 64);
	slots->warm_free += 64;
}

/* The word is wholly free and warm. */
static void word_cool_down(Slots *slots, Group *group, guint word)
{
	group->cold[word / 64] |= (guint64)1 << (word % 64);
	group->n_cold++;
	group->warm_free = (guint16)(group->warm_free - 64);
	slots->warm_free -= 64;
}

/* Counts a group whose `used` is filled in: wholly free words are cold. */
static void group_count(Slots *slots, Group *group)
{
	for (guint w = 0; w < WORDS; w++) {
		guint n = word_free(group, w);

		group->warm_free = (guint16)(group->warm_free + n);
		slots->warm_free += n;
		if (n == 64)
			word_cool_down(slots, group, w);
	}
}

/* Bits whose slots lie beyond the end of a backing that cannot grow are never given out. */
static void group_cut(const Slots *slots, Group *group, guint64 number)
{
	guint64 end = (backing_size(slots->backing) - slots->offset) / FORMAT_SLOT_SIZE;
	guint64 first = number << FORMAT_GROUP_SHIFT;
	guint64 usable = end > first + FORMAT_FIRST_INDEX ? end - first - FORMAT_FIRST_INDEX : 0;

	for (guint64 bit = usable; bit < FORMAT_BITMAP_BITS; bit++)
		group->used[bit / 64] |= (guint64)1 << (bit % 64);
}

/* Appends a group; the lock is held. */
static int group_append(Slots *slots, Group *group)
{
	guint64 n = slots->n_groups;

	if ((n & (n - 1)) == 0) {
		Group **groups = g_try_realloc_n(slots->groups, n ? n * 2 : 1, sizeof *groups);

		if (!groups)
			return -ENOMEM;
		slots->groups = groups;
	}
	slots->groups[slots->n_groups++] = group;
	return 0;
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
		group_cut(slots, group, g);
		group->unknown = TRUE;
		group_count(slots, group);
		if (group_append(slots, group))
			return error_set_errno(error, ENOMEM, "%s: allocator",
					       slots->backing->name);
		g_steal_pointer(&group);
	}
	return TRUE;
}

/* Adds a group of fresh slots.  Its pages' homes are written now, so that a checkpoint does not
 * meet a full disk there. */
static int grow(Slots *slots, guint64 had)
{
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&slots->grow_lock);
	static const guint8 zeros[2 * FORMAT_SLOT_SIZE];
	g_autofree Group *group = NULL;
	guint64 size, end;
	int r;

	if (slots->n_groups > had) /* somebody else did; only growers change it */
		return 0;
	if (had >= (guint64)1 << (FORMAT_SLOT_BITS - FORMAT_GROUP_SHIFT))
		return -ENOSPC;
	group = g_try_new0(Group, 1);
	if (!group)
		return -ENOMEM;
	end = page_offset(slots, had + 1, 0);
	size = backing_size(slots->backing);
	r = size < end && !slots->read_only ? backing_grow(slots->backing, end) : 0;
	if (r == -ENOSPC && size >= page_offset(slots, had, FORMAT_FIRST_INDEX + 64))
		r = 0; /* a short group at the end of a device */
	if (!r && !slots->read_only)
		r = backing_pwrite(slots->backing, zeros, sizeof zeros, page_offset(slots, had, 0));
	if (r)
		return r;
	if (!slots->read_only)
		group_cut(slots, group, had);
	g_mutex_lock(&slots->lock);
	r = group_append(slots, group);
	if (!r)
		group_count(slots, g_steal_pointer(&group));
	g_mutex_unlock(&slots->lock);
	return r;
}

/* Takes up to `want` free slots of one word, from bit `from` on, into runs. */
static guint32 take_from_word(Slots *slots, Group *group, guint64 number, guint word,
			      guint32 want, SlotRun *runs, guint *n_runs)
{
	guint32 got = 0;

	while (got < want && ~group->used[word]) {
		guint bit = (guint)__builtin_ctzll(~group->used[word]);
		guint64 rest = group->used[word] >> bit;
		guint length = rest ? (guint)__builtin_ctzll(rest) : 64 - bit;
		guint64 slot = (number << FORMAT_GROUP_SHIFT) + FORMAT_FIRST_INDEX + word * 64 + bit;
		SlotRun *last = *n_runs ? &runs[*n_runs - 1] : NULL;

		length = MIN(length, want - got);
		group->used[word] |= (length == 64 ? ~(guint64)0 : ((guint64)1 << length) - 1)
				     << bit;
		if (last && last->slot + last->count == slot)
			last->count += length;
		else
			runs[(*n_runs)++] = (SlotRun){slot, length};
		got += length;
	}
	group->warm_free = (guint16)(group->warm_free - got);
	slots->warm_free -= got;
	return got;
}

/* Sweeps warm slots from the cursor on; what is asked for is there, or all that is warm. */
static guint32 take_warm(Slots *slots, guint32 want, SlotRun *runs, guint *n_runs)
{
	guint32 got = 0;

	while (got < want && slots->warm_free) {
		Group *group;

		if (slots->cursor_group >= slots->n_groups)
			slots->cursor_group = 0;
		group = slots->groups[slots->cursor_group];
		while (got < want && group->warm_free && slots->cursor_word < WORDS) {
			if (~group->used[slots->cursor_word] &&
			    !word_is_cold(group, slots->cursor_word))
				got += take_from_word(slots, group, slots->cursor_group,
						      slots->cursor_word, want - got, runs,
						      n_runs);
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

/* Warms up the lowest cold word and puts the cursor there.  FALSE if there is none. */
static gboolean warm_one(Slots *slots)
{
	for (guint64 g = 0; g < slots->n_groups; g++) {
		Group *group = slots->groups[g];

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

	g_mutex_lock(&slots->lock);
	while (!r) {
		guint64 had = slots->n_groups;

		got += take_warm(slots, n - got, runs, &n_runs);
		if (got == n)
			break;
		if (warm_one(slots))
			continue;
		g_mutex_unlock(&slots->lock);
		r = grow(slots, had);
		g_mutex_lock(&slots->lock);
	}
	g_mutex_unlock(&slots->lock);
	if (r)
		slots_give_back(slots, runs, n_runs, FALSE);
	else
		*ret_n_runs = n_runs;
	return r;
}

/* Takes a wholly free word: the one of `hint`, or else the lowest. */
static gboolean take_whole_word(Slots *slots, guint64 hint, SlotRun *ret_run, gboolean *ret_cold)
{
	guint64 first = hint && slot_is_usable(hint, slots->n_groups) ? slot_group(hint) : 0;

	for (guint64 i = 0; i < slots->n_groups; i++) {
		guint64 g = (first + i) % slots->n_groups;
		Group *group = slots->groups[g];
		guint from = hint && !i ? (guint)(slot_index(hint) - FORMAT_FIRST_INDEX) / 64 : 0;

		if (!group->n_cold && group->warm_free < 64)
			continue;
		for (guint w = from; w < WORDS; w++) {
			guint n_runs = 0;

			if (group->used[w])
				continue;
			*ret_cold = word_is_cold(group, w);
			if (*ret_cold)
				word_warm_up(slots, group, w);
			take_from_word(slots, group, g, w, 64, ret_run, &n_runs);
			return TRUE;
		}
	}
	return FALSE;
}

/* One run of warm slots, from a word that is partly used. */
static gboolean take_some(Slots *slots, SlotRun *ret_run)
{
	SlotRun one;
	guint n_runs = 0;

	if (!take_warm(slots, 1, &one, &n_runs))
		return FALSE;
	*ret_run = one;
	return TRUE;
}

int slots_alloc_nodes(Slots *slots, guint64 hint, SlotRun *ret_run)
{
	static const guint8 zeros[64 * FORMAT_SLOT_SIZE];
	gboolean cold = FALSE, found = FALSE;
	int r = 0;

	g_mutex_lock(&slots->lock);
	while (!r && !found) {
		guint64 had = slots->n_groups;

		found = take_whole_word(slots, hint, ret_run, &cold) || take_some(slots, ret_run);
		if (found)
			break;
		g_mutex_unlock(&slots->lock);
		r = grow(slots, had);
		g_mutex_lock(&slots->lock);
	}
	g_mutex_unlock(&slots->lock);
	if (found && cold && !slots->read_only) {
		r = backing_pwrite(slots->backing, zeros,
				   (gsize)ret_run->count * FORMAT_SLOT_SIZE,
				   slots_offset(slots, ret_run->slot));
		if (r)
			slots_give_back(slots, ret_run, 1, TRUE);
	}
	return r;
}

static void set_bits(Group *group, guint bit, guint32 count, gboolean used)
{
	for (guint32 i = 0; i < count; i++, bit++) {
		guint64 mask = (guint64)1 << (bit % 64);

		if (used)
			group->used[bit / 64] |= mask;
		else
			group->used[bit / 64] &= ~mask;
	}
}

int slots_take(Slots *slots, const SlotRun *run)
{
	guint bit = (guint)slot_index(run->slot) - FORMAT_FIRST_INDEX;
	Group *group;
	int r = 0;

	while (slot_group(run->slot) >= slots->n_groups && !r)
		r = grow(slots, slots->n_groups);
	if (r)
		return r;
	g_mutex_lock(&slots->lock);
	group = slots->groups[slot_group(run->slot)];
	for (guint32 i = 0; i < run->count && !r; i++)
		if (group->used[(bit + i) / 64] >> ((bit + i) % 64) & 1)
			r = -EUCLEAN;
	for (guint32 i = 0; i < run->count && !r; i++) {
		if (word_is_cold(group, (bit + i) / 64))
			word_warm_up(slots, group, (bit + i) / 64);
		set_bits(group, bit + i, 1, TRUE);
		group->warm_free--;
		slots->warm_free--;
	}
	g_mutex_unlock(&slots->lock);
	return r;
}

static void give_back_locked(Slots *slots, SlotRun run, gboolean full)
{
	Group *group = slots->groups[slot_group(run.slot)];
	guint bit = (guint)slot_index(run.slot) - FORMAT_FIRST_INDEX;

	set_bits(group, bit, run.count, FALSE);
	group->warm_free = (guint16)(group->warm_free + run.count);
	slots->warm_free += run.count;
	for (guint w = bit / 64; full && w <= (bit + run.count - 1) / 64; w++)
		if (!group->used[w])
			word_cool_down(slots, group, w);
}

void slots_give_back(Slots *slots, const SlotRun *runs, guint n_runs, gboolean full)
{
	g_mutex_lock(&slots->lock);
	for (guint i = 0; i < n_runs; i++)
		give_back_locked(slots, runs[i], full);
	g_mutex_unlock(&slots->lock);
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
	g_mutex_lock(&slots->lock);
	slots->frozen_groups = slots->n_groups;
	g_mutex_unlock(&slots->lock);
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

		g_mutex_lock(&slots->lock); /* the array may move while the backing grows */
		group = slots->groups[g];
		g_mutex_unlock(&slots->lock);
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
	g_mutex_lock(&slots->lock);
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
	g_mutex_unlock(&slots->lock);
}

/* Takes warm, wholly free words that lie side by side, from `word` on.  The number of words. */
static guint take_trimmable(Slots *slots, Group *group, guint *word)
{
	guint n = 0;

	while (*word < WORDS && (group->used[*word] || word_is_cold(group, *word)))
		(*word)++;
	while (*word + n < WORDS && n < TRIM_WORDS_AT_ONCE && !group->used[*word + n] &&
	       !word_is_cold(group, *word + n)) {
		group->used[*word + n] = ~(guint64)0;
		group->warm_free = (guint16)(group->warm_free - 64);
		slots->warm_free -= 64;
		n++;
	}
	return n;
}

/* Punches the words that take_trimmable() took, and makes them free again.  The lock is held. */
static gboolean trim_words(Slots *slots, guint64 number, guint word, guint n)
{
	SlotRun run = {(number << FORMAT_GROUP_SHIFT) + FORMAT_FIRST_INDEX + word * 64, n * 64};
	int r;

	g_mutex_unlock(&slots->lock);
	r = backing_punch(slots->backing, slots_offset(slots, run.slot), n * WORD_BYTES);
	g_mutex_lock(&slots->lock);
	for (guint i = 0; i < n; i++)
		give_back_locked(slots, (SlotRun){run.slot + i * 64, 64}, !r);
	return !r;
}

/* Words that were free when the volume was opened may have space below: treat them as warm, so that
 * they are given back like the others. */
static void group_learn(Slots *slots, Group *group)
{
	for (guint w = 0; group->unknown && w < WORDS; w++)
		if (word_is_cold(group, w))
			word_warm_up(slots, group, w);
	group->unknown = FALSE;
}

guint64 slots_trim(Slots *slots, guint64 keep, guint64 limit)
{
	guint64 trimmed = 0;

	g_mutex_lock(&slots->lock);
	for (guint64 i = 0; i < slots->n_groups && trimmed < limit; i++) {
		guint64 number = slots->trim_group % slots->n_groups;
		Group *group = slots->groups[number];
		guint word = 0, n;

		group_learn(slots, group);
		while (group->warm_free >= 64 && trimmed < limit &&
		       slots->warm_free * FORMAT_SLOT_SIZE > keep &&
		       (n = take_trimmable(slots, group, &word)) > 0) {
			if (!trim_words(slots, number, word, n))
				limit = 0; /* the backing cannot */
			else
				trimmed += n * WORD_BYTES;
			word += n;
		}
		slots->trim_group = number + 1;
	}
	g_mutex_unlock(&slots->lock);
	return trimmed;
}

guint64 slots_groups(Slots *slots)
{
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&slots->lock);

	return slots->n_groups;
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
