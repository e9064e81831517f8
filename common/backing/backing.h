/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A backing: the byte-addressable storage of one volume, behind a table of operations.
 *
 * Kinds: file.h has a regular file or a block device; common/rbd/ an image of Ceph, in a module
 * (module.h); tests/backing/ has memory (the reference) and faulty (a wrapper that fails on
 * demand).
 *
 * Promise: a write for which pwritev() returned 0 is seen by every later preadv(), survives the
 * death of this process (file, block device; I2), and survives a loss of power after a later
 * backing_flush() that returned 0 (I1).  Without that flush each of its sectors may be old or new
 * after a loss of power.
 *
 * Threading: every operation but backing_free() may run in any number of threads at once, also on
 * overlapping ranges; each sector of the result is then from one of them.
 *
 * Offsets and lengths are in bytes.  Operations return 0 or a negative errno, and never transfer
 * only a part: the implementation continues after EINTR and after partial transfers.
 */
#pragma once

#include <errno.h>
#include <glib.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "common/base/lock.h"

typedef struct Backing Backing;

typedef enum {
	BACKING_WAIT = 0,
	/* Return -EAGAIN if the operation would sleep for the disk or for a lock, or if the
	 * implementation cannot tell.  After -EAGAIN a write has transferred nothing, and a read
	 * has left the buffer's content undefined. */
	BACKING_NOWAIT = 1,
} BackingFlags;

typedef enum {
	BACKING_OPEN_READ_ONLY = 1 << 0,
	/* Creates an empty file (mode 0600).  EXISTS if the path exists, also as a block device. */
	BACKING_OPEN_CREATE = 1 << 1,
} BackingOpenFlags;

/* Identifies the open file or block device, whatever its path leads to by now. */
typedef struct {
	guint64 device, inode; /* of a file: st_dev and st_ino; of a block device: st_rdev and 0 */
} BackingPlace;

/* Who has the writer's lock of a backing that machines give over to each other. */
typedef struct {
	char client[128]; /* what the storage calls its holder; "": nobody has it */
	char host[256];	  /* the machine that has it, or had it last; "": unknown */
	guint64 count;	  /* see BackingOps.owner */
} BackingOwner;

#define BACKING_ROOM_NEAR ((gint64)1 << 30)

typedef struct {
	const char *kind; /* "file", "block", "memory", ... */

	/* Reads [offset, offset + the vector's length).  Bytes that were never written, or were
	 * punched, read as zeros.  -ENXIO if the range ends behind the backing's end. */
	int (*preadv)(Backing *backing, const struct iovec *iov, int count, guint64 offset,
		      BackingFlags flags);

	/* Begins to fetch [offset, offset + length), so that reads of it soon need not wait:
	 * advice, which may do nothing.  It may wait itself, as a read of the range might.  NULL
	 * for a backing where it would do nothing. */
	void (*prefetch)(Backing *backing, guint64 offset, guint64 length);

	/* Writes that range, which must lie within the size.  -ENOSPC if there is no space below:
	 * part of the range may be written, and the same call may succeed later. */
	int (*pwritev)(Backing *backing, const struct iovec *iov, int count, guint64 offset,
		       BackingFlags flags);

	/* Only backing_flush() calls this, from one thread at a time, and never again after any
	 * error. */
	int (*flush)(Backing *backing);

	/* Writes [offset, offset + length), which must lie within the size, and returns when it
	 * survives a loss of power.  Only backing_write_durably() calls this, never beside flush().
	 * NULL: it writes and flushes. */
	int (*write_durably)(Backing *backing, const void *data, gsize length, guint64 offset);

	/* [offset, offset + length), which was written, begins its way to the disk, so that a flush
	 * finds it there.  A hint: promises nothing, reports nothing.
	 * NULL: none is needed. */
	void (*hasten)(Backing *backing, guint64 offset, guint64 length);

	/* Gives the space of [offset, offset + length) back; the range then reads as zeros.
	 * -EOPNOTSUPP if the backing cannot do that: the content is unchanged. */
	int (*punch)(Backing *backing, guint64 offset, guint64 length);

	/* Gives [offset, offset + length), within the size, space of its own, so that later writes
	 * there do not end with -ENOSPC.  The content stays; the range must not be punched
	 * meanwhile.  -ENOSPC: a part may have it.  -EOPNOTSUPP, or NULL: the backing cannot do
	 * that. */
	int (*allocate)(Backing *backing, guint64 offset, guint64 length);

	/* The size now, in bytes. */
	guint64 (*size)(Backing *backing);

	/* Makes the backing at least `size` bytes long.  New bytes read as zeros and need not take
	 * space.  -ENOSPC if it cannot be that long, such as a block device. */
	int (*grow)(Backing *backing, guint64 size);

	/* Takes the writer's lock, which excludes all others (`exclusive`), or a reader's lock, for
	 * the life of the backing (I8).  FALSE with STORAGEOS_ERROR_BUSY if another process holds
	 * it; the message says which.  After the writer's lock was taken, no flush fails because of
	 * earlier writes by other processes, and no read finds what another machine has replaced
	 * before. */
	gboolean (*lock)(Backing *backing, gboolean exclusive, GError **error);

	/* Of a backing whose lock machines can take from each other, so that nothing of the one
	 * that had it arrives later; NULL: of all others.  Until the lock is taken, by lock() or
	 * take_over(), the backing reads what is there, and every change ends with -EBUSY.  These
	 * wait for the storage, however long it does not answer.
	 *
	 * owner() tells who has the lock.  The count of a holder that took it by take_over() grows
	 * each second in which it has carried out changes, about a second late: one that has grown
	 * by no more than 1 in 3 s is that of a holder that serves nobody any more, or is gone.
	 *
	 * take_over() takes the lock: with `client` NULL, if nobody has it; otherwise from that
	 * client of owner(), alive or not, which is fenced off first.  BUSY: another one has it;
	 * the message says which.
	 *
	 * is_fenced() tells whether the lock was taken from this backing, as far as it has noticed
	 * (4 s at most; the next change does at once): it is condemned then, its reads fail, too,
	 * and it can only be opened again.  Does not wait. */
	gboolean (*owner)(Backing *backing, BackingOwner *ret_owner, GError **error);
	gboolean (*take_over)(Backing *backing, const char *client, GError **error);
	gboolean (*is_fenced)(Backing *backing);

	/* Of a backing that another machine may have open as well, such as a block device; NULL: of
	 * one that only this machine can reach, or others by its lock alone.
	 *
	 * read_direct() and write_direct() pass every cache of this machine: what the one has
	 * written, the other reads on any machine.  `data`, `length` and `offset` are multiples of
	 * 4096.
	 *
	 * refresh() forgets what this machine has read and keeps, so that what others wrote until
	 * then is read from now on. */
	int (*read_direct)(Backing *backing, void *data, gsize length, guint64 offset);
	int (*write_direct)(Backing *backing, const void *data, gsize length, guint64 offset);
	int (*refresh)(Backing *backing);

	/* Bytes of space below that the backing takes, as far as is known. */
	guint64 (*allocated)(Backing *backing);

	/* Bytes that the file system below could still allocate.  NULL: unknown. */
	guint64 (*available)(Backing *backing);

	/* From now on a write takes the bytes of new space that it needs below from *room, which is
	 * atomic and outlives the backing, and fails with -ENOSPC if there are not so many (as
	 * pwritev() does when there is no space).  As long as *room is more than BACKING_ROOM_NEAR,
	 * nothing is taken: whoever keeps it measures what was used, and sets it anew.  Before the
	 * first write.  NULL: of a backing that can have no such limit. */
	void (*limit)(Backing *backing, gint64 *room);

	/* NULL for a backing that is neither a file nor a block device. */
	BackingPlace (*place)(Backing *backing);

	/* The UUID, 16 bytes, of what is in the backing, where that is no format of ours: it is
	 * opened as a direct volume.  NULL: it is, or will be. */
	void (*identity)(Backing *backing, guint8 *ret_uuid);

	/* A short text that is kept with what is in the backing, beside its content, for whoever
	 * has it open on whatever machine (volume-properties.h).  Neither looks at the lock; each
	 * waits 10 s at most, then -ETIMEDOUT.  NULL: there is no place for one.
	 *
	 * read_properties(): "" if there is none.  -EBADMSG: it is no text, or has more than `size`
	 * - 1 bytes.
	 *
	 * write_properties() has `text` in the place of `before`, durably; "" is none.  -ECANCELED:
	 * `before` is not there any more, and nothing is changed.  After -ETIMEDOUT it may still
	 * happen, as long as `before` is there. */
	int (*read_properties)(Backing *backing, char *ret_text, gsize size);
	int (*write_properties)(Backing *backing, const char *before, const char *text);

	/* What was written, punched or grown survives a loss of power when the operation has
	 * returned 0: no flush is needed for that. */
	gboolean durable;

	/* Who keeps checksums, snapshots and sizes of what is in the backing, for messages: "Ceph
	 * does that: rbd snap, ...".  NULL: whoever has the backing. */
	const char *keeper;

	/* Frees everything but what backing_init() made. */
	void (*free)(Backing *backing);
} BackingOps;

/* State of backing_flush(). */
typedef struct {
	Lock lock;
	GCond ended;
	gboolean running;	   /* a flush or a durable write */
	guint durable_writes;	   /* that wait until nothing runs; the next flush waits for them */
	guint64 begun, ended_with; /* tickets of the last flush that began, and that ended */
	int error;		   /* of the last flush; after an error there is no other */
} BackingFlushes;

/* First member of every implementation. */
struct Backing {
	const BackingOps *ops;
	char *name; /* for messages: the path; owned */
	BackingFlushes flushes;
	const char *condemned; /* atomic: why nothing may be written to it any more, or NULL */
};

/* Opens the backing that `uri` names: a path, or SCHEME:REST with a scheme of the table in open.c
 * ("file", "rbd").  Does not lock it.  NULL with *error: NOT_FOUND, EXISTS, INVALID (an unknown
 * scheme, or a path that the scheme cannot open), IO. */
Backing *backing_open(const char *uri, BackingOpenFlags flags, GError **error);

/* The place of the file or block device that `st` describes. */
BackingPlace backing_place_of_stat(const struct stat *st);

/* The process that holds its lock, such as "process 1234 (tcmu-runner)"; NULL if none is known.
 * Free the result. */
char *backing_holder_of_stat(const struct stat *st);

/* The same, or else what has the block device: what is stacked on it, such as "/dev/mapper/vg-lv",
 * or a file system. */
char *backing_user_of_stat(const struct stat *st);

/* For implementations: initializes the Backing at the start of their own structure, which must be
 * all zeros. */
void backing_init(Backing *backing, const BackingOps *ops, const char *name);

/* After 0, everything that was written, grown and punched before the call survives a loss of power
 * (I1).
 *
 * All flushes go through this function.  Linux reports a failed write-back to only one flush of a
 * descriptor, and then takes the pages for clean.  Therefore flushes do not overlap; all callers
 * that wait share the next flush that begins; and after one flush failed, every later one fails
 * with the same error without asking the disk, because nobody knows which writes since the last
 * success reached it.  Only opening the backing again ends this. */
int backing_flush(Backing *backing);

/* Writes [offset, offset + length), which must have space below it.  After 0 this range survives a
 * loss of power, as after a flush; nothing is promised of other writes, and so it need not wait
 * until what requests have written meanwhile is on the disk.  In all else this is a flush: it
 * overlaps none, and after it failed every later flush fails. */
int backing_write_durably(Backing *backing, const void *data, gsize length, guint64 offset);

/* From now on every write, punch, growth and flush fails with -ESHUTDOWN before it reaches the
 * disk: an invariant is broken in memory (checked.h), and must not become so on the disk; or the
 * disk is another machine's now (tenure.h).  Reads still work.  The first reason is kept; `reason`
 * must outlive the backing.  Takes no lock. */
void backing_condemn(Backing *backing, const char *reason);

/* The reason for which the backing was condemned, or NULL. */
static inline const char *backing_condemned(const Backing *backing)
{
	return __atomic_load_n(&backing->condemned, __ATOMIC_ACQUIRE);
}

static inline int backing_preadv(Backing *b, const struct iovec *iov, int count, guint64 offset,
				 BackingFlags flags)
{
	lock_check_io();
	return b->ops->preadv(b, iov, count, offset, flags);
}

static inline void backing_prefetch(Backing *b, guint64 offset, guint64 length)
{
	lock_check_io();
	if (b->ops->prefetch)
		b->ops->prefetch(b, offset, length);
}

static inline int backing_pwritev(Backing *b, const struct iovec *iov, int count, guint64 offset,
				  BackingFlags flags)
{
	lock_check_io();
	return backing_condemned(b) ? -ESHUTDOWN : b->ops->pwritev(b, iov, count, offset, flags);
}

static inline int backing_pread(Backing *b, void *data, gsize length, guint64 offset)
{
	struct iovec iov = {.iov_base = data, .iov_len = length};

	lock_check_io();
	return b->ops->preadv(b, &iov, 1, offset, BACKING_WAIT);
}

static inline int backing_pwrite(Backing *b, const void *data, gsize length, guint64 offset)
{
	struct iovec iov = {.iov_base = (void *)data, .iov_len = length};

	lock_check_io();
	return backing_condemned(b) ? -ESHUTDOWN
				    : b->ops->pwritev(b, &iov, 1, offset, BACKING_WAIT);
}

static inline void backing_hasten(Backing *b, guint64 offset, guint64 length)
{
	lock_check_io();
	if (b->ops->hasten && !backing_condemned(b))
		b->ops->hasten(b, offset, length);
}

static inline int backing_punch(Backing *b, guint64 offset, guint64 length)
{
	lock_check_io();
	return backing_condemned(b) ? -ESHUTDOWN : b->ops->punch(b, offset, length);
}

static inline int backing_allocate(Backing *b, guint64 offset, guint64 length)
{
	lock_check_io();
	if (!b->ops->allocate)
		return -EOPNOTSUPP;
	return backing_condemned(b) ? -ESHUTDOWN : b->ops->allocate(b, offset, length);
}

static inline guint64 backing_size(Backing *b)
{
	return b->ops->size(b);
}

static inline int backing_grow(Backing *b, guint64 size)
{
	lock_check_io();
	return backing_condemned(b) ? -ESHUTDOWN : b->ops->grow(b, size);
}

static inline gboolean backing_lock(Backing *b, gboolean exclusive, GError **error)
{
	return b->ops->lock(b, exclusive, error);
}

/* Whether machines can take its lock from each other; the other three only of such a backing. */
static inline gboolean backing_can_be_taken_over(const Backing *b)
{
	return b->ops->take_over != NULL;
}

static inline gboolean backing_owner(Backing *b, BackingOwner *ret_owner, GError **error)
{
	return b->ops->owner(b, ret_owner, error);
}

static inline gboolean backing_take_over(Backing *b, const char *client, GError **error)
{
	return b->ops->take_over(b, client, error);
}

static inline gboolean backing_is_fenced(Backing *b)
{
	return b->ops->is_fenced(b);
}

/* Whether other machines may have it open, beyond the reach of its lock. */
static inline gboolean backing_is_shared(const Backing *b)
{
	return b->ops->read_direct != NULL;
}

/* These three only of a backing that is shared. */
static inline int backing_read_direct(Backing *b, void *data, gsize length, guint64 offset)
{
	lock_check_io();
	return b->ops->read_direct(b, data, length, offset);
}

static inline int backing_write_direct(Backing *b, const void *data, gsize length, guint64 offset)
{
	lock_check_io();
	return backing_condemned(b) ? -ESHUTDOWN : b->ops->write_direct(b, data, length, offset);
}

static inline int backing_refresh(Backing *b)
{
	lock_check_io();
	return b->ops->refresh(b);
}

static inline guint64 backing_allocated(Backing *b)
{
	return b->ops->allocated(b);
}

/* G_MAXUINT64 where that is unknown. */
static inline guint64 backing_available(Backing *b)
{
	return b->ops->available ? b->ops->available(b) : G_MAXUINT64;
}

static inline const char *backing_keeper(const Backing *b)
{
	return b->ops->keeper ? b->ops->keeper : "that is up to whoever keeps what it is in";
}

static inline void backing_limit(Backing *b, gint64 *room)
{
	if (b->ops->limit)
		b->ops->limit(b, room);
}

/* Zeros for a backing that is neither a file nor a block device. */
static inline BackingPlace backing_place(Backing *b)
{
	return b->ops->place ? b->ops->place(b) : (BackingPlace){0};
}

static inline gboolean backing_place_equal(const BackingPlace *a, const BackingPlace *b)
{
	return a->device == b->device && a->inode == b->inode;
}

/* Closes the backing, which releases its lock.  NULL is allowed. */
void backing_free(Backing *backing);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Backing, backing_free)
