/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk that records all operations, and makes every disk that a loss of power could have left.
 *
 * A *recording* is the content at its start, all of it durable, and every later write, punch,
 * growth and flush, in order.  A *cut* is a number of entries: these entries happened, later ones
 * did not. A flush that ended before the cut covers the entries from before it began; covered
 * entries are on the disk.  A durable write is two entries, the write and a flush that covers it
 * alone.  Each write that no flush covers is there as a whole, absent, or torn:
 * its head, its tail, or any of its 512-byte sectors.  A *choice*, one number, determines which.  A
 * write beyond a growth that is absent is lost.
 *
 * Threading: the disk's backing as every backing; a recording does not change while it is cut.
 */
#pragma once

#include "common/backing/backing.h"
#include "tests/power/image.h"

typedef struct Disk Disk;

/* Starts a recording on a copy of `start`. */
Disk *disk_new(Image *start);

/* A disk that records nothing. */
Disk *disk_new_plain(Image *start);
void disk_free(Disk *disk); /* NULL is allowed */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Disk, disk_free)

/* From now on each write and flush takes a while; other threads continue meanwhile. */
void disk_slow_down(Disk *disk);

/* Hold: the n-th flush from now on (1: the next) stops while it runs.  Await: waits until it has
 * stopped; FALSE after ten seconds.  Release: the flush continues. */
void disk_hold_flush(Disk *disk, guint n);
gboolean disk_await_hold(Disk *disk);
void disk_release(Disk *disk);

/* The caller owns the result; the disk must outlive it. */
Backing *disk_backing(Disk *disk);

/* Entries so far: where a cut would be now; and a number that is higher at each call, on any
 * thread. */
typedef struct {
	guint64 position;
	guint64 tick;
} Moment;
Moment disk_now(Disk *disk);

/* What reads see now. */
Image *disk_visible(Disk *disk);

/* Forgets the entries so far: the present content becomes the start, all of it durable.  Must
 * follow a flush directly.  Cuts are still counted from the first entry; no cut may lie before this
 * one. */
void disk_forget(Disk *disk);
guint64 disk_forgotten(Disk *disk);

/* The end of the last write between these places in the backing; 0: none. */
guint64 disk_last_write(Disk *disk, guint64 from, guint64 to);

/* Where in the backing the entry at this position, a write, begins. */
guint64 disk_written_at(Disk *disk, guint64 position);

/* Write the recording to a file, without forgotten entries, and read it; FALSE or NULL on failure.
 */
gboolean disk_save(Disk *disk, FILE *file);
Disk *disk_load(FILE *file);

/* --- Cuts ------------------------------------------------------------------------------------- */

/* Makes the disks of one recording.  Cuts must not go down. */
typedef struct Cutter Cutter;

Cutter *cutter_new(Disk *disk);
void cutter_free(Cutter *cutter);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Cutter, cutter_free)

/* Goes to a cut.  Returns the number of writes, punches and growths that no flush covers there. */
guint cutter_go(Cutter *cutter, guint64 cut);

/* Choices for the entries that no flush covers.  A mask: of the first 48, those with their bit set
 * are there whole. */
#define CHOICE_MASKS ((guint64)1 << 62)
#define CHOICE_MASK_BITS 48u
/* Random: each is whole, torn or absent, with one of four probabilities. */
#define CHOICE_CHANCE ((guint64)2 << 62)
/* All are there except the one with this number. */
#define CHOICE_ALL_BUT(number) ((guint64)3 << 62 | (number))
/* All are there: the process died, but the power was not lost. */
#define CHOICE_ALL G_MAXUINT64

Image *cutter_make(Cutter *cutter, guint64 choice);

/* The process dies at this cut: everything that happened is visible, and what no flush covered may
 * still be lost later.  The new recording continues where this one was cut. */
Disk *cutter_die(Cutter *cutter);
