/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of one open volume, as checkpoint, recovery and the volume's face share them, and its
 * one way to fail.
 *
 * Lock order: common/base/lock.h.  No lock but the range's is held over I/O on behalf of a request
 * (the allocator's grow lock, while the backing grows, is the exception).
 */
#pragma once

#include "common/engine/journal.h"
#include "common/engine/map.h"
#include "common/engine/seal.h"
#include "common/engine/slots.h"
#include "common/engine/superblock.h"

/* The last scrub that went to its end; as in the superblock. */
typedef struct {
	guint64 time, blocks, errors, repaired;
} EngineScrub;

typedef struct {
	Backing *backing; /* owned */
	char *name;	  /* for messages; owned */
	gboolean read_only;
	Seal seal;		   /* constant; of every part */
	SuperblockPair superblock; /* the checkpoint thread's, once that runs */
	Slots *slots;
	Map *map;
	Journal *journal;
	guint64 generation; /* that changes are born in now; the checkpoint thread's */
	gboolean frozen;    /* a checkpoint was begun: its cut is the place below */
	JournalPlace cut;
	guint64 durable_generation; /* atomic: of the last durable checkpoint */
	guint64 size;		    /* atomic: bytes that requests may reach; see checkpoint.h */
	guint64 next_size;	    /* atomic: of the next superblock; the checkpoint thread's */
	guint recovery_mended; /* copies of superblock and marks written anew, when it was opened */
	guint64 scrub_mended;  /* atomic: copies written anew by scrubs, since open */
	EngineScrub scrub;     /* atomic, each by itself: what the next checkpoint keeps */

	gint failed; /* atomic */
	Lock failure_lock;
	char *failure;	     /* why; under failure_lock */
	gint64 failed_since; /* Unix time; under failure_lock */
} Engine;

/* Allocates the parts for a superblock that was read. */
gboolean engine_init(Engine *engine, const Superblock *sb, GError **error);
void engine_clear(Engine *engine);

/* The volume is FAILED from now on: reads go on, all else ends with -ESHUTDOWN.  The first reason
 * stays, and is logged. */
void engine_fail(Engine *engine, const char *format, ...) G_GNUC_PRINTF(2, 3);

EngineScrub engine_get_scrub(const Engine *engine);
void engine_set_scrub(Engine *engine, const EngineScrub *scrub);

/* What requests may reach. */
static inline guint64 engine_size(const Engine *engine)
{
	return __atomic_load_n(&engine->size, __ATOMIC_ACQUIRE);
}

/* A condemned backing makes the volume FAILED, with the backing's reason. */
gboolean engine_heed_condemned(Engine *engine);

/* The caller holds neither the journal's lock nor one that comes after it. */
static inline gboolean engine_has_failed(Engine *engine)
{
	return g_atomic_int_get(&engine->failed) ||
	       (backing_condemned(engine->backing) && engine_heed_condemned(engine));
}
