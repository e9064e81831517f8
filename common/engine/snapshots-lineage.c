/* SPDX-License-Identifier: Apache-2.0 */
#include "common/engine/snapshots-private.h"

#include <errno.h>
#include <string.h>

Snapshots *snapshots_new(Backing *backing, Slots *slots, const Seal *seal, Map *map,
			 gboolean read_only, GError **error)
{
	Snapshots *snapshots = g_try_new0(Snapshots, 1);

	if (!snapshots) {
		error_set_errno(error, ENOMEM, "%s: snapshots", backing->name);
		return NULL;
	}
	snapshots->backing = backing;
	snapshots->slots = slots;
	snapshots->seal = seal;
	snapshots->map = map;
	snapshots->read_only = read_only;
	snapshots->changes = 1;
	return snapshots;
}

void snapshots_free(Snapshots *snapshots)
{
	if (!snapshots)
		return;
	g_free(snapshots->list);
	g_free(snapshots->links);
	g_free(snapshots->holds);
	g_free(snapshots->frozen);
	g_free(snapshots);
}

static gboolean array_grow(gpointer *array, guint *room, guint need, gsize size)
{
	guint64 larger = MAX(need, *room + *room / 2);
	gpointer grown;

	if (need <= *room)
		return TRUE;
	grown = g_try_realloc_n(*array, larger, size);
	if (!grown)
		return FALSE;
	*array = grown;
	*room = (guint)larger;
	return TRUE;
}

gboolean snapshots_grow(Snapshots *snapshots, guint n)
{
	gpointer list = snapshots->list, links = snapshots->links, holds = snapshots->holds;
	guint room = snapshots->list_room; /* both arrays have as much */
	gboolean grown =
		array_grow(&links, &room, snapshots->n_list + n, sizeof *snapshots->links) &&
		array_grow(&list, &snapshots->list_room, snapshots->n_list + n,
			   sizeof *snapshots->list) &&
		array_grow(&holds, &snapshots->holds_room, snapshots->n_holds + n,
			   sizeof *snapshots->holds);

	snapshots->list = list;
	snapshots->links = links;
	snapshots->holds = holds;
	return grown;
}

/* ---- looking */

guint snapshots_count_locked(const Snapshots *snapshots)
{
	return snapshots->n_list;
}

const Snapshot *snapshots_get_locked(const Snapshots *snapshots, guint i)
{
	return &snapshots->list[i];
}

guint snapshots_count_holds_locked(const Snapshots *snapshots)
{
	return snapshots->n_holds;
}

const SnapshotHold *snapshots_get_hold_locked(const Snapshots *snapshots, guint i)
{
	return &snapshots->holds[i];
}

Snapshot *snapshot_find_locked(const Snapshots *snapshots, guint64 generation)
{
	guint from = 0, to = snapshots->n_list;

	while (from < to) {
		guint middle = from + (to - from) / 2;
		Snapshot *snapshot = &snapshots->list[middle];

		if (snapshot->generation == generation)
			return snapshot;
		if (snapshot->generation < generation)
			from = middle + 1;
		else
			to = middle;
	}
	return NULL;
}

const Snapshot *snapshots_find_locked(const Snapshots *snapshots, guint64 generation)
{
	return snapshot_find_locked(snapshots, generation);
}

const Snapshot *snapshots_find_name_locked(const Snapshots *snapshots, const char *name)
{
	for (guint i = 0; i < snapshots->n_list; i++) {
		const Snapshot *snapshot = snapshots_get_locked(snapshots, i);

		if ((snapshot->state != FORMAT_SNAPSHOT_DELETING ||
		     snapshot->flags & FORMAT_SNAPSHOT_FLAG_KEEP) &&
		    !strcmp(snapshot->name, name))
			return snapshot;
	}
	return NULL;
}

guint64 snapshots_head_parent_locked(const Snapshots *snapshots)
{
	return snapshots->head;
}

static guint64 links_above_locked(const Snapshots *snapshots, guint64 generation)
{
	const Snapshot *snapshot = snapshot_find_locked(snapshots, generation);

	if (!generation || !CHECKED(snapshots->backing, snapshot, "I5: every parent has a record"))
		return 0;
	return snapshot_has_tree(snapshot) ? generation
					   : snapshots->links[snapshot - snapshots->list].above;
}

static SnapshotChildren *links_children_locked(const Snapshots *snapshots, guint64 generation)
{
	const Snapshot *snapshot = snapshot_find_locked(snapshots, generation);

	return snapshot ? &snapshots->links[snapshot - snapshots->list].children : NULL;
}

/* A parent is older than its child, and so is linked before it. */
static void links_make_locked(Snapshots *snapshots)
{
	SnapshotChildren *children;

	for (guint i = 0; i < snapshots->n_list; i++) {
		const Snapshot *snapshot = &snapshots->list[i];
		guint64 above = links_above_locked(snapshots, snapshot->parent);

		snapshots->links[i] = (SnapshotLinks){.above = above};
		children = snapshot_has_tree(snapshot) ? links_children_locked(snapshots, above)
						       : NULL;
		if (!children)
			continue;
		children->snapshot = snapshot->generation;
		children->n++;
	}
	children = links_children_locked(snapshots, links_above_locked(snapshots, snapshots->head));
	if (children) {
		children->head = TRUE;
		children->n++;
	}
	snapshots->linked = snapshots->changes;
}

/* The links are a memory of what the list says: walks ask for them at each step, lists for each
 * snapshot. */
static void links_update_locked(const Snapshots *snapshots)
{
	if (snapshots->linked != snapshots->changes)
		links_make_locked((Snapshots *)snapshots);
}

guint64 snapshots_changes_locked(const Snapshots *snapshots)
{
	return snapshots->changes;
}

guint64 snapshots_above_locked(const Snapshots *snapshots, guint64 generation)
{
	links_update_locked(snapshots);
	return links_above_locked(snapshots, generation);
}

/* The nearest ancestor with a tree of the snapshot that is being deleted. */
static guint64 above_deleting_locked(const Snapshots *snapshots)
{
	const Snapshot *snapshot = snapshot_find_locked(snapshots, snapshots->deleting);

	return snapshot ? snapshots_above_locked(snapshots, snapshot->parent) : 0;
}

guint64 snapshots_threshold_locked(const Snapshots *snapshots, guint64 parent, guint64 end)
{
	guint64 above = snapshots_above_locked(snapshots, parent);

	return above && above == snapshots->deleting && end <= snapshots->delete_cursor
		       ? above_deleting_locked(snapshots)
		       : above;
}

SnapshotChildren snapshots_children_locked(const Snapshots *snapshots, guint64 generation)
{
	const SnapshotChildren *children;

	links_update_locked(snapshots);
	children = links_children_locked(snapshots, generation);
	return children ? *children : (SnapshotChildren){0};
}

/* ---- the lineage */

void snapshots_subtract_written_locked(Snapshots *snapshots, guint64 generation, guint64 blocks)
{
	Snapshot *snapshot = snapshot_find_locked(snapshots, generation);

	if (snapshot)
		snapshot->written -= MIN(snapshot->written, blocks);
}

void settle_written_locked(Snapshots *snapshots)
{
	guint64 blocks = map_taken_over_locked(snapshots->map);

	if (blocks)
		snapshots_subtract_written_locked(snapshots, snapshots->deleting, blocks);
}

void lineage_update_locked(Snapshots *snapshots)
{
	const MapLineage *before = map_lineage_locked(snapshots->map);
	guint64 above = snapshots_above_locked(snapshots, snapshots->head);
	MapLineage lineage = {
		.parent = snapshots->head, .floor = before->floor, .threshold = above};
	const Snapshot *deleting;

	settle_written_locked(snapshots);
	if (!snapshots->n_list && !map_has_voids_locked(snapshots->map))
		lineage.floor = 0;
	if (above && above == snapshots->deleting) {
		deleting = snapshot_find_locked(snapshots, above);
		lineage.cursor = snapshots->delete_cursor;
		lineage.behind = above_deleting_locked(snapshots);
		lineage.before = deleting->parent;
	}
	map_set_lineage_locked(snapshots->map, &lineage);
}

void snapshots_set_head_locked(Snapshots *snapshots, guint64 parent)
{
	MapLineage lineage = {.floor = parent};

	settle_written_locked(snapshots);
	map_set_lineage_locked(snapshots->map, &lineage);
	lineage_change_locked(snapshots);
	snapshots->head = parent;
	lineage_update_locked(snapshots);
}
