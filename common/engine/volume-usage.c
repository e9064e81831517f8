/* SPDX-License-Identifier: Apache-2.0 */
#include "common/engine/volume-usage.h"

#include <errno.h>
#include <string.h>

#include "common/base/bounds.h"
#include "common/base/error.h"
#include "common/base/units.h"
#include "common/engine/tree-compare.h"
#include "common/engine/usage-plan.h"
#include "common/engine/volume-private.h"

#define SLICE (20 * G_TIME_SPAN_MILLISECOND) /* in the checkpoint thread */
#define SLICE_BYTES (256 * KIB)
#define LATER                                                                                      \
	(10 * G_TIME_SPAN_MILLISECOND) /* until another try, while it has more urgent work         \
					*/
#define END G_MAXUINT64

/* A pair of trees, as far as it was counted. */
typedef struct {
	UsagePair pair;
	guint64 cursor;	 /* blocks before it are done; END: all */
	guint64 slots;	 /* that deleting frees */
	guint64 changes; /* of the volume when the count began */
	gboolean moving, damaged;
} PairCount;

/* Snapshots that are deleted together: which pairs tell what that frees. */
typedef struct {
	guint64 generation; /* 0: there are several */
	guint waiting;
	guint first, n; /* in `members` */
} UsageSet;

struct UsageState {
	UsageNode *nodes; /* of the snapshots that have a tree, by generation */
	guint n_nodes;
	guint64 head_above;
	UsageLineage *lineage; /* of these; NULL: not known */
	TreeCompare *compare;
	gint64 due;	/* monotonic time: nothing is read before, to keep the pace */
	GArray *counts; /* of PairCount: all that was counted */

	/* The question that was asked last, and how it is answered. */
	GArray *generations;
	gboolean planned;
	GArray *sets;	 /* of UsageSet */
	GArray *members; /* of guint: indices in `counts` */
};

void usage_state_free(UsageState *state)
{
	if (!state)
		return;
	usage_lineage_free(state->lineage);
	tree_compare_free(state->compare);
	g_array_unref(state->counts);
	g_array_unref(state->generations);
	g_array_unref(state->sets);
	g_array_unref(state->members);
	g_free(state->nodes);
	g_free(state);
}

static UsageState *state_get(Volume *volume)
{
	UsageState *state = volume->usage;

	if (state)
		return state;
	state = g_try_new0(UsageState, 1);
	if (!state)
		return NULL;
	state->counts = g_array_new(FALSE, TRUE, sizeof(PairCount));
	state->generations = g_array_new(FALSE, TRUE, sizeof(guint64));
	state->sets = g_array_new(FALSE, TRUE, sizeof(UsageSet));
	state->members = g_array_new(FALSE, TRUE, sizeof(guint));
	state->compare = tree_compare_new(volume->engine.map);
	if (!state->compare) {
		usage_state_free(state);
		return NULL;
	}
	volume->usage = state;
	return state;
}

/* ---- the lineage */

static UsageNode node_of(const Snapshots *snapshots, const Snapshot *snapshot)
{
	return (UsageNode){.generation = snapshot->generation,
			   .above = snapshots_above_locked(snapshots, snapshot->parent),
			   .deleting = snapshot->state == FORMAT_SNAPSHOT_DELETING};
}

/* The nodes as they are now, in *ret_nodes; FALSE: no memory. */
static gboolean nodes_copy(Engine *engine, UsageNode **ret_nodes, guint *ret_n,
			   guint64 *ret_head_above)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(slots_lists_lock(engine->slots));
	const Snapshots *snapshots = engine->snapshots;
	guint n = snapshots ? snapshots_count_locked(snapshots) : 0;
	UsageNode *nodes = g_try_new0(UsageNode, n + 1);

	if (!nodes)
		return FALSE;
	*ret_n = 0;
	for (guint i = 0; i < n; i++)
		if (snapshot_has_tree(snapshots_get_locked(snapshots, i)))
			nodes[(*ret_n)++] = node_of(snapshots, snapshots_get_locked(snapshots, i));
	*ret_nodes = nodes;
	*ret_head_above =
		n ? snapshots_above_locked(snapshots, snapshots_head_parent_locked(snapshots)) : 0;
	return TRUE;
}

/* Learns of what was made or deleted meanwhile.  FALSE: no memory. */
static gboolean lineage_update(Engine *engine, UsageState *state)
{
	g_autofree UsageNode *nodes = NULL;
	guint64 head_above;
	guint n;

	if (!nodes_copy(engine, &nodes, &n, &head_above))
		return FALSE;
	if (state->lineage && n == state->n_nodes && head_above == state->head_above &&
	    !memcmp(nodes, state->nodes, n * sizeof *nodes))
		return TRUE;
	g_clear_pointer(&state->lineage, usage_lineage_free);
	g_free(state->nodes);
	state->planned = FALSE;
	state->nodes = g_steal_pointer(&nodes);
	state->n_nodes = n;
	state->head_above = head_above;
	state->lineage = usage_lineage_new(state->nodes, n, head_above);
	return state->lineage != NULL;
}

static const UsageNode *node_find(const UsageState *state, guint64 generation)
{
	for (guint i = 0; i < state->n_nodes; i++)
		if (state->nodes[i].generation == generation)
			return &state->nodes[i];
	return NULL;
}

/* ---- what was counted */

static guint64 changes_of(const Volume *volume)
{
	return __atomic_load_n(&volume->changes, __ATOMIC_RELAXED);
}

static gboolean pairs_equal(const UsagePair *a, const UsagePair *b)
{
	return a->generation == b->generation && a->threshold == b->threshold &&
	       a->beside == b->beside;
}

/* The index of the pair's count; one that is new begins at the first block. */
static guint count_get(UsageState *state, const UsagePair *pair)
{
	PairCount fresh = {.pair = *pair};

	for (guint i = 0; i < state->counts->len; i++)
		if (pairs_equal(&g_array_index(state->counts, PairCount, i).pair, pair))
			return i;
	g_array_append_val(state->counts, fresh);
	return state->counts->len - 1;
}

/* Forgets what is about snapshots that are gone. */
static void counts_sweep(UsageState *state)
{
	for (guint i = state->counts->len; i-- > 0;) {
		const UsagePair *pair = &g_array_index(state->counts, PairCount, i).pair;

		if (!node_find(state, pair->generation) ||
		    (pair->beside && pair->beside != USAGE_BESIDE_HEAD &&
		     !node_find(state, pair->beside)))
			g_array_remove_index_fast(state->counts, i);
	}
}

/* Of pairs with the volume: what was counted before it was written is counted again. */
static void counts_refresh(const Volume *volume, UsageState *state)
{
	for (guint i = 0; i < state->counts->len; i++) {
		PairCount *count = &g_array_index(state->counts, PairCount, i);

		if (count->pair.beside == USAGE_BESIDE_HEAD && count->changes != changes_of(volume))
			*count = (PairCount){.pair = count->pair};
	}
}

/* ---- the question */

static void set_plan(UsageState *state, const guint64 *generations, guint n, UsagePair *pairs)
{
	UsageSet set = {.generation = n == 1 ? *generations : 0, .first = state->members->len};

	set.waiting = usage_plan(state->lineage, generations, n, pairs, &set.n);
	for (guint i = 0; i < set.n; i++) {
		guint index = count_get(state, &pairs[i]);

		g_array_append_val(state->members, index);
	}
	g_array_append_val(state->sets, set);
}

/* Plans anew, if another question is asked or the snapshots are others.  FALSE: no memory. */
static gboolean question_plan(UsageState *state, const VolumeUsageQuestion *question)
{
	gsize bytes = question->n * sizeof *question->generations;
	g_autofree UsagePair *pairs = NULL;

	if (state->planned && question->n == state->generations->len &&
	    (!bytes || !memcmp(state->generations->data, question->generations, bytes)))
		return TRUE;
	pairs = g_try_new(UsagePair, state->n_nodes + 1);
	if (!pairs)
		return FALSE;
	counts_sweep(state);
	g_array_set_size(state->generations, 0);
	g_array_append_vals(state->generations, question->generations, question->n);
	g_array_set_size(state->sets, 0);
	g_array_set_size(state->members, 0);
	if (question->n)
		set_plan(state, question->generations, question->n, pairs);
	for (guint i = 0; !question->n && i < state->n_nodes; i++)
		if (!state->nodes[i].deleting)
			set_plan(state, &state->nodes[i].generation, 1, pairs);
	state->planned = TRUE;
	return TRUE;
}

static gboolean question_check(const Volume *volume, const UsageState *state,
			       const VolumeUsageQuestion *question, GError **error)
{
	for (guint i = 0; i < question->n; i++) {
		const UsageNode *node = node_find(state, question->generations[i]);

		if (!node || node->deleting)
			return error_set(error, STORAGEOS_ERROR_NOT_FOUND,
					 "%s: no snapshot of generation %" G_GUINT64_FORMAT
					 " could be deleted",
					 volume->engine.name, question->generations[i]);
	}
	return TRUE;
}

/* The next pair that is to be counted; NULL: all are. */
static PairCount *question_next(const UsageState *state)
{
	for (guint i = 0; i < state->members->len; i++) {
		PairCount *count = &g_array_index(state->counts, PairCount,
						  g_array_index(state->members, guint, i));

		if (count->cursor != END)
			return count;
	}
	return NULL;
}

/* ---- counting */

typedef struct {
	Volume *volume;
	UsageState *state;
	PairCount *count;
	int result; /* 1: there is more; 0; or a negative errno */
} Slice;

/* As the deletion: nodes count where the cursor passes their end, all of them at the volume's. */
static void comparison_count(Slice *slice, const Comparison *comparison, guint64 blocks)
{
	NodeLayout layout = map_layout(slice->volume->engine.map);
	PairCount *count = slice->count;
	guint64 cursor = comparison->end < blocks ? comparison->end : END;
	MapEntry entry;

	for (guint i = 0; i < node_pointers(layout); i++)
		count->slots += comparison_has_alone(comparison, layout, i, &entry);
	for (guint i = 0; i < comparison->n_nodes; i++)
		if (comparison->nodes[i].end <= cursor)
			count->slots += comparison->nodes[i].level ? 2 : 1;
	count->damaged = count->damaged || comparison->damaged;
	count->cursor = cursor;
}

/* Chooses the trees.  FALSE: one of them is gone. */
static gboolean trees_choose_locked(const Slice *slice, const Snapshot **ret_snapshot)
{
	const Snapshots *snapshots = slice->volume->engine.snapshots;
	const UsagePair *pair = &slice->count->pair;
	gboolean head = pair->beside == USAGE_BESIDE_HEAD;
	const Snapshot *own = snapshots_find_locked(snapshots, pair->generation);
	const Snapshot *beside = snapshots_find_locked(snapshots, pair->beside);
	const MapEntry none = {0};

	if (!own || !snapshot_has_tree(own) ||
	    (!head && pair->beside && (!beside || !snapshot_has_tree(beside))))
		return FALSE;
	tree_compare_set(slice->state->compare, &own->root, own->levels,
			 head	  ? NULL
			 : beside ? &beside->root
				  : &none,
			 beside ? beside->levels : 1);
	*ret_snapshot = own;
	return TRUE;
}

/* As snapshot-walk.h: nothing that is under a step changes meanwhile. */
static void slice_count(Engine *engine, gpointer data)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(slots_lists_lock(engine->slots));
	gint64 end = g_get_monotonic_time() + SLICE;
	Slice *slice = data;
	TreeCompare *compare = slice->state->compare;
	guint64 bytes = tree_compare_bytes(compare) + SLICE_BYTES, blocks;
	PairCount *count = slice->count;
	const Snapshot *snapshot;
	Comparison comparison;
	int r = 0;

	slice->result = 1;
	if (engine->frozen || !trees_choose_locked(slice, &snapshot))
		return;
	blocks = blocks_covering(snapshot->size);
	while (count->cursor != END && r >= 0 && tree_compare_bytes(compare) < bytes &&
	       g_get_monotonic_time() < end) {
		r = tree_compare_unlocking(compare, count->pair.threshold, count->cursor,
					   &comparison);
		if (!r)
			comparison_count(slice, &comparison, blocks);
	}
	slice->result = r < 0 ? r : count->cursor != END;
}

/* Goes on with one pair for a moment.  Returns the bytes that were read. */
static guint64 slice_run(Slice *slice)
{
	guint64 before = tree_compare_bytes(slice->state->compare);
	PairCount *count = slice->count;

	if (!count->cursor)
		count->changes = changes_of(slice->volume);
	if (slice->volume->checkpointer)
		checkpointer_call(slice->volume->checkpointer, slice_count, slice);
	else
		slice_count(&slice->volume->engine, slice);
	count->moving = count->pair.beside == USAGE_BESIDE_HEAD &&
			count->changes != changes_of(slice->volume);
	return tree_compare_bytes(slice->state->compare) - before;
}

/* ---- a call */

/* Sleeps until something may be read, or the call must end.  FALSE: that. */
static gboolean pace_keep(const UsageState *state, gint64 until)
{
	gint64 now = g_get_monotonic_time(), due = MIN(state->due, until);

	if (due > now)
		g_usleep((gulong)(due - now));
	return MAX(now, due) < until;
}

/* Notes what was read: the next read comes when the pace allows, or after a while, if nothing could
 * be done because the checkpoint thread has a checkpoint to complete. */
static void pace_note(UsageState *state, guint64 bytes, guint64 rate, gboolean idle)
{
	gint64 now = g_get_monotonic_time();

	state->due = MAX(state->due, now);
	if (idle)
		state->due += LATER;
	else if (rate)
		state->due += (gint64)((double)bytes * G_USEC_PER_SEC / (double)rate);
}

/* Counts, as long and as fast as the call may.  0 or a negative errno. */
static int question_work(Volume *volume, UsageState *state, const VolumeUsageQuestion *question)
{
	gint64 until = g_get_monotonic_time() + question->milliseconds * G_TIME_SPAN_MILLISECOND;
	Slice slice = {.volume = volume, .state = state};

	while ((slice.count = question_next(state)) && pace_keep(state, until)) {
		guint64 cursor = slice.count->cursor, bytes = slice_run(&slice);

		if (slice.result < 0)
			return slice.result;
		pace_note(state, bytes, question->rate, !bytes && cursor == slice.count->cursor);
		if (!lineage_update(&volume->engine, state) || !question_plan(state, question))
			return -ENOMEM;
	}
	return 0;
}

static VolumeUsageCount set_count(const UsageState *state, const UsageSet *set)
{
	VolumeUsageCount count = {.generation = set->generation, .waiting = set->waiting};

	for (guint i = set->first; i < set->first + set->n; i++) {
		const PairCount *pair = &g_array_index(state->counts, PairCount,
						       g_array_index(state->members, guint, i));

		count.bytes += pair->slots * FORMAT_SLOT_SIZE;
		count.moving = count.moving || pair->moving;
		count.damaged = count.damaged || pair->damaged;
	}
	return count;
}

static double question_fraction(const Volume *volume, const UsageState *state)
{
	double blocks = (double)blocks_covering(engine_size(&volume->engine)), done = 0;

	for (guint i = 0; i < state->members->len; i++) {
		guint64 cursor = g_array_index(state->counts, PairCount,
					       g_array_index(state->members, guint, i))
					 .cursor;

		done += cursor == END ? 1 : MIN((double)cursor / MAX(blocks, 1), 1);
	}
	return state->members->len ? done / state->members->len : 1;
}

static gboolean usage_answer(Volume *volume, const VolumeUsageQuestion *question,
			     VolumeUsage *ret_usage, GError **error)
{
	UsageState *state = state_get(volume);
	int r = state && lineage_update(&volume->engine, state) ? 0 : -ENOMEM;

	if (!r && !question_check(volume, state, question, error))
		return FALSE;
	if (!r && question->begin)
		counts_refresh(volume, state);
	if (!r)
		r = question_plan(state, question) ? question_work(volume, state, question)
						   : -ENOMEM;
	if (r)
		return error_set_errno(error, r, "%s: count what snapshots use",
				       volume->engine.name);
	if (!question_check(volume, state, question, error))
		return FALSE;
	*ret_usage = (VolumeUsage){.done = !question_next(state),
				   .fraction = question_fraction(volume, state),
				   .counts = g_array_new(FALSE, TRUE, sizeof(VolumeUsageCount))};
	for (guint i = 0; i < state->sets->len; i++) {
		VolumeUsageCount count = set_count(state, &g_array_index(state->sets, UsageSet, i));

		g_array_append_val(ret_usage->counts, count);
	}
	return TRUE;
}

gboolean volume_usage(Volume *volume, const VolumeUsageQuestion *question, VolumeUsage *ret_usage,
		      GError **error)
{
	gboolean answered;

	if (!volume_check_thin(volume, error))
		return FALSE;
	g_mutex_lock(&volume->usage_lock);
	answered = usage_answer(volume, question, ret_usage, error);
	g_mutex_unlock(&volume->usage_lock);
	return answered;
}

void volume_usage_clear(VolumeUsage *usage)
{
	g_clear_pointer(&usage->counts, g_array_unref);
}
