/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What check.c (finding) and repair.c (mending) share: everything that is known of a volume once it
 * was walked.
 */
#pragma once

#include "common/engine/bitmap-pages.h"
#include "common/check/check.h"
#include "common/check/findings.h"
#include "common/engine/journal-rule.h"
#include "common/engine/superblock.h"

typedef struct {
	FormatBitmap disk;
	guint8 claimed[FORMAT_BITMAP_BITS / 8]; /* by the map, then by the journal, too */
	guint8 mapped[FORMAT_BITMAP_BITS / 8];	/* by the map alone */
	gboolean found;				/* a page on disk counts ... */
	guint home;				/* ... the one of this home ... */
	guint damaged;	 /* ... of which these copies, a bit each, are not it */
	guint64 missing; /* slots that the map refers to and the page has as free */
	guint64 leaked;	 /* the other way round */
} CheckGroup;

/* A damaged copy of a node whose other copy is whole. */
typedef struct {
	guint64 whole, damaged; /* slots */
	guint level;
	guint64 index;
} CheckCopy;

typedef struct {
	Backing *backing;
	SuperblockPair pair;
	const Superblock *sb;
	NodeLayout layout;
	Seal seal; /* of sb */
	CheckResult *result;
	Findings *found;       /* but for ... */
	Findings *slots_found; /* ... slots that the bitmaps have otherwise, which follow from the
				  rest */
	CheckGroup **groups;
	guint64 n_groups; /* that the checkpoint has, and the backing ... */
	guint64 n_places; /* ... has room for: the others are there once the journal claims there */
	guint64 used, claimed; /* by the bitmaps; so far */
	CheckProgress progress;
	gpointer data;
	guint64 data_slots, node_slots;
	guint64 digest;	    /* of the bitmap pages */
	guint64 newest;	    /* the highest generation of one ... */
	guint64 newest_at;  /* ... and its group */
	JournalRule rule;   /* which records count */
	GArray *copies;	    /* of CheckCopy */
	guint marks;	    /* those outside the ring that are damaged: JournalRing's bits */
	guint64 lost_nodes; /* of which no copy is whole */
	GArray *lost_below; /* of CheckRange: below those, not dead; the first CHECK_RANGES */
	guint64 refused;    /* claims: slots that are used twice, or do not exist */
	gboolean cut_short; /* a flushed record is damaged, or one cannot be replayed: ... */
	const char *stuck;  /* (what it does, if that is why; else NULL) */
	JournalPlace end;   /* ... the one here: the first that does not count */
	int problem;	    /* what ended the walk of the journal; 0, or a negative errno */
	/* The path to where it is, one of each level, and the copy of the last: what is not walked
	 * for want of memory would pass for free. */
	FormatNode nodes[FORMAT_LEVELS_MAX], copy;
	guint8 *buffer; /* JOURNAL_PAYLOAD_MAX bytes */
} Check;

/* Locks the backing and walks all of it.  NULL as check_run(). */
Check *check_walk(Backing *backing, gboolean exclusive, CheckProgress progress, gpointer data,
		  GError **error);
void check_free(Check *check); /* NULL is allowed */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Check, check_free)
