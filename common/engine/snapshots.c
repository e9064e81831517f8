/* SPDX-License-Identifier: Apache-2.0 */
#include "common/engine/snapshots-private.h"

#include <string.h>

/* ---- changing */

gboolean snapshots_have_room_locked(const Snapshots *snapshots, guint n)
{
	return snapshots->n_list + snapshots->n_holds + n <= FORMAT_SNAPSHOTS_MAX;
}

void snapshots_expect_locked(Snapshots *snapshots, gboolean keep, guint *ret_place)
{
	snapshots->keep = keep;
	*ret_place = table_take_place_locked(snapshots);
}

static void list_append_locked(Snapshots *snapshots, const Snapshot *added)
{
	lineage_change_locked(snapshots);
	if (CHECKED(snapshots->backing, snapshots->n_list < snapshots->list_room,
		    "I7: snapshots_keep_unlocking() made room"))
		snapshots->list[snapshots->n_list++] = *added;
}

/* The record of what is being received, with the size that it is going to have.  It has no tree,
 * and the head does not descend from it. */
static void receiving_add_locked(Snapshots *snapshots, const Snapshot *wish, guint64 generation)
{
	Snapshot added = *wish;

	added.generation = generation;
	added.parent = snapshots->head;
	added.levels = codec_levels(map_layout(snapshots->map), added.size);
	list_append_locked(snapshots, &added);
	snapshots->newest = generation;
}

const Snapshot *snapshots_receiving_locked(const Snapshots *snapshots)
{
	for (guint i = 0; i < snapshots->n_list; i++)
		if (snapshots_get_locked(snapshots, i)->state == FORMAT_SNAPSHOT_RECEIVING)
			return snapshots_get_locked(snapshots, i);
	return NULL;
}

const Snapshot *snapshots_find_received_locked(const Snapshots *snapshots, const Snapshot *wish)
{
	const Snapshot *receiving = snapshots_receiving_locked(snapshots);

	return receiving && wish->state != FORMAT_SNAPSHOT_RECEIVING &&
			       !memcmp(receiving->uuid, wish->uuid, sizeof wish->uuid)
		       ? receiving
		       : NULL;
}

void snapshots_add_locked(Snapshots *snapshots, const Snapshot *wish, guint64 generation,
			  guint64 size)
{
	Snapshot added = *wish;
	MapShare share;

	if (wish->state == FORMAT_SNAPSHOT_RECEIVING) {
		receiving_add_locked(snapshots, wish, generation);
		return;
	}
	settle_written_locked(snapshots);
	added.generation = generation;
	added.parent = snapshots->head;
	added.floor = map_lineage_locked(snapshots->map)->floor;
	map_share_locked(snapshots->map, generation, &share);
	added.root = share.root;
	added.size = size;
	added.levels = share.levels;
	added.dying_first = share.dying_first;
	added.dying_end = share.dying_end;
	added.referenced = share.referenced;
	added.nodes = share.nodes;
	added.written = share.written;
	added.base_blocks = share.base_blocks;
	if (share.bound)
		added.flags |= FORMAT_SNAPSHOT_FLAG_BOUND;
	if (share.written_bound)
		added.flags |= FORMAT_SNAPSHOT_FLAG_WRITTEN_BOUND;
	list_append_locked(snapshots, &added);
	snapshots->head = snapshots->newest = generation;
	lineage_change_locked(snapshots);
	lineage_update_locked(snapshots);
}

void snapshots_change_locked(Snapshots *snapshots, const Snapshot *now)
{
	Snapshot *snapshot = snapshot_find_locked(snapshots, now->generation);

	if (!CHECKED(snapshots->backing, snapshot, "I5: what is changed is there"))
		return;
	lineage_change_locked(snapshots);
	snapshot->state = now->state;
	snapshot->flags = now->flags;
	snapshot->received = now->received;
	memcpy(snapshot->uuid, now->uuid, sizeof snapshot->uuid);
	memcpy(snapshot->name, now->name, sizeof snapshot->name);
	table_change_locked(snapshots, snapshot->place);
}

guint snapshots_count_changes_locked(const Snapshots *snapshots, guint64 generation)
{
	guint n = 1;

	for (guint i = 0; i < snapshots->n_list; i++)
		n += snapshots_get_locked(snapshots, i)->parent == generation;
	for (guint i = 0; i < snapshots->n_holds; i++)
		n += snapshots_get_hold_locked(snapshots, i)->generation == generation;
	return n;
}

/* The children of a snapshot that goes become its parent's.  Of a bookmark, nobody knows how much
 * of what it had written the children have dropped since. */
static void children_inherit_locked(Snapshots *snapshots, const Snapshot *gone)
{
	guint32 bound = gone->flags & FORMAT_SNAPSHOT_FLAG_WRITTEN_BOUND;

	for (guint i = 0; i < snapshots->n_list; i++) {
		Snapshot *child = &snapshots->list[i];

		if (child->parent != gone->generation)
			continue;
		child->parent = gone->parent;
		child->written += gone->written;
		child->flags |= bound;
		table_change_locked(snapshots, child->place);
	}
	if (snapshots->head == gone->generation) {
		snapshots->head = gone->parent;
		map_add_written_locked(snapshots->map, gone->written, bound != 0);
	}
}

static void holds_remove_locked(Snapshots *snapshots, guint64 generation, const char *tag)
{
	for (guint i = snapshots->n_holds; i-- > 0;) {
		const SnapshotHold *hold = snapshots_get_hold_locked(snapshots, i);

		if (hold->generation != generation || (tag && strcmp(hold->tag, tag)))
			continue;
		table_free_place_locked(snapshots, hold->place);
		snapshots->holds[i] = snapshots->holds[--snapshots->n_holds];
	}
}

void snapshots_remove_locked(Snapshots *snapshots, guint64 generation)
{
	Snapshot *snapshot = snapshot_find_locked(snapshots, generation);
	Snapshot gone;

	if (!CHECKED(snapshots->backing, snapshot && !snapshot_has_tree(snapshot),
		     "I5: what is removed has no tree"))
		return;
	gone = *snapshot;
	lineage_change_locked(snapshots);
	holds_remove_locked(snapshots, generation, NULL);
	table_free_place_locked(snapshots, gone.place);
	snapshots->n_list--;
	memmove(snapshot, snapshot + 1,
		(gsize)(snapshots->list + snapshots->n_list - snapshot) * sizeof *snapshot);
	children_inherit_locked(snapshots, &gone);
	lineage_update_locked(snapshots);
}

void snapshots_add_hold_locked(Snapshots *snapshots, const SnapshotHold *hold)
{
	SnapshotHold added = *hold;

	if (!CHECKED(snapshots->backing, snapshots->n_holds < snapshots->holds_room,
		     "I7: snapshots_keep_unlocking() made room"))
		return;
	added.place = table_take_place_locked(snapshots);
	snapshots->holds[snapshots->n_holds++] = added;
}

void snapshots_remove_hold_locked(Snapshots *snapshots, guint64 generation, const char *tag)
{
	holds_remove_locked(snapshots, generation, tag);
}

/* ---- the walks */

SnapshotCursor snapshots_dying_locked(const Snapshots *snapshots)
{
	return (SnapshotCursor){snapshots->dying, snapshots->dying_cursor};
}

SnapshotCursor snapshots_deleting_locked(const Snapshots *snapshots)
{
	return (SnapshotCursor){snapshots->deleting, snapshots->delete_cursor};
}

void snapshots_set_dying_locked(Snapshots *snapshots, SnapshotCursor cursor)
{
	snapshots->dying = cursor.generation;
	snapshots->dying_cursor = cursor.cursor;
}

void snapshots_set_deleting_locked(Snapshots *snapshots, SnapshotCursor cursor)
{
	settle_written_locked(snapshots);
	snapshots->deleting = cursor.generation;
	snapshots->delete_cursor = cursor.cursor;
	lineage_update_locked(snapshots);
}

void snapshots_end_dying_locked(Snapshots *snapshots)
{
	Snapshot *snapshot = snapshot_find_locked(snapshots, snapshots->dying);

	lineage_change_locked(snapshots);
	if (snapshot) {
		snapshot->dying_first = snapshot->dying_end = 0;
		table_change_locked(snapshots, snapshot->place);
	}
	snapshots_set_dying_locked(snapshots, (SnapshotCursor){0});
}

void snapshots_end_deletion_locked(Snapshots *snapshots)
{
	Snapshot *snapshot = snapshot_find_locked(snapshots, snapshots->deleting);

	settle_written_locked(snapshots);
	lineage_change_locked(snapshots);
	snapshots->deleting = snapshots->delete_cursor = 0;
	if (snapshot) {
		snapshot->state = FORMAT_SNAPSHOT_BOOKMARK;
		snapshot->root = (MapEntry){0};
		snapshot->referenced = snapshot->nodes = 0;
		snapshot->base_blocks = 0; /* flatten does not wait for bookmarks */
		if (snapshot->flags & FORMAT_SNAPSHOT_FLAG_KEEP)
			snapshot->flags |= FORMAT_SNAPSHOT_FLAG_WRITTEN_BOUND;
		snapshot->flags &= ~FORMAT_SNAPSHOT_FLAG_KEEP;
		table_change_locked(snapshots, snapshot->place);
	}
	lineage_update_locked(snapshots);
}
