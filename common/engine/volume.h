/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A volume: one virtual disk in one backing, thin, checksummed and crash-safe; or a direct volume,
 * which is another system's and keeps what that keeps (direct.h).  This header is all that the
 * plugin, the FUSE binary and the command line need of the engine (with wanted.h, which it
 * includes).
 *
 * Promises (engine invariants, docs/design.md):
 *   I1  A write that returned before the call of a flush that returned 0 is never lost.
 *   I2  A write that returned 0 survives the death of the process.
 *   I3  After a crash the volume holds a prefix of the writes, in the order in which they returned
 *       for any one block; one write of up to 1 MiB is there whole or not at all.
 *   I4  A read returns what was written, or an error.  Blocks that were never written, or were
 *       zeroed or discarded, read as zeros.
 *
 * Threading: every function but volume_close() may be called from any number of threads at once.
 * Overlapping writes take effect in some order; each 1 MiB of a write takes effect as a whole.
 * Calls sleep for the disk; a host with one dispatch thread tries the _nowait forms first.
 *
 * Offsets and lengths are in bytes, multiples of 512, and within the volume's size.  No call
 * changes the iovec arrays.  None allocates memory in the common case, and none aborts the process
 * (I9).
 *
 * Results of the data path: 0, or
 *   -EINVAL     unaligned, or beyond the end; nothing was done
 *   -EBADMSG    checksum mismatch; *ret_offset is the first byte of the damaged block
 *   -EIO        the backing failed to read or write
 *   -ENOSPC     the backing is full; the same call succeeds once there is space again
 *   -ENOMEM     out of memory
 *   -EILSEQ     volume_compare_and_write(): the data differ; *ret_offset is the first such byte
 *   -ETIMEDOUT  the call waited 25 s for a checkpoint; the caller may try again
 *   -EAGAIN     _nowait only: the call would sleep; nothing was done
 *   -ECANCELED  nobody waits for the change any more (wanted.h)
 *   -EBUSY      a change of a volume on standby (direct.h)
 *   -ESHUTDOWN  the volume has FAILED (a flush failed, an invariant broke, or another machine has
 *               taken the disk): reads still work, all other calls fail until the volume is opened
 *               again
 * `ret_offset` may be NULL.  *ret_offset is set only with -EBADMSG and -EILSEQ.  A write or zero
 * that fails may have taken effect in some of its 1 MiB pieces, in each as a whole.
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
	guint64 journal_size;	    /* bytes, a multiple of 64 KiB, 64 KiB..64 MiB; 0
				     * (recommended) = by the volume's size, at least 4 MiB */
	gboolean write_through;	    /* see volume_is_write_through() */
	const guint8 *uuid;	    /* 16 bytes; NULL: a random one */
	const struct Properties *properties; /* volume-properties.h; NULL: none */
} VolumeParameters;

typedef enum {
	VOLUME_OK,
	VOLUME_FAILED, /* only reads work; see volume_failure() */
	VOLUME_READ_ONLY,
} VolumeState;

typedef struct {
	char uuid[37]; /* lower case, with dashes */
	VolumeState state;
	guint64 size;
	guint32 logical_block_size;
	gboolean write_through;	 /* see volume_is_write_through() */
	guint64 generation;	 /* of the last durable checkpoint */
	guint64 data_bytes;	 /* blocks that the volume or a snapshot has, and discarded blocks
				  * that are not yet free */
	guint64 head_bytes;	 /* of these, what the volume itself has, shared or not */
	gboolean head_is_bound;	 /* it has at most that much */
	guint snapshots;	 /* records: snapshots, those being deleted, bookmarks */
	char base[256];		 /* of a linked clone: "POOL/VOLUME@NAME" of its base; or "" */
	guint depth;		 /* how many bases are below it; 0: it is no linked clone */
	guint64 base_bytes;	 /* how much of it, from its beginning on, may be the base's */
	guint64 metadata_bytes;	 /* nodes, bitmaps, journal, superblocks, snapshot table */
	guint64 reserve_bytes;	 /* see volume-reserve.h; 0: there is none */
	gboolean reserve_ready;	 /* all its space is allocated */
	guint64 pending_bytes;	 /* replaced, and free after the next checkpoint */
	guint64 backing_bytes;	 /* allocated by the file system below */
	BackingPlace place;	 /* of the backing */
	guint64 journal_size;	 /* of the ring, bytes */
	guint64 journal_used;	 /* of the ring, bytes */
	guint64 checkpoints;	 /* since open */
	guint64 checksum_errors; /* since open */
	guint64 copies_repaired; /* damaged copies of metadata rewritten, since open */
	guint64 cache_nodes, cache_hits, cache_misses; /* of the map's nodes, since open */
	guint64 scrub_time; /* when the last complete scrub ended: Unix time; 0: never */
	guint64 scrub_blocks, scrub_errors, scrub_repaired; /* what that scrub found */
	guint64 tidied_bytes; /* moved to bring scattered data together, since open */
	guint64 run_bytes;    /* mean length of data in one piece, when that was last looked at */
	gboolean tidying;     /* that is under way */
} VolumeInfo;

typedef enum {
	/* Writes nothing: after a crash, the journal is replayed in memory. */
	VOLUME_OPEN_READ_ONLY = 1 << 0,
	/* Also if a stream is being received into the volume (volume-receive.h): otherwise it opens
	 * for reading only. */
	VOLUME_OPEN_RECEIVE = 1 << 1,
	/* AWAITED instead of a wait of seconds for what another machine does with the backing. */
	VOLUME_OPEN_HASTY = 1 << 2,
	/* Without the writer's lock, which others may have (direct.h): the volume is on standby. */
	VOLUME_OPEN_STANDBY = 1 << 3,
} VolumeOpenFlags;

/* Sets the size of the process's node cache, which its open volumes share (I7): 64 MiB unless set,
 * and at least 1 MiB for each volume. */
void volume_set_cache_size(guint64 bytes);

/* INVALID unless a volume may have these parameters; the message calls it `name`. */
gboolean volume_check_parameters(const VolumeParameters *parameters, const char *name,
				 GError **error);

/* Takes the backing's writer's lock, writes a new, empty volume over the backing's content, and
 * makes it durable.  The backing stays the caller's.  Writes only the journal and what precedes it,
 * whatever the volume's size. */
gboolean volume_format(Backing *backing, const VolumeParameters *parameters, GError **error);

/* Opens a volume and, after a crash, recovers it (recovery.h).  `name` is for messages and log
 * lines.  Takes ownership of the backing, also if it fails.  On a disk that other machines can
 * reach (a block device), opening for writing takes a second, and 12 s where the last one did not
 * close it, as in a crash (tenure.h).  Errors: BUSY (open elsewhere; the message says by which
 * process, of which machine, I8), AWAITED, CORRUPT, UNSUPPORTED (a newer format), IO, NO_SPACE. */
Volume *volume_open(Backing *backing, const char *name, VolumeOpenFlags flags, GError **error);

/* Bytes that the file system below could still allocate, or that a limit of the backing leaves;
 * G_MAXUINT64: unknown.  May block on the file system. */
guint64 volume_available(const Volume *volume);

/* Calls `release(held)` once the volume is freed and its backing is closed. */
void volume_keep(Volume *volume, gpointer held, GDestroyNotify release);

/* Makes a checkpoint and closes the volume; no other call may be running.  The volume is freed in
 * either case.  FALSE: writes that were not flushed may be lost.  NULL is allowed. */
gboolean volume_close(Volume *volume, GError **error);

/* Closes without a checkpoint, as the death of the process would.  For tests: no program calls it.
 */
void volume_abandon(Volume *volume);

/* What a front end may promise of the volume; constant. */
typedef struct {
	guint32 atomic_max;	     /* bytes of a write that is all there or not at all; 0: none */
	guint32 discard_granularity; /* bytes, a power of two: what is less is not given back */
} VolumeLimits;
const VolumeLimits *volume_limits(const Volume *volume);
const VolumeLimits *volume_kind_limits(gboolean direct); /* of a volume that is not open yet */

/* See direct.h. */
gboolean volume_is_direct(const Volume *volume);

guint64 volume_size(const Volume *volume);
guint32 volume_logical_block_size(const Volume *volume);

/* Whether the volume has no write cache.  The engine's calls do the same as ever; a front end must
 * call volume_flush() after a change, and acknowledge the change to its user only when that
 * returned 0.  Then what the user was told survives a loss of power and the death of the machine
 * (I2 as strong as I1), and whoever opens the volume next, on another machine too, finds it. */
gboolean volume_is_write_through(const Volume *volume);

/* Whether a change is durable already when its call has returned, so that no front end need flush
 * for it. */
gboolean volume_is_durable(const Volume *volume);

/* Changes that, durably.  No front end may serve the volume.  IO, NO_SPACE: it is changed, and the
 * next checkpoint that succeeds makes that durable. */
gboolean volume_set_write_through(Volume *volume, gboolean write_through, GError **error);
void volume_get_info(Volume *volume, VolumeInfo *ret_info);

/* Whether the volume can be on standby (direct.h), and whether it is. */
gboolean volume_can_stand_by(const Volume *volume);
gboolean volume_is_on_standby(const Volume *volume);

/* As BackingOps says; of a volume that can be on standby.  They wait for the storage: not in a
 * thread for which others wait.  After TRUE the volume is not on standby any more, and has the size
 * and the properties that it has now. */
gboolean volume_owner(Volume *volume, BackingOwner *ret_owner, GError **error);
gboolean volume_take_over(Volume *volume, const char *client, GError **error);
gboolean volume_is_fenced(Volume *volume);

/* VolumeInfo.uuid alone, without waiting for the disk. */
void volume_get_uuid(const Volume *volume, char ret_uuid[37]);

/* Why the volume is FAILED, or NULL.  Free the result. */
char *volume_failure(Volume *volume);

/* Since when the volume is FAILED, Unix time; 0: it is not. */
gint64 volume_failed_since(Volume *volume);

int volume_read(Volume *volume, const struct iovec *iov, int count, guint64 offset,
		guint64 *ret_offset);
int volume_write(Volume *volume, const struct iovec *iov, int count, guint64 offset,
		 guint64 *ret_offset);

/* The same, but -EAGAIN instead of a wait for the engine: for a checkpoint, room in the journal,
 * blocks that another request holds, or metadata or data that must be read from the disk.  A write
 * of more than VOLUME_ATOMIC_MAX bytes is always -EAGAIN.  Copying a write into the page cache may
 * still sleep in the file system below; not all file systems offer a write that does not. */
int volume_read_nowait(Volume *volume, const struct iovec *iov, int count, guint64 offset,
		       guint64 *ret_offset);
int volume_write_nowait(Volume *volume, const struct iovec *iov, int count, guint64 offset,
			guint64 *ret_offset);

/* A write of a batch. */
typedef struct {
	const struct iovec *iov;
	int n_iov;
	guint64 offset;
	const gint *dropped; /* as for wanted_until(); NULL: the write is always wanted */
	int result;	     /* set by the call, as volume_write() would return it */
	guint64 position;    /* set by the call with -EBADMSG: *ret_offset of volume_write() */
} VolumeWrite;

/* Carries out writes that wait at the same time.  What can be done for several at once is done at
 * once: one stretch of the backing, one write of it, one write of the journal.  Each write keeps
 * every promise of volume_write(): it is a change of its own (I3), is acknowledged by itself (I2),
 * and has its own error.  Overlapping writes take effect in the order of the array.
 *
 * Any number and any kind of writes may be given.  Neighbours in the array go together that are of
 * whole blocks, do not overlap, and are no more than VOLUME_BATCH_WRITES of VOLUME_BATCH_BYTES in
 * all.  One of them does not wait until another one of them is acknowledged, but all wait for the
 * slowest.  A write that is no longer wanted before it begins ends with -ECANCELED at once.
 *
 * _nowait: a write that would sleep has the result -EAGAIN, nothing of it was done, and it has no
 * place in the order. */
#define VOLUME_BATCH_WRITES 64
#define VOLUME_BATCH_BYTES (512u << 10)
void volume_write_batch(Volume *volume, VolumeWrite *writes, guint n);
void volume_write_batch_nowait(Volume *volume, VolumeWrite *writes, guint n);

/* Makes [offset, offset + length) read as zeros and frees the space of the whole blocks in it; a
 * part of a block is overwritten with zeros.  The two functions do the same.  Both work on a full
 * backing, from a reserve. */
int volume_zero(Volume *volume, guint64 offset, guint64 length);
int volume_discard(Volume *volume, guint64 offset, guint64 length);

/* Zeroes the whole volume, and erases all data that it ever held from the backing.  Copies that the
 * disk below keeps of overwritten or returned space are not reached.  Durable when it returns 0.
 * Changes wait until it has ended.  After an error the volume may read as zeros while its data are
 * still in the backing.  The call may write or punch all space of the backing, which can take long;
 * it ends with -ECANCELED when nobody waits for it any more (wanted.h).  -EBUSY, and nothing was
 * done: there are snapshots, which would keep their data; they must be deleted before. */
int volume_erase(Volume *volume);

/* Whether there are snapshots, bookmarks, or snapshots that are being deleted. */
gboolean volume_has_snapshots(Volume *volume);

/* Returns when every change that was acknowledged before the call would survive a loss of power
 * (I1).  Concurrent calls share one flush. */
int volume_flush(Volume *volume);

/* Writes `data`, at most VOLUME_ATOMIC_MAX bytes, if the same range holds `expected`, which must
 * have the same length; atomic against all other calls.  Else nothing is written, and -EILSEQ is
 * returned with *ret_offset as the volume's first byte that differs. */
int volume_compare_and_write(Volume *volume, const struct iovec *expected, int expected_count,
			     const struct iovec *data, int data_count, guint64 offset,
			     guint64 *ret_offset);

/* Sets in the volume every bit that is set in the data.  Each 1 MiB is atomic against all other
 * calls. */
int volume_or(Volume *volume, const struct iovec *iov, int count, guint64 offset,
	      guint64 *ret_offset);

/* Tells whether the block at `offset` is mapped, and that *ret_length bytes from `offset` on are in
 * the same state.  A hole is reported as a whole, but of a linked clone, where another hole may
 * follow.  Of a mapped range only a bounded part of the map is looked at: the bytes behind it may
 * be mapped, too. */
int volume_extent(Volume *volume, guint64 offset, gboolean *ret_mapped, guint64 *ret_length);

typedef enum {
	/* The volume may become smaller.  Then no other call may be running. */
	VOLUME_RESIZE_SHRINK = 1 << 0,
	/* Blocks behind the new end are discarded. */
	VOLUME_RESIZE_DISCARD = 1 << 1,
} VolumeResizeFlags;

/* Changes the volume's size to `size` (as in VolumeParameters).  Durable when it returns TRUE;
 * after a crash the volume has the old or the new size, and with either all acknowledged writes.
 * New blocks read as zeros.  A volume in use can grow: any other call sees the old or the new size.
 * Waits `seconds` at most for each step.
 *
 * Errors: INVALID (no volume may have that size); BUSY (the size is smaller, without
 * VOLUME_RESIZE_SHRINK; or a step takes longer, and goes on: a reserve when this is called again);
 * EXISTS (blocks behind the new end are mapped; the message says how much and where); NO_SPACE, IO,
 * CORRUPT: the volume may have the new size after the next checkpoint that succeeds. */
gboolean volume_resize(Volume *volume, guint64 size, VolumeResizeFlags flags, guint seconds,
		       GError **error);

/* Gives the volume a new random UUID.  Needed for a copy, as no two volumes that are served may
 * have the same UUID.  Nobody may be using the volume, since initiators know it by its UUID.
 * Durable when it returns TRUE; after a crash the volume has the old or the new UUID.  IO,
 * NO_SPACE: it has the new one, and the next checkpoint that succeeds makes that durable. */
gboolean volume_renew_uuid(Volume *volume, GError **error);

/* Whether the volume may have had this size before it grew: `size` is less than the present size,
 * and at least the smallest size that it grew from since it was last made smaller, as the
 * superblock had it when the volume was opened. */
gboolean volume_had_size(const Volume *volume, guint64 size);

/* Finds what is mapped behind `offset`.  If that is inside a block, the rest of the block counts
 * unless it is zeros.  0, or a result of the data path.  Reads the map there: 4 GiB for each TiB of
 * data. */
typedef struct {
	guint64 bytes;	    /* how much is mapped; 0: nothing */
	guint64 first, end; /* all of it is within [first, end) */
} VolumeMapped;
int volume_mapped_behind(Volume *volume, guint64 offset, VolumeMapped *ret_mapped);

/* Makes a checkpoint and waits for its end.  0, or a negative errno. */
int volume_checkpoint(Volume *volume);

/* volume_settle() asks that the space of all blocks and snapshots that were given up until now goes
 * back to the backing, and returns a ticket.  volume_settled() waits for that, `seconds` at most,
 * and returns whether it is done; it may be called again with the same ticket. */
guint64 volume_settle(Volume *volume);
/* The same, without what deleted snapshots had, which may take hours. */
guint64 volume_settle_own(Volume *volume);
gboolean volume_settled(Volume *volume, guint64 ticket, guint seconds);

/* Brings scattered data together, and empties what is sparsely used, now instead of when the volume
 * is idle (tidy.h).  Takes as long as reading and writing the data that is moved: for tests. */
void volume_tidy(Volume *volume);
