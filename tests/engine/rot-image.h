/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images of a backing for tests of rot: every version of each unit that a volume wrote over its
 * life, and cheap copies of the last state, to be damaged.
 *
 * An image is flat memory that does not change.  A copy keeps the 4 KiB units that differ, so
 * that renewing it is cheap.
 *
 * Threading: a copy is like any backing.  Images are only read, except for the notes of what was
 * read.
 */
#pragma once

#include "common/backing/backing.h"

#define ROT_UNIT 4096u
#define ROT_UNITS_MAX 65536u /* no backing grows beyond */

typedef struct {
	guint8 *bytes;
	guint64 size;
	guint64 n_units;
	GPtrArray **versions; /* of each unit, NULL where it was never written: ROT_UNIT bytes each,
			       * oldest first, each differs from the one before; the last is in
			       * `bytes` */
	guint8 *read;	      /* of each byte: not 0 once a copy with rot_copy_note() read it */
} RotImage;

/* An empty backing that records every version of each unit; it cannot punch. */
Backing *rot_recorder_new(void);

/* The image of what the recorder holds now. */
RotImage *rot_recorder_image(Backing *recorder);
void rot_image_free(RotImage *image); /* NULL is allowed */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RotImage, rot_image_free)

/* A copy, to be damaged and used.  The image must outlive it.  A copy can grow and cannot punch. */
Backing *rot_copy_new(RotImage *image);

/* Makes the copy equal to the image again.  No volume may be open in the copy. */
void rot_copy_renew(Backing *copy);

void rot_copy_flip(Backing *copy, guint64 offset, guint bit);
void rot_copy_put(Backing *copy, guint64 unit, const guint8 *bytes); /* ROT_UNIT of them */
void rot_copy_cut(Backing *copy, guint64 size);

/* From now on, reads of the copy are noted in the image. */
void rot_copy_note(Backing *copy);
