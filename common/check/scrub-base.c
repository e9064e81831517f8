/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The base is walked by its extents, a piece at a time.  Without snapshots of the clone, what the
 * clone has itself is left out.  With them nearly everything is read by one of them, so everything
 * is verified, and who reads a block is asked only if it is lost.
 */
#include "common/check/scrub-base.h"

#include <errno.h>

#include "common/base/bounds.h"
#include "common/engine/map-load.h"

/* A piece of the base, within one leaf of either map. */
typedef struct {
	Volume *volume, *base;
	guint64 first;
	guint n;
	gboolean lost[FORMAT_POINTERS_MAX];   /* cannot be read from the base */
	gboolean wanted[FORMAT_POINTERS_MAX]; /* read from there by a snapshot of the clone */
} Piece;

static gboolean is_damage(int r)
{
	return r == -EBADMSG || r == -EIO;
}

/* ---- who reads it */

/* The leaf of a snapshot over the piece; or the pointer, *ret_entry, above which there is none. */
static gboolean find_leaf(Engine *engine, const Snapshot *snapshot, guint64 block,
			  MapEntry *ret_entry, FormatNode *ret_leaf)
{
	NodeLayout layout = map_layout(engine->map);

	*ret_entry = snapshot->root;
	for (guint level = snapshot->levels; level-- > 0;) {
		if (!ret_entry->slot || ret_entry->dead ||
		    map_read_node(engine->map, level, block >> node_shift(layout, level), ret_entry,
				  ret_leaf))
			return FALSE;
		if (level)
			*ret_entry = entry_at(
				layout, ret_leaf,
				node_place(layout, block >> node_shift(layout, level - 1)));
	}
	return TRUE;
}

static void ask_snapshot(Engine *engine, const Snapshot *snapshot, Piece *piece)
{
	NodeLayout layout = map_layout(engine->map);
	FormatNode leaf;
	MapEntry entry;
	gboolean found = find_leaf(engine, snapshot, piece->first, &entry, &leaf);

	for (guint i = 0; i < piece->n && piece->first + i < snapshot->base_blocks; i++) {
		if (found)
			entry = entry_at(layout, &leaf, node_place(layout, piece->first + i));
		piece->wanted[i] |= map_found_base(&entry);
	}
}

static gboolean next_snapshot(Engine *engine, guint i, Snapshot *ret_snapshot)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(slots_lists_lock(engine->slots));

	if (i >= snapshots_count_locked(engine->snapshots))
		return FALSE;
	*ret_snapshot = *snapshots_get_locked(engine->snapshots, i);
	return TRUE;
}

/* For checkpointer_call(): that thread alone frees what snapshots have. */
static void ask_snapshots(Engine *engine, gpointer data)
{
	guint64 durable = __atomic_load_n(&engine->durable_generation, __ATOMIC_RELAXED);
	Snapshot snapshot;

	for (guint i = 0; next_snapshot(engine, i, &snapshot); i++)
		if (snapshot.state == FORMAT_SNAPSHOT_ALIVE && snapshot.generation <= durable)
			ask_snapshot(engine, &snapshot, data);
}

/* How far the clone and its snapshots read the base; *ret_snapshots: whether one of these does. */
static guint64 base_end(Volume *volume, gboolean *ret_snapshots)
{
	Engine *engine = &volume->engine;
	guint64 end = min_u64(map_base_blocks(engine->map), blocks_covering(volume_size(volume)));
	Snapshot snapshot;

	*ret_snapshots = FALSE;
	for (guint i = 0; volume->checkpointer && next_snapshot(engine, i, &snapshot); i++)
		if (snapshot.state == FORMAT_SNAPSHOT_ALIVE && snapshot.base_blocks) {
			*ret_snapshots = TRUE;
			end = max_u64(end, snapshot.base_blocks);
		}
	return end;
}

/* ---- reading it */

static int read_run(Piece *piece, ScrubBase *scrub, guint from, guint n)
{
	struct iovec iov = {scrub->buffer, (gsize)n * BLOCK_SIZE};
	IovCursor to = iov_cursor(&iov, 1);
	guint64 bad;
	int r = volume_read_piece(piece->base, &to, blocks_to_bytes(piece->first + from),
				  iov.iov_len, BACKING_WAIT, &bad);

	scrub->blocks += n;
	for (guint i = from; is_damage(r) && i < from + n; i++) {
		int one = volume_read_block(piece->base, piece->first + i, scrub->buffer,
					    BACKING_WAIT, &bad);

		if (one && !is_damage(one))
			return one;
		piece->lost[i] = one != 0;
	}
	return is_damage(r) ? 0 : r;
}

/* Which blocks of the piece the clone itself reads from its base. */
static int look_up(const Piece *piece, gboolean ret_base[FORMAT_POINTERS_MAX])
{
	Map *map = piece->volume->engine.map;
	MapEntry entries[FORMAT_POINTERS_MAX];
	guint64 end = min_u64(map_base_blocks(map), blocks_covering(volume_size(piece->volume)));
	guint n = (guint)min_u64(piece->n, end - min_u64(end, piece->first)), epoch;
	int r = n ? map_lookup(map, piece->first, n, entries, FALSE, &epoch) : 0;

	memset(ret_base, 0, FORMAT_POINTERS_MAX * sizeof *ret_base);
	if (r == -EBADMSG)
		return 0; /* counted and listed as lost already */
	if (r || !n)
		return r;
	map_lookup_end(map, epoch);
	for (guint i = 0; i < n; i++)
		ret_base[i] = map_found_base(&entries[i]);
	return 0;
}

static int verify_piece(Piece *piece, ScrubBase *scrub, gboolean all)
{
	gboolean own[FORMAT_POINTERS_MAX];
	int r = look_up(piece, own);

	for (guint i = 0, run; i < piece->n && !r; i += run) {
		run = 1;
		if (!all && !own[i])
			continue;
		while (i + run < piece->n && (all || own[i + run]))
			run++;
		r = read_run(piece, scrub, i, run);
	}
	return r;
}

/* ---- what is lost */

/* Looks the clone up again: what it has written meanwhile, it does not read from the base. */
static int note_lost(Piece *piece, ScrubBase *scrub)
{
	gboolean own[FORMAT_POINTERS_MAX];
	int r = 0;

	if (!memchr(piece->lost, TRUE, sizeof piece->lost))
		return 0;
	if (piece->volume->checkpointer)
		checkpointer_call(piece->volume->checkpointer, ask_snapshots, piece);
	r = look_up(piece, own);
	for (guint i = 0; i < piece->n && !r; i++) {
		if (!piece->lost[i])
			continue;
		scrub->errors += own[i] || piece->wanted[i];
		if (own[i])
			scrub->lost[scrub->n_lost++] = (guint16)i;
	}
	return r;
}

static int step(Volume *volume, Volume *base, ScrubBase *scrub)
{
	Piece piece = {.volume = volume, .base = base, .first = scrub->block};
	gboolean mapped = FALSE, all, node_lost;
	guint64 end = base_end(volume, &all), length = 0, leaf;
	int r;

	scrub->more = scrub->block < end;
	if (!scrub->more)
		return 0;
	scrub->first = scrub->block;
	leaf = min_u64(map_leaf_end(volume->engine.map, scrub->block),
		       map_leaf_end(base->engine.map, scrub->block));
	r = volume_extent(base, blocks_to_bytes(scrub->block), &mapped, &length);
	node_lost = is_damage(r);
	if (r && !node_lost)
		return r;
	if (!mapped && !node_lost) {
		scrub->block += blocks_covering(length);
		return 0;
	}
	end = min_u64(end, leaf);
	if (!node_lost)
		end = min_u64(end, scrub->block + blocks_covering(length));
	piece.n = (guint)(end - scrub->block);
	scrub->block = end;
	for (guint i = 0; node_lost && i < piece.n; i++)
		piece.lost[i] = TRUE;
	r = node_lost ? 0 : verify_piece(&piece, scrub, all);
	if (!r)
		r = note_lost(&piece, scrub);
	if (node_lost)
		scrub->errors = scrub->errors != 0;
	return r;
}

int scrub_base_step(Volume *volume, ScrubBase *scrub)
{
	Volume *base = volume_base_enter(volume);
	int r = 0;

	scrub->blocks = scrub->errors = 0;
	scrub->n_lost = 0;
	scrub->more = FALSE;
	if (base)
		r = step(volume, base, scrub);
	volume_base_leave(volume, base);
	return r;
}
