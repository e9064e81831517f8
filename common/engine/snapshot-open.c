/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A snapshot is looked for in the table that the newest superblock leads to, by a reader that holds
 * no lock: meanwhile checkpoints go on, and may give the table's slots to something else.  Then a
 * checksum does not fit (I4), and the search begins anew with the superblock of now.
 *
 * What is found may be out of date, too: a table that was replaced stays readable for a while.  So
 * the snapshot is looked for again once the caller has the lock that its deletion needs.  A
 * deletion is durable before it drops the lock: if the snapshot is alive then, it stays so.  Its
 * nodes and blocks do not change, and are read like those of any map.
 */
#include "common/engine/volume-private.h"
#include "common/engine/volume-snapshots.h"

#include <errno.h>

#define ATTEMPTS 10
#define PAUSE_US 10000

typedef struct {
	Backing *backing;
	const VolumeSnapshotOpening *opening;
	SuperblockPair pair;
	Seal seal;
	gboolean found;
	Snapshot snapshot;
} Search;

/* Reads the root (page -1) or a page of the table, from the copy that fits.  0, -EBADMSG, or
 * another negative errno. */
static int table_read(const Search *search, gint page, const MapEntry *entry, void *out)
{
	const Superblock *sb = &search->pair.current;
	int r = -EBADMSG;

	if (entry->dead || !node_slot_is_usable(1, entry->slot, sb->groups))
		return -EBADMSG;
	for (guint copy = 0; copy < 2; copy++) {
		guint64 slot = entry->slot + copy * FORMAT_COPY_DISTANCE;

		r = backing_pread(search->backing, out, FORMAT_SLOT_SIZE,
				  sb->groups_offset + slot * FORMAT_SLOT_SIZE);
		if (!r &&
		    entry->crc == (page < 0 ? seal_table_root(&search->seal, out)
					    : seal_table_page(&search->seal, (guint)page, out)))
			return 0;
	}
	return !r || r == -ENXIO ? -EBADMSG : r;
}

/* A snapshot that is being deleted has given its name up. */
static gboolean search_matches(const Search *search, const Snapshot *snapshot)
{
	const VolumeSnapshotOpening *opening = search->opening;

	if (snapshot->state == FORMAT_SNAPSHOT_DELETING)
		return FALSE;
	return opening->name ? !strcmp(snapshot->name, opening->name)
			     : !memcmp(snapshot->uuid, opening->uuid, sizeof snapshot->uuid);
}

/* Looks for the snapshot in a page. */
static int page_search(Search *search, gint number, const MapEntry *entry)
{
	FormatTablePage page;
	int r = table_read(search, number, entry, &page);

	for (guint i = 0; i < FORMAT_TABLE_RECORDS && !r && !search->found; i++) {
		Snapshot snapshot;

		if (snapshot_record_kind(&page.records[i]) != FORMAT_SNAPSHOT_KIND_SNAPSHOT)
			continue;
		if (!snapshot_decode(&page.records[i], &search->pair.current, 0, &snapshot))
			return -EBADMSG;
		if (!search_matches(search, &snapshot))
			continue;
		search->snapshot = snapshot;
		search->found = TRUE;
	}
	return r;
}

static int table_search(Search *search)
{
	const MapEntry *root = &search->pair.current.snapshot_root;
	FormatNode node;
	int r = root->slot ? table_read(search, -1, root, &node) : 0;

	for (gint i = 0; root->slot && i < (gint)FORMAT_TABLE_PAGES && !r && !search->found; i++) {
		MapEntry entry = entry_at(NODE_LAYOUT_PLAIN, &node, (guint)i);

		if (entry.slot)
			r = page_search(search, i, &entry);
	}
	return r;
}

/* One attempt.  FALSE with CORRUPT: another one may succeed. */
static gboolean search_once(Search *search, GError **error)
{
	int r;

	search->found = FALSE;
	if (!superblock_load(search->backing, &search->pair, error) ||
	    !superblock_fits(search->backing, &search->pair.current, error))
		return FALSE;
	search->seal = (Seal){search->pair.current.seed};
	r = table_search(search);
	if (r == -EBADMSG)
		return error_set(error, STORAGEOS_ERROR_CORRUPT,
				 "%s: the snapshot table is damaged", search->backing->name);
	return !r ||
	       error_set_errno(error, r, "%s: read the snapshot table", search->backing->name);
}

static gboolean fail_not_found(const VolumeSnapshotOpening *opening, GError **error)
{
	char uuid[UUID_TEXT];

	if (opening->name)
		return error_set(
			error, STORAGEOS_ERROR_NOT_FOUND,
			"there is no snapshot '%s' (storageos snapshot list tells which there are)",
			opening->name);
	uuid_format(opening->uuid, uuid);
	return error_set(error, STORAGEOS_ERROR_NOT_FOUND, "there is no snapshot with UUID %s",
			 uuid);
}

/* Looks for a snapshot that can be opened. */
static gboolean search_run(Search *search, GError **error)
{
	g_autoptr(GError) problem = NULL;

	for (guint attempt = 1; !search_once(search, &problem); attempt++) {
		if (attempt == ATTEMPTS ||
		    !g_error_matches(problem, STORAGEOS_ERROR, STORAGEOS_ERROR_CORRUPT)) {
			g_propagate_error(error, g_steal_pointer(&problem));
			return FALSE;
		}
		g_clear_error(&problem);
		g_usleep(PAUSE_US);
	}
	if (!search->found)
		return fail_not_found(search->opening, error);
	return search->snapshot.state == FORMAT_SNAPSHOT_ALIVE ||
	       error_set(error, STORAGEOS_ERROR_INVALID,
			 "'%s' is a bookmark: what it had was given up", search->snapshot.name);
}

static gboolean search_and_join(Search *search, GError **error)
{
	VolumeSnapshotJoin join = search->opening->join;
	char uuid[UUID_TEXT];
	guint64 generation;

	if (!search_run(search, error))
		return FALSE;
	if (!join)
		return TRUE;
	generation = search->snapshot.generation;
	uuid_format(search->pair.current.uuid, uuid);
	if (!join(uuid, generation, search->opening->join_data, error) ||
	    !search_run(search, error))
		return FALSE;
	return search->snapshot.generation == generation ||
	       error_set(error, STORAGEOS_ERROR_BUSY, "the snapshot was replaced at this moment");
}

/* The parts that reading needs: no journal, and an allocator that knows the number of groups. */
static gboolean engine_init_snapshot(Engine *engine, const Superblock *sb, const Snapshot *snapshot,
				     GError **error)
{
	Superblock view = {
		.size = snapshot->size,
		.levels = snapshot->levels,
		.map_root = snapshot->root,
		.data_slots = snapshot->referenced,
		.node_slots = snapshot->nodes,
		.head_data = snapshot->referenced,
		.head_nodes = snapshot->nodes,
		.incompatible = sb->incompatible,
		.base_blocks = snapshot->base_blocks,
	};

	engine->seal = (Seal){sb->seed};
	engine->slots = slots_new(engine->backing, sb->groups_offset, &engine->seal, TRUE, error);
	if (!engine->slots)
		return FALSE;
	slots_assume_groups(engine->slots, sb->groups);
	engine->map = map_new(engine->backing, engine->slots, &engine->seal, superblock_layout(sb),
			      &view, TRUE, error);
	engine->size = engine->next_size = snapshot->size;
	engine->durable_generation = snapshot->generation;
	return engine->map != NULL;
}

static gboolean snapshot_open(Volume *volume, Search *search, GError **error)
{
	const Superblock *sb = &search->pair.current;
	const Snapshot *snapshot = &search->snapshot;

	if (!search_and_join(search, error)) {
		g_prefix_error(error, "%s: ", volume->engine.name);
		return FALSE;
	}
	if ((!search->opening->look_only &&
	     !volume_base_open(volume, sb, search->opening->open_base, search->opening->base_data,
			       error)) ||
	    !engine_init_snapshot(&volume->engine, sb, snapshot, error))
		return FALSE;
	volume->logical_block_size = sb->logical_block_size;
	memcpy(volume->uuid, snapshot->uuid, sizeof volume->uuid);
	volume->self = (BaseIdentity){.generation = snapshot->generation,
				      .size = snapshot->size,
				      .root = snapshot->root.crc};
	memcpy(volume->self.volume, sb->uuid, sizeof sb->uuid);
	memcpy(volume->self.snapshot, snapshot->uuid, sizeof snapshot->uuid);
	volume_join_cache(volume);
	return TRUE;
}

Volume *volume_open_snapshot_linked(Backing *backing, const char *name,
				    const VolumeSnapshotOpening *opening, GError **error)
{
	Volume *volume = volume_new(backing, name, TRUE, error);
	Search search = {.backing = backing, .opening = opening};

	if (!volume)
		return NULL;
	volume->ops = &volume_ops_thin;
	if (snapshot_open(volume, &search, error))
		return volume;
	volume_free(volume);
	return NULL;
}

Volume *volume_open_snapshot(Backing *backing, const char *name, const char *snapshot,
			     VolumeSnapshotJoin join, gpointer data, GError **error)
{
	VolumeSnapshotOpening opening = {.name = snapshot, .join = join, .join_data = data};

	return volume_open_snapshot_linked(backing, name, &opening, error);
}

/* ---- holds of clones, read from a backing that nobody has open for writing */

typedef struct {
	GArray *snapshots; /* of Snapshot */
	GArray *holds;	   /* of SnapshotHold, of clones */
} CloneHolds;

static int page_list(Search *search, gint number, const MapEntry *entry, CloneHolds *found)
{
	const Superblock *sb = &search->pair.current;
	FormatTablePage page;
	int r = table_read(search, number, entry, &page);

	for (guint i = 0; i < FORMAT_TABLE_RECORDS && !r; i++) {
		const FormatSnapshot *record = &page.records[i];
		Snapshot snapshot;
		SnapshotHold hold;

		if (snapshot_decode(record, sb, 0, &snapshot))
			g_array_append_val(found->snapshots, snapshot);
		else if (hold_decode(record, sb, 0, &hold) && hold.class == FORMAT_HOLD_CLONE)
			g_array_append_val(found->holds, hold);
	}
	return r;
}

static int table_list(Search *search, CloneHolds *found)
{
	const MapEntry *root = &search->pair.current.snapshot_root;
	FormatNode node;
	int r = root->slot ? table_read(search, -1, root, &node) : 0;

	for (gint i = 0; root->slot && i < (gint)FORMAT_TABLE_PAGES && !r; i++) {
		MapEntry entry = entry_at(NODE_LAYOUT_PLAIN, &node, (guint)i);

		if (entry.slot)
			r = page_list(search, i, &entry, found);
	}
	return r;
}

static const char *snapshot_name(const CloneHolds *found, guint64 generation)
{
	for (guint i = 0; i < found->snapshots->len; i++)
		if (g_array_index(found->snapshots, Snapshot, i).generation == generation)
			return g_array_index(found->snapshots, Snapshot, i).name;
	return "?";
}

static GPtrArray *holds_describe(const CloneHolds *found)
{
	GPtrArray *lines = g_ptr_array_new_with_free_func(g_free);

	for (guint i = 0; i < found->holds->len; i++) {
		const SnapshotHold *hold = &g_array_index(found->holds, SnapshotHold, i);

		g_ptr_array_add(lines,
				g_strdup_printf("%s %s", snapshot_name(found, hold->generation),
						hold->tag));
	}
	return lines;
}

GPtrArray *volume_list_clone_holds(Backing *backing, GError **error)
{
	Search search = {.backing = backing};
	CloneHolds found = {g_array_new(FALSE, FALSE, sizeof(Snapshot)),
			    g_array_new(FALSE, FALSE, sizeof(SnapshotHold))};
	GPtrArray *lines = NULL;
	int r;

	if (superblock_load(backing, &search.pair, error)) {
		search.seal = (Seal){search.pair.current.seed};
		r = table_list(&search, &found);
		if (r)
			error_set_errno(error, r, "%s: read the snapshot table", backing->name);
		else
			lines = holds_describe(&found);
	}
	g_array_unref(found.snapshots);
	g_array_unref(found.holds);
	return lines;
}
