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
	const char *name; /* of the snapshot */
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

/* Looks for the snapshot in a page; one that is being deleted has given its name up. */
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
		if (snapshot.state == FORMAT_SNAPSHOT_DELETING ||
		    strcmp(snapshot.name, search->name) != 0)
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
		return error_set(
			error, STORAGEOS_ERROR_NOT_FOUND,
			"there is no snapshot '%s' (storageos snapshot list tells which there are)",
			search->name);
	return search->snapshot.state == FORMAT_SNAPSHOT_ALIVE ||
	       error_set(error, STORAGEOS_ERROR_INVALID,
			 "'%s' is a bookmark: what it had was given up", search->name);
}

static gboolean search_and_join(Search *search, VolumeSnapshotJoin join, gpointer data,
				GError **error)
{
	char uuid[UUID_TEXT];
	guint64 generation;

	if (!search_run(search, error))
		return FALSE;
	if (!join)
		return TRUE;
	generation = search->snapshot.generation;
	uuid_format(search->pair.current.uuid, uuid);
	if (!join(uuid, generation, data, error) || !search_run(search, error))
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

Volume *volume_open_snapshot(Backing *backing, const char *name, const char *snapshot,
			     VolumeSnapshotJoin join, gpointer data, GError **error)
{
	Volume *volume = volume_new(backing, name, TRUE, error);
	Search search = {.backing = backing, .name = snapshot};

	if (!volume)
		return NULL;
	if (!search_and_join(&search, join, data, error)) {
		g_prefix_error(error, "%s: ", name);
		volume_free(volume);
		return NULL;
	}
	if (!engine_init_snapshot(&volume->engine, &search.pair.current, &search.snapshot, error)) {
		volume_free(volume);
		return NULL;
	}
	volume->logical_block_size = search.pair.current.logical_block_size;
	memcpy(volume->uuid, search.snapshot.uuid, sizeof volume->uuid);
	volume_join_cache(volume);
	return volume;
}
