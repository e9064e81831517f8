/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table on the disk.  A page that changes gets its next pair of slots at once, and so does the
 * root; the freeze copies what the checkpoint will write, because the records go on changing.
 */
#include "common/base/bounds.h"
#include "common/engine/snapshots-private.h"
#include "common/engine/superblock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- loading */

/* Reads one copy. */
static int copy_read(const Snapshots *snapshots, guint64 slot, void *out)
{
	int r = backing_pread(snapshots->backing, out, FORMAT_SLOT_SIZE,
			      slots_offset(snapshots->slots, slot));

	return r == -ENXIO ? -EBADMSG : r;
}

typedef struct {
	Snapshots *snapshots;
	const Superblock *sb;
	gint page; /* -1: the root */
} Loading;

static gboolean loading_fits(const Loading *loading, const void *data, guint32 crc)
{
	const Seal *seal = loading->snapshots->seal;

	return crc == (loading->page < 0 ? seal_table_root(seal, data)
					 : seal_table_page(seal, (guint)loading->page, data));
}

/* Reads the root or a page, from either copy, and rewrites the damaged one. */
static int loading_read(const Loading *loading, const MapEntry *entry, void *out)
{
	Snapshots *snapshots = loading->snapshots;
	int result = -EBADMSG;
	guint good = 0;

	for (; good < 2; good++) {
		int r = copy_read(snapshots, entry->slot + good * FORMAT_COPY_DISTANCE, out);

		if (!r && loading_fits(loading, out, entry->crc))
			break;
		result = r && r != -EBADMSG ? r : result;
	}
	if (good == 2)
		return result;
	if (good == 1 && !snapshots->read_only)
		backing_pwrite(snapshots->backing, out, FORMAT_SLOT_SIZE,
			       slots_offset(snapshots->slots, entry->slot));
	if (good == 1)
		log_warning("%s: a copy of the snapshot table is damaged; the other is used",
			    snapshots->backing->name);
	return 0;
}

/* I9: takes a record in, if it is within its bounds. */
static gboolean record_load(Snapshots *snapshots, const Superblock *sb, const FormatSnapshot *raw,
			    guint place)
{
	static const FormatSnapshot none;
	Snapshot snapshot;
	SnapshotHold hold;

	switch (snapshot_record_kind(raw)) {
	case 0:
		return !memcmp(raw, &none, sizeof none);
	case FORMAT_SNAPSHOT_KIND_SNAPSHOT:
		if (!snapshot_decode(raw, sb, place, &snapshot))
			return FALSE;
		lineage_change_locked(snapshots);
		snapshots->list[snapshots->n_list++] = snapshot;
		break;
	case FORMAT_SNAPSHOT_KIND_HOLD:
		if (!hold_decode(raw, sb, place, &hold))
			return FALSE;
		snapshots->holds[snapshots->n_holds++] = hold;
		break;
	default:
		return FALSE;
	}
	snapshots->used[place / 8] |= (guint8)(1u << (place % 8));
	snapshots->pages[snapshot_page(place)].records++;
	snapshots->n_records++;
	return TRUE;
}

static int page_load(Snapshots *snapshots, const Superblock *sb, guint number)
{
	Loading loading = {snapshots, sb, (gint)number};
	TablePage *page = &snapshots->pages[number];
	FormatTablePage data;
	int r;

	if (!page->entry.slot)
		return 0;
	if (page->entry.dead || !node_slot_is_usable(1, page->entry.slot, sb->groups))
		return -EBADMSG;
	r = snapshots_grow(snapshots, FORMAT_TABLE_RECORDS)
		    ? loading_read(&loading, &page->entry, &data)
		    : -ENOMEM;
	for (guint i = 0; i < FORMAT_TABLE_RECORDS && !r; i++)
		if (!record_load(snapshots, sb, &data.records[i],
				 number * FORMAT_TABLE_RECORDS + i))
			r = -EBADMSG;
	return !r && !page->records ? -EBADMSG : r;
}

static int table_load(Snapshots *snapshots, const Superblock *sb)
{
	Loading loading = {snapshots, sb, -1};
	FormatNode node;
	int r;

	if (!sb->snapshot_root.slot)
		return 0;
	snapshots->root = sb->snapshot_root;
	r = loading_read(&loading, &snapshots->root, &node);
	for (guint i = 0; i < FORMAT_TABLE_PAGES && !r; i++) {
		snapshots->pages[i].entry = entry_at(NODE_LAYOUT_PLAIN, &node, i);
		r = page_load(snapshots, sb, i);
	}
	return !r && !snapshots->n_list ? -EBADMSG : r;
}

static int compare_generations(const void *a, const void *b)
{
	guint64 x = ((const Snapshot *)a)->generation, y = ((const Snapshot *)b)->generation;

	return x < y ? -1 : x > y;
}

/* Whether the records agree with each other: generations are unique, and parents and what is held
 * are there. */
static gboolean table_coherent(const Snapshots *snapshots)
{
	for (guint i = 0; i < snapshots->n_list; i++) {
		const Snapshot *snapshot = snapshots_get_locked(snapshots, i);
		const Snapshot *named = snapshots_find_name_locked(snapshots, snapshot->name);

		if (i && snapshot[-1].generation == snapshot->generation)
			return FALSE;
		if (snapshot->parent && !snapshots_find_locked(snapshots, snapshot->parent))
			return FALSE;
		if (named && named != snapshot &&
		    (snapshot->state != FORMAT_SNAPSHOT_DELETING ||
		     snapshot->flags & FORMAT_SNAPSHOT_FLAG_KEEP))
			return FALSE;
	}
	for (guint i = 0; i < snapshots->n_holds; i++)
		if (!snapshots_find_locked(snapshots,
					   snapshots_get_hold_locked(snapshots, i)->generation))
			return FALSE;
	return TRUE;
}

/* Takes over where the walks stand, and the head's place.  FALSE: these are not in the table. */
static gboolean state_load(Snapshots *snapshots, const Superblock *sb)
{
	Snapshot *dying = snapshot_find_locked(snapshots, sb->dying_generation);
	Snapshot *deleting = snapshot_find_locked(snapshots, sb->delete_generation);

	if ((sb->head_parent && !snapshot_find_locked(snapshots, sb->head_parent)) ||
	    (sb->dying_generation && (!dying || !snapshot_has_tree(dying))) ||
	    (sb->delete_generation && (!deleting || deleting->state != FORMAT_SNAPSHOT_DELETING)))
		return FALSE;
	lineage_change_locked(snapshots);
	snapshots->head = sb->head_parent;
	snapshots->dying = sb->dying_generation;
	snapshots->dying_cursor = sb->dying_cursor;
	snapshots->deleting = sb->delete_generation;
	snapshots->delete_cursor = sb->delete_cursor;
	if (dying)
		dying->written = sb->dying_written;
	if (deleting)
		deleting->written = sb->delete_written;
	return TRUE;
}

static void table_forget(Snapshots *snapshots)
{
	lineage_change_locked(snapshots);
	snapshots->n_list = snapshots->n_holds = snapshots->n_records = 0;
	memset(snapshots->used, 0, sizeof snapshots->used);
	memset(snapshots->pages, 0, sizeof snapshots->pages);
	snapshots->root = (MapEntry){0};
}

gboolean snapshots_load(Snapshots *snapshots, const Superblock *sb, GError **error)
{
	const char *name = snapshots->backing->name;
	Lock *lock = slots_lists_lock(snapshots->slots);
	int r = table_load(snapshots, sb);
	gboolean good;

	if (snapshots->n_list)
		qsort(snapshots->list, snapshots->n_list, sizeof *snapshots->list,
		      compare_generations);
	good = !r && table_coherent(snapshots) && state_load(snapshots, sb);
	if (!good && (!r || r == -EBADMSG) && snapshots->read_only) {
		log_warning("%s: the snapshot table is damaged; the volume reads without snapshots",
			    name);
		table_forget(snapshots);
		return TRUE;
	}
	if (r && r != -EBADMSG)
		return error_set_errno(error, r, "%s: read the snapshot table", name);
	if (!good)
		return error_set(error, STORAGEOS_ERROR_CORRUPT,
				 "%s: the snapshot table is damaged in both copies; the volume can "
				 "be opened for reading only",
				 name);
	lock_take(lock);
	lineage_update_locked(snapshots);
	lock_drop(lock);
	return TRUE;
}

/* ---- verifying */

/* Both copies of the root (page -1) or of a page. */
static void copies_verify(Snapshots *snapshots, gint page, const MapEntry *entry, gboolean repair,
			  MapNodeCount *count)
{
	const Loading loading = {snapshots, NULL, page};
	FormatTablePage data[2];
	gboolean fits[2];

	for (guint copy = 0; copy < 2; copy++)
		fits[copy] = !copy_read(snapshots, entry->slot + copy * FORMAT_COPY_DISTANCE,
					&data[copy]) &&
			     loading_fits(&loading, &data[copy], entry->crc);
	count->copies += 2;
	count->lost += !fits[0] && !fits[1];
	if (repair && fits[0] != fits[1] &&
	    !backing_pwrite(snapshots->backing, &data[fits[1] ? 1 : 0], FORMAT_SLOT_SIZE,
			    slots_offset(snapshots->slots,
					 entry->slot + (fits[0] ? FORMAT_COPY_DISTANCE : 0))))
		count->repaired++;
}

void snapshots_verify(Snapshots *snapshots, gboolean repair, MapNodeCount *count)
{
	if (snapshots->root.slot && !snapshots->changed)
		copies_verify(snapshots, -1, &snapshots->root, repair, count);
	for (guint i = 0; i < FORMAT_TABLE_PAGES; i++)
		if (snapshots->pages[i].entry.slot && !snapshots->pages[i].changed)
			copies_verify(snapshots, (gint)i, &snapshots->pages[i].entry, repair,
				      count);
}

/* ---- changing */

int snapshots_keep_unlocking(Snapshots *snapshots, guint n)
{
	guint pages = (guint)min_u64(snapshots->n_changed + n, FORMAT_TABLE_PAGES);

	if (!snapshots_grow(snapshots, n))
		return -ENOMEM;
	if (pages > snapshots->room) {
		FrozenPage *frozen = g_try_renew(FrozenPage, snapshots->frozen, pages);

		if (!frozen)
			return -ENOMEM;
		snapshots->frozen = frozen;
		snapshots->room = pages;
	}
	return map_keep_pairs_unlocking(snapshots->map, (guint)min_u64(n, FORMAT_TABLE_PAGES) + 1);
}

/* Gives an entry a new pair; `n` records of it are left: 0 leaves it null. */
static void entry_renew_locked(Snapshots *snapshots, MapEntry *entry, gboolean *changed, guint n)
{
	if (entry->slot && (!*changed || !n))
		map_return_node_locked(snapshots->map, 1, entry->slot);
	if (!n)
		*entry = (MapEntry){0};
	else if (!entry->slot || !*changed)
		*entry = (MapEntry){.slot = map_take_pair_locked(snapshots->map)};
	*changed = TRUE;
}

static void page_change_locked(Snapshots *snapshots, guint number)
{
	TablePage *page = &snapshots->pages[number];

	snapshots->n_changed += !page->changed;
	entry_renew_locked(snapshots, &page->entry, &page->changed, page->records);
	entry_renew_locked(snapshots, &snapshots->root, &snapshots->changed, snapshots->n_records);
}

void table_change_locked(Snapshots *snapshots, guint place)
{
	page_change_locked(snapshots, snapshot_page(place));
}

guint table_take_place_locked(Snapshots *snapshots)
{
	guint place = 0;

	while (place < FORMAT_SNAPSHOTS_MAX - 1 && snapshots->used[place / 8] >> (place % 8) & 1)
		place++;
	snapshots->used[place / 8] |= (guint8)(1u << (place % 8));
	snapshots->pages[snapshot_page(place)].records++;
	snapshots->n_records++;
	page_change_locked(snapshots, snapshot_page(place));
	return place;
}

void table_free_place_locked(Snapshots *snapshots, guint place)
{
	snapshots->used[place / 8] &= (guint8) ~(1u << (place % 8));
	snapshots->pages[snapshot_page(place)].records--;
	snapshots->n_records--;
	page_change_locked(snapshots, snapshot_page(place));
}

/* ---- checkpoints */

gboolean snapshots_changed_locked(const Snapshots *snapshots)
{
	return snapshots->changed;
}

static void page_freeze_locked(Snapshots *snapshots, guint number)
{
	TablePage *page = &snapshots->pages[number];
	FrozenPage *frozen = &snapshots->frozen[snapshots->n_frozen];

	page->changed = FALSE;
	if (!page->entry.slot)
		return;
	if (!CHECKED(snapshots->backing, snapshots->n_frozen < snapshots->room,
		     "I7: snapshots_keep_unlocking() made room"))
		return;
	snapshots->n_frozen++;
	frozen->number = number;
	frozen->slot = page->entry.slot;
	memset(&frozen->data, 0, sizeof frozen->data);
}

/* Copies the records of the frozen pages. */
static void records_freeze_locked(Snapshots *snapshots)
{
	FormatSnapshot *to[FORMAT_TABLE_PAGES] = {NULL};

	for (guint i = 0; i < snapshots->n_frozen; i++)
		to[snapshots->frozen[i].number] = snapshots->frozen[i].data.records;
	for (guint i = 0; i < snapshots->n_list; i++) {
		const Snapshot *snapshot = snapshots_get_locked(snapshots, i);
		FormatSnapshot *page = to[snapshot_page(snapshot->place)];

		if (page)
			snapshot_encode(snapshot, page + snapshot->place % FORMAT_TABLE_RECORDS);
	}
	for (guint i = 0; i < snapshots->n_holds; i++) {
		const SnapshotHold *hold = snapshots_get_hold_locked(snapshots, i);
		FormatSnapshot *page = to[snapshot_page(hold->place)];

		if (page)
			hold_encode(hold, page + hold->place % FORMAT_TABLE_RECORDS);
	}
}

static void state_freeze_locked(Snapshots *snapshots)
{
	const MapLineage *lineage = map_lineage_locked(snapshots->map);
	const Snapshot *dying = snapshots_find_locked(snapshots, snapshots->dying);
	const Snapshot *deleting = snapshots_find_locked(snapshots, snapshots->deleting);

	snapshots->frozen_state = (SnapshotsState){
		.parent = snapshots->head,
		.floor = lineage->floor,
		.dying = snapshots->dying,
		.dying_cursor = snapshots->dying_cursor,
		.dying_written = dying ? dying->written : 0,
		.deleting = snapshots->deleting,
		.delete_cursor = snapshots->delete_cursor,
		.delete_written = deleting ? deleting->written : 0,
		.count = snapshots->n_list,
	};
}

void snapshots_freeze_locked(Snapshots *snapshots)
{
	lineage_update_locked(snapshots); /* counts what the map has taken over */
	snapshots->n_frozen = snapshots->n_changed = 0;
	snapshots->frozen_changed = snapshots->changed;
	for (guint i = 0; snapshots->changed && i < FORMAT_TABLE_PAGES; i++)
		if (snapshots->pages[i].changed)
			page_freeze_locked(snapshots, i);
	snapshots->changed = FALSE;
	snapshots->frozen_root = snapshots->root;
	records_freeze_locked(snapshots);
	state_freeze_locked(snapshots);
	/* The pages that did not change; those that did follow with their checksums. */
	memset(&snapshots->frozen_node, 0, sizeof snapshots->frozen_node);
	for (guint i = 0; i < FORMAT_TABLE_PAGES; i++)
		if (snapshots->pages[i].entry.slot)
			entry_put(NODE_LAYOUT_PLAIN, &snapshots->frozen_node, i,
				  &snapshots->pages[i].entry);
}

static int write_pair(const Snapshots *snapshots, const void *data, guint64 slot)
{
	int r = backing_pwrite(snapshots->backing, data, FORMAT_SLOT_SIZE,
			       slots_offset(snapshots->slots, slot));

	return r ? r
		 : backing_pwrite(snapshots->backing, data, FORMAT_SLOT_SIZE,
				  slots_offset(snapshots->slots, slot + FORMAT_COPY_DISTANCE));
}

/* Puts the frozen map's root, whose checksum is known now, into the record of the snapshot that the
 * checkpoint makes. */
static void publish_root(Snapshots *snapshots)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = NULL;
	MapEntry root = map_frozen_root(snapshots->map);
	Snapshot *newest;

	if (!snapshots->newest)
		return;
	locker = lock_hold(slots_lists_lock(snapshots->slots));
	newest = snapshot_find_locked(snapshots, snapshots->newest);
	if (!newest)
		return;
	newest->root.crc = root.crc;
	for (guint i = 0; i < snapshots->n_frozen; i++)
		if (snapshots->frozen[i].number == snapshot_page(newest->place))
			entry_encode(&newest->root,
				     &snapshots->frozen[i]
					      .data.records[newest->place % FORMAT_TABLE_RECORDS]
					      .root);
}

static int page_write(Snapshots *snapshots, const FrozenPage *frozen)
{
	TablePage *page = &snapshots->pages[frozen->number];
	MapEntry entry = {.slot = frozen->slot,
			  .crc = seal_table_page(snapshots->seal, frozen->number, &frozen->data)};
	int r = write_pair(snapshots, &frozen->data, frozen->slot);

	if (r)
		return r;
	entry_put(NODE_LAYOUT_PLAIN, &snapshots->frozen_node, frozen->number, &entry);
	if (page->entry.slot == frozen->slot)
		page->entry = entry;
	return 0;
}

int snapshots_write_frozen(Snapshots *snapshots)
{
	MapEntry *root = &snapshots->frozen_root;
	int r = 0;

	publish_root(snapshots);
	for (guint i = 0; i < snapshots->n_frozen && !r; i++)
		r = page_write(snapshots, &snapshots->frozen[i]);
	if (r || !snapshots->frozen_changed || !root->slot)
		return r;
	root->crc = seal_table_root(snapshots->seal, &snapshots->frozen_node);
	if (snapshots->root.slot == root->slot)
		snapshots->root.crc = root->crc;
	return write_pair(snapshots, &snapshots->frozen_node, root->slot);
}

void snapshots_frozen_state(Snapshots *snapshots, Superblock *sb)
{
	const SnapshotsState *state = &snapshots->frozen_state;

	if (state->count || state->floor)
		sb->ro_compatible |= FORMAT_RO_SNAPSHOTS;
	else
		sb->ro_compatible &= ~FORMAT_RO_SNAPSHOTS;
	sb->snapshot_root = snapshots->frozen_root;
	sb->head_parent = state->parent;
	sb->head_void = state->floor;
	sb->dying_generation = state->dying;
	sb->dying_cursor = state->dying_cursor;
	sb->dying_written = state->dying_written;
	sb->delete_generation = state->deleting;
	sb->delete_cursor = state->delete_cursor;
	sb->delete_written = state->delete_written;
	snapshots->newest = 0;
}

guint64 snapshots_give_up_newest(Snapshots *snapshots)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(slots_lists_lock(snapshots->slots));
	Snapshot *newest = snapshot_find_locked(snapshots, snapshots->newest);

	if (!newest || snapshots->keep)
		return 0;
	lineage_change_locked(snapshots);
	newest->state = FORMAT_SNAPSHOT_DELETING;
	newest->flags &= ~FORMAT_SNAPSHOT_FLAG_KEEP;
	for (guint i = 0; i < snapshots->n_frozen; i++)
		if (snapshots->frozen[i].number == snapshot_page(newest->place))
			snapshot_encode(newest, snapshots->frozen[i].data.records +
							newest->place % FORMAT_TABLE_RECORDS);
	return newest->generation;
}
