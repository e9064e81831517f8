/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What check*.c, which find damage, and repair.c, which mends it, share: all that a walk finds out
 * about a volume.
 */
#pragma once

#include "common/engine/bitmap-pages.h"
#include "common/check/check.h"
#include "common/check/findings.h"
#include "common/engine/journal-rule.h"
#include "common/engine/superblock.h"

typedef struct {
	gboolean found;				/* one of the group's bitmap pages counts */
	FormatBitmap disk;			/* that page */
	guint home;				/* its home */
	guint damaged;				/* bit c: copy c of it is damaged */
	guint8 claimed[FORMAT_BITMAP_BITS / 8]; /* slots of the map and of the journal */
	guint8 mapped[FORMAT_BITMAP_BITS / 8];	/* slots of the map alone */
	guint64 missing;			/* slots of the map that the page says are free */
	guint64 leaked; /* slots that the page says are in use, and the map does not have */
} CheckGroup;

/* A node of which one copy is damaged. */
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
	Findings *found;       /* all findings but those in slots_found */
	Findings *slots_found; /* slots of which bitmap and map disagree; reported last, since
				  other damage causes them */
	CheckGroup **groups;   /* n_places; NULL from n_groups on until the journal claims a slot */
	guint64 n_groups;      /* groups that the checkpoint has, within the backing */
	guint64 n_places;      /* groups for which the backing has room */
	guint64 used;	       /* slots in use, by the bitmaps */
	guint64 claimed;       /* slots claimed so far */
	CheckProgress progress;
	gpointer data;
	guint64 data_slots, node_slots;
	guint64 digest;	    /* of the bitmap pages */
	guint64 newest;	    /* highest generation of any valid bitmap page */
	guint64 newest_at;  /* the group of that page */
	JournalRule rule;   /* which records count */
	GArray *copies;	    /* of CheckCopy */
	guint marks;	    /* damaged marks, as journal_ring_damaged_marks() returns them */
	guint64 lost_nodes; /* nodes of which no copy is whole */
	GArray *lost_below; /* of CheckRange: blocks below lost nodes, unless they are dead; the
			       first CHECK_RANGES */
	guint64 refused;    /* claims that failed: the slot is used twice or does not exist */
	JournalPlace end;   /* the first record that does not count */
	gboolean cut_short; /* the record at `end` was flushed, or cannot be replayed */
	const char *stuck;  /* why the record at `end` cannot be replayed, or NULL */
	int problem;	    /* why the walk of the journal failed: 0 or a negative errno */
	/* The path to the node being checked, one node of each level, and that node's second copy.
	 * Allocated before the walk: a part of the map that was skipped for lack of memory would
	 * seem to be free. */
	FormatNode nodes[FORMAT_LEVELS_MAX], copy;
	guint8 *buffer; /* JOURNAL_PAYLOAD_MAX bytes */
} Check;

/* Locks the backing, `exclusive` as the writer, and walks all of the volume.  NULL with *error set
 * in the cases that check_run() names. */
Check *check_walk(Backing *backing, gboolean exclusive, CheckProgress progress, gpointer data,
		  GError **error);
void check_free(Check *check); /* NULL is allowed */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Check, check_free)

/* ---- of check-slots.c */

/* Reports that one copy is damaged of a structure whose other copy is whole. */
void check_report_copy(Check *check, const char *format, ...) G_GNUC_PRINTF(2, 3);

guint64 check_slot_offset(const Check *check, guint64 slot);

/* Claims a slot (I5).  FALSE, with a finding, if the slot does not exist (I9: the disk names it) or
 * was claimed before.  `what` must be a constant, for findings_add_one(). */
gboolean check_claim_slot(Check *check, guint64 slot, const char *what, guint64 where);

/* Loads the bitmap pages of all groups.  0 or a negative errno. */
int check_load_groups(Check *check);

/* Reports slots that the map has and the bitmap on disk does not, and the reverse (I5). */
void check_compare_groups(Check *check);

/* ---- of check-map.c */

/* Lists blocks [first, first + n), as far as the volume goes, as lost. */
void check_lose_blocks(Check *check, guint64 first, guint64 n);

/* Checks the node that `entry` points to and all that is below it.  `dead`: a pointer above it is
 * dead. */
void check_node(Check *check, guint level, guint64 index, MapEntry entry, gboolean dead);

/* ---- of check-journal.c */

/* Checks the records that the next open will replay.  0 or a negative errno. */
int check_journal(Check *check);
