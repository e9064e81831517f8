/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The types that all files of the map share.
 *
 * A function whose name ends in _locked requires the map's lock and keeps it.  One whose name ends
 * in _unlocking requires the lock, holds it when it returns, and may drop it meanwhile: a
 * checkpoint may begin then, which freezes the dirty nodes.  0: the lock was kept.  MAP_RESTART or
 * a negative errno: everything that was looked up, decided or made dirty before is void; the caller
 * must begin anew or give up.
 */
#pragma once

#include "common/base/bounds.h"
#include "common/base/logging.h"
#include "common/engine/checked.h"
#include "common/engine/map.h"

enum {
	MAP_RESTART = 1, /* the lock was dropped: begin anew */
	MAP_HOLE = 2,	 /* node_get_unlocking(): the tree has no such node, or it is dead */
};

#define MAP_BUCKETS 8192u
#define MAP_SHARDS 32u
/* I7: the least limit of a map; and of a volume of more than MAP_WIDE bytes, where changes at
 * random make an inner node dirty with nearly every leaf. */
#define MAP_LEAST 256u
#define MAP_LEAST_WIDE 512u
#define MAP_WIDE (64 * GIB)

#define MAP_CLEAN_MIN 256u /* clean nodes that stay cached however many nodes are dirty */
#define MAP_PAIRS_LOW 128u /* more pairs are fetched while the stash has fewer */
#define MAP_STASH 512u	   /* capacity of each stash */

typedef enum { NODE_LOADING, NODE_CLEAN, NODE_DIRTY, NODE_FROZEN } NodeState;

typedef struct MapNode MapNode;

struct MapNode {
	MapNode *hash_next;
	MapNode *prev, *next; /* in the list of the node's state */
	MapNode *parent;      /* of a frozen node: the frozen parent; NULL: it is the root */
	guint64 key;
	guint64 slot; /* where the node is or, while it is dirty or frozen, will be written */
	NodeState state;
	gboolean referenced; /* used since the clock's hand passed; atomic */
	gboolean unused;     /* an inner node, since it was read for a node below it */
	gboolean readable;   /* `data` is valid; written under the shard's lock */
	gboolean detached;   /* not in the hash: freed by the checkpoint or reader that uses it */
	FormatNode data;
};

typedef struct {
	MapNode *head, *tail;
	guint64 n;
} NodeList;

/* Slots kept ready for nodes.  A leaf takes one slot; an inner node takes a pair, of which the
 * stash has the first slot (the copy's is FORMAT_COPY_DISTANCE behind). */
typedef enum { STASH_LEAVES, STASH_INNER } StashKind;

/* A ring buffer.  I7: of fixed size. */
typedef struct {
	guint64 slots[MAP_STASH];
	guint first, n;
} Stash;

/* Pairs that inner nodes gave up.  Once a pair is free, it goes back to the stash if that is low:
 * on a full disk, no other pairs may be left for which the file system has space. */
typedef struct {
	guint64 slots[MAP_PAIRS_LOW];
	guint n;
} PairList;

/* One change, from its first attempt to its last. */
typedef struct {
	guint64 first;	  /* writes blocks [first, first + n): every node over them becomes dirty */
	guint n;	  /* 0: a step of zeroing or reclaiming: one path becomes dirty */
	gboolean reserve; /* may use the slots that are kept for zeroing */
	gboolean reclaim; /* and those that are kept for the deletion of snapshots */
	gboolean nowait;
	gboolean full[2]; /* by StashKind: the backing was full when more slots were fetched */
} MapChange;

/* A part of the hash.  A lookup in a leaf that is in memory takes this lock alone, so that readers
 * seldom wait for each other.  A thread that changes a chain of the hash, or the data of a leaf,
 * must hold the map's lock and the shard's. */
typedef struct {
	Lock lock;
	guint epoch;
	gint readers[2]; /* atomic: of each epoch; increased under the lock, decreased without */
	gint draining; /* atomic: 1 + the epoch whose last reader map_drain() waits for; 0: none */
	guint64 hits;
} MapShard;

/* Padded, so that no two shards are on one cache line. */
typedef union {
	MapShard shard;
	guint8 lines[128];
} MapShardPadded;

/* What the superblock of a checkpoint says of the map. */
typedef struct {
	MapEntry root;
	guint64 data_slots, node_slots; /* of all owners */
	guint64 head_data, head_nodes;	/* what the map refers to, dead or not */
	guint64 head_written;		/* blocks born after lineage.parent */
	guint64 dead_first, dead_end;
	gboolean bound;		/* head_data and head_nodes are upper bounds */
	gboolean written_bound; /* so is head_written */
	gboolean voids;		/* there may be void pointers */
	guint64 base_blocks;	/* holes before this block are the base's; atomic */
	gboolean has_base;	/* the superblock names one */
} MapState;

struct Map {
	Backing *backing;
	Slots *slots;
	NodeLayout layout;
	const Seal *seal;
	guint64 blocks;
	guint levels;

	Lock *lock; /* slots_lists_lock(): one for all maps over the same slots */
	GCond loaded;
	GCond drained; /* with the lock of the shard that is drained */
	guint64 limit; /* what map_set_limit() asked for; see map_limit() */
	guint64 generation;
	MapState state; /* as of now */
	MapLineage lineage;
	guint64 taken_over;   /* see map_taken_over_locked() */
	gboolean keeps_pairs; /* pairs are kept ready though there are no inner nodes */
	MapNode **buckets;
	MapShardPadded shards[MAP_SHARDS];
	NodeList clean, dirty, frozen;
	guint64 loading;
	guint64 deaths; /* how often pointers died since the map was opened */
	guint64 hits, misses;
	LoggingLimit damaged;

	Stash stashes[2]; /* by StashKind */
	PairList retired_pairs, frozen_retired_pairs;
	PairList leaving_pairs; /* of the checkpoint whose nodes are written */
	gboolean replaying;
	gboolean read_only;
	gboolean has_base; /* of a linked clone, when it was opened */
	guint64 mended;	   /* atomic */

	gint wants, pressure; /* atomic; see map_wants_checkpoint() */

	MapState frozen_state; /* as of the last freeze */
};

/* I7: how many nodes the cache may hold. */
static inline guint64 map_limit(const Map *map)
{
	gboolean wide = map->blocks > blocks_covering(MAP_WIDE);

	return MAX(map->limit, wide ? MAP_LEAST_WIDE : MAP_LEAST);
}

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

/* How many slots a node takes: an inner node is stored twice. */
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

/* T(head) at node (level, index) or, for a block, at its leaf. */
static inline guint64 map_threshold(const Map *map, guint level, guint64 index)
{
	const MapLineage *lineage = &map->lineage;

	if (G_LIKELY(!lineage->cursor))
		return lineage->threshold;
	return lineage_threshold(lineage, (index + 1) << node_shift(map->layout, level));
}

/* Whether the deletion's cursor lies inside the node: what is below it has different owners. */
static inline gboolean node_is_crossed(const Map *map, guint level, guint64 index)
{
	guint64 cursor = map->lineage.cursor;

	return cursor > node_first(map, level, index) &&
	       cursor < (index + 1) << node_shift(map->layout, level);
}

/* A dead pointer that is void is a hole (R3). */
static inline gboolean entry_is_void(const Map *map, const MapEntry *entry)
{
	return entry->dead && entry->birth <= map->lineage.floor;
}

/* What is left where something was discarded, at a place (of a block or node) that begins at block
 * `first`: a null pointer, unless the base would be read there. */
static inline MapEntry map_zero_entry(const Map *map, guint64 first, guint64 birth)
{
	if (first >= map->state.base_blocks)
		return (MapEntry){0};
	return (MapEntry){.zero = TRUE, .birth = birth};
}

/* Whether a pointer of the map, at a place that begins at block `first`, leads to the base.  A node
 * that begins before the last block of the base does so as a whole. */
static inline gboolean map_entry_is_base(const Map *map, const MapEntry *entry, guint64 first)
{
	return !entry->slot && !entry->zero && first < map->state.base_blocks;
}

/* Where pointer i of a node leads to: the first block. */
static inline guint64 node_child_first(const Map *map, guint level, guint64 index, guint i)
{
	return node_first(map, level, index) +
	       ((guint64)i << (node_shift(map->layout, level) - map->layout.shift));
}

/* Whether pointer i of a node of the map leads to nothing of the map's own. */
static inline gboolean map_pointer_is_hole(const Map *map, const FormatNode *node, guint i)
{
	MapEntry entry;

	if (entry_at_is_null(map->layout, node, i))
		return TRUE;
	entry = entry_at(map->layout, node, i);
	return entry.zero || entry_is_void(map, &entry);
}
