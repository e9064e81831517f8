/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes of an image, wherever they lie: in a volume or a snapshot, in a file or on a block device
 * (a raw image), in a pipe, or in a file of one of qemu's formats.
 *
 * Threading: medium_read() and medium_write() may be called by MEDIUM_THREADS threads at once, each
 * with a number of its own below MEDIUM_THREADS, and beside one thread that calls medium_extent()
 * or medium_next().  medium_stop() may be called at any time.  All others: nothing else is running.
 */
#pragma once

#include "common/engine/volume.h"

#define MEDIUM_THREADS 4u

typedef struct Medium Medium;

typedef enum {
	MEDIUM_DATA,
	MEDIUM_ZERO, /* allocated, and reads as zeros */
	MEDIUM_HOLE, /* not allocated; reads as zeros */
} MediumState;

/* "data", "zero" or "hole". */
const char *medium_state_name(MediumState state);

/* An open volume or snapshot; medium_close() closes it. */
Medium *medium_new_of_volume(Volume *volume);

/* The same of a volume that stays the caller's. */
Medium *medium_new_in_volume(Volume *volume);

/* A raw image: an open regular file or block device.  Takes the descriptor, also if it fails. */
Medium *medium_new_of_file(int fd, const char *path, GError **error);

/* What comes through a pipe: can only be read once, by medium_next(), and has no size.  The
 * descriptor stays the caller's. */
Medium *medium_new_of_pipe(int fd);

typedef enum {
	/* A new image.  It is not durable before the caller has flushed its file (fsync()), after
	 * medium_close(). */
	MEDIUM_QEMU_WRITE = 1 << 0,
	/* An image that says that its data are in another file, too, whichever that is. */
	MEDIUM_QEMU_OTHER_FILES = 1 << 1,
} MediumQemuFlags;

/* Whether qemu's programs read and write this format here: "qcow2", "vmdk" and so on. */
gboolean medium_qemu_knows(const char *format);

/* An image in one of these formats, through qemu-img and qemu-nbd.  The format is never guessed.
 * UNSUPPORTED: they are not installed; INVALID: an image that names other files, without
 * OTHER_FILES; CORRUPT: qemu finds that the image is damaged. */
Medium *medium_new_of_qemu(const char *path, const char *format, MediumQemuFlags flags,
			   GError **error);

/* Makes a new image of `size` bytes at least, in the regular file `path`, which is written over. */
gboolean medium_qemu_create(const char *path, const char *format, guint64 size, GError **error);

/* Bytes; of a pipe G_MAXUINT64. */
guint64 medium_size(const Medium *medium);
gboolean medium_is_pipe(const Medium *medium);

/* What is at `offset`, which is within the size, and for how many bytes, at least. */
gboolean medium_extent(Medium *medium, guint64 offset, MediumState *ret_state, guint64 *ret_length,
		       GError **error);

/* The next bytes of a pipe; less than `length` at its end only.  BUSY: it was stopped. */
gboolean medium_next(Medium *medium, guint8 *buffer, gsize length, gsize *ret_length,
		     GError **error);

/* Both of bytes within the size; of a volume, in whole sectors. */
gboolean medium_read(Medium *medium, guint thread, guint8 *buffer, gsize length, guint64 offset,
		     GError **error);
gboolean medium_write(Medium *medium, guint thread, const guint8 *buffer, gsize length,
		      guint64 offset, GError **error);

/* Makes durable what was written to a volume; of an image, ends what is still to be written, but
 * for what medium_close() does. */
gboolean medium_flush(Medium *medium, GError **error);

/* Ends what other threads wait for, where that may be long: they fail. */
void medium_stop(Medium *medium);

/* FALSE: what was written may be lost.  NULL is allowed. */
gboolean medium_close(Medium *medium, GError **error);
void medium_free(Medium *medium);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Medium, medium_free)
