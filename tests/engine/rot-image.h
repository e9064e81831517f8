/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images of a backing for tests of rot: what a volume wrote over its life, version by version, and
 * cheap copies of what it left, each damaged in its own way.
 *
 * An image is flat memory that does not change; a copy keeps the 4 KiB units that differ, so that
 * making it new costs nothing much.
 *
 * Threading: copies as every backing; an image is only read, but for its notes of what was read.
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

/* What the recorder holds now. */
RotImage *rot_recorder_image(Backing *recorder);
void rot_image_free(RotImage *image); /* NULL is allowed */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RotImage, rot_image_free)

/* A copy, to be damaged and used; the image outlives it.  It cannot punch; it grows. */
Backing *rot_copy_new(RotImage *image);

/* The copy is what the image is, again; no volume is open in it. */
void rot_copy_renew(Backing *copy);

void rot_copy_flip(Backing *copy, guint64 offset, guint bit);
void rot_copy_put(Backing *copy, guint64 unit, const guint8 *bytes); /* ROT_UNIT of them */
void rot_copy_cut(Backing *copy, guint64 size);

/* From now on what is read of it is noted in the image. */
void rot_copy_note(Backing *copy);
