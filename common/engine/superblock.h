/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two superblocks of a volume.  A new superblock is written over the older copy and made
 * durable, and then written over the other copy and made durable.  The valid copy with the higher
 * generation counts.  A torn write therefore leaves the previous superblock, and damage to one copy
 * leaves the other (I6).
 *
 * Threading: none of its own; one caller at a time.
 */
#pragma once

#include "common/backing/backing.h"
#include "common/engine/codec.h"

/* The state of the copy that does not count, as read. */
typedef enum {
	SUPERBLOCK_SAME,
	SUPERBLOCK_LEFT, /* the previous superblock, or a torn one: a crash leaves these */
	SUPERBLOCK_DAMAGED,
} SuperblockOther;

typedef struct {
	Superblock current;
	guint home; /* 0 or 1: the copy that `current` was read from or last written to */
	SuperblockOther other;
} SuperblockPair;

/* Reads both copies and takes the newer.  CORRUPT: neither copy is valid.  IO: a copy cannot be
 * read and might be the newer. */
gboolean superblock_load(Backing *backing, SuperblockPair *ret_pair, GError **error);

/* CORRUPT if the backing ends before its first group, so that no block is left. */
gboolean superblock_fits(Backing *backing, const Superblock *sb, GError **error);

/* CORRUPT if `generation`, found in the bitmap of this group, is too high for this superblock: a
 * newer superblock was written and both copies have gone back in time, as would the whole volume.
 */
gboolean superblock_is_newest(const char *name, const Superblock *sb, guint64 group,
			      guint64 generation, GError **error);

/* Writes the current superblock again to its own place; durable with the next flush. */
int superblock_rewrite(Backing *backing, const SuperblockPair *pair);

/* Compares both copies with the current superblock.  With `repair`, rewrites each copy that differs
 * and makes it durable before it touches the other.  Returns how many copies were rewritten. */
guint superblock_verify(Backing *backing, const SuperblockPair *pair, gboolean repair);

/* Writes `next`, whose generation must be higher than the current one's, over the older copy and
 * makes it durable; then the same over the other copy.  What `next` leads to must be durable
 * before: this flushes nothing else.  After 0 either copy alone suffices.  After a negative errno,
 * `current` is `next` if the first copy is durable; the content of the copy that was being written
 * is unknown. */
int superblock_store(Backing *backing, SuperblockPair *pair, const Superblock *next);
