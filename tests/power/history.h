/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model: which operations a volume was asked for, which were acknowledged and when, and hence
 * what the volume may hold after a loss of power.
 *
 * Every write puts its own number into each of its sectors.  So one number a sector describes a
 * volume (0: zeros, or beyond the end), and one more number its size in sectors.  Each operation
 * belongs to a *thread*; each sector belongs to one thread, which alone changes it.  After a loss
 * of power, a prefix of each thread's operations must be there, which includes all its durable ones
 * (I1). If an operation is there, every operation that was acknowledged before it began must be
 * there, too, also of other threads (I3).
 *
 * Threading: one lock.
 */
#pragma once

#include "common/base/units.h"
#include "common/engine/volume.h"
#include "tests/power/disk.h"

typedef enum {
	OP_WRITE,
	OP_ZERO,     /* done in pieces if it is long or ends inside a block */
	OP_FLUSH,    /* makes everything durable that was acknowledged before */
	OP_RESIZE,   /* durable as soon as it is acknowledged */
	OP_ROLLBACK, /* likewise; of a history with one thread */
} OpKind;

typedef struct {
	OpKind kind;
	guint thread;
	guint first, count; /* sectors */
	guint32 number;	    /* of a write; the new size, sectors; of a rollback, the snapshot */
	Moment begun;
	Moment ended; /* position G_MAXUINT64: not yet, or it failed */
} Op;

typedef struct History History;

/* A volume of at most `n_sectors`, all zeros. */
History *history_new(guint n_sectors, guint n_threads);
void history_free(History *history);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(History, history_free)

/* Sets the number of threads.  Must be called before any operation.  The volume's size belongs to
 * the last thread. */
void history_set_threads(History *history, guint n_threads);

guint history_sectors(const History *history);

/* How many numbers describe the volume. */
guint history_numbers(const History *history);

/* The volume's size at the start, if it is smaller; sectors. */
void history_set_size(History *history, guint sectors);

/* Gives sectors [first, first + count) to `thread`; at first all belong to thread 0. */
void history_own(History *history, guint thread, guint first, guint count);

/* Records that an operation begins.  Returns its handle for history_end(), to be called on success.
 * *ret_number (may be NULL) is the number of a write. */
guint history_begin(History *history, Disk *disk, OpKind kind, guint thread, guint first,
		    guint count, guint32 *ret_number);
guint history_begin_resize(History *history, Disk *disk, guint sectors);
void history_end(History *history, Disk *disk, guint op);

/* A snapshot that was asked for. */
typedef struct {
	char name[16];
	gboolean before;     /* it was there when the history began, with `content` */
	guint32 *content;    /* numbers; unless `before`, what one thread alone left; owned */
	Moment begun, ended; /* as of Op */
	Moment delete_begun, deleted;
} HistorySnapshot;

/* Record that a snapshot is begun, and is durable; and the same of its deletion. */
guint history_begin_snapshot(History *history, Disk *disk, const char *name);
void history_end_snapshot(History *history, Disk *disk, guint snapshot);
void history_begin_deletion(History *history, Disk *disk, guint snapshot);
void history_end_deletion(History *history, Disk *disk, guint snapshot);
guint history_begin_rollback(History *history, Disk *disk, guint snapshot);

guint history_snapshots(const History *history);
const HistorySnapshot *history_snapshot(const History *history, guint snapshot);

/* Adds a snapshot that was there before. */
void history_add_snapshot(History *history, const char *name, const guint32 *content);

/* What a disk may be: whether the snapshot must be there after a cut, and whether it may be. */
gboolean history_snapshot_must(const HistorySnapshot *snapshot, guint64 cut);
gboolean history_snapshot_may(const HistorySnapshot *snapshot, guint64 cut);

/* As history_check(), of a snapshot that is there: it has all that was acknowledged before it was
 * begun, and nothing that began after it was taken. */
gboolean history_check_snapshot(const History *history, const HistorySnapshot *snapshot,
				guint64 cut, const guint32 *content, char **ret_why);

/* A new history of the same volume with `content`, all of it belonging to thread 0. */
History *history_from(const History *history, const guint32 *content);

/* The history as it was at a cut. */
History *history_until(const History *history, guint64 cut);

/* The volume's numbers after all operations that were begun. */
const guint32 *history_now(const History *history);

/* A hash of what history_check() allows at a cut. */
guint64 history_hash(const History *history, guint64 cut);

/* A cut behind all entries. */
#define CUT_NONE (G_MAXUINT64 - 1)

/* TRUE if a volume may hold that content after a cut; otherwise FALSE, and the reason (free it).
 * `all`: only the process died, so every acknowledged operation must be there (I2). */
gboolean history_check(const History *history, guint64 cut, gboolean all, const guint32 *content,
		       char **ret_why);

/* Write to a file, and read from it; FALSE or NULL on failure. */
gboolean history_save(const History *history, FILE *file);
History *history_load(FILE *file);

/* --- Sectors ---------------------------------------------------------------------------------- */

/* Fills sectors [first, first + count) with a number. */
void stamp_fill(guint8 *data, guint32 number, guint first, guint count);

/* Reads all numbers of a volume of up to `n_sectors`.  FALSE, with the reason (free it), if the
 * volume cannot be read, or if a sector has content that was never written there (I4). */
gboolean stamp_read(Volume *volume, guint n_sectors, guint32 *numbers, char **ret_why);
