/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sparse content in memory, for the backings that keep theirs there: 64 KiB pages that come when
 * they are written and go when they are punched.  Space is counted in units of 4 KiB, as most file
 * systems do.  A clone shares the pages until one of the two changes them, so an image of many
 * megabytes is copied at once.
 *
 * Not thread-safe: the caller locks.  Two clones may be used by two threads.
 */
#pragma once

#include "common/base/bytes.h"

typedef struct Pages Pages;

Pages *pages_new(void);
Pages *pages_clone(const Pages *pages);
void pages_free(Pages *pages); /* NULL is allowed */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Pages, pages_free)

/* Copies `length` bytes at `offset` to the cursor, zeros where no page exists, and advances the
 * cursor. */
void pages_read(const Pages *pages, IovCursor *to, guint64 offset, gsize length);

/* 0, or -ENOMEM with a part written. */
int pages_write(Pages *pages, IovCursor *from, guint64 offset, gsize length);

/* Makes [offset, offset + length) read as zeros, and frees whole units in it.  0, or -ENOMEM with a
 * part punched (a shared page could not be copied). */
int pages_punch(Pages *pages, guint64 offset, guint64 length);

/* Bytes in units that exist. */
guint64 pages_allocated(const Pages *pages);

/* How many of the `length` bytes at `offset` could be written with `budget` bytes of new units. */
gsize pages_fitting(const Pages *pages, guint64 offset, gsize length, guint64 budget);
