/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One volume in use on a disk that records: requests go to the volume and into its history.
 *
 * Threading: as the volume; opening and closing alone.
 */
#pragma once

#include "tests/power/history.h"

typedef struct {
	Disk *disk;
	History *history;
	Volume *volume;
	gboolean failed; /* a request failed, and so did a check */
	guint names;	 /* of snapshots, so far */
} Session;

/* A new, empty volume; always the same one, down to its UUID. */
Image *session_format(guint64 size, guint64 journal_size);

/* Starts a recording on a copy of `start`, which holds what `history` says now, and opens it.  The
 * recording begins before the volume is opened. */
void session_start(Session *session, Image *start, const History *history, guint n_threads);

/* Ends the process that has the volume, if it is still open; until then its checkpoint thread may
 * write at any time, and nothing can be cut. */
void session_stop(Session *session);

/* The same, and frees everything. */
void session_end(Session *session);

/* Sectors. */
void session_write(Session *session, guint thread, guint first, guint count);
/* FALSE: the write would have to wait and was not done; this thread must not make another request.
 */
gboolean session_write_nowait(Session *session, guint thread, guint first, guint count);
/* One batch. */
typedef struct {
	guint first, count;
} SessionPart;
void session_write_batch(Session *session, guint thread, const SessionPart *parts, guint n);
void session_compare_and_write(Session *session, guint thread, guint first, guint count);
void session_zero(Session *session, guint thread, guint first, guint count);
void session_discard(Session *session, guint thread, guint first, guint count);
void session_flush(Session *session, guint thread);
void session_checkpoint(Session *session, guint thread);
void session_tidy(Session *session); /* volume_tidy() */
/* Makes two checkpoints, after which the checkpoint thread is idle, so that what follows is the
 * same each time. */
void session_checkpoint_and_wait(Session *session, guint thread);
/* Everything behind the new end belongs to thread 0 and is discarded.  No other request may run
 * while the volume shrinks. */
void session_resize(Session *session, guint sectors);
guint session_size(const Session *session);
void session_verify(Session *session, guint first, guint count); /* reads, and compares */
/* Snapshots; by one thread.  With session_holds, background work on them waits, and is done by
 * session_walk() alone. */
extern gboolean session_holds;
void session_snapshot(Session *session);

/* The same in two parts: until the snapshot's instant, and until it is durable.  The first returns
 * its number in the history. */
guint session_begin_snapshot(Session *session, guint64 *ret_generation);
void session_end_snapshot(Session *session, guint snapshot, guint64 generation);

/* The number in the history of the oldest that was not deleted; -1: there is none. */
int session_oldest(const Session *session);
void session_delete_oldest(Session *session, gboolean bookmark);
void session_rollback_to_oldest(Session *session); /* if it has the volume's size */
void session_walk(Session *session, guint steps);  /* and a checkpoint */
void session_reopen(Session *session);		   /* closes in order */
void session_die(Session *session); /* the process dies; the next one opens the volume */

/* A step of volume_flatten(), or nothing if the volume has no base any more. */
void session_flatten(Session *session, guint64 bytes);
gboolean session_is_linked(const Session *session);

/* Takes the snapshot that clones begin with, which is not in the history, and ends the session.
 * The volume is the process's base from then on: *ret_image is a new linked clone of it. */
void session_end_as_base(Session *session, guint64 journal_size, Image **ret_image,
			 History **ret_history);
