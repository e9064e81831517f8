/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two kinds of volumes, and what differs between them:
 *
 *   thin     the engine's own format, of which docs/design.md tells
 *   direct   an offset in the volume is the same offset in the backing (direct.h)
 *
 * volume.h is the face of both.  What they share lies above this table: the checks of ranges, the
 * pieces of 1 MiB, the locks on ranges, compare and write, OR, flushes that are shared, the ways to
 * fail.  A request makes one call below it for each piece.  Snapshots, streams, scrub and all else
 * that needs a format is for thin volumes alone: volume_check_thin().
 */
#pragma once

#include "common/base/bytes.h"
#include "common/engine/properties.h"
#include "common/engine/volume.h"

typedef struct {
	gboolean direct;
	VolumeLimits limits;

	/* Whether `changes` changes of `bytes` bytes in all may begin; waits, unless `nowait`,
	 * while they may not. */
	int (*throttle)(Volume *volume, guint64 bytes, guint changes, gboolean nowait);

	/* These have a piece of 1 to VOLUME_ATOMIC_MAX bytes, within the volume.  The caller of
	 * those that end in _held holds its range; zero_held() has any length. */
	int (*read_piece)(Volume *volume, IovCursor *to, guint64 offset, gsize length,
			  BackingFlags flags, guint64 *ret_offset);
	int (*write_held)(Volume *volume, IovCursor *from, guint64 offset, gsize length,
			  gboolean nowait, guint64 *ret_offset);
	int (*zero_held)(Volume *volume, guint64 offset, guint64 length);

	/* Carries out as many of the first of `n` writes as can go together, which have their
	 * results then.  Returns how many; 0: the first must go alone. */
	guint (*write_together)(Volume *volume, VolumeWrite *writes, guint n, gboolean nowait);

	/* One flush, for all that wait; the volume becomes FAILED after an error. */
	int (*sync)(Volume *volume);

	/* `offset` is within the volume. */
	int (*extent)(Volume *volume, guint64 offset, gboolean *ret_mapped, guint64 *ret_length);

	/* The rest is as in volume.h; the volume can be written to. */
	int (*erase)(Volume *volume);
	int (*checkpoint)(Volume *volume);
	gboolean (*resize)(Volume *volume, guint64 size, VolumeResizeFlags flags, guint seconds,
			   GError **error);
	gboolean (*set_properties)(Volume *volume, const Property *changes, guint n,
				   GError **error);
	void (*get_info)(Volume *volume, VolumeInfo *ret_info);
	/* Makes what was acknowledged durable; 0 or a negative errno. */
	int (*close)(Volume *volume);
} VolumeOps;

extern const VolumeOps volume_ops_thin, volume_ops_direct;
