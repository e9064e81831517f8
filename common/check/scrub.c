/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The map is scrubbed leaf by leaf: first the inner nodes on the path that were not verified yet,
 * then the leaf, then its blocks, neighbouring slots in one read.  A block that does not verify is
 * looked up and read again, as a request reads it: a write may have moved the block meanwhile.
 */
#include "common/check/scrub.h"

#include <errno.h>

#include "common/base/bounds.h"
#include "common/base/error.h"
#include "common/base/thread.h"
#include "common/check/scrub-base.h"
#include "common/check/scrub-snapshots.h"
#include "common/engine/volume-private.h"

/* Groups that are verified in one checkpointer_call(), for which a checkpoint may have to wait. */
#define GROUPS_AT_ONCE 64u

struct Scrub {
	Volume *volume;
	GThread *thread;
	GMutex lock; /* protects all up to `lost` */
	GCond changed;
	gboolean stop;
	ScrubStatus status;
	GArray *lost; /* of ScrubRange */

	/* Set before the thread starts; then the thread's own. */
	guint64 repaired_before;	    /* copies that were repaired before the scrub began */
	gint64 paced_from;		    /* when the scrub began: monotonic time, microseconds */
	guint64 paced_bytes;		    /* bytes read since then */
	guint64 expected;		    /* mapped blocks when the scrub began */
	guint64 entered[FORMAT_LEVELS_MAX]; /* for each level: index last verified, plus 1 */
	guint8 buffer[FORMAT_POINTERS_MAX * BLOCK_SIZE];
};

/* ---- counting */

static void note_progress(Scrub *scrub, guint64 blocks, const MapNodeCount *nodes)
{
	ScrubStatus *status = &scrub->status;

	g_mutex_lock(&scrub->lock);
	status->blocks += blocks;
	status->copies += nodes->copies;
	__atomic_fetch_add(&scrub->volume->engine.scrub_mended, nodes->repaired, __ATOMIC_RELAXED);
	status->errors += nodes->lost;
	status->fraction = MIN(1., (double)status->blocks / (double)MAX(scrub->expected, 1));
	g_mutex_unlock(&scrub->lock);
}

/* Lists blocks [first, end) as lost, and adds `errors` to the count of errors. */
static void note_lost(Scrub *scrub, guint64 first, guint64 end, guint64 errors)
{
	ScrubRange range = {first, end}, *last;

	g_mutex_lock(&scrub->lock);
	scrub->status.errors += errors;
	last = scrub->lost->len ? &g_array_index(scrub->lost, ScrubRange, scrub->lost->len - 1)
				: NULL;
	if (last && last->end == first)
		last->end = end;
	else if (scrub->lost->len < SCRUB_RANGES)
		g_array_append_val(scrub->lost, range);
	g_mutex_unlock(&scrub->lock);
}

/* Copies repaired since the scrub began, those included that a lookup or a request met first. */
static guint64 count_repaired(const Scrub *scrub)
{
	VolumeInfo info;

	volume_get_info(scrub->volume, &info);
	return info.copies_repaired - scrub->repaired_before;
}

/* ---- pacing */

/* Sleeps until the bytes read, with `bytes` more, are within the rate.  FALSE: the scrub must end.
 */
static gboolean wait_for_rate(Scrub *scrub, guint64 bytes)
{
	gboolean go_on;
	gint64 due;

	g_mutex_lock(&scrub->lock);
	scrub->paced_bytes += bytes;
	due = scrub->paced_from;
	if (scrub->status.rate)
		due += (gint64)((double)scrub->paced_bytes * G_USEC_PER_SEC /
				(double)scrub->status.rate);
	while (!scrub->stop && due > g_get_monotonic_time())
		if (!g_cond_wait_until(&scrub->changed, &scrub->lock, due))
			break;
	go_on = !scrub->stop;
	g_mutex_unlock(&scrub->lock);
	return go_on;
}

/* ---- blocks */

/* Verifies `n` blocks from `block` on, which are in neighbouring slots. */
static int verify_run(Scrub *scrub, guint64 block, guint n, const MapEntry *entries)
{
	Engine *engine = &scrub->volume->engine;
	guint8 whole[BLOCK_SIZE];
	int r = backing_pread(engine->backing, scrub->buffer, (gsize)n * BLOCK_SIZE,
			      slots_offset(engine->slots, entries->slot));

	for (guint i = 0; i < n; i++) {
		int result;

		if (!r && seal_block_fits(&engine->seal, block + i, scrub->buffer + i * BLOCK_SIZE,
					  entries[i].crc))
			continue;
		result = volume_read_block(scrub->volume, block + i, whole, BACKING_WAIT, NULL);
		if (result && result != -EBADMSG && result != -EIO)
			return result;
		if (result)
			note_lost(scrub, block + i, block + i + 1, 1);
	}
	return 0;
}

/* Verifies the mapped blocks of one leaf.  *ret_blocks: how many there are. */
static int verify_blocks(Scrub *scrub, guint64 first, guint n, guint64 *ret_blocks)
{
	Map *map = scrub->volume->engine.map;
	MapEntry entries[FORMAT_POINTERS_MAX];
	guint epoch, run;
	int r = map_lookup(map, first, n, entries, FALSE, &epoch);

	*ret_blocks = 0;
	if (r == -EBADMSG) {
		note_lost(scrub, first, first + n, 0); /* verify_path() counted the node */
		return 0;
	}
	if (r)
		return r;
	for (guint i = 0; i < n && !r; i += run) {
		run = 1;
		if (!entries[i].slot)
			continue;
		while (i + run < n && entries[i + run].slot == entries[i].slot + run)
			run++;
		r = verify_run(scrub, first + i, run, entries + i);
		*ret_blocks += run;
	}
	map_lookup_end(map, epoch);
	return r;
}

/* ---- nodes */

/* Verifies the nodes over a block, from the root down, that were not verified yet. */
static int verify_path(Scrub *scrub, guint64 block, MapNodeCount *count)
{
	Engine *engine = &scrub->volume->engine;
	gboolean repair = !engine->read_only && !engine_has_failed(engine);
	NodeLayout layout = map_layout(engine->map);
	int r = 0;

	for (guint level = codec_levels(layout, volume_size(scrub->volume)); level-- > 0 && !r;) {
		guint64 index = block >> node_shift(layout, level);

		if (scrub->entered[level] == index + 1)
			continue;
		scrub->entered[level] = index + 1;
		r = map_verify_node(engine->map, level, index, repair, count);
	}
	return r;
}

static int verify_leaf(Scrub *scrub, guint64 block)
{
	guint64 end = min_u64(map_leaf_end(scrub->volume->engine.map, block),
			      blocks_covering(volume_size(scrub->volume)));
	MapNodeCount nodes = {0};
	guint64 blocks = 0;
	int r = verify_path(scrub, block, &nodes);

	if (!r)
		r = verify_blocks(scrub, block, (guint)(end - block), &blocks);
	note_progress(scrub, blocks, &nodes);
	if (!r && !wait_for_rate(scrub, blocks_to_bytes(blocks + nodes.copies)))
		r = -ECANCELED;
	return r;
}

static int verify_map(Scrub *scrub)
{
	guint64 block = 0, end = 0;
	int r;

	while ((r = map_next_leaf(scrub->volume->engine.map, &block, &end)) != 0) {
		if (r == -EBADMSG) {
			note_lost(scrub, block,
				  min_u64(end, blocks_covering(volume_size(scrub->volume))), 1);
			block = end;
			continue;
		}
		if (r > 0)
			r = verify_leaf(scrub, block);
		if (r)
			return r;
		block = map_leaf_end(scrub->volume->engine.map, block);
	}
	return 0;
}

static void note_base(Scrub *scrub, const ScrubBase *base)
{
	for (guint i = 0; i < base->n_lost; i++)
		note_lost(scrub, base->first + base->lost[i], base->first + base->lost[i] + 1, 0);
	g_mutex_lock(&scrub->lock);
	scrub->status.base_blocks += base->blocks;
	scrub->status.errors += base->errors;
	g_mutex_unlock(&scrub->lock);
	note_progress(scrub, base->blocks, &(MapNodeCount){0});
}

/* What a linked clone reads from its base. */
static int verify_base(Scrub *scrub)
{
	g_autofree ScrubBase *base = NULL;
	int r = 0;

	if (!scrub->volume->linked)
		return 0;
	base = g_try_new0(ScrubBase, 1);
	if (!base)
		return -ENOMEM;
	base->more = TRUE;
	while (base->more && !r) {
		r = scrub_base_step(scrub->volume, base);
		note_base(scrub, base);
		if (!r && !wait_for_rate(scrub, blocks_to_bytes(base->blocks)))
			r = -ECANCELED;
	}
	return r;
}

/* What snapshots have and the volume has not. */
static int verify_snapshots(Scrub *scrub)
{
	Volume *volume = scrub->volume;
	g_autofree ScrubSnapshots *snapshots = NULL;
	int r = 0;

	if (!volume->checkpointer)
		return 0;
	snapshots = g_try_new0(ScrubSnapshots, 1);
	if (!snapshots)
		return -ENOMEM;
	snapshots->repair = !volume->engine.read_only && !engine_has_failed(&volume->engine);
	snapshots->more = TRUE;
	while (snapshots->more && !r) {
		checkpointer_call(volume->checkpointer, scrub_snapshots_step, snapshots);
		note_progress(scrub, snapshots->blocks, &snapshots->count);
		if (!wait_for_rate(scrub,
				   blocks_to_bytes(snapshots->blocks + snapshots->count.copies)))
			r = -ECANCELED;
	}
	return r;
}

/* ---- marks; bitmaps and superblocks, verified by the checkpoint thread, which writes them */

typedef struct {
	guint64 group;	 /* the next group to verify */
	gboolean repair; /* damaged copies are to be rewritten */
	gboolean more;	 /* there are groups left */
	MapNodeCount count;
} ScrubRoots;

static void verify_groups(Engine *engine, gpointer data)
{
	ScrubRoots *roots = data;
	const Superblock *sb = &engine->superblock.current;

	for (guint i = 0; i < GROUPS_AT_ONCE && roots->group < sb->groups; i++, roots->group++) {
		guint repaired = 0;
		int damaged = slots_verify_page(engine->slots, roots->group, sb->checkpoint,
						roots->repair, &repaired);

		roots->count.copies += 2;
		roots->count.repaired += repaired;
		roots->count.lost += damaged < 0 || damaged == 2;
	}
	roots->more = roots->group < sb->groups;
}

/* Rewrites damaged copies only: a loss of power meanwhile leaves the whole copy (I6). */
static void verify_superblocks(Engine *engine, gpointer data)
{
	ScrubRoots *roots = data;

	roots->count.copies += 2;
	roots->count.repaired +=
		superblock_verify(engine->backing, &engine->superblock, roots->repair);
	if (!engine->frozen) /* the table of then is not on the disk yet */
		snapshots_verify(engine->snapshots, roots->repair, &roots->count);
}

/* A file that was cut short ends before copies that are to be rewritten.  A device cannot grow. */
static void regrow_backing(const Engine *engine)
{
	guint64 groups = slots_groups(engine->slots);
	guint64 end = slots_offset(engine->slots, groups << FORMAT_GROUP_SHIFT);

	if (backing_size(engine->backing) < end)
		backing_grow(engine->backing, end);
}

static int verify_roots(Scrub *scrub)
{
	Volume *volume = scrub->volume;
	Engine *engine = &volume->engine;
	ScrubRoots roots = {.repair = !engine->read_only && !engine_has_failed(engine),
			    .more = TRUE};
	int r = 0;

	if (roots.repair)
		regrow_backing(engine);
	if (volume->checkpointer) {
		roots.count.copies = FORMAT_MARKS + 1;
		roots.count.repaired = volume_verify_marks(volume, roots.repair);
	}
	while (volume->checkpointer && roots.more && !r) {
		checkpointer_call(volume->checkpointer, verify_groups, &roots);
		if (!roots.more)
			checkpointer_call(volume->checkpointer, verify_superblocks, &roots);
		note_progress(scrub, 0, &roots.count);
		if (!wait_for_rate(scrub, blocks_to_bytes(roots.count.copies)))
			r = -ECANCELED;
		roots.count = (MapNodeCount){0};
	}
	return r;
}

/* ---- the thread */

/* Stores the result in the volume: volume_get_info() returns it at once, and after a restart once
 * the checkpoint is durable. */
static void keep_result(Scrub *scrub)
{
	const ScrubStatus *status = &scrub->status; /* no lock: this thread alone changes it */
	EngineScrub result = {(guint64)(g_get_real_time() / G_USEC_PER_SEC), status->blocks,
			      status->errors, count_repaired(scrub)};

	engine_set_scrub(&scrub->volume->engine, &result);
	volume_checkpoint(scrub->volume);
}

static void end_scrub(Scrub *scrub, int r)
{
	ScrubStatus *status = &scrub->status;
	guint64 repaired = count_repaired(scrub);

	g_mutex_lock(&scrub->lock);
	status->running = FALSE;
	status->repaired = repaired;
	status->complete = !r;
	status->problem = r == -ECANCELED ? 0 : r;
	status->ended = g_get_real_time() / G_USEC_PER_SEC;
	if (!r)
		status->fraction = 1;
	g_cond_broadcast(&scrub->changed);
	g_mutex_unlock(&scrub->lock);
}

static gpointer scrub_main(gpointer data)
{
	Scrub *scrub = data;
	int r = verify_roots(scrub);

	/* Puts all changes into the map on disk.  If the checkpoint fails, the scrub goes on, and
	 * verifies less. */
	if (!r)
		volume_checkpoint(scrub->volume);
	if (!r)
		r = verify_map(scrub);
	if (!r)
		r = verify_base(scrub);
	if (!r)
		r = verify_snapshots(scrub);
	if (!r)
		keep_result(scrub);
	end_scrub(scrub, r);
	return NULL;
}

/* Of a linked clone with all that its base has, of which the clone may read less. */
static guint64 count_expected(Volume *volume)
{
	Volume *base = volume_base_enter(volume);
	guint64 blocks = base ? count_expected(base) : 0;
	VolumeInfo info;

	volume_base_leave(volume, base);
	volume_get_info(volume, &info);
	return blocks + info.data_bytes / BLOCK_SIZE;
}

Scrub *scrub_start(Volume *volume, ScrubFlags flags, guint64 rate, GError **error)
{
	Scrub *scrub = volume_check_thin(volume, error) ? g_try_new0(Scrub, 1) : NULL;
	VolumeInfo info;

	if (volume_is_direct(volume))
		return NULL;
	if (!scrub) {
		error_set_errno(error, ENOMEM, "%s: scrub", volume->engine.name);
		return NULL;
	}
	volume_get_info(volume, &info);
	scrub->volume = volume;
	scrub->expected = count_expected(volume);
	scrub->repaired_before = flags & SCRUB_OPENED ? 0 : info.copies_repaired;
	scrub->paced_from = g_get_monotonic_time();
	scrub->lost = g_array_new(FALSE, FALSE, sizeof(ScrubRange));
	scrub->status = (ScrubStatus){
		.running = TRUE, .rate = rate, .begun = g_get_real_time() / G_USEC_PER_SEC};
	g_mutex_init(&scrub->lock);
	g_cond_init(&scrub->changed);
	scrub->thread = thread_start("storageos-scrub", scrub_main, scrub, error);
	if (scrub->thread)
		return scrub;
	g_prefix_error(error, "%s: ", volume->engine.name);
	scrub_free(scrub);
	return NULL;
}

void scrub_stop(Scrub *scrub)
{
	g_mutex_lock(&scrub->lock);
	scrub->stop = TRUE;
	g_cond_broadcast(&scrub->changed);
	g_mutex_unlock(&scrub->lock);
}

void scrub_free(Scrub *scrub)
{
	if (!scrub)
		return;
	scrub_stop(scrub);
	if (scrub->thread)
		g_thread_join(scrub->thread);
	g_array_unref(scrub->lost);
	g_mutex_clear(&scrub->lock);
	g_cond_clear(&scrub->changed);
	g_free(scrub);
}

void scrub_get_status(Scrub *scrub, ScrubStatus *ret_status)
{
	guint64 repaired = count_repaired(scrub);
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&scrub->lock);

	*ret_status = scrub->status;
	if (scrub->status.running)
		ret_status->repaired = repaired;
}

gboolean scrub_wait(Scrub *scrub, guint milliseconds)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&scrub->lock);
	gint64 until = g_get_monotonic_time() + milliseconds * G_TIME_SPAN_MILLISECOND;

	while (scrub->status.running)
		if (!g_cond_wait_until(&scrub->changed, &scrub->lock, until))
			break;
	return !scrub->status.running;
}

GArray *scrub_get_lost(Scrub *scrub)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&scrub->lock);
	GArray *copy = g_array_new(FALSE, FALSE, sizeof(ScrubRange));

	if (scrub->lost->len)
		g_array_append_vals(copy, scrub->lost->data, scrub->lost->len);
	return copy;
}
