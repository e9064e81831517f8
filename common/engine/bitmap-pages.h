/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A group's bitmap pages in the backing.  A page has two homes, A and B, which are written in turn,
 * so that the page of the last checkpoint stays whole (I6); and each home has two copies, 128 MiB
 * apart.  The page that counts is the newest valid page of the four that is not newer than the
 * checkpoint.
 *
 * If both copies of that page are damaged, an older page is found in its place.  Only the digest
 * over all groups shows this: the caller adds up the terms and compares the sum with the
 * superblock's.
 *
 * Stateless; any thread.
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
	FormatBitmap page; /* the page that counts */
	gboolean found;	   /* a page counts; otherwise only `future` and `newest` are set */
	guint home;	   /* FORMAT_BITMAP_A or _B */
	guint damaged;	   /* bit c: copy c of `home` is not that page */
	gboolean future;   /* a page of a checkpoint that never completed was found */
	guint64 newest;	   /* generation of the newest valid page that was read */
	guint64 term;	   /* the page's part of the digest; 0 if no page counts */
} BitmapChoice;

/* Reads a group's pages and chooses the one that counts.  `thorough`: reads all four; otherwise the
 * second copies only if one of the first is not valid.  0, also if no page counts; or a negative
 * errno if none was found and a page could not be read. */
int bitmap_choose(const BitmapPlace *place, guint64 group, guint64 checkpoint, gboolean thorough,
		  BitmapChoice *ret_choice);

/* Reads the page of a home, from either copy; it must have this term.  -EBADMSG if neither copy is
 * that page. */
int bitmap_read(const BitmapPlace *place, guint64 group, guint home, guint64 term,
		FormatBitmap *ret_page);

/* Writes a sealed page to both copies of a home. */
int bitmap_write(const BitmapPlace *place, guint64 group, guint home, const FormatBitmap *page);

/* Rewrites the damaged copies of a choice.  0, or a negative errno. */
int bitmap_mend(const BitmapPlace *place, guint64 group, const BitmapChoice *choice);
