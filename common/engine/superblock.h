/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The superblocks of a volume: A and B at its beginning and, of a volume with FORMAT_RO_FAR_COPIES
 * that has a group, C and D at the end of that group, far away.  The valid copy with the highest
 * generation counts.
 *
 * A new superblock is written
 *   1. over the older of A and B, and made durable: from now on it counts;
 *   2. over C, and made durable: now it survives the loss of any one copy, and of the first MiB;
 *   3. over D and the other of A and B, which become durable with the next flush: the one before
 *      the next store.
 * Without far copies, 2 is the other of A and B.  A torn write therefore leaves a whole superblock,
 * also behind the first MiB: C, or the one before in D.  Nothing that the one before leads to is
 * reused before 2 has ended (I6).
 *
 * While A or B is valid, the far copies count only if they are newer, and are of the same volume
 * (its seed).  If neither is, superblock-far.h looks for them.  Whoever opens the volume for
 * writing stores a superblock, which repairs all copies.
 *
 * Threading: none of its own; one caller at a time.
 */
#pragma once

#include "common/backing/backing.h"
#include "common/engine/codec.h"

enum { SUPERBLOCK_A, SUPERBLOCK_B, SUPERBLOCK_C, SUPERBLOCK_D, SUPERBLOCK_COPIES };

/* The state of a copy, as read. */
typedef enum {
	SUPERBLOCK_SAME, /* as the one that counts; or there is no such copy */
	SUPERBLOCK_LEFT, /* the previous superblock, or a torn one: a crash leaves these */
	SUPERBLOCK_DAMAGED,
} SuperblockState;

typedef struct {
	Superblock current;
	guint home; /* the copy that `current` was read from or last written to */
	SuperblockState copies[SUPERBLOCK_COPIES];
} SuperblockPair;

/* Reads all copies and takes the newest.  CORRUPT: none is valid; or only far ones are, and may be
 * older than what was flushed.  IO: a copy cannot be read and might be the newest. */
gboolean superblock_load(Backing *backing, SuperblockPair *ret_pair, GError **error);

/* Whether A and B are both damaged, so that all is read from a far copy. */
gboolean superblock_is_far(const SuperblockPair *pair);

/* How many copies the volume has: 2 or 4. */
guint superblock_count(Backing *backing, const Superblock *sb);

/* CORRUPT if the backing ends before its first group, so that no block is left. */
gboolean superblock_fits(Backing *backing, const Superblock *sb, GError **error);

/* CORRUPT if `generation`, found in the bitmap of this group, is too high for this superblock: a
 * newer superblock was written and all copies have gone back in time, as would the whole volume.
 */
gboolean superblock_is_newest(const char *name, const Superblock *sb, guint64 group,
			      guint64 generation, GError **error);

/* Before a store, where it is not known what a crash left: writes the current superblock again to
 * its own place, and to D; durable with the next flush. */
int superblock_rewrite(Backing *backing, const SuperblockPair *pair);

/* Compares all copies with the current superblock.  With `repair`, rewrites each copy that differs
 * and makes it durable before it touches the next.  Returns how many copies were rewritten. */
guint superblock_verify(Backing *backing, const SuperblockPair *pair, gboolean repair);

/* Stores `next`, whose generation must be higher than the current one's, in the order above.  What
 * `next` leads to must be durable before: this flushes nothing else.  After 0, the volume survives
 * the loss of any one copy.  After a negative errno, `current` is `next` if the first copy is
 * durable; the content of the copy that was being written is unknown. */
int superblock_store(Backing *backing, SuperblockPair *pair, const Superblock *next);
