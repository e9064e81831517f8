/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What volume.c (opening, closing, flushing, information), volume-read.c, volume-write.c and
 * volume-resize.c share.
 */
#pragma once

#include "common/engine/checkpoint.h"
#include "common/engine/checkpointer.h"
#include "common/engine/engine.h"
#include "common/base/logging.h"
#include "common/engine/ranges.h"
#include "common/engine/volume.h"

#define VOLUME_VECTOR 520 /* pieces of memory of one read or write that need no allocation */

struct Volume {
	Engine engine;
	guint64 journal_size;
	guint64 groups_offset;
	guint64 grown_from; /* when it was opened: the least size that it grew from; 0: none */
	guint32 logical_block_size;
	guint8 uuid[16];
	Checkpointer *checkpointer; /* NULL: read only */
	Ranges ranges;
	guint64 checksum_errors; /* atomic */
	LoggingLimit bad_blocks;
	gpointer held;		/* as long as it is open; NULL: nothing */
	GDestroyNotify release; /* of that */
	GList link;		/* of the open volumes, who share the node cache */

	Lock flush_lock;
	GCond flushed;
	gboolean flushing;
	guint64 flush_begun, flush_done; /* tickets */
	int flush_result;		 /* of flush_done */
	guint64 flushed_changes;	 /* what `changes` was when the last good flush began */
	guint64 changes;		 /* atomic: acknowledged changes */
};

/* INVALID unless a volume may have that size. */
gboolean volume_check_size(guint64 size, guint32 logical_block_size, const char *name,
			   GError **error);

/* Verifies the durable-marks beside the ring, and with `repair` has those written anew that are
 * damaged. Returns how many were. */
guint volume_verify_marks(Volume *volume, gboolean repair);

/* -EINVAL unless [offset, offset + length) is aligned and inside. */
int volume_check_range(const Volume *volume, guint64 offset, guint64 length);

/* Whether changes are allowed: 0, -ESHUTDOWN, -EROFS for a read-only one. */
int volume_check_writable(Volume *volume);

/* Zeroes [offset, offset + length), whose range is held. */
int volume_zero_held(Volume *volume, guint64 offset, guint64 length);

/* Reads and verifies one whole block at its newest place. */
int volume_read_block(Volume *volume, guint64 block, guint8 *to, BackingFlags flags,
		      guint64 *ret_offset);

/* Reads [offset, offset + length), at most FORMAT_RECORD_BLOCKS_MAX blocks, into the vector. */
int volume_read_piece(Volume *volume, IovCursor *to, guint64 offset, gsize length,
		      BackingFlags flags, guint64 *ret_offset);

/* A node over [first, first + n) is damaged: -EBADMSG, and the first block of these that is lost.
 */
int volume_bad_node(Volume *volume, guint64 first, guint n, guint64 *ret_offset);
