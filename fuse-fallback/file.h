/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A volume as a file is: bytes at any offset and of any length, where volume.h speaks of sectors.
 *
 * Reads of part of a sector read all of it.  Writes of part of a sector replace it whole, by
 * compare-and-write, so that neighbours written at the same time by others are never undone; the
 * whole sectors between go straight through.  The pieces of one unaligned write are not one step.
 *
 * Ranges lie inside the volume (the caller cuts them); results are those of volume.h.
 */
#pragma once

#include "common/base/units.h"
#include "common/engine/volume.h"

/* The room that a read of `size` bytes at any offset needs. */
#define FILE_READ_ROOM(size) ((size) + 2 * SECTOR_SIZE)

typedef int (*FileReader)(Volume *volume, const struct iovec *iov, int count, guint64 offset,
			  guint64 *ret_offset);

/* Reads [offset, offset + size) with `reader`, which is volume_read or volume_read_nowait; `room`
 * has FILE_READ_ROOM(size) bytes and *ret_data points to where in it the data is. */
int file_read(Volume *volume, FileReader reader, guint8 *room, gsize size, guint64 offset,
	      const guint8 **ret_data);

typedef int (*FileWriter)(Volume *volume, const void *data, gsize size, guint64 offset);

int file_write(Volume *volume, const void *data, gsize size, guint64 offset);

/* The same where the engine need not wait (volume_write_nowait), else -EAGAIN; also of part of a
 * sector. */
int file_write_nowait(Volume *volume, const void *data, gsize size, guint64 offset);

/* Makes [offset, offset + length) read as zeros. */
int file_zero(Volume *volume, guint64 offset, guint64 length);
