/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What map.c (lookup and change), map-nodes.c (the cache), map-zero.c (holes), map-freeze.c
 * (checkpoints) and map-resize.c share.
 *
 * Functions ending in _locked want the map's lock held, and keep it.  Those ending in _unlocking
 * want it held, hold it when they return, and may drop it meanwhile: a checkpoint may begin then,
 * and what was dirty is frozen.  0: they kept it.  MAP_RESTART, or a negative errno: all that was
 * looked up, decided or made dirty before is void, and the caller begins anew, or gives up.
 */
#pragma once

#include "common/base/bounds.h"
#include "common/base/logging.h"
#include "common/engine/checked.h"
#include "common/engine/map.h"

enum {
	MAP_RESTART = 1, /* the lock was dropped: begin anew */
	MAP_HOLE = 2,	 /* of node_get_unlocking(): the tree has no such node, or it is dead */
};

#define MAP_BUCKETS 8192u
#define MAP_SHARDS 32u
#define MAP_CLEAN_MIN 256u /* clean nodes that stay however many are dirty */
#define MAP_PAIRS_LOW 128u /* pairs of slots in the stash: more are fetched when it has less */
#define MAP_STASH 512u	   /* slots of each kind for nodes kept ready, at most */

typedef enum { NODE_LOADING, NODE_CLEAN, NODE_DIRTY, NODE_FROZEN } NodeState;

typedef struct MapNode MapNode;

struct MapNode {
	MapNode *hash_next;
	MapNode *prev, *next; /* in the list of its state */
	MapNode *parent;      /* frozen: the frozen node that points to it, NULL for the root */
	guint64 key;
	guint64 slot; /* where it is, or will be once it is written */
	NodeState state;
	gboolean referenced; /* since the clock's hand passed; atomic */
	gboolean readable;   /* `data` is there; written under the shard's lock */
	gboolean detached;   /* no longer the node of its key: freed when it is done with */
	FormatNode data;
};

typedef struct {
	MapNode *head, *tail;
	guint64 n;
} NodeList;

/* Slots kept ready for nodes, a ring: for leaves single ones, for inner nodes such as have one for
 * the copy. */
typedef enum { STASH_LEAVES, STASH_INNER } StashKind;

typedef struct {
	guint64 slots[MAP_STASH];
	guint first, n;
} Stash;

/* Pairs that inner nodes gave up: once they are free they go back to the stash if that is low.  On
 * a full disk others, that have space below, would be hard to find. */
typedef struct {
	guint64 slots[MAP_PAIRS_LOW];
	guint n;
} PairList;

/* One change, from its first attempt to its last. */
typedef struct {
	guint64 first;	  /* the blocks that it writes: it makes all nodes over them dirty; ... */
	guint n;	  /* ... 0: a step of zeroing or reclaiming, one path from the root */
	gboolean reserve; /* may use what is kept for zeroing */
	gboolean nowait;
	gboolean full[2]; /* by StashKind: more was asked for, and met a full backing */
} MapChange;

/* A part of the hash.  Who looks up blocks of one leaf that is in memory takes this lock alone, so
 * that readers do not wait for each other; whoever changes a chain of the hash, or a leaf's data,
 * holds the map's lock and the shard's. */
typedef struct {
	Lock lock;
	guint epoch;
	gint readers[2]; /* that entered in either epoch; decreased without the lock */
	gint draining; /* atomic: 1 + the epoch whose last reader map_drain() waits for; 0: none */
	guint64 hits;
} MapShard;

/* Each on cache lines of its own. */
typedef union {
	MapShard shard;
	guint8 lines[128];
} MapShardPadded;

struct Map {
	Backing *backing;
	Slots *slots;
	NodeLayout layout;
	const Seal *seal;
	guint64 blocks;
	guint levels;

	Lock *lock; /* the slots' own: every map over the same slots has this one */
	GCond loaded;
	GCond drained; /* with the lock of the shard that is drained */
	guint64 limit;
	guint64 generation;
	MapEntry root;
	MapNode **buckets;
	MapShardPadded shards[MAP_SHARDS];
	NodeList clean, dirty, frozen;
	guint64 loading;
	guint64 data_slots, node_slots;
	guint64 dead_first, dead_end;
	guint64 deaths; /* how often pointers have died since open */
	guint64 hits, misses;
	LoggingLimit damaged;

	Stash stashes[2]; /* by StashKind */
	PairList retired_pairs, frozen_retired_pairs;
	gboolean replaying;
	gboolean read_only;
	guint64 mended; /* atomic */

	gint wants, pressure; /* atomic; see map_wants_checkpoint() */

	/* Of the checkpoint that runs. */
	MapEntry frozen_root;
	guint64 frozen_data_slots, frozen_node_slots, frozen_dead_first, frozen_dead_end;
};

static inline guint64 node_key(guint level, guint64 index)
{
	return (guint64)level << 56 | index;
}

static inline guint key_level(guint64 key)
{
	return (guint)(key >> 56);
}

static inline guint64 key_index(guint64 key)
{
	return key & (((guint64)1 << 56) - 1);
}

/* The slots that a node takes: an inner one is kept twice. */
static inline guint node_copies(guint level)
{
	return level ? 2 : 1;
}

static inline guint64 node_first(const Map *map, guint level, guint64 index)
{
	return index << node_shift(map->layout, level);
}

static inline guint64 node_end(const Map *map, guint level, guint64 index)
{
	return min_u64((index + 1) << node_shift(map->layout, level), map->blocks);
}
