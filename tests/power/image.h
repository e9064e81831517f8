/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a disk holds: sparse bytes in pages of 4 KiB, which clones share until one of them changes
 * a page.  Cloning a disk of many megabytes takes a microsecond, and so does comparing two disks.
 *
 * Threading: an image belongs to one thread; its clones may belong to others.  The process ends if
 * an allocation fails.
 */
#pragma once

#include <stdio.h>

#include "common/base/bytes.h"

typedef struct Image Image;

Image *image_new(void);

/* A copy with the same content and size.  Several threads may clone an image at the same time if no
 * thread changes it, and image_hash() was called after its last change. */
Image *image_clone(Image *image);
void image_free(Image *image); /* NULL is allowed */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Image, image_free)

/* The size in bytes.  It only grows; the new part reads as zeros. */
guint64 image_size(const Image *image);
void image_grow(Image *image, guint64 size);

/* [offset, offset + length) must be inside the size. */
void image_read(const Image *image, IovCursor *to, guint64 offset, gsize length);
void image_write(Image *image, const void *data, guint64 offset, gsize length);
void image_punch(Image *image, guint64 offset, guint64 length);

/* Depends only on the content and the size: a page of zeros counts like a missing page. */
guint64 image_hash(Image *image);

/* Write to a file, and read from it; FALSE or NULL on failure. */
gboolean image_save(const Image *image, FILE *file);
Image *image_load(FILE *file);

gboolean is_zeros(const void *data, gsize length);

/* A hash of two numbers. */
static inline guint64 mix(guint64 a, guint64 b)
{
	guint64 x = a ^ (b + 1) * 0x9e3779b97f4a7c15u;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}
