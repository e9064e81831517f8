/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a disk holds: sparse bytes in pages of 4 KiB, which clones share until one of them changes
 * a page.  A clone of a disk of many megabytes costs a microsecond, and so does telling whether two
 * disks hold the same.
 *
 * Threading: an image is one thread's; clones of it may be other threads'.  Without memory the
 * process ends.
 */
#pragma once

#include <stdio.h>

#include "common/base/bytes.h"

typedef struct Image Image;

Image *image_new(void);

/* A copy, of the same content and size.  Several threads may clone an image at once that none
 * changes and whose hash was asked for since it was changed. */
Image *image_clone(Image *image);
void image_free(Image *image); /* NULL is allowed */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Image, image_free)

/* Bytes.  It only grows: what is new reads as zeros. */
guint64 image_size(const Image *image);
void image_grow(Image *image, guint64 size);

/* [offset, offset + length) lies inside the size. */
void image_read(const Image *image, IovCursor *to, guint64 offset, gsize length);
void image_write(Image *image, const void *data, guint64 offset, gsize length);
void image_punch(Image *image, guint64 offset, guint64 length);

/* Depends on the content and the size alone: pages of zeros are as good as none. */
guint64 image_hash(Image *image);

/* To a file and from there; FALSE (NULL) if that fails. */
gboolean image_save(const Image *image, FILE *file);
Image *image_load(FILE *file);

gboolean is_zeros(const void *data, gsize length);

/* A random number for each pair of numbers. */
static inline guint64 mix(guint64 a, guint64 b)
{
	guint64 x = a ^ (b + 1) * 0x9e3779b97f4a7c15u;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}
