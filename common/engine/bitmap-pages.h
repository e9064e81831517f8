/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A group's bitmap pages in the backing: two homes, A and B, written in turn, and each of them
 * twice, 128 MiB apart.  The page that counts is the newest of the four that is not newer than the
 * checkpoint.  That no older one passes for it, where both of its copies are gone, shows only in
 * the digest over all groups, which the caller adds up and compares with the superblock's.
 *
 * Pure but for the I/O: no state, any thread.
 */
#pragma once

#include "common/backing/backing.h"
#include "common/engine/codec.h"

typedef struct {
	Backing *backing;
	guint64 groups_offset;
	const Seal *seal;
} BitmapPlace;

typedef struct {
	FormatBitmap page; /* the one that counts */
	gboolean found;	   /* there is one */
	guint home;	   /* FORMAT_BITMAP_A or _B */
	guint damaged;	   /* bit c: of that home, copy c is not what it should be */
	gboolean future;   /* somewhere is a page of a checkpoint that never completed */
	guint64 newest;	   /* generation of the newest valid page that was read */
	guint64 term;	   /* for the digest; 0 if there is none */
} BitmapChoice;

/* Reads a group's pages and chooses.  `thorough`: all four; else the copies only where a page of
 * the others is not valid.  0, or a negative errno if none was found because of it. */
int bitmap_choose(const BitmapPlace *place, guint64 group, guint64 checkpoint, gboolean thorough,
		  BitmapChoice *ret_choice);

/* Reads the page of a home that has that term, from either copy.  -EBADMSG if neither is it. */
int bitmap_read(const BitmapPlace *place, guint64 group, guint home, guint64 term,
		FormatBitmap *ret_page);

/* Writes a sealed page to both copies of a home. */
int bitmap_write(const BitmapPlace *place, guint64 group, guint home, const FormatBitmap *page);

/* Writes the copies anew that are damaged.  0, or a negative errno. */
int bitmap_mend(const BitmapPlace *place, guint64 group, const BitmapChoice *choice);
