/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A backing: the byte-addressable thing that one volume lives in, behind a table of operations.
 *
 * Kinds: file.h (a regular file or a block device); tests/backing/ has memory (the reference) and
 * faulty (a wrapper that fails as it is told).  An RBD image must fit in behind the same table.
 *
 * Promise: what pwritev() returned 0 for is seen by every later preadv(), survives the death of
 * this process (file, block device), and survives the loss of power after a later backing_flush()
 * that returned 0.  Without that flush each sector of it may be old or new after a loss of power.
 *
 * Threading: every operation may run in any number of threads at once, on overlapping ranges too;
 * then each sector of the result is from one of them.  Only backing_free() must be alone.
 *
 * Offsets and lengths are bytes.  Operations return 0 or a negative errno and never a short
 * transfer: the implementation goes on after EINTR and after partial transfers.
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
	/* Answer -EAGAIN where the operation would sleep (for the disk, for a lock); also where
	 * the implementation cannot tell.  After -EAGAIN nothing was transferred for a write, and
	 * the buffer's content is undefined for a read. */
	BACKING_NOWAIT = 1,
} BackingFlags;

typedef enum {
	BACKING_OPEN_READ_ONLY = 1 << 0,
	/* Makes a new, empty file (mode 0600).  EXISTS where there is one; not for a block
	 * device. */
	BACKING_OPEN_CREATE = 1 << 1,
} BackingOpenFlags;

/* Which file or block device it is, whatever its path leads to by now. */
typedef struct {
	guint64 device, inode; /* a file's, by stat(); or a block device's own number, and 0 */
} BackingPlace;

typedef struct {
	const char *kind; /* "file", "block", "memory", ... */

	/* Reads [offset, offset + the vector's length).  What was never written, or was punched,
	 * reads as zeros.  Beyond the end: -ENXIO. */
	int (*preadv)(Backing *backing, const struct iovec *iov, int count, guint64 offset,
		      BackingFlags flags);

	/* Writes there; the range lies inside the size.  -ENOSPC where the space below is used up
	 * (part of the range may be written then); it may succeed later. */
	int (*pwritev)(Backing *backing, const struct iovec *iov, int count, guint64 offset,
		       BackingFlags flags);

	/* For backing_flush() alone, which calls it from one thread at a time, and never again
	 * after an error, whichever that is. */
	int (*flush)(Backing *backing);

	/* Gives the space of [offset, offset + length) back; it reads as zeros from then on.
	 * -EOPNOTSUPP where that cannot be done: the content is then unchanged. */
	int (*punch)(Backing *backing, guint64 offset, guint64 length);

	/* The size now, in bytes. */
	guint64 (*size)(Backing *backing);

	/* Makes it at least `size` bytes long; what is new reads as zeros and need not take space.
	 * -ENOSPC where it cannot get so long (a block device). */
	int (*grow)(Backing *backing, guint64 size);

	/* Takes the one writer's lock (exclusive TRUE), or a reader's, for the life of the
	 * backing.  FALSE with STORAGEOS_ERROR_BUSY where somebody else holds it; the message says
	 * which process.  For the writer: what the disk refused of what others wrote before is no
	 * error of a flush from then on. */
	gboolean (*lock)(Backing *backing, gboolean exclusive, GError **error);

	/* Bytes that it takes of the space below, as far as is known. */
	guint64 (*allocated)(Backing *backing);

	/* NULL: it is neither file nor block device. */
	BackingPlace (*place)(Backing *backing);

	void (*free)(Backing *backing); /* but for what backing_init() made */
} BackingOps;

/* backing.c's own. */
typedef struct {
	Lock lock;
	GCond ended;
	gboolean running;
	guint64 begun, ended_with; /* tickets: the last that was begun, that has ended */
	int error;		   /* of the last; no other follows one that failed */
} BackingFlushes;

/* First member of every implementation. */
struct Backing {
	const BackingOps *ops;
	char *name; /* for messages: the path; owned */
	BackingFlushes flushes;
	const char *condemned; /* atomic: why nothing may be written to it any more, or NULL */
};

/* Opens what `uri` names: a path, or SCHEME:REST with a scheme of the table in open.c (today
 * "file").  Does not lock.  NULL with *error: NOT_FOUND, EXISTS, INVALID (an unknown scheme; not
 * what the scheme is for), IO. */
Backing *backing_open(const char *uri, BackingOpenFlags flags, GError **error);

/* Of a file or block device that stat() told of: its place, and who holds its lock, as "process
 * 1234 (tcmu-runner)" or NULL if nobody is known to; free that. */
BackingPlace backing_place_of_stat(const struct stat *st);
char *backing_holder_of_stat(const struct stat *st);

/* For implementations: makes the first member of what they allocated (all zero). */
void backing_init(Backing *backing, const BackingOps *ops, const char *name);

/* Everything written, grown and punched before the call survives power loss after it returned 0.
 *
 * It is the one way to flush, for requests, checkpoints and all else: Linux reports to one flush of
 * a descriptor only that the disk refused something, and keeps as clean what was refused.  So
 * flushes do not overlap, all who wait share the next one that begins, and after one that failed
 * each later one fails with the same error without asking the disk: of what was written since the
 * last success nothing is known any more.  A backing that is opened anew begins anew. */
int backing_flush(Backing *backing);

/* From now on every write, punch, growth and flush fails with -ESHUTDOWN before it reaches the
 * disk: what is in memory contradicts itself (checked.h) and must not become durable.  Reads go on.
 * The first reason stays; `reason` outlives the backing.  Takes no lock. */
void backing_condemn(Backing *backing, const char *reason);

/* The reason, or NULL. */
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

static inline int backing_punch(Backing *b, guint64 offset, guint64 length)
{
	lock_check_io();
	return backing_condemned(b) ? -ESHUTDOWN : b->ops->punch(b, offset, length);
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

static inline guint64 backing_allocated(Backing *b)
{
	return b->ops->allocated(b);
}

/* Zeros where it is neither file nor block device. */
static inline BackingPlace backing_place(Backing *b)
{
	return b->ops->place ? b->ops->place(b) : (BackingPlace){0};
}

static inline gboolean backing_place_equal(const BackingPlace *a, const BackingPlace *b)
{
	return a->device == b->device && a->inode == b->inode;
}

/* Releases the lock, too.  NULL is allowed. */
void backing_free(Backing *backing);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Backing, backing_free)
