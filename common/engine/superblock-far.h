/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where superblocks lie; and C and D, where A and B do not tell their places.  These follow from
 * the size of the journal, so there are 1024 pairs; what is found there counts only if the journal
 * proves it:
 *   - some record in the ring has the volume's seed: it is not left from another volume;
 *   - no record has a generation that is too high for it: it is no older version (I1).
 * The order of superblock_store() makes the newer of C and D as new as whatever was promised: if a
 * loss of power tears C, D is the superblock before.  The proof is for disks that return older
 * versions, and for volumes that other programs made over this one.
 *
 * Threading: none of its own.
 */
#pragma once

#include "common/engine/superblock.h"

/* The place of a copy in the backing, in bytes; of A and B whatever `sb` is. */
guint64 superblock_place(const Superblock *sb, guint copy);

/* Looks for the newer of C and D; at most 2048 reads, and 64 MiB of memory.  CORRUPT: it was found,
 * but not proven, or those of more than one volume were.  FALSE without an error: there is none. */
gboolean superblock_find_far(Backing *backing, Superblock *ret_sb, GError **error);

/* Overwrites C and D with zeros wherever they may be, of whatever volume; 2048 reads.  Durable with
 * the next flush.  0 or a negative errno. */
int superblock_wipe_far(Backing *backing);
