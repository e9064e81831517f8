/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A volume with the interface of a file: bytes at any offset and of any length, where volume.h
 * requires whole sectors.
 *
 * A read of part of a sector reads the whole sector.  A write of part of a sector replaces the
 * whole sector by compare-and-write, so that it never undoes a concurrent write to the rest of it;
 * whole sectors are written directly.  One unaligned write is not atomic: it may have up to three
 * pieces.
 *
 * Ranges must lie inside the volume.  Results are those of volume.h.
 */
#pragma once

#include "common/base/units.h"
#include "common/engine/volume.h"

/* The buffer that a read of `size` bytes at any offset needs. */
#define FILE_READ_ROOM(size) ((size) + 2 * SECTOR_SIZE)

typedef int (*FileReader)(Volume *volume, const struct iovec *iov, int count, guint64 offset,
			  guint64 *ret_offset);

/* Reads [offset, offset + size) with `reader`, which is volume_read or volume_read_nowait.  `room`
 * has FILE_READ_ROOM(size) bytes; *ret_data points to the data within it. */
int file_read(Volume *volume, FileReader reader, guint8 *room, gsize size, guint64 offset,
	      const guint8 **ret_data);

typedef int (*FileWriter)(Volume *volume, const void *data, gsize size, guint64 offset);

int file_write(Volume *volume, const void *data, gsize size, guint64 offset);

/* The same without waiting (volume_write_nowait).  -EAGAIN if the engine would have to wait, or if
 * the range is not whole sectors. */
int file_write_nowait(Volume *volume, const void *data, gsize size, guint64 offset);

/* Sets *ret_offset to the first byte from `offset` on that is mapped, or that is in a hole.  The
 * end of the volume counts as a hole.  -ENXIO: `offset` is not inside the volume, or nothing from
 * there on is mapped. */
int file_seek(Volume *volume, guint64 offset, gboolean mapped, guint64 *ret_offset);

/* Makes [offset, offset + length) read as zeros. */
int file_zero(Volume *volume, guint64 offset, guint64 length);
