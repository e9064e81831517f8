/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two superblocks of a volume in its backing: the older is written and made durable, then the
 * other in the same way, and the valid one of the higher generation counts, so that a torn write
 * leaves the one before, and damage to one copy the other.
 *
 * Threading: none of its own; one caller at a time.
 */
#pragma once

#include "common/backing/backing.h"
#include "common/engine/codec.h"

/* What the copy that does not count was when it was read. */
typedef enum {
	SUPERBLOCK_SAME,
	SUPERBLOCK_LEFT, /* the one before, or torn: a crash leaves that */
	SUPERBLOCK_DAMAGED,
} SuperblockOther;

typedef struct {
	Superblock current;
	guint home; /* 0 or 1: the copy that `current` was read from or last written to */
	SuperblockOther other;
} SuperblockPair;

/* Reads the newest.  CORRUPT where neither copy is valid; IO where one cannot be read: it might be
 * the newer. */
gboolean superblock_load(Backing *backing, SuperblockPair *ret_pair, GError **error);

/* CORRUPT where the backing was cut before its first group: there is no block in it. */
gboolean superblock_fits(Backing *backing, const Superblock *sb, GError **error);

/* CORRUPT where a stamp of `generation`, found in the bitmap of this group, says that a superblock
 * was written since: both are older ones that are back, and so would be what they lead to. */
gboolean superblock_is_newest(const char *name, const Superblock *sb, guint64 group,
			      guint64 generation, GError **error);

/* Writes the current one once more where it is; durable with the next flush. */
int superblock_rewrite(Backing *backing, const SuperblockPair *pair);

/* Verifies both copies.  With `repair` each that is not the current one is written anew and made
 * durable, one after the other; returns how many were. */
guint superblock_verify(Backing *backing, const SuperblockPair *pair, gboolean repair);

/* Writes `next` over the older copy, with the generation that it has, and makes it durable; then
 * over the other.  After 0 either alone says all of it.  After a negative errno the pair holds
 * `next` if it is in the first, and nothing is known of the copy that was being written. */
int superblock_store(Backing *backing, SuperblockPair *pair, const Superblock *next);
