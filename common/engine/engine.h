/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of one open volume, which volume, checkpoint and recovery share, and the one function
 * that makes a volume FAILED.
 *
 * Lock order: common/base/lock.h.  A request holds no lock but its range's while the backing works,
 * with one exception: the allocator's grow lock, while the backing grows.
 */
#pragma once

#include "common/engine/journal.h"
#include "common/engine/map.h"
#include "common/engine/seal.h"
#include "common/engine/slots.h"
#include "common/engine/snapshots.h"
#include "common/engine/superblock.h"
#include "common/engine/tenure.h"

/* The last scrub that was completed, as in the superblock. */
typedef struct {
	guint64 time, blocks, errors, repaired;
} EngineScrub;

typedef struct {
	Backing *backing; /* owned */
	char *name;	  /* for messages; owned */
	gboolean read_only;
	Tenure *tenure;		   /* NULL: only this machine can reach the backing; owned */
	Seal seal;		   /* constant; all parts use it */
	SuperblockPair superblock; /* the checkpoint thread's, once that thread runs */
	Slots *slots;
	Map *map;
	Snapshots *snapshots; /* NULL: a snapshot */
	const Snapshot *wish; /* the snapshot that the coming freeze makes, or NULL */
	Journal *journal;     /* NULL: a snapshot */
	guint64 generation;   /* of changes that are made now; of whoever may freeze */
	gboolean frozen;      /* a checkpoint was begun and is not written; `cut` is its place */
	JournalPlace cut;     /* in the journal */
	guint64 stamp;	      /* of the records from the last cut on */
	gboolean written; /* a checkpoint is written and not durable; `next` is its superblock */
	Superblock next;
	guint64 durable_generation; /* atomic: of the newest durable checkpoint */
	guint64 size;		    /* atomic: bytes that requests may reach; see checkpoint.h */
	guint64 next_size;	    /* atomic: of the next superblock; the checkpoint thread's */
	guint recovery_mended;	    /* copies of superblock and marks that the open rewrote */
	guint64 scrub_mended;	    /* atomic: copies that scrubs rewrote since the open */
	EngineScrub scrub;	    /* each field atomic; the next checkpoint stores it */

	gint failed; /* atomic */
	Lock failure_lock;
	char *failure;	     /* the reason; under failure_lock */
	gint64 failed_since; /* Unix time; under failure_lock */
} Engine;

/* Allocates seal, slots, map, snapshots and journal for a volume with that superblock. */
gboolean engine_init(Engine *engine, const Superblock *sb, GError **error);
void engine_clear(Engine *engine);

/* Makes the volume FAILED: reads go on, all other requests end with -ESHUTDOWN.  The first reason
 * is logged and kept. */
void engine_fail(Engine *engine, const char *format, ...) G_GNUC_PRINTF(2, 3);

EngineScrub engine_get_scrub(const Engine *engine);
void engine_set_scrub(Engine *engine, const EngineScrub *scrub);

/* The size of the volume, in bytes, that requests see. */
static inline guint64 engine_size(const Engine *engine)
{
	return __atomic_load_n(&engine->size, __ATOMIC_ACQUIRE);
}

/* If the backing is condemned: makes the volume FAILED with the backing's reason, returns TRUE. */
gboolean engine_heed_condemned(Engine *engine);

/* The caller must hold neither the journal's lock nor one that comes after it in the order. */
static inline gboolean engine_has_failed(Engine *engine)
{
	return g_atomic_int_get(&engine->failed) ||
	       (backing_condemned(engine->backing) && engine_heed_condemned(engine));
}
