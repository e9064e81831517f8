/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pass that tidies space while a volume is idle.  Random overwrites scatter what was written in
 * one piece, and leave holes between the slots in use.  The pass moves blocks:
 *
 *   gather  A *stretch*, the mapped blocks of a leaf between two holes, that is *scattered* (more
 *           than 4 runs of slots, and on average less than 16 blocks a run) is written anew to
 *           wholly free words: 1 MiB is in 6 runs at most then.
 *   evict   Blocks in words of which few slots are in use are moved to other words, until the word
 *           is wholly free, and large writes or slots_trim() can use it.
 *
 * What it promises:
 *   - No request waits for it.  It holds no range: it copies the blocks, and then changes the map
 *     only if the blocks still have the slots that were copied, in one critical section with the
 *     record (I3).  If a request was faster, the copy is given back.  It is a write of what is
 *     there already: recovery treats its record like any other, and no flush has to wait for it.
 *   - Only what verifies is moved (I4).  A stretch with a damaged block stays where it is.
 *   - What something else refers to, such as a snapshot, stays where it is (map_shares_block()).
 *   - The file does not grow beyond 5/4 of what is live (16 MiB more at least) or, where it is that
 *     large already, by more than 1/8 of what is live (8 MiB at least).  It does not grow where the
 *     file system below has little space (backing_available()), and a full disk ends the pass for
 *     a minute.
 *   - It ends.  It goes through the map in rounds, with a checkpoint between two rounds that frees
 *     what was moved.  What was gathered is not scattered, and is in words that only lose slots to
 *     requests; each round of evictions leaves fewer words in use.  The pass *rests* after a round
 *     that moved nothing, until a sixteenth of the live slots (8192 at least) were gained or
 *     retired, or a reader finds a stretch scattered.
 *
 * A round evicts a sixteenth of what is live at most, and only if there is something to win: more
 * than an eighth of what is live is free in words partly in use, or the round before found no room
 * to gather; then it makes as much room as the next round can use.
 *
 * Threading: tidy_note_read() and tidy_get_info() by any thread; all else by the checkpoint thread,
 * which alone frees slots: what the pass looked up keeps its content during one step.  A disk that
 * hangs holds the pass up like that thread's other I/O, and nothing else.
 *
 * Memory (I7): 1 KiB; while it is at work, 1.1 MiB more.
 */
#pragma once

#include "common/engine/engine.h"

typedef struct Tidy Tidy;

/* `interrupted` is asked between two transfers: TRUE if the thread has something more urgent to do,
 * a checkpoint or the volume's end. */
typedef gboolean (*TidyInterrupted)(gpointer data);
Tidy *tidy_new(Engine *engine, TidyInterrupted interrupted, gpointer data);
void tidy_free(Tidy *tidy);

/* Notes that a request read these blocks, if it read 128 KiB or more and they are scattered: the
 * next step begins with their leaf.  Takes no lock; keeps 64 leaves. */
void tidy_note_read(Tidy *tidy, guint64 first, guint n, const MapEntry *entries);

/* Whether there may be something to do. */
gboolean tidy_wants(Tidy *tidy);

/* Moves one leaf's blocks at most, or looks at up to 64 leaves.  Returns what that cost, in bytes
 * as TIDY_RATE counts them.  0: nothing can be done until tidy_wants(), or until a checkpoint was
 * made. */
guint64 tidy_step(Tidy *tidy);

/* Frees the memory that steps take; the next step takes it again. */
void tidy_pause(Tidy *tidy);

#define TIDY_RATE ((guint64)32 << 20) /* bytes a second that the pass may cost */

/* Begins a round after the next checkpoint, whatever has changed since the last one. */
void tidy_begin(Tidy *tidy);

/* Whether the pass is between two rounds, or in one. */
gboolean tidy_is_under_way(const Tidy *tidy);

typedef struct {
	guint64 moved_bytes; /* since the volume was opened */
	guint64 run_bytes;   /* mean length of a run of slots, in the last round; 0: none yet */
	gboolean under_way;
} TidyInfo;

void tidy_get_info(const Tidy *tidy, TidyInfo *ret_info);
