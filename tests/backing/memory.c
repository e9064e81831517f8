/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/backing/memory.h"

#include <errno.h>

#include "tests/backing/pages.h"

#define SIZE_MAX_BYTES ((guint64)1 << 62)

typedef struct {
	Backing base;
	GRWLock lock; /* protects all below */
	Pages *pages;
	guint64 size;
	guint64 limit;
} MemoryBacking;

/* Locks that are held to the end of a scope; GLib has such types from 2.62 on. */
typedef GRWLock ReaderHold, WriterHold;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ReaderHold, g_rw_lock_reader_unlock)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(WriterHold, g_rw_lock_writer_unlock)

static ReaderHold *reader_hold(GRWLock *lock)
{
	g_rw_lock_reader_lock(lock);
	return lock;
}

static WriterHold *writer_hold(GRWLock *lock)
{
	g_rw_lock_writer_lock(lock);
	return lock;
}

static int memory_preadv(Backing *backing, const struct iovec *iov, int count, guint64 offset,
			 BackingFlags flags)
{
	MemoryBacking *memory = (MemoryBacking *)backing;
	g_autoptr(ReaderHold) hold G_GNUC_UNUSED = reader_hold(&memory->lock);
	IovCursor cursor = iov_cursor(iov, count);
	gsize length = iov_length(iov, count);

	(void)flags; /* memory never makes a caller wait */
	if (offset > memory->size || length > memory->size - offset)
		return -ENXIO;
	pages_read(memory->pages, &cursor, offset, length);
	return 0;
}

static int memory_pwritev(Backing *backing, const struct iovec *iov, int count, guint64 offset,
			  BackingFlags flags)
{
	MemoryBacking *memory = (MemoryBacking *)backing;
	g_autoptr(WriterHold) hold G_GNUC_UNUSED = writer_hold(&memory->lock);
	IovCursor cursor = iov_cursor(iov, count);
	gsize length = iov_length(iov, count);

	(void)flags;
	if (offset > memory->size || length > memory->size - offset)
		return -ENOSPC;
	return pages_write(memory->pages, &cursor, offset, length);
}

static int memory_flush(Backing *backing)
{
	(void)backing;
	return 0;
}

static int memory_punch(Backing *backing, guint64 offset, guint64 length)
{
	MemoryBacking *memory = (MemoryBacking *)backing;
	g_autoptr(WriterHold) hold G_GNUC_UNUSED = writer_hold(&memory->lock);

	if (offset >= memory->size)
		return 0;
	return pages_punch(memory->pages, offset, MIN(length, memory->size - offset));
}

/* Writes what is there. */
static int memory_allocate(Backing *backing, guint64 offset, guint64 length)
{
	MemoryBacking *memory = (MemoryBacking *)backing;
	g_autoptr(WriterHold) hold G_GNUC_UNUSED = writer_hold(&memory->lock);
	guint8 piece[16 * 1024];
	int r = 0;

	if (offset > memory->size || length > memory->size - offset)
		return -ENOSPC;
	for (guint64 end = offset + length; offset < end && !r; offset += sizeof piece) {
		struct iovec iov = {piece, (gsize)MIN(end - offset, sizeof piece)};
		IovCursor to = iov_cursor(&iov, 1), from = to;

		pages_read(memory->pages, &to, offset, iov.iov_len);
		r = pages_write(memory->pages, &from, offset, iov.iov_len);
	}
	return r;
}

static guint64 memory_size(Backing *backing)
{
	MemoryBacking *memory = (MemoryBacking *)backing;
	g_autoptr(ReaderHold) hold G_GNUC_UNUSED = reader_hold(&memory->lock);

	return memory->size;
}

static int memory_grow(Backing *backing, guint64 size)
{
	MemoryBacking *memory = (MemoryBacking *)backing;
	g_autoptr(WriterHold) hold G_GNUC_UNUSED = writer_hold(&memory->lock);

	if (size > memory->limit)
		return -ENOSPC;
	memory->size = MAX(memory->size, size);
	return 0;
}

/* The holder of the pointer is the only user, so the lock is always free. */
static gboolean memory_lock(Backing *backing, gboolean exclusive, GError **error)
{
	(void)backing, (void)exclusive, (void)error;
	return TRUE;
}

static guint64 memory_allocated(Backing *backing)
{
	MemoryBacking *memory = (MemoryBacking *)backing;
	g_autoptr(ReaderHold) hold G_GNUC_UNUSED = reader_hold(&memory->lock);

	return pages_allocated(memory->pages);
}

static void memory_free(Backing *backing)
{
	MemoryBacking *memory = (MemoryBacking *)backing;

	pages_free(memory->pages);
	g_rw_lock_clear(&memory->lock);
	g_free(memory);
}

static const BackingOps memory_ops = {
	.kind = "memory",
	.preadv = memory_preadv,
	.pwritev = memory_pwritev,
	.flush = memory_flush,
	.punch = memory_punch,
	.allocate = memory_allocate,
	.size = memory_size,
	.grow = memory_grow,
	.lock = memory_lock,
	.allocated = memory_allocated,
	.free = memory_free,
};

Backing *backing_memory_new(guint64 limit)
{
	MemoryBacking *memory = g_new0(MemoryBacking, 1);

	backing_init(&memory->base, &memory_ops, "memory");
	g_rw_lock_init(&memory->lock);
	memory->pages = pages_new();
	memory->limit = limit ? limit : SIZE_MAX_BYTES;
	return &memory->base;
}
