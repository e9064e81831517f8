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
#include "common/engine/tenure.h"

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

/* A node of a map, or of the snapshot table, of which one copy is damaged. */
typedef struct {
	guint64 whole, damaged; /* slots */
	guint level;		/* or CHECK_TABLE_ROOT, CHECK_TABLE_PAGE */
	guint64 index;
} CheckCopy;

#define CHECK_TABLE_PAGE FORMAT_LEVELS_MAX
#define CHECK_TABLE_ROOT (FORMAT_LEVELS_MAX + 1)

/* Slots below a pointer, as far as they are known. */
typedef struct {
	guint64 data, nodes;
	gboolean unknown; /* some nodes cannot be read, so there may be more */
} CheckCount;

/* A tree to walk: the head's, or that of a snapshot. */
typedef struct CheckRoot CheckRoot;
struct CheckRoot {
	const Snapshot *snapshot; /* NULL: the head */
	guint64 generation;	  /* nothing in the tree was born later */
	MapEntry entry;
	guint levels;
	guint64 blocks;			/* of the volume with that map */
	guint64 parent;			/* as on disk */
	guint64 floor;			/* dead pointers born up to here are void */
	CheckRoot *above;		/* the nearest ancestor with a tree, or NULL */
	guint64 done;			/* blocks before this one were given up by the deletion */
	guint64 dying_first, dying_end; /* dead pointers lie over these blocks; none before
					   dying_first have slots any more */
	char *prefix;			/* of findings: "snapshot 'NAME': " or, of the head, "" */
	char *block, *node, *copy; /* "block", "node over block", "copy of the node over block",
				      behind the prefix */
	CheckCount count;	   /* slots that the tree refers to, shared or not */
	guint64 dead;		   /* blocks below its dead pointers */
	guint64 written;	   /* blocks born after `parent` */
	GArray *lost;		   /* of CheckRange: blocks that are lost to it, in order */
	GArray *lost_below;	   /* of CheckRange: those below lost nodes */
};

/* The nodes of a tree from its root down to the place that was looked up last. */
typedef struct {
	const CheckRoot *root;		    /* NULL: none */
	guint64 entered[FORMAT_LEVELS_MAX]; /* for each level: index of the node in memory, plus 1
					     */
	gboolean whole[FORMAT_LEVELS_MAX];  /* whether it could be read */
	FormatNode nodes[FORMAT_LEVELS_MAX];
} CheckPath;

typedef struct CheckCounts CheckCounts;

typedef struct {
	Backing *backing;
	Tenure *tenure; /* of a repair; NULL: only this machine can reach the backing */
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
	guint64 lost_nodes; /* nodes of which no copy is whole, pages of the table included */
	guint64 n_ranges;   /* lost ranges that are listed */
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

	/* Snapshots. */
	Superblock said;	/* the superblock, without snapshots that are given up */
	FormatNode table;	/* the table's root */
	GArray *table_slots;	/* of guint64: of each pair of the table, the first */
	GPtrArray *given_up;	/* of char *: names of snapshots that count no more */
	GArray *snapshots;	/* of Snapshot, the oldest first */
	GArray *holds;		/* of SnapshotHold */
	guint64 lost_records;	/* records of the table that cannot be read */
	guint64 refused_table;	/* claims of the table that failed */
	gboolean gives_up_all;	/* what the table has lost, too */
	GPtrArray *roots;	/* of CheckRoot, parents first, the head last */
	CheckRoot *head;	/* the last of them */
	CheckRoot *deleting;	/* the one that is being taken apart, or NULL */
	guint64 delete_written; /* blocks that were born in its time, and have an owner */
	CheckRoot *root;	/* the one that is being walked */
	CheckPath beside[2];	/* of its `above`, and of the `above` of that */
	CheckCounts *counts;	/* of the nodes so far; NULL: there are no snapshots */
} Check;

static inline CheckRoot *check_root(const Check *check, guint i)
{
	return g_ptr_array_index(check->roots, i);
}

/* Locks the backing, `exclusive` as the writer, and walks all of the volume.  NULL with *error set
 * in the cases that check_run() names.  `give_up`: NULL, or names of snapshots, up to a NULL.  The
 * walk then finds out what is in use without them, and without those that are being deleted;
 * CHECK_ALL_SNAPSHOTS among them means all, also what the table has lost.  NOT_FOUND: there is no
 * such snapshot. */
Check *check_walk(Backing *backing, gboolean exclusive, const char *const *give_up,
		  CheckProgress progress, gpointer data, GError **error);
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

/* ---- of check-lost.c */

/* Lists blocks [first, end), as far as the volume goes, as lost to a root.  `below`: a node over
 * them is lost. */
void check_lose_blocks(Check *check, CheckRoot *root, guint64 first, guint64 end, gboolean below);

/* What is lost of blocks [first, end) to the root that `root` shares them with. */
void check_inherit_lost(Check *check, CheckRoot *root, const CheckRoot *from, guint64 first,
			guint64 end);

/* ---- of check-counts.c */

CheckCounts *check_counts_new(void); /* NULL: no memory */
void check_counts_free(CheckCounts *counts);

/* Remembers what is below the node in that slot, which is not 0.  FALSE: no memory. */
gboolean check_counts_put(CheckCounts *counts, guint64 slot, const CheckCount *count);

/* FALSE: the slot is not known. */
gboolean check_counts_get(const CheckCounts *counts, guint64 slot, CheckCount *ret_count);

/* ---- of check-nodes.c */

/* Reads a node, both copies of an inner node.  FALSE, with a finding, if no copy is whole. */
gboolean check_read_node(Check *check, guint level, guint64 index, const MapEntry *entry,
			 FormatNode *node);

/* Reads a node again, or one that another root has: FALSE without a finding. */
gboolean check_peek_node(Check *check, guint level, guint64 index, const MapEntry *entry,
			 FormatNode *node);

/* Begins to look things up in the tree of `root`, which may be NULL. */
void check_path_init(CheckPath *path, const CheckRoot *root);

/* The pointer to node (level, index) of a tree; (-1, index): to a block.  Dead pointers, and what
 * is below them, are null.  FALSE: a node above cannot be read. */
gboolean check_path_look_up(Check *check, CheckPath *path, int level, guint64 index,
			    MapEntry *ret_entry);

/* "node 1/0", "page 3 of the snapshot table" */
char *check_name_node(guint level, guint64 index);

/* ---- of check-table.c */

/* Reads the snapshot table, claims its slots, and lists its records. */
void check_table(Check *check);

/* See check_walk(). */
gboolean check_give_up(Check *check, const char *const *names, GError **error);

/* ---- of check-roots.c */

/* Makes the list of roots from the superblock and the table. */
void check_roots_init(Check *check);

/* The root that `root` shares with, at a place whose node (of a block: whose leaf) ends at block
 * `end`: what was born up to the generation of the result.  NULL: nobody. */
CheckRoot *check_owner_above(const Check *check, const CheckRoot *root, guint64 end);

/* Compares the counts of superblock and table with what was walked. */
void check_roots_compare(Check *check);
gboolean check_head_counts_fit(const Check *check);

/* ---- of check-map.c */

/* Verifies what a root refers to and does not share with an older one. */
void check_map(Check *check, CheckRoot *root);

/* ---- of check-journal.c */

/* Checks the records that the next open will replay.  0 or a negative errno. */
int check_journal(Check *check);
