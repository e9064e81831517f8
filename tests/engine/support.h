/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Helpers of the engine's tests: places that outlive the volumes opened in them, short forms of
 * the data path, and the check that a volume is consistent.
 */
#pragma once

#include "common/engine/volume.h"
#include "tests/harness.h"

/* A backing that passes everything on to `real`, except that freeing it does not free `real`.  A
 * volume owns its backing, and a test needs it again after the close. */
Backing *backing_borrow(Backing *real);

/* The same, but every operation that changes the backing calls `gate` first.  If that returns
 * FALSE, the operation fails with -EIO and does not reach `real`. */
typedef gboolean (*BackingGate)(guint64 offset, guint64 length, gpointer data);
Backing *backing_borrow_gated(Backing *real, BackingGate gate, gpointer data);

/* The same, as one of several devices of which each machine may have one, and all lead to `real`:
 * backing_is_shared(). */
Backing *backing_share(Backing *real, guint64 device, BackingGate gate, gpointer data);

/* A place for one volume: memory, or a file. */
typedef struct {
	Backing *memory; /* owned; NULL for a file */
	char *path;	 /* of the file; owned */
} Place;

Place *place_new_memory(void);
Place *place_new_file(void);
void place_free(Place *place); /* removes the file */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Place, place_free)

/* The caller, or the volume that is opened in it, frees the result. */
Backing *place_backing(Place *place);

/* These check that they succeed.  NULL or FALSE if not. */
gboolean place_format(Place *place, guint64 size, guint64 journal_size);
Volume *place_open(Place *place);

/* An open volume in a new place in memory.  Free *ret_place after the volume is closed. */
Volume *place_new_volume(Place **ret_place, guint64 size);

/* Checks that nothing is wrong in the closed volume at that place. */
gboolean place_check(Place *place);

/* The same for a backing, which stays the caller's. */
gboolean backing_check(Backing *backing);
Volume *backing_open_volume(Backing *backing); /* borrows it */

/* A faulty backing with a closed volume of `n` blocks: block i is full of 1 + i and begins at
 * byte place(i).  The journal has 64 KiB. */
Backing *backing_new_filled(guint64 size, guint n, guint64 (*place)(guint i));

/* Checks that closing succeeds. */
void close_volume(Volume *volume);

int volume_put(Volume *volume, const void *data, gsize length, guint64 offset);
int volume_get(Volume *volume, void *data, gsize length, guint64 offset);

/* Writes `length` bytes of `value`. */
int volume_put_value(Volume *volume, guint8 value, gsize length, guint64 offset);

/* Checks that [offset, offset + length) holds `value` everywhere. */
gboolean check_value(Volume *volume, guint8 value, gsize length, guint64 offset);

/* Describes `data` by at most `max` pieces of random lengths, of which some are empty. */
int cut_vector(TestRandom *random, void *data, gsize length, struct iovec *iov, int max);
