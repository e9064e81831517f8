/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A volume: one virtual disk in one backing, thin, checksummed and crash-safe.  This header is all
 * that the plugin, the FUSE binary and the command line need of the engine (with wanted.h, which it
 * includes).
 *
 * Promises (engine invariants, docs/design.md):
 *   I1  What was written before a flush that returned 0 is never lost.
 *   I2  A write that returned 0 survives the death of the process.
 *   I3  After a crash the volume holds a prefix of the writes, in the order they returned for any
 *       one block; one write of up to 1 MiB is there whole or not at all.
 *   I4  A read returns what was written, or an error; what was never written, or was zeroed or
 *       discarded, reads as zeros.
 *
 * Threading: every function but volume_close() may be called from any number of threads at once.
 * Overlapping writes take effect in some order, each whole up to 1 MiB.  Calls sleep for the disk;
 * a host with one dispatch thread uses the _nowait forms first.  Callbacks: none.
 *
 * Offsets and lengths are bytes, multiples of 512, within the volume's size; vectors are not
 * changed.  No call allocates in the common path, none aborts.
 *
 * Results of the data path: 0, or
 *   -EINVAL     unaligned, or beyond the end (nothing was done)
 *   -EBADMSG    checksum mismatch; *ret_offset tells the first byte of the bad block
 *   -EIO        the backing failed to read or write
 *   -ENOSPC     the backing is full; goes on by itself when space is back
 *   -ENOMEM     as it says
 *   -EILSEQ     compare_and_write: they differ; *ret_offset tells where
 *   -ETIMEDOUT  the backing is slow: it waited 25 s for a checkpoint.  May be done again
 *   -EAGAIN     _nowait only: would sleep (nothing was done)
 *   -ECANCELED  nobody waits for the change any more (wanted.h)
 *   -ESHUTDOWN  the volume has FAILED (a flush failed, or an invariant broke): reads go on, all
 *               else fails until it is opened anew
 * `ret_offset` may be NULL; it is untouched otherwise.  A write or zero that fails may have
 * written some of its 1 MiB pieces, each whole.
 */
#pragma once

#include "common/backing/backing.h"
#include "common/engine/wanted.h"

#define VOLUME_SIZE_MIN ((guint64)1 << 20)
#define VOLUME_SIZE_MAX ((guint64)1 << 46)
#define VOLUME_ATOMIC_MAX (1u << 20) /* bytes of a write that is all there or not at all */

typedef struct Volume Volume;

typedef struct {
	guint64 size;		    /* bytes, a multiple of 512, within VOLUME_SIZE_MIN..MAX */
	guint32 logical_block_size; /* what the volume shows to its users: 512 or 4096; 0 = 512 */
	guint64 journal_size;	    /* bytes, a multiple of 64 KiB, 64 KiB..64 MiB; 0 = by the
				     * volume's size, at least 4 MiB, which is what to use */
} VolumeParameters;

typedef enum {
	VOLUME_OK,
	VOLUME_FAILED, /* reads only; see volume_failure() */
	VOLUME_READ_ONLY,
} VolumeState;

typedef struct {
	char uuid[37]; /* lower case, with dashes */
	VolumeState state;
	guint64 size;
	guint32 logical_block_size;
	guint64 generation;	 /* of the last durable checkpoint */
	guint64 data_bytes;	 /* mapped blocks; approximate while dead trees are released */
	guint64 metadata_bytes;	 /* nodes, bitmaps, journal, superblocks */
	guint64 pending_bytes;	 /* replaced, waiting for the next checkpoint */
	guint64 backing_bytes;	 /* taken from the file system below */
	BackingPlace place;	 /* of the backing */
	guint64 journal_size;	 /* of the ring, bytes */
	guint64 journal_used;	 /* of the ring, bytes */
	guint64 checkpoints;	 /* since open */
	guint64 checksum_errors; /* since open */
	guint64 copies_repaired; /* damaged copies of metadata written anew, since open */
	guint64 cache_nodes, cache_hits, cache_misses; /* of the map's nodes, since open */
	guint64 scrub_time; /* when the last scrub ended that saw all: Unix time; 0: never */
	guint64 scrub_blocks, scrub_errors, scrub_repaired; /* what it verified, found, mended */
} VolumeInfo;

typedef enum {
	VOLUME_OPEN_READ_ONLY =
		1 << 0, /* writes nothing: what a crash left is replayed in memory */
} VolumeOpenFlags;

/* The node cache's size for the whole process, bytes (64 MiB at first; at least 1 MiB), shared by
 * the open volumes. */
void volume_set_cache_size(guint64 bytes);

/* INVALID unless there may be such a volume; the message calls it `name`. */
gboolean volume_check_parameters(const VolumeParameters *parameters, const char *name,
				 GError **error);

/* Writes a new, empty volume into `backing` (empty, or whose content may go) and makes it durable.
 * Takes the writer's lock first; the backing stays the caller's.  Well under a second for any
 * size. */
gboolean volume_format(Backing *backing, const VolumeParameters *parameters, GError **error);

/* Opens, recovering what a crash left.  `name` is for messages and log lines.  The backing is the
 * volume's from the call on, failed or not.  Errors: BUSY (open elsewhere; says by which process),
 * CORRUPT, UNSUPPORTED (a newer format), IO, NO_SPACE. */
Volume *volume_open(Backing *backing, const char *name, VolumeOpenFlags flags, GError **error);

/* Has `release(held)` called when the volume is gone and nothing more is written; once. */
void volume_keep(Volume *volume, gpointer held, GDestroyNotify release);

/* Checkpoints and closes; no call may be running.  The volume is gone either way; FALSE says that
 * the last checkpoint failed, and that what was not flushed may be lost.  NULL is allowed. */
gboolean volume_close(Volume *volume, GError **error);

/* Closes without a checkpoint, as a crash would: for tests. */
void volume_abandon(Volume *volume);

guint64 volume_size(const Volume *volume);
guint32 volume_logical_block_size(const Volume *volume);
void volume_get_info(Volume *volume, VolumeInfo *ret_info);

/* Why the volume is FAILED, or NULL.  Free the result. */
char *volume_failure(Volume *volume);

/* Since when, Unix time; 0: it is not. */
gint64 volume_failed_since(Volume *volume);

int volume_read(Volume *volume, const struct iovec *iov, int count, guint64 offset,
		guint64 *ret_offset);
int volume_write(Volume *volume, const struct iovec *iov, int count, guint64 offset,
		 guint64 *ret_offset);

/* The same where nothing needs to be waited for, else -EAGAIN.  A write, up to VOLUME_ATOMIC_MAX
 * only, still takes the time that the file system below takes to put it into its page cache: that
 * has no way of not waiting that all of them know.  It waits for nothing of the engine: a
 * checkpoint, room in the journal, another request's blocks, a node or the rest of a block that has
 * to be read. */
int volume_read_nowait(Volume *volume, const struct iovec *iov, int count, guint64 offset,
		       guint64 *ret_offset);
int volume_write_nowait(Volume *volume, const struct iovec *iov, int count, guint64 offset,
			guint64 *ret_offset);

/* Makes [offset, offset + length) read as zeros and releases its space; both are the same, and
 * both go on where the backing is full (from a reserve).  Edges inside a block are written. */
int volume_zero(Volume *volume, guint64 offset, guint64 length);
int volume_discard(Volume *volume, guint64 offset, guint64 length);

/* Zeroes all of it, and leaves no byte of what the volume ever held in the backing, as far as the
 * backing shows: what the disk below keeps of overwritten or given back space is not reached.
 * Durable when it returns 0.  Changes wait until it has ended; after an error the volume may be all
 * zeros, and still be in the backing.  Takes as long as the backing takes for all of its space; a
 * caller that does not want to wait for that any more (wanted.h) gets -ECANCELED. */
int volume_erase(Volume *volume);

/* Returns when everything that was acknowledged before the call would survive a loss of power.
 * Concurrent flushes share one. */
int volume_flush(Volume *volume);

/* Writes `length` bytes (up to VOLUME_ATOMIC_MAX) of `data` if the same range holds `expected`,
 * as one step against every other call; else -EILSEQ, nothing is written and *ret_offset is the
 * volume offset of the first byte that differs. */
int volume_compare_and_write(Volume *volume, const struct iovec *expected, int expected_count,
			     const struct iovec *data, int data_count, guint64 offset,
			     guint64 *ret_offset);

/* Sets in the volume every bit that is set in the data.  Each 1 MiB is one step against every other
 * call. */
int volume_or(Volume *volume, const struct iovec *iov, int count, guint64 offset,
	      guint64 *ret_offset);

/* Whether the block of the volume that holds `offset` is mapped, and how far from `offset` on, at
 * least, that is so; a hole is told whole.  Looks at a bounded part of the map: what is mapped may
 * go on as such behind *ret_length. */
int volume_extent(Volume *volume, guint64 offset, gboolean *ret_mapped, guint64 *ret_length);

typedef enum {
	VOLUME_RESIZE_SHRINK =
		1 << 0, /* it may become smaller: then no other call may be running */
	VOLUME_RESIZE_DISCARD = 1 << 1, /* and what is mapped behind the new end is discarded */
} VolumeResizeFlags;

/* Gives the volume another size (as VolumeParameters has it), durable when it returns TRUE; after a
 * crash it has the old one or the new one, and with either all that was acknowledged.  What is new
 * reads as zeros.  Growing is for a volume in use: each other call sees the one size or the other.
 * Waits `seconds` at most for each part of it.
 *
 * Errors: INVALID (no size); BUSY (smaller, and not with VOLUME_RESIZE_SHRINK; or it takes longer,
 * and goes on); EXISTS (data is mapped behind the new end: the message says how much and where);
 * NO_SPACE, IO, CORRUPT: it may have the new size after the next checkpoint that succeeds. */
gboolean volume_resize(Volume *volume, guint64 size, VolumeResizeFlags flags, guint seconds,
		       GError **error);

/* Gives it a new UUID, for a copy: no two volumes that are served may have one.  Durable when it
 * returns TRUE; after a crash it has the old one or the new one.  Whoever knows the volume by its
 * UUID does not any more, so nobody may be using it.  IO, NO_SPACE: it may have the new one after
 * the next checkpoint that succeeds. */
gboolean volume_renew_uuid(Volume *volume, GError **error);

/* Whether the volume, when it was opened, was larger than `size`, and may have had that size once:
 * one between the least that it ever grew from (since it was last made smaller) and its own. */
gboolean volume_had_size(const Volume *volume, guint64 size);

/* What is mapped behind `offset`, which may lie inside a block (that counts if what is behind the
 * offset is not zeros).  0, or as the data path.  Reads the map there: of a TiB of data 4 GiB. */
typedef struct {
	guint64 bytes, first, end; /* how much, and between where and where; 0: nothing */
} VolumeMapped;
int volume_mapped_behind(Volume *volume, guint64 offset, VolumeMapped *ret_mapped);

/* Makes a checkpoint now and waits for it. */
int volume_checkpoint(Volume *volume);

/* Asks that the space of everything that was discarded until now goes back to the backing.  Returns
 * a ticket to wait for that with, for `seconds` at most, as often as one likes; FALSE: not yet. */
guint64 volume_settle(Volume *volume);
gboolean volume_settled(Volume *volume, guint64 ticket, guint seconds);
