/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two cursors of the allocator (slots-tidy.c) keep gathered and evicted blocks apart.  That is why
 * the pass ends: a word of gathered blocks becomes sparse only by requests, so that each leaf is
 * gathered once at most; and with no more gathering, evicting empties words and never makes a new
 * one sparse.  ROUNDS_MAX bounds what a mistake in this could cost.
 */
#include "common/engine/tidy.h"

#include <errno.h>

#include "common/base/bounds.h"
#include "common/base/large.h"
#include "common/engine/map-scan.h"

#define HINTS 64u
#define HINT_BLOCKS 32u /* a shorter read says nothing about a sequential reader */

#define RUNS_FEW 4u   /* a stretch of at most so many runs is not scattered */
#define RUN_BLOCKS 16 /* nor is one whose runs have at least so many blocks on average */

#define LOOKS 64u		       /* leaves that one step looks at */
#define LOOK_COST ((guint64)16 * 1024) /* of a leaf that is looked at, and of a record */
#define STEP_COST (1 * MIB)

#define SLACK_SLOTS 4096u /* 16 MiB: by how much a small volume's file may grow */
#define WORD_SLOTS 64u	  /* what a gathered stretch may leave unused of its last word */
#define LOOSE_SLOTS 256u  /* 1 MiB that may be free in words partly in use anyway */
#define CHANGES_MIN 8192u /* slots gained or retired before the pass begins again */
#define ROUNDS_MAX 64u
#define AFTER_FULL (60 * G_TIME_SPAN_SECOND) /* rest after a full disk */
#define SPACE_LEFT (256 * MIB)		     /* what the pass leaves to others below */

typedef struct {
	guint8 data[FORMAT_POINTERS_MAX * BLOCK_SIZE];
	MapEntry entries[FORMAT_POINTERS_MAX]; /* of the leaf; those that must stay are null */
	gboolean marked[FORMAT_POINTERS_MAX];
	SlotRun runs[FORMAT_POINTERS_MAX]; /* taken for a copy */
	guint32 crcs[FORMAT_POINTERS_MAX];
} TidyWork;

typedef enum {
	TIDY_RESTS,
	TIDY_BETWEEN, /* waits for a checkpoint that frees what the round before moved */
	TIDY_WALKS,
} TidyState;

struct Tidy {
	Engine *engine;
	TidyInterrupted interrupted;
	gpointer data;
	guint64 hints[HINTS]; /* atomic: 1 + a block of a leaf; 0: none */
	gint hinted;	      /* atomic: there are hints */

	TidyState state;
	guint64 generation;		/* TIDY_BETWEEN: the engine's when the round ended */
	guint64 next;			/* TIDY_WALKS: the block where the walk goes on */
	guint rounds;			/* since the last rest */
	guint64 turnover;		/* slots_turnover() when it began to rest */
	gint64 not_before;		/* monotonic time */
	guint64 base;			/* fewest slots with space below since the last rest */
	guint64 limits[2];		/* by SlotsTidyKind: see slots_alloc_tidy() */
	guint64 room;			/* for gathering, in this round; slots */
	gboolean full[2];		/* by SlotsTidyKind: no room was left in this round */
	gboolean blocked;		/* the round before could not gather for lack of room */
	gboolean marked;		/* there are words to be emptied */
	gboolean moved;			/* in this round */
	guint64 cost;			/* of this step */
	guint64 seen_runs, seen_blocks; /* in this round */
	TidyWork *work;			/* NULL while it rests */

	guint64 moved_bytes, run_bytes; /* atomic */
	gint under_way;			/* atomic */
};

Tidy *tidy_new(Engine *engine, TidyInterrupted interrupted, gpointer data)
{
	Tidy *tidy = g_try_new0(Tidy, 1);

	if (!tidy)
		return NULL;
	tidy->engine = engine;
	tidy->interrupted = interrupted;
	tidy->data = data;
	return tidy;
}

static void set_state(Tidy *tidy, TidyState state)
{
	tidy->state = state;
	g_atomic_int_set(&tidy->under_way, state != TIDY_RESTS);
}

static void work_free(Tidy *tidy)
{
	large_free(tidy->work, sizeof *tidy->work);
	tidy->work = NULL;
}

void tidy_free(Tidy *tidy)
{
	if (!tidy)
		return;
	work_free(tidy);
	g_free(tidy);
}

static void begin_rest(Tidy *tidy)
{
	slots_mark_sparse(tidy->engine->slots, 0, 0);
	tidy->turnover = slots_turnover(tidy->engine->slots);
	tidy->rounds = 0;
	tidy->blocked = FALSE;
	work_free(tidy);
	set_state(tidy, TIDY_RESTS);
}

/* ---- what is scattered */

/* In how many runs of neighbouring slots the blocks are, holes left out. */
static guint count_runs(const MapEntry *entries, guint n, guint *ret_mapped)
{
	guint64 next = 0;
	guint runs = 0;

	*ret_mapped = 0;
	for (guint i = 0; i < n; i++) {
		if (!entries[i].slot)
			continue;
		runs += entries[i].slot != next;
		next = entries[i].slot + 1;
		++*ret_mapped;
	}
	return runs;
}

static gboolean is_scattered(guint runs, guint n)
{
	return runs > RUNS_FEW && runs * RUN_BLOCKS > n;
}

void tidy_note_read(Tidy *tidy, guint64 first, guint n, const MapEntry *entries)
{
	guint mapped, runs;
	guint64 leaf = node_parent(map_layout(tidy->engine->map), first);

	if (n < HINT_BLOCKS)
		return;
	runs = count_runs(entries, n, &mapped);
	if (!is_scattered(runs, mapped))
		return;
	__atomic_store_n(&tidy->hints[leaf % HINTS], 1 + first, __ATOMIC_RELAXED);
	g_atomic_int_set(&tidy->hinted, TRUE);
}

/* Removes a hint.  FALSE: there is none. */
static gboolean take_hint(Tidy *tidy, guint64 *ret_block)
{
	if (!g_atomic_int_get(&tidy->hinted))
		return FALSE;
	g_atomic_int_set(&tidy->hinted, FALSE);
	for (guint i = 0; i < HINTS; i++) {
		guint64 hint = __atomic_exchange_n(&tidy->hints[i], 0, __ATOMIC_RELAXED);

		if (!hint)
			continue;
		g_atomic_int_set(&tidy->hinted, TRUE); /* there may be more */
		*ret_block = hint - 1;
		return TRUE;
	}
	return FALSE;
}

/* ---- moving blocks */

/* Reads blocks [at, at + n) of the leaf, and verifies them (I4). */
static int read_blocks(Tidy *tidy, guint64 first, guint at, guint n)
{
	Engine *engine = tidy->engine;
	const MapEntry *entries = tidy->work->entries;

	for (guint i = at, run; i < at + n; i += run) {
		guint8 *to = tidy->work->data + (gsize)(i - at) * BLOCK_SIZE;
		int r;

		run = 1;
		while (i + run < at + n && entries[i + run].slot == entries[i].slot + run)
			run++;
		if (tidy->interrupted(tidy->data))
			return -EAGAIN;
		r = backing_pread(engine->backing, to, (gsize)run * BLOCK_SIZE,
				  slots_offset(engine->slots, entries[i].slot));
		if (r)
			return r;
		for (guint k = 0; k < run; k++)
			if (!seal_block_fits(&engine->seal, first + i + k,
					     to + (gsize)k * BLOCK_SIZE, entries[i + k].crc))
				return -EBADMSG;
	}
	return 0;
}

static int write_blocks(Tidy *tidy, guint64 first, guint n_runs)
{
	Engine *engine = tidy->engine;
	TidyWork *work = tidy->work;
	const guint8 *from = work->data;
	guint at = 0;
	int r = 0;

	for (guint run = 0; run < n_runs && !r; run++) {
		gsize length = (gsize)work->runs[run].count * BLOCK_SIZE;

		for (guint i = 0; i < work->runs[run].count; i++, at++)
			work->crcs[at] = seal_block(&engine->seal, first + at,
						    work->data + (gsize)at * BLOCK_SIZE);
		r = backing_pwrite(engine->backing, from, length,
				   slots_offset(engine->slots, work->runs[run].slot));
		from += length;
	}
	return r;
}

/* Appends the record and changes the map, in one critical section (I3), unless the blocks have
 * changed since they were looked up: -ESTALE.  -EAGAIN: the journal has no room. */
static int commit_blocks(Tidy *tidy, guint64 first, guint n, const MapEntry *entries, guint n_runs)
{
	Engine *engine = tidy->engine;
	Record record = {.kind = FORMAT_RECORD_WRITE,
			 .first = first,
			 .blocks = n,
			 .n_runs = n_runs,
			 .runs = tidy->work->runs,
			 .crcs = tidy->work->crcs};
	guint32 length = record_length(record.kind, n_runs, n);
	guint64 ticket;
	int r = journal_reserve(engine->journal, length, TRUE);

	if (r == -ESHUTDOWN)
		engine_fail(engine, "write journal: the backing refused");
	if (r)
		return r;
	r = map_change_begin(engine->map, first, n, FALSE);
	if (!r && !map_change_matches(engine->map, first, n, entries)) {
		map_change_cancel(engine->map, first);
		r = -ESTALE;
	}
	if (r) {
		journal_unreserve(engine->journal, length);
		return r;
	}
	ticket = journal_append(engine->journal, &record);
	map_change_write(engine->map, first, n, tidy->work->runs, tidy->work->crcs);
	map_change_end(engine->map);
	r = journal_commit(engine->journal, ticket);
	if (r)
		engine_fail(engine, "write journal: the backing refused");
	return r ? -ESHUTDOWN : 0;
}

/* Copies the blocks that were read to slots that were taken, and has the map refer to these. */
static int place_blocks(Tidy *tidy, guint64 first, guint at, guint n, guint n_runs)
{
	int r = write_blocks(tidy, first + at, n_runs);
	gboolean full = r == -ENOSPC;

	if (full)
		tidy->not_before = g_get_monotonic_time() + AFTER_FULL;
	if (!r)
		r = commit_blocks(tidy, first + at, n, tidy->work->entries + at, n_runs);
	if (r && r != -ESHUTDOWN) /* then the record may be on disk */
		slots_give_back(tidy->engine->slots, tidy->work->runs, n_runs, full);
	return r;
}

/* Moves blocks [at, at + n) of the leaf, all of them mapped.  0: moved, or left alone; -EAGAIN: the
 * thread has something else to do; -ENOSPC: the kind has no room in this round; -ESHUTDOWN. */
static int move_blocks(Tidy *tidy, guint64 first, guint at, guint n, SlotsTidyKind kind)
{
	guint n_runs, mapped;
	int r = read_blocks(tidy, first, at, n);

	if (!r)
		r = slots_alloc_tidy(tidy->engine->slots, kind, n, tidy->limits[kind],
				     tidy->work->runs, &n_runs);
	tidy->cost += LOOK_COST;
	if (!r && kind == SLOTS_GATHER &&
	    n_runs >= count_runs(tidy->work->entries + at, n, &mapped)) {
		slots_give_back(tidy->engine->slots, tidy->work->runs, n_runs, FALSE);
		return 0;
	}
	if (!r)
		r = place_blocks(tidy, first, at, n, n_runs);
	if (!r) {
		tidy->moved = TRUE;
		tidy->cost += (guint64)n * BLOCK_SIZE;
		__atomic_fetch_add(&tidy->moved_bytes, (guint64)n * BLOCK_SIZE, __ATOMIC_RELAXED);
	}
	tidy->full[kind] |= r == -ENOSPC;
	/* Damaged, or changed by a request meanwhile: the blocks stay where they are. */
	return r == -EAGAIN || r == -ENOSPC || r == -ESHUTDOWN ? r : 0;
}

/* Moves those of blocks [at, at + n) that are in marked words. */
static int evict_blocks(Tidy *tidy, guint64 first, guint at, guint n)
{
	const gboolean *marked = tidy->work->marked;
	int r = 0;

	for (guint i = at, run; i < at + n && !r && !tidy->full[SLOTS_EVICT]; i += run) {
		run = 1;
		if (!marked[i])
			continue;
		while (i + run < at + n && marked[i + run])
			run++;
		r = move_blocks(tidy, first, i, run, SLOTS_EVICT);
	}
	return r;
}

static int tidy_stretch(Tidy *tidy, guint64 first, guint at, guint n)
{
	guint mapped, runs = count_runs(tidy->work->entries + at, n, &mapped);

	tidy->seen_runs += runs;
	tidy->seen_blocks += n;
	if (!is_scattered(runs, n))
		return evict_blocks(tidy, first, at, n);
	tidy->full[SLOTS_GATHER] |= n + WORD_SLOTS > tidy->room;
	if (!tidy->full[SLOTS_GATHER]) {
		int r = move_blocks(tidy, first, at, n, SLOTS_GATHER);

		tidy->room -= n;
		if (r != -ENOSPC)
			return r;
	}
	return evict_blocks(tidy, first, at, n);
}

/* Looks up the leaf over a block; entries that must stay where they are become null.  *ret_first is
 * the leaf's first block. */
static int look_up_leaf(Tidy *tidy, guint64 block, guint64 *ret_first, guint *ret_n)
{
	Engine *engine = tidy->engine;
	guint64 end = map_leaf_end(engine->map, block);
	guint n = node_pointers(map_layout(engine->map)), epoch;
	TidyWork *work = tidy->work;
	int r;

	*ret_first = end - n;
	end = min_u64(end, blocks_covering(engine_size(engine)));
	*ret_n = n = end > *ret_first ? (guint)(end - *ret_first) : 0;
	if (!n)
		return -ENOENT; /* the volume has become smaller */
	r = map_lookup(engine->map, *ret_first, n, work->entries, FALSE, &epoch);
	if (r)
		return r;
	/* Only this thread frees slots, so nothing of what was looked up is reused now (I4). */
	map_lookup_end(engine->map, epoch);
	for (guint i = 0; i < n; i++)
		if (work->entries[i].slot &&
		    map_shares_block(engine->map, *ret_first + i, &work->entries[i]))
			work->entries[i] = (MapEntry){0};
	slots_get_marked(engine->slots, work->entries, n, work->marked);
	return 0;
}

/* 0, -EAGAIN or -ESHUTDOWN.  Everything else is this leaf's own matter: what cannot be read or
 * moved is left alone. */
static int tidy_leaf(Tidy *tidy, guint64 block)
{
	guint64 first;
	guint n, length;
	int r = look_up_leaf(tidy, block, &first, &n);

	tidy->cost += LOOK_COST;
	for (guint i = 0; i < n && !r; i += length) {
		const MapEntry *entries = tidy->work->entries;

		length = 1;
		if (!entries[i].slot)
			continue;
		while (i + length < n && entries[i + length].slot)
			length++;
		r = tidy_stretch(tidy, first, i, length);
		if (r == -ENOSPC)
			r = 0;
	}
	return r == -EAGAIN || r == -ESHUTDOWN ? r : 0;
}

/* ---- rounds */

/* By how many slots a round may make the file grow before an evicted word is free. */
static guint64 round_size(guint64 live)
{
	return max_u64(live / 16, SLACK_SLOTS / 4);
}

/* Sets how many slots may have space below: see the promise about the file's size.  Evicting, which
 * makes room, gets more than gathering. */
static void set_limits(Tidy *tidy, guint64 *ret_live)
{
	Engine *engine = tidy->engine;
	guint64 backed = slots_backed(engine->slots), live, slack, more;
	MapInfo info;

	map_get_info(engine->map, &info);
	live = info.data_slots + info.node_slots;
	slack = max_u64(live / 4, SLACK_SLOTS);
	more = round_size(live);
	tidy->base = tidy->rounds ? min_u64(tidy->base, backed) : backed;
	tidy->limits[SLOTS_GATHER] = max_u64(live + slack / 2, tidy->base + more);
	tidy->limits[SLOTS_EVICT] = max_u64(live + slack, tidy->base + 2 * more);
	if (backing_available(engine->backing) < SPACE_LEFT + slack * FORMAT_SLOT_SIZE)
		tidy->limits[SLOTS_GATHER] = tidy->limits[SLOTS_EVICT] = 0;
	*ret_live = live;
	slots_begin_tidy(engine->slots);
	tidy->full[SLOTS_GATHER] = tidy->full[SLOTS_EVICT] = FALSE;
}

/* Marks the words that this round empties: what gathering lacks, and all that is worth it where
 * much is free in words partly in use.  Gathering leaves room for what is evicted: without that, no
 * word would become free. */
static void mark_words(Tidy *tidy, guint64 live)
{
	Slots *slots = tidy->engine->slots;
	guint64 backed = slots_backed(slots), limit = tidy->limits[SLOTS_EVICT], room, words = 0,
		evicted;
	SlotsSpace space;

	slots_get_space(slots, &space);
	room = space.whole + (limit > backed ? limit - backed : 0);
	if (space.loose > live / 8 + LOOSE_SLOTS)
		words = G_MAXUINT64;
	else if (tidy->blocked)
		words = 2 * round_size(live) / 64;
	evicted = slots_mark_sparse(slots, min_u64(room, round_size(live)), words);
	tidy->marked = evicted > 0;
	tidy->room = room - evicted;
}

static void begin_round(Tidy *tidy)
{
	guint64 live;

	set_limits(tidy, &live);
	mark_words(tidy, live);
	tidy->moved = FALSE;
	tidy->seen_runs = tidy->seen_blocks = 0;
	tidy->next = 0;
	tidy->rounds++;
	set_state(tidy, TIDY_WALKS);
}

static void end_round(Tidy *tidy)
{
	guint64 bytes = tidy->seen_blocks * BLOCK_SIZE / max_u64(tidy->seen_runs, 1);

	__atomic_store_n(&tidy->run_bytes, bytes, __ATOMIC_RELAXED);
	if (tidy->rounds >= ROUNDS_MAX ||
	    (!tidy->moved && (tidy->blocked || !tidy->full[SLOTS_GATHER]))) {
		begin_rest(tidy);
		return;
	}
	tidy->blocked = tidy->full[SLOTS_GATHER];
	tidy->generation = tidy->engine->generation;
	set_state(tidy, TIDY_BETWEEN);
}

/* Whether the rest of the round may move anything. */
static gboolean can_move(const Tidy *tidy)
{
	return !tidy->full[SLOTS_GATHER] || (tidy->marked && !tidy->full[SLOTS_EVICT]);
}

static void walk_some(Tidy *tidy)
{
	Map *map = tidy->engine->map;
	guint64 end;

	for (guint i = 0; i < LOOKS && tidy->cost < STEP_COST; i++) {
		int r = can_move(tidy) ? map_next_leaf(map, &tidy->next, &end) : 0;

		if (!r) {
			end_round(tidy);
			return;
		}
		if (r < 0) { /* nodes that cannot be read */
			tidy->next = end;
			continue;
		}
		r = tidy_leaf(tidy, tidy->next);
		if (r == -ESHUTDOWN)
			begin_rest(tidy);
		if (r || tidy->interrupted(tidy->data))
			return;
		tidy->next = map_leaf_end(map, tidy->next);
	}
}

/* Gathers the leaf that a reader found scattered.  Where there is no room for that, a round makes
 * some. */
static void heed_hint(Tidy *tidy, guint64 block)
{
	guint64 live;

	if (tidy->state == TIDY_RESTS) { /* or one leaf after the other would make the file grow */
		set_limits(tidy, &live);
		tidy->room = G_MAXUINT64;
		tidy->limits[SLOTS_GATHER] = min_u64(tidy->limits[SLOTS_GATHER],
						     live + max_u64(live / 4, SLACK_SLOTS) / 2);
	}
	tidy_leaf(tidy, block);
	if (tidy->state == TIDY_RESTS && tidy->full[SLOTS_GATHER] &&
	    g_get_monotonic_time() >= tidy->not_before) {
		tidy_begin(tidy);
		tidy->blocked = TRUE;
	}
}

static gboolean enough_has_changed(const Tidy *tidy)
{
	guint64 changed = slots_turnover(tidy->engine->slots) - tidy->turnover;
	MapInfo info = {0};

	if (changed >= CHANGES_MIN)
		map_get_info(tidy->engine->map, &info);
	return changed >= max_u64(CHANGES_MIN, info.data_slots / 16);
}

gboolean tidy_wants(Tidy *tidy)
{
	if (g_get_monotonic_time() < tidy->not_before)
		return FALSE;
	return tidy->state != TIDY_RESTS || g_atomic_int_get(&tidy->hinted) ||
	       enough_has_changed(tidy);
}

void tidy_begin(Tidy *tidy)
{
	tidy->generation = tidy->engine->generation;
	set_state(tidy, TIDY_BETWEEN);
}

/* Whether changes are about to wait for a checkpoint: the pass must not add to that. */
static gboolean is_under_pressure(const Engine *engine)
{
	return map_pressure(engine->map) || map_wants_checkpoint(engine->map) ||
	       journal_wants_checkpoint(engine->journal);
}

guint64 tidy_step(Tidy *tidy)
{
	Engine *engine = tidy->engine;
	guint64 block;

	tidy->cost = 0;
	if (engine_has_failed(engine) || is_under_pressure(engine) || tidy->interrupted(tidy->data))
		return 0;
	if (!tidy->work)
		tidy->work = large_alloc(sizeof *tidy->work);
	if (!tidy->work) {
		begin_rest(tidy);
		return 0;
	}
	if (take_hint(tidy, &block)) {
		heed_hint(tidy, block);
		return tidy->cost;
	}
	if (tidy->state == TIDY_RESTS && !enough_has_changed(tidy))
		return 0;
	if (tidy->state == TIDY_BETWEEN && tidy->generation == engine->generation &&
	    map_is_changed(engine->map))
		return 0;
	if (tidy->state != TIDY_WALKS)
		begin_round(tidy);
	walk_some(tidy);
	return tidy->cost;
}

void tidy_pause(Tidy *tidy)
{
	work_free(tidy);
}

gboolean tidy_is_under_way(const Tidy *tidy)
{
	return g_atomic_int_get(&tidy->under_way);
}

void tidy_get_info(const Tidy *tidy, TidyInfo *ret_info)
{
	*ret_info = (TidyInfo){
		.moved_bytes = __atomic_load_n(&tidy->moved_bytes, __ATOMIC_RELAXED),
		.run_bytes = __atomic_load_n(&tidy->run_bytes, __ATOMIC_RELAXED),
		.under_way = tidy_is_under_way(tidy),
	};
}
