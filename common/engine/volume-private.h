/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the volume's own files share.  Each calls only those before it in this list:
 *   volume-ops.h     what differs between thin and direct volumes
 *   volume.c         formatting, closing, flushing, information
 *   volume-reserve.c  space that is kept
 *   volume-properties.c  what the superblock says of the whole volume, and users keep there
 *   volume-base.c    reading the base of a linked clone
 *   volume-read.c    reading
 *   volume-gather.c  reading many blocks of a snapshot
 *   volume-write.c   writing and zeroing
 *   volume-modify.c  compare and write, OR
 *   volume-batch.c   several writes at once
 *   volume-erase.c, volume-resize.c, volume-snapshots.c, volume-rollback.c
 *   volume-usage.c   what deleting snapshots frees
 *   volume-flatten.c copying what a linked clone has from its base
 *   volume-gate.c    the gate before all changes
 *   volume-open.c, snapshot-open.c  opening
 * Beside them, scrub (common/check) works on an open volume through this header.
 */
#pragma once

#include "common/engine/checkpoint.h"
#include "common/engine/checkpointer.h"
#include "common/engine/engine.h"
#include "common/base/error.h"
#include "common/base/logging.h"
#include "common/engine/ranges.h"
#include "common/engine/volume-usage.h"
#include "common/engine/volume-base.h"
#include "common/engine/volume-ops.h"
#include "common/engine/volume.h"

/* Entries of an iovec array that a read or write of 1 MiB handles without an allocation. */
#define VOLUME_VECTOR 520

struct Volume {
	const VolumeOps *ops;
	Engine engine; /* of a direct volume: backing, name, size and failure */
	guint64 journal_size;
	guint64 groups_offset;
	guint64 grown_from; /* the superblock's, when the volume was opened */
	guint32 logical_block_size;
	gboolean write_through;
	gboolean on_standby;	     /* atomic: see direct.h */
	struct DirectGrowth *growth; /* of a direct volume */
	gboolean abandoned;	     /* it ends as by the death of the process */
	guint8 uuid[16];
	Checkpointer *checkpointer; /* NULL: read only */
	Ranges ranges;
	guint64 checksum_errors; /* atomic */
	LoggingLimit bad_blocks;
	gboolean linked;   /* it was opened with a base */
	Volume *base;	   /* atomic: owned; NULL: none, or no longer */
	Volume *base_left; /* owned: it could not be closed when it was given up, or NULL */
	gint base_users;   /* atomic: requests that may be reading it */
	BaseIdentity base_identity;
	BaseIdentity self;	/* of a snapshot: without the name */
	gpointer held;		/* see volume_keep(); or NULL */
	GDestroyNotify release; /* frees `held` */
	GList link;		/* in the list of open volumes, which share the node cache */

	GMutex setting_lock;   /* held while properties, or the size, are changed */
	guint64 reserve;       /* atomic: bytes; changed under setting_lock, as is ... */
	guint64 reserve_slots; /* atomic: the slots whose space is kept for that */
	gboolean reserving;    /* under setting_lock: space for more is kept, for a time */
	GMutex properties_lock;
	Properties properties; /* under properties_lock */

	GMutex usage_lock;
	UsageState *usage; /* NULL: nobody has asked; under usage_lock */

	Lock gate_lock;
	GCond gate_opened;
	gint64 gate_until; /* atomic: monotonic time; 0: open.  Changed under gate_lock */

	Lock flush_lock;
	GCond flushed;
	gboolean flushing;
	guint64 flush_begun, flush_done; /* tickets of the last flush that began, and that ended */
	int flush_result;		 /* result of the flush with ticket flush_done */
	guint64 flushed_changes; /* `changes` at the start of the last flush that succeeded */
	guint64 changes; /* atomic: how many changes were acknowledged, of size and rollbacks
			  * included */
};

/* A volume that is not open yet, of no kind, with the backing and a name; volume_free() ends it in
 * any state. Takes ownership of the backing, also if it fails. */
Volume *volume_new(Backing *backing, const char *name, gboolean read_only, GError **error);
void volume_free(Volume *volume);

/* The volume's map takes part in the process's node cache, until the volume is freed. */
void volume_join_cache(Volume *volume);

/* INVALID unless a volume may have that size. */
gboolean volume_check_size(guint64 size, guint32 logical_block_size, const char *name,
			   GError **error);

/* Verifies the marks outside the journal's ring.  With `repair`, rewrites those that are damaged.
 * Returns how many it rewrote. */
guint volume_verify_marks(Volume *volume, gboolean repair);

/* -EINVAL unless [offset, offset + length) is aligned and within the volume (I9). */
int volume_check_range(const Volume *volume, guint64 offset, guint64 length);

/* What volume_get_properties() tells from now on. */
void volume_take_properties(Volume *volume, const Properties *properties);

/* 0 if changes are allowed; -EROFS: opened read-only; -ESHUTDOWN: FAILED; -EBUSY: on standby. */
int volume_check_writable(Volume *volume);

/* Makes what was changed in the superblock or the snapshot table durable.  If the checkpoint fails,
 * the change stays, for that checkpoint has it: the next one finishes it, and the message says so.
 * `what` was changed: "snapshot 'x'". */
gboolean volume_make_change_durable(Volume *volume, const char *what, GError **error);

/* The error `r` of a checkpoint that comes after a change, which is `done`: "it has gone back". */
gboolean volume_fail_later(Volume *volume, int r, const char *done, GError **error);

/* UNSUPPORTED, with what to use instead, for a direct volume. */
static inline gboolean volume_check_thin(const Volume *volume, GError **error)
{
	return !volume->ops->direct ||
	       error_set(error, STORAGEOS_ERROR_UNSUPPORTED, "%s: it has no format of its own: %s",
			 volume->engine.name, backing_keeper(volume->engine.backing));
}

/* See VolumeOps. */
static inline int volume_throttle(Volume *volume, guint64 bytes, guint changes, gboolean nowait)
{
	return volume->ops->throttle(volume, bytes, changes, nowait);
}

static inline int volume_read_piece(Volume *volume, IovCursor *to, guint64 offset, gsize length,
				    BackingFlags flags, guint64 *ret_offset)
{
	return volume->ops->read_piece(volume, to, offset, length, flags, ret_offset);
}

static inline int volume_write_held(Volume *volume, IovCursor *from, guint64 offset, gsize length,
				    gboolean nowait, guint64 *ret_offset)
{
	return volume->ops->write_held(volume, from, offset, length, nowait, ret_offset);
}

static inline int volume_zero_held(Volume *volume, guint64 offset, guint64 length)
{
	return volume->ops->zero_held(volume, offset, length);
}

/* ---- of thin volumes alone, from here on: their operations, first
 *
 * thin_throttle() makes changes wait while the gate is closed or a checkpoint is behind: otherwise
 * memory, and the time that an open needs, would grow beyond their bounds (I7). */
int thin_throttle(Volume *volume, guint64 bytes, guint changes, gboolean nowait);
int thin_read_piece(Volume *volume, IovCursor *to, guint64 offset, gsize length, BackingFlags flags,
		    guint64 *ret_offset);
int thin_write_held(Volume *volume, IovCursor *from, guint64 offset, gsize length, gboolean nowait,
		    guint64 *ret_offset);
int thin_zero_held(Volume *volume, guint64 offset, guint64 length);
guint thin_write_together(Volume *volume, VolumeWrite *writes, guint n, gboolean nowait);
int thin_sync(Volume *volume);
int thin_extent(Volume *volume, guint64 offset, gboolean *ret_mapped, guint64 *ret_length);
int thin_erase(Volume *volume);
int thin_checkpoint(Volume *volume);
gboolean thin_resize(Volume *volume, guint64 size, VolumeResizeFlags flags, guint seconds,
		     GError **error);
gboolean thin_set_properties(Volume *volume, const Property *changes, guint n, GError **error);
void thin_get_info(Volume *volume, VolumeInfo *ret_info);
int thin_close(Volume *volume);

/* The steps of a write that a batch takes as well.
 *
 *
 * volume_write_run() writes the next bytes to the slots of a run.
 *
 * volume_reserve_records() reserves room in the journal.  If there is none, it waits for a
 * checkpoint, which releases some or whose error tells why it cannot; 25 s at most.
 *
 * volume_acknowledge() waits until the record with that ticket, and all before it, are committed:
 * then the changes survive the death of the process (I2). */
int volume_write_run(Volume *volume, IovCursor *from, SlotRun run);
int volume_reserve_records(Volume *volume, guint32 length, gboolean nowait);
int volume_acknowledge(Volume *volume, guint64 ticket);

/* Waits until the gate is open; -EAGAIN instead if `nowait`. */
int volume_gate_pass(Volume *volume, gboolean nowait);

/* ---- of volume-base.c */

/* Opens the base that the superblock names, if it names one. */
gboolean volume_base_open(Volume *volume, const Superblock *sb, VolumeBaseOpen open_base,
			  gpointer data, GError **error);

/* The base, which stays open until volume_base_leave(); or NULL.  Must be called before blocks are
 * looked up. */
Volume *volume_base_enter(Volume *volume);
void volume_base_leave(Volume *volume, const Volume *base); /* NULL is allowed */

/* ---- of volume-read.c */

/* Looks up one block, reads it to `to`, and verifies it (I4). */
int volume_read_block(Volume *volume, guint64 block, guint8 *to, BackingFlags flags,
		      guint64 *ret_offset);

/* Reports a damaged node of the map over [first, first + n): logs and counts it, has *ret_offset
 * tell the first of these blocks that is lost, and returns -EBADMSG. */
int volume_bad_node(Volume *volume, guint64 first, guint n, guint64 *ret_offset);
