/* SPDX-License-Identifier: Apache-2.0 */
#include "common/check/scrub-snapshots.h"

#include "common/engine/snapshots.h"

#include <errno.h>

/* ---- whose a pointer is */

static void begin_snapshot(ScrubSnapshots *scrub, guint64 generation)
{
	scrub->generation = generation;
	scrub->block = 0;
	memset(scrub->entered, 0, sizeof scrub->entered);
}

/* Finds the snapshot that the step is about, of those that are durable: the nodes of one that is
 * just being taken are not on the disk.  FALSE: there is none left. */
static gboolean find_snapshot(Engine *engine, ScrubSnapshots *scrub, Snapshot *ret_snapshot)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(slots_lists_lock(engine->slots));
	guint64 durable = __atomic_load_n(&engine->durable_generation, __ATOMIC_RELAXED);

	for (guint i = 0; i < snapshots_count_locked(engine->snapshots); i++) {
		const Snapshot *snapshot = snapshots_get_locked(engine->snapshots, i);

		if (snapshot->state != FORMAT_SNAPSHOT_ALIVE ||
		    snapshot->generation < scrub->generation || snapshot->generation > durable)
			continue;
		if (snapshot->generation != scrub->generation)
			begin_snapshot(scrub, snapshot->generation);
		*ret_snapshot = *snapshot;
		return TRUE;
	}
	return FALSE;
}

/* The pointers of the volume's leaf; zeros where it has none. */
static void read_head_leaf(Engine *engine, guint64 index, FormatNode *ret_leaf)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(slots_lists_lock(engine->slots));
	const FormatNode *leaf = NULL;

	while (map_leaf_unlocking(engine->map, index, &leaf) > 0)
		;
	*ret_leaf = leaf ? *leaf : (FormatNode){0};
}

/* Whether a pointer is shared, with an older snapshot or with the volume: that has verified it. */
static gboolean is_shared(Engine *engine, const Snapshot *snapshot, guint level, guint64 index,
			  const MapEntry *entry)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(slots_lists_lock(engine->slots));
	guint64 end = (index + 1) << node_shift(map_layout(engine->map), level);
	MapEntry head;
	int r;

	if (entry->birth <= snapshots_threshold_locked(engine->snapshots, snapshot->parent, end))
		return TRUE;
	while ((r = map_pointer_unlocking(engine->map, level, index, &head)) > 0)
		;
	return !r && head.slot == entry->slot && !head.dead;
}

/* ---- nodes */

static int read_copy(Engine *engine, guint level, guint64 index, guint64 slot, guint32 crc,
		     FormatNode *node)
{
	int r = backing_pread(engine->backing, node, sizeof *node,
			      slots_offset(engine->slots, slot));

	return r ? r : seal_node_fits(&engine->seal, level, index, node, crc) ? 0 : -EBADMSG;
}

static void rewrite_copy(Engine *engine, ScrubSnapshots *scrub, guint64 slot,
			 const FormatNode *node)
{
	if (scrub->repair &&
	    !backing_pwrite(engine->backing, node, sizeof *node, slots_offset(engine->slots, slot)))
		scrub->count.repaired++;
}

/* Verifies every copy of a node, unless it is in memory already.  FALSE: it is lost. */
static gboolean enter_node(Engine *engine, ScrubSnapshots *scrub, guint level, guint64 index,
			   const MapEntry *entry)
{
	FormatNode *node = &scrub->nodes[level];
	guint64 second = entry->slot + FORMAT_COPY_DISTANCE;
	int r, other = -EBADMSG;

	if (scrub->entered[level] == index + 1)
		return TRUE;
	scrub->entered[level] = 0;
	r = read_copy(engine, level, index, entry->slot, entry->crc, node);
	if (level)
		other = read_copy(engine, level, index, second, entry->crc, &scrub->copy);
	scrub->count.copies += level ? 2 : 1;
	if (r && other) {
		scrub->count.lost++;
		return FALSE;
	}
	if (r)
		*node = scrub->copy;
	if (r || (level && other))
		rewrite_copy(engine, scrub, r ? entry->slot : second, node);
	scrub->entered[level] = index + 1;
	return TRUE;
}

/* ---- blocks */

/* Verifies `n` blocks from `block` on, which are in neighbouring slots. */
static void verify_run(Engine *engine, ScrubSnapshots *scrub, guint64 block, guint n,
		       const MapEntry *entries)
{
	int r = backing_pread(engine->backing, scrub->buffer, (gsize)n * BLOCK_SIZE,
			      slots_offset(engine->slots, entries->slot));

	scrub->blocks += n;
	for (guint i = 0; i < n; i++)
		scrub->count.lost +=
			r || !seal_block_fits(&engine->seal, block + i,
					      scrub->buffer + i * BLOCK_SIZE, entries[i].crc);
}

static void verify_leaf(Engine *engine, ScrubSnapshots *scrub, const Snapshot *snapshot,
			guint64 index)
{
	NodeLayout layout = map_layout(engine->map);
	guint64 first = index << layout.shift, threshold;
	MapEntry own[FORMAT_POINTERS_MAX];
	guint n = node_pointers(layout), run;

	read_head_leaf(engine, index, &scrub->copy);
	lock_take(slots_lists_lock(engine->slots));
	threshold = snapshots_threshold_locked(engine->snapshots, snapshot->parent, first + n);
	lock_drop(slots_lists_lock(engine->slots));
	for (guint i = 0; i < n; i++) {
		own[i] = entry_at(layout, &scrub->nodes[0], i);
		if (own[i].birth <= threshold ||
		    own[i].slot == entry_at(layout, &scrub->copy, i).slot)
			own[i].slot = 0;
	}
	for (guint i = 0; i < n; i += run) {
		run = 1;
		if (!own[i].slot)
			continue;
		while (i + run < n && own[i + run].slot == own[i].slot + run)
			run++;
		verify_run(engine, scrub, first + i, run, own + i);
	}
}

/* Goes down to the leaf over scrub->block, and sets that behind what was verified or skipped. */
static void verify_path(Engine *engine, ScrubSnapshots *scrub, const Snapshot *snapshot)
{
	NodeLayout layout = map_layout(engine->map);
	MapEntry entry = snapshot->root;
	guint64 block = scrub->block, index;

	for (guint level = snapshot->levels - 1;; level--) {
		index = block >> node_shift(layout, level);
		scrub->block = (index + 1) << node_shift(layout, level);
		if (!entry.slot || entry.dead ||
		    is_shared(engine, snapshot, level, index, &entry) ||
		    !enter_node(engine, scrub, level, index, &entry))
			return;
		if (!level)
			break;
		entry = entry_at(layout, &scrub->nodes[level],
				 node_place(layout, block >> node_shift(layout, level - 1)));
	}
	verify_leaf(engine, scrub, snapshot, index);
}

void scrub_snapshots_step(Engine *engine, gpointer data)
{
	ScrubSnapshots *scrub = data;
	Snapshot snapshot;

	scrub->blocks = 0;
	scrub->count = (MapNodeCount){0};
	scrub->more = find_snapshot(engine, scrub, &snapshot);
	if (!scrub->more)
		return;
	if (scrub->block < blocks_covering(snapshot.size))
		verify_path(engine, scrub, &snapshot);
	else
		begin_snapshot(scrub, snapshot.generation + 1);
}
