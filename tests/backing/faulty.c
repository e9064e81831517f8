/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two images: the visible image, which reads see, and the durable image.  The log has, in order,
 * the changes of the visible image that have not reached the durable one.  A flush applies the log
 * to the durable image.
 *
 * After a failed flush, nobody knows which of its writes reached the disk, and no later flush can
 * tell.  Its entries become DOOMED: each crash decides anew which of them reached the disk.  Later
 * flushes that succeed mark their own entries FLUSHED, but the log stays, so that a doomed write
 * never lands on top of a newer one.  The size is an exception: it is not a page that the kernel
 * could hold as clean, so a later flush that succeeds makes it durable.
 */
#include "tests/backing/faulty.h"

#include <errno.h>

#include "tests/backing/pages.h"

#define SIZE_MAX_BYTES ((guint64)1 << 62)
#define SECTOR 512u
#define KINDS 5

typedef enum { CHANGE_WRITE, CHANGE_PUNCH, CHANGE_GROW } ChangeKind;
typedef enum { CHANGE_VOLATILE, CHANGE_FLUSHED, CHANGE_DOOMED } ChangeState;

typedef struct {
	ChangeKind kind;
	ChangeState state;
	guint64 offset; /* for CHANGE_GROW: the new size */
	guint64 length;
	guint8 *data; /* of a write; owned */
} FaultyChange;

typedef struct {
	Pages *pages;
	guint64 size;
} FaultyImage;

typedef struct {
	FaultyKind kinds; /* 0: none */
	guint64 after;	  /* operations of these kinds before the fault strikes */
	int err;
	gboolean for_ever;
	gboolean torn;
} Fault;

typedef struct {
	Backing base;
	guint64 limit;
	gint delays[KINDS]; /* microseconds; atomic */
	GMutex mutex;	    /* all below */
	FaultyImage visible, durable;
	GArray *log;	 /* of Change */
	gboolean doomed; /* the log holds DOOMED entries */
	guint64 counts[KINDS];
	Fault fault;
	int untold;    /* positive errno that the next flush must report; 0: none */
	guint64 space; /* bytes of new units that are left; G_MAXUINT64: unlimited */
} FaultyBacking;

/* A hash that makes a new random number from two numbers. */
static guint64 mix(guint64 a, guint64 b)
{
	guint64 x = a ^ b * 0x9e3779b97f4a7c15u;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static void change_clear(gpointer data)
{
	g_free(((FaultyChange *)data)->data);
}

static GArray *log_new(void)
{
	GArray *log = g_array_new(FALSE, FALSE, sizeof(FaultyChange));

	g_array_set_clear_func(log, change_clear);
	return log;
}

/* Waits for the delay of this kind of operation.  FALSE if the operation must not wait. */
static gboolean pass_delay(FaultyBacking *faulty, FaultyKind kind, BackingFlags flags)
{
	gint delay = g_atomic_int_get(&faulty->delays[g_bit_nth_lsf(kind, -1)]);

	if (delay && flags & BACKING_NOWAIT)
		return FALSE;
	if (delay)
		g_usleep(delay);
	return TRUE;
}

/* Counts an operation.  Returns 0, or the negative errno with which the operation must fail, and
 * whether a part of it is done nevertheless. */
static int begin_locked(FaultyBacking *faulty, FaultyKind kind, gboolean *ret_torn)
{
	Fault *fault = &faulty->fault;

	faulty->counts[g_bit_nth_lsf(kind, -1)]++;
	*ret_torn = FALSE;
	if (!(fault->kinds & kind))
		return 0;
	if (fault->after) {
		fault->after--;
		return 0;
	}
	if (!fault->for_ever)
		fault->kinds = 0;
	*ret_torn = fault->torn;
	fault->torn = FALSE;
	return -fault->err;
}

static void write_image(FaultyImage *image, const guint8 *data, guint64 offset, gsize length)
{
	struct iovec iov = {.iov_base = (void *)data, .iov_len = length};
	IovCursor cursor = iov_cursor(&iov, 1);

	if (offset >= image->size) /* the growth before this write did not reach the disk */
		return;
	if (pages_write(image->pages, &cursor, offset, MIN(length, image->size - offset)))
		g_error("backing/faulty: no memory for the image");
}

static void punch_image(FaultyImage *image, guint64 offset, guint64 length)
{
	if (pages_punch(image->pages, offset, length))
		g_error("backing/faulty: no memory for the image");
}

static void apply(FaultyImage *image, const FaultyChange *change)
{
	switch (change->kind) {
	case CHANGE_WRITE:
		write_image(image, change->data, change->offset, change->length);
		break;
	case CHANGE_PUNCH:
		punch_image(image, change->offset, change->length);
		break;
	case CHANGE_GROW:
		image->size = MAX(image->size, change->offset);
		break;
	}
}

/* The length of the first piece of a write that lies within one sector. */
static gsize sector_piece(guint64 offset, gsize length)
{
	return MIN(length, SECTOR - offset % SECTOR);
}

/* Applies what is left of a torn write: its head, its tail, or any of its sectors. */
static void apply_torn(FaultyImage *image, const FaultyChange *change, guint64 random)
{
	guint64 sectors = change->length / SECTOR + 1, cut = (random >> 8) % sectors, number = 0;
	guint how = (guint)(random % 3);

	for (gsize done = 0; done < change->length; number++) {
		guint64 at = change->offset + done;
		gsize piece = sector_piece(at, change->length - done);
		gboolean lands = how == 0   ? number < cut
				 : how == 1 ? number >= cut
					    : mix(random, number) & 1;

		if (lands)
			write_image(image, change->data + done, at, piece);
		done += piece;
	}
}

static void apply_by_chance(FaultyImage *image, const FaultyChange *change, guint64 random)
{
	switch (random % 4) {
	case 0:
		break;
	case 1:
		if (change->kind == CHANGE_WRITE)
			apply_torn(image, change, random >> 2);
		else
			apply(image, change);
		break;
	default:
		apply(image, change);
	}
}

/* Adds a change to the log and applies it to the visible image.  Takes `data`. */
static void change_locked(FaultyBacking *faulty, ChangeKind kind, guint64 offset, guint64 length,
			  guint8 *data)
{
	FaultyChange change = {.kind = kind, .offset = offset, .length = length, .data = data};
	guint64 before = pages_allocated(faulty->visible.pages);

	apply(&faulty->visible, &change);
	g_array_append_val(faulty->log, change);
	if (faulty->space != G_MAXUINT64)
		faulty->space -= pages_allocated(faulty->visible.pages) - before;
}

static int faulty_preadv(Backing *backing, const struct iovec *iov, int count, guint64 offset,
			 BackingFlags flags)
{
	FaultyBacking *faulty = (FaultyBacking *)backing;
	IovCursor cursor = iov_cursor(iov, count);
	gsize length = iov_length(iov, count);
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = NULL;
	gboolean torn;
	int result;

	if (!pass_delay(faulty, FAULTY_READ, flags))
		return -EAGAIN;
	locker = g_mutex_locker_new(&faulty->mutex);
	result = begin_locked(faulty, FAULTY_READ, &torn);
	if (result)
		return result;
	if (offset > faulty->visible.size || length > faulty->visible.size - offset)
		return -ENXIO;
	pages_read(faulty->visible.pages, &cursor, offset, length);
	return 0;
}

/* How much of a failed write is carried out: any number of its first sectors. */
static gsize torn_part(FaultyBacking *faulty, guint64 offset, gsize length)
{
	guint64 wanted = mix(faulty->counts[1], offset) % (length / SECTOR + 1);
	gsize part = 0;

	while (wanted-- && part < length)
		part += sector_piece(offset + part, length - part);
	return part;
}

static int faulty_pwritev(Backing *backing, const struct iovec *iov, int count, guint64 offset,
			  BackingFlags flags)
{
	FaultyBacking *faulty = (FaultyBacking *)backing;
	IovCursor cursor = iov_cursor(iov, count);
	gsize length = iov_length(iov, count), part = length;
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = NULL;
	guint8 *data;
	gboolean torn;
	int result;

	if (!pass_delay(faulty, FAULTY_WRITE, flags))
		return -EAGAIN;
	locker = g_mutex_locker_new(&faulty->mutex);
	result = begin_locked(faulty, FAULTY_WRITE, &torn);
	if (offset > faulty->visible.size || length > faulty->visible.size - offset)
		return -ENOSPC;
	if (result)
		part = torn ? torn_part(faulty, offset, length) : 0;
	else
		part = pages_fitting(faulty->visible.pages, offset, length, faulty->space);
	if (part) {
		data = g_malloc(part);
		iov_copy_out(&cursor, data, part);
		change_locked(faulty, CHANGE_WRITE, offset, part, data);
	}
	return result ? result : part < length ? -ENOSPC : 0;
}

/* The disk refuses all changes that no flush has covered. */
static void refuse_locked(FaultyBacking *faulty)
{
	for (guint i = 0; i < faulty->log->len; i++) {
		FaultyChange *change = &g_array_index(faulty->log, FaultyChange, i);

		if (change->state == CHANGE_VOLATILE)
			change->state = CHANGE_DOOMED;
	}
	faulty->doomed = TRUE;
}

/* The last write of these bytes, which is in the log, reached the disk.  A later change of them may
 * be in the log as well. */
static void note_flushed_locked(FaultyBacking *faulty, guint64 offset, guint64 length)
{
	for (guint i = faulty->log->len; i-- > 0;) {
		FaultyChange *change = &g_array_index(faulty->log, FaultyChange, i);

		if (change->kind != CHANGE_WRITE || change->offset != offset ||
		    change->length != length)
			continue;
		change->state = CHANGE_FLUSHED;
		return;
	}
}

static int faulty_flush(Backing *backing)
{
	FaultyBacking *faulty = (FaultyBacking *)backing;
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = NULL;
	gboolean torn;
	int result;

	pass_delay(faulty, FAULTY_FLUSH, BACKING_WAIT);
	locker = g_mutex_locker_new(&faulty->mutex);
	result = begin_locked(faulty, FAULTY_FLUSH, &torn);
	if (!result)
		result = -faulty->untold;
	faulty->untold = 0;
	if (result) {
		refuse_locked(faulty);
		return result;
	}
	for (guint i = 0; i < faulty->log->len; i++) {
		FaultyChange *change = &g_array_index(faulty->log, FaultyChange, i);

		if (!faulty->doomed)
			apply(&faulty->durable, change);
		else if (change->state == CHANGE_VOLATILE || change->kind == CHANGE_GROW)
			change->state = CHANGE_FLUSHED;
	}
	if (!faulty->doomed)
		g_array_set_size(faulty->log, 0);
	return 0;
}

/* The write is in the log as any other, but has reached the disk. */
static int faulty_write_durably(Backing *backing, const void *data, gsize length, guint64 offset)
{
	FaultyBacking *faulty = (FaultyBacking *)backing;
	struct iovec iov = {(void *)data, length};
	int result = faulty_pwritev(backing, &iov, 1, offset, BACKING_WAIT);
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = NULL;
	gboolean torn;

	if (result)
		return result;
	pass_delay(faulty, FAULTY_FLUSH, BACKING_WAIT);
	locker = g_mutex_locker_new(&faulty->mutex);
	result = begin_locked(faulty, FAULTY_FLUSH, &torn);
	if (!result)
		result = -faulty->untold;
	faulty->untold = 0;
	if (result)
		refuse_locked(faulty);
	else
		note_flushed_locked(faulty, offset, length);
	return result;
}

static int faulty_punch(Backing *backing, guint64 offset, guint64 length)
{
	FaultyBacking *faulty = (FaultyBacking *)backing;
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = NULL;
	gboolean torn;
	int result;

	pass_delay(faulty, FAULTY_PUNCH, BACKING_WAIT);
	locker = g_mutex_locker_new(&faulty->mutex);
	result = begin_locked(faulty, FAULTY_PUNCH, &torn);
	if (result || offset >= faulty->visible.size)
		return result;
	length = MIN(length, faulty->visible.size - offset);
	change_locked(faulty, CHANGE_PUNCH, offset, length, NULL);
	return 0;
}

/* Writes what is there, for which space may be short. */
static int faulty_allocate(Backing *backing, guint64 offset, guint64 length)
{
	FaultyBacking *faulty = (FaultyBacking *)backing;
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&faulty->mutex);
	gboolean torn;
	int result = begin_locked(faulty, FAULTY_GROW, &torn);

	if (result)
		return result;
	if (offset > faulty->visible.size || length > faulty->visible.size - offset)
		return -ENOSPC;
	for (gsize part; length; offset += part, length -= part) {
		gsize wanted = (gsize)MIN(length, 64 * 1024);
		struct iovec iov = {g_malloc(wanted), wanted};
		IovCursor to = iov_cursor(&iov, 1);

		part = pages_fitting(faulty->visible.pages, offset, wanted, faulty->space);
		pages_read(faulty->visible.pages, &to, offset, wanted);
		if (part)
			change_locked(faulty, CHANGE_WRITE, offset, part, iov.iov_base);
		else
			g_free(iov.iov_base);
		if (part < wanted)
			return -ENOSPC;
	}
	return 0;
}

static guint64 faulty_size(Backing *backing)
{
	FaultyBacking *faulty = (FaultyBacking *)backing;
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&faulty->mutex);

	return faulty->visible.size;
}

static int faulty_grow(Backing *backing, guint64 size)
{
	FaultyBacking *faulty = (FaultyBacking *)backing;
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = NULL;
	gboolean torn;
	int result;

	pass_delay(faulty, FAULTY_GROW, BACKING_WAIT);
	locker = g_mutex_locker_new(&faulty->mutex);
	result = begin_locked(faulty, FAULTY_GROW, &torn);
	if (result)
		return result;
	if (size > faulty->limit)
		return -ENOSPC;
	if (size > faulty->visible.size)
		change_locked(faulty, CHANGE_GROW, size, 0, NULL);
	return 0;
}

/* The holder of the pointer is the only user, so the lock is always free. */
static gboolean faulty_lock(Backing *backing, gboolean exclusive, GError **error)
{
	FaultyBacking *faulty = (FaultyBacking *)backing;
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&faulty->mutex);

	(void)error;
	if (exclusive)
		faulty->untold = 0;
	return TRUE;
}

static guint64 faulty_allocated(Backing *backing)
{
	FaultyBacking *faulty = (FaultyBacking *)backing;
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&faulty->mutex);

	return pages_allocated(faulty->visible.pages);
}

static void faulty_free(Backing *backing)
{
	FaultyBacking *faulty = (FaultyBacking *)backing;

	pages_free(faulty->visible.pages);
	pages_free(faulty->durable.pages);
	g_array_unref(faulty->log);
	g_mutex_clear(&faulty->mutex);
	g_free(faulty);
}

static const BackingOps faulty_ops = {
	.kind = "faulty",
	.preadv = faulty_preadv,
	.pwritev = faulty_pwritev,
	.flush = faulty_flush,
	.write_durably = faulty_write_durably,
	.punch = faulty_punch,
	.allocate = faulty_allocate,
	.size = faulty_size,
	.grow = faulty_grow,
	.lock = faulty_lock,
	.allocated = faulty_allocated,
	.free = faulty_free,
};

/* Takes `content`. */
static Backing *faulty_new(guint64 limit, Pages *content, guint64 size)
{
	FaultyBacking *faulty = g_new0(FaultyBacking, 1);

	backing_init(&faulty->base, &faulty_ops, "faulty");
	faulty->limit = limit;
	g_mutex_init(&faulty->mutex);
	faulty->visible = (FaultyImage){.pages = content, .size = size};
	faulty->durable = (FaultyImage){.pages = pages_clone(content), .size = size};
	faulty->log = log_new();
	faulty->space = G_MAXUINT64;
	return &faulty->base;
}

Backing *backing_faulty_new(guint64 limit)
{
	return faulty_new(limit ? limit : SIZE_MAX_BYTES, pages_new(), 0);
}

guint64 backing_faulty_count(Backing *backing, FaultyKind kinds)
{
	FaultyBacking *faulty = (FaultyBacking *)backing;
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&faulty->mutex);
	guint64 sum = 0;

	for (guint i = 0; i < KINDS; i++)
		if (kinds & 1u << i)
			sum += faulty->counts[i];
	return sum;
}

void backing_faulty_fail(Backing *backing, FaultyKind kinds, guint64 after, int err,
			 gboolean for_ever, gboolean torn)
{
	FaultyBacking *faulty = (FaultyBacking *)backing;
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&faulty->mutex);

	faulty->fault = (Fault){
		.kinds = kinds, .after = after, .err = err, .for_ever = for_ever, .torn = torn};
}

void backing_faulty_refuse(Backing *backing, int err)
{
	FaultyBacking *faulty = (FaultyBacking *)backing;
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&faulty->mutex);

	refuse_locked(faulty);
	faulty->untold = err;
}

void backing_faulty_fill_up(Backing *backing, guint64 bytes)
{
	FaultyBacking *faulty = (FaultyBacking *)backing;
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&faulty->mutex);

	faulty->space = bytes;
}

void backing_faulty_delay(Backing *backing, FaultyKind kinds, guint microseconds)
{
	FaultyBacking *faulty = (FaultyBacking *)backing;

	for (guint i = 0; i < KINDS; i++)
		if (kinds & 1u << i)
			g_atomic_int_set(&faulty->delays[i], (gint)microseconds);
}

Backing *backing_faulty_crash(Backing *backing, guint64 seed)
{
	FaultyBacking *faulty = (FaultyBacking *)backing;
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&faulty->mutex);
	FaultyImage left;

	if (seed == G_MAXUINT64)
		return faulty_new(faulty->limit, pages_clone(faulty->visible.pages),
				  faulty->visible.size);
	left = (FaultyImage){.pages = pages_clone(faulty->durable.pages),
			     .size = faulty->durable.size};
	for (guint i = 0; i < faulty->log->len; i++) {
		const FaultyChange *change = &g_array_index(faulty->log, FaultyChange, i);

		if (change->state == CHANGE_FLUSHED)
			apply(&left, change);
		else if (seed)
			apply_by_chance(&left, change, mix(seed, i));
	}
	return faulty_new(faulty->limit, left.pages, left.size);
}

static void flip_image(FaultyImage *image, guint64 offset, guint bit)
{
	guint8 byte = 0;
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	IovCursor cursor = iov_cursor(&iov, 1);

	pages_read(image->pages, &cursor, offset, 1);
	byte = (guint8)(byte ^ 1u << bit);
	write_image(image, &byte, offset, 1);
}

void backing_faulty_flip(Backing *backing, guint64 offset, guint bit)
{
	FaultyBacking *faulty = (FaultyBacking *)backing;
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&faulty->mutex);

	flip_image(&faulty->visible, offset, bit);
	flip_image(&faulty->durable, offset, bit);
}
