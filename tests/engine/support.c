/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/engine/support.h"

#include <errno.h>
#include <unistd.h>

#include "tests/backing/faulty.h"
#include "common/backing/file.h"
#include "tests/backing/memory.h"
#include "common/base/bytes.h"
#include "common/check/check.h"
#include "common/base/units.h"

typedef struct {
	Backing base;
	Backing *real;
	BackingGate gate; /* may be NULL */
	gpointer data;
	guint64 device; /* of backing_share() */
} BorrowedBacking;

static Backing *real_of(Backing *backing)
{
	return ((BorrowedBacking *)backing)->real;
}

static gboolean passes(Backing *backing, guint64 offset, guint64 length)
{
	BorrowedBacking *borrowed = (BorrowedBacking *)backing;

	return !borrowed->gate || borrowed->gate(offset, length, borrowed->data);
}

static int borrowed_preadv(Backing *backing, const struct iovec *iov, int count, guint64 offset,
			   BackingFlags flags)
{
	return backing_preadv(real_of(backing), iov, count, offset, flags);
}

static int borrowed_pwritev(Backing *backing, const struct iovec *iov, int count, guint64 offset,
			    BackingFlags flags)
{
	if (!passes(backing, offset, iov_length(iov, count)))
		return -EIO;
	return backing_pwritev(real_of(backing), iov, count, offset, flags);
}

/* Like a new descriptor: the real backing's failed flush is forgotten. */
static int borrowed_flush(Backing *backing)
{
	Backing *real = real_of(backing);

	return passes(backing, 0, 0) ? real->ops->flush(real) : -EIO;
}

static int borrowed_punch(Backing *backing, guint64 offset, guint64 length)
{
	if (!passes(backing, offset, length))
		return -EIO;
	return backing_punch(real_of(backing), offset, length);
}

static int borrowed_allocate(Backing *backing, guint64 offset, guint64 length)
{
	return passes(backing, offset, length) ? backing_allocate(real_of(backing), offset, length)
					       : -EIO;
}

static guint64 borrowed_size(Backing *backing)
{
	return backing_size(real_of(backing));
}

static int borrowed_grow(Backing *backing, guint64 size)
{
	return passes(backing, size, 0) ? backing_grow(real_of(backing), size) : -EIO;
}

static gboolean borrowed_lock(Backing *backing, gboolean exclusive, GError **error)
{
	return backing_lock(real_of(backing), exclusive, error);
}

static guint64 borrowed_allocated(Backing *backing)
{
	return backing_allocated(real_of(backing));
}

static void borrowed_free(Backing *backing)
{
	g_free(backing);
}

static const BackingOps borrowed_ops = {
	.kind = "borrowed",
	.preadv = borrowed_preadv,
	.pwritev = borrowed_pwritev,
	.flush = borrowed_flush,
	.punch = borrowed_punch,
	.allocate = borrowed_allocate,
	.size = borrowed_size,
	.grow = borrowed_grow,
	.lock = borrowed_lock,
	.allocated = borrowed_allocated,
	.free = borrowed_free,
};

static int shared_read_direct(Backing *backing, void *data, gsize length, guint64 offset)
{
	return backing_pread(real_of(backing), data, length, offset);
}

static int shared_write_direct(Backing *backing, const void *data, gsize length, guint64 offset)
{
	return passes(backing, offset, length)
		       ? backing_pwrite(real_of(backing), data, length, offset)
		       : -EIO;
}

static int shared_refresh(Backing *backing)
{
	(void)backing;
	return 0;
}

static BackingPlace shared_place(Backing *backing)
{
	return (BackingPlace){((BorrowedBacking *)backing)->device, 0};
}

Backing *backing_borrow_gated(Backing *real, BackingGate gate, gpointer data)
{
	BorrowedBacking *borrowed = g_new0(BorrowedBacking, 1);

	backing_init(&borrowed->base, &borrowed_ops, real->name);
	borrowed->real = real;
	borrowed->gate = gate;
	borrowed->data = data;
	return &borrowed->base;
}

Backing *backing_share(Backing *real, guint64 device, BackingGate gate, gpointer data)
{
	static BackingOps ops;
	static gsize once;
	Backing *shared = backing_borrow_gated(real, gate, data);

	if (g_once_init_enter(&once)) {
		ops = borrowed_ops;
		ops.kind = "shared";
		ops.read_direct = shared_read_direct;
		ops.write_direct = shared_write_direct;
		ops.refresh = shared_refresh;
		ops.place = shared_place;
		g_once_init_leave(&once, 1);
	}
	((BorrowedBacking *)shared)->device = device;
	shared->ops = &ops;
	return shared;
}

Backing *backing_borrow(Backing *real)
{
	return backing_borrow_gated(real, NULL, NULL);
}

Place *place_new_memory(void)
{
	Place *place = g_new0(Place, 1);

	place->memory = backing_memory_new(0);
	return place;
}

Place *place_new_file(void)
{
	Place *place = g_new0(Place, 1);
	g_autoptr(GError) error = NULL;

	place->path = test_path("volume");
	backing_free(backing_file_open(place->path, BACKING_OPEN_CREATE, &error));
	CHECK_NO_ERROR(error);
	return place;
}

void place_free(Place *place)
{
	backing_free(place->memory);
	if (place->path)
		unlink(place->path);
	g_free(place->path);
	g_free(place);
}

Backing *place_backing(Place *place)
{
	g_autoptr(GError) error = NULL;
	Backing *backing;

	if (place->memory)
		return backing_borrow(place->memory);
	backing = backing_file_open(place->path, 0, &error);
	CHECK_NO_ERROR(error);
	return backing;
}

gboolean place_format(Place *place, guint64 size, guint64 journal_size)
{
	const VolumeParameters parameters = {.size = size, .journal_size = journal_size};
	g_autoptr(Backing) backing = place_backing(place);
	g_autoptr(GError) error = NULL;

	return CHECK(volume_format(backing, &parameters, &error)) | CHECK_NO_ERROR(error);
}

static Volume *open_in(Backing *backing)
{
	g_autoptr(GError) error = NULL;
	Volume *volume = volume_open(backing, "test", 0, &error);

	CHECK_NO_ERROR(error);
	CHECK(volume != NULL);
	return volume;
}

Volume *place_open(Place *place)
{
	return open_in(place_backing(place));
}

Volume *place_new_volume(Place **ret_place, guint64 size)
{
	*ret_place = place_new_memory();
	return place_format(*ret_place, size, 0) ? place_open(*ret_place) : NULL;
}

Volume *backing_open_volume(Backing *backing)
{
	return open_in(backing_borrow(backing));
}

Backing *backing_new_filled(guint64 size, guint n, guint64 (*place)(guint i))
{
	const VolumeParameters p = {.size = size, .journal_size = 64 * KIB};
	Backing *backing = backing_faulty_new(0);
	Volume *volume;

	CHECK(volume_format(backing, &p, NULL));
	volume = backing_open_volume(backing);
	for (guint i = 0; volume && i < n; i++)
		CHECK_INT(volume_put_value(volume, (guint8)(1 + i), BLOCK_SIZE, place(i)), 0);
	close_volume(volume);
	return backing;
}

gboolean backing_check(Backing *backing)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(CheckResult) result = check_run(backing, NULL, NULL, &error);

	CHECK_NO_ERROR(error);
	if (!CHECK(result != NULL))
		return FALSE;
	for (guint i = 0; i < MIN(result->messages->len, 5); i++)
		test_note("check: %s", (char *)g_ptr_array_index(result->messages, i));
	return CHECK_UINT(result->errors, 0);
}

gboolean place_check(Place *place)
{
	g_autoptr(Backing) backing = place_backing(place);

	return backing_check(backing);
}

void close_volume(Volume *volume)
{
	g_autoptr(GError) error = NULL;

	CHECK(volume_close(volume, &error));
	CHECK_NO_ERROR(error);
}

int volume_put(Volume *volume, const void *data, gsize length, guint64 offset)
{
	struct iovec iov = {.iov_base = (void *)data, .iov_len = length};

	return volume_write(volume, &iov, 1, offset, NULL);
}

int volume_get(Volume *volume, void *data, gsize length, guint64 offset)
{
	struct iovec iov = {.iov_base = data, .iov_len = length};

	return volume_read(volume, &iov, 1, offset, NULL);
}

int volume_put_value(Volume *volume, guint8 value, gsize length, guint64 offset)
{
	g_autofree guint8 *data = g_malloc(length);

	memset(data, value, length);
	return volume_put(volume, data, length, offset);
}

gboolean check_value(Volume *volume, guint8 value, gsize length, guint64 offset)
{
	g_autofree guint8 *data = g_malloc(length);
	gsize at = 0;

	memset(data, ~value, length);
	if (!CHECK_INT(volume_get(volume, data, length, offset), 0))
		return FALSE;
	while (at < length && data[at] == value)
		at++;
	if (at == length)
		return TRUE;
	return FAIL("byte %" G_GUINT64_FORMAT " of the volume is 0x%02x, expected 0x%02x",
		    offset + at, data[at], value);
}

int cut_vector(TestRandom *random, void *data, gsize length, struct iovec *iov, int max)
{
	int n = 0, pieces = 1 + (int)test_random_below(random, max);
	guint8 *p = data;

	for (; n < pieces - 1; n++) {
		gsize piece = test_random_below(random, length / 2 + 1);

		if (test_random_below(random, 3) == 0)
			piece &= ~(gsize)511;
		iov[n] = (struct iovec){.iov_base = p, .iov_len = piece};
		p += piece;
		length -= piece;
	}
	iov[n++] = (struct iovec){.iov_base = p, .iov_len = length};
	return n;
}
