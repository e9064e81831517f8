/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copying a file with its holes.
 */
#pragma once

#include <glib.h>

/* Called while it copies and compares: how many of `all` bytes are done.  FALSE with an error
 * stops. */
typedef gboolean (*FileCopyProgress)(guint64 done, guint64 all, gpointer data, GError **error);

/* Copies `source`, which nobody changes meanwhile, to the existing, empty file `target`, with its
 * mode and, as far as permitted, its owner: by sharing its extents where the file system can do
 * that, otherwise byte by byte.  What is a hole there is one here.
 *
 * TRUE: the copy is durable (not its name), and a copy of the bytes was read from the disk again
 * and is equal.  FALSE: the content of `target` is undefined.  Errors: NO_SPACE, IO, CORRUPT (it is
 * not equal), those of `progress`. */
gboolean file_copy(const char *source, const char *target, FileCopyProgress progress, gpointer data,
		   GError **error);
