/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract of common/backing/backing.h, the same cases over every kind of backing.
 */
#include "common/backing/backing.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "tests/backing/faulty.h"
#include "common/backing/file.h"
#include "tests/backing/memory.h"
#include "common/base/bounds.h"
#include "common/base/bytes.h"
#include "common/base/units.h"
#include "tests/harness.h"
#include "tests/loop-device.h"

#define SIZE (4 * MIB) /* of every backing in this file */

typedef struct {
	const char *name;
	Backing *(*make)(void); /* NULL: not on this machine */
	gboolean fixed;		/* cannot grow */
	gboolean coarse;	/* its space is counted in units of MiB, and now and then */
} BackingKind;

static int loop_fd = -1; /* keeps the loop device of the running test */

static Backing *make_memory(void)
{
	Backing *backing = backing_memory_new(0);

	CHECK_INT(backing_grow(backing, SIZE), 0);
	return backing;
}

static Backing *make_faulty(void)
{
	Backing *backing = backing_faulty_new(0);

	CHECK_INT(backing_grow(backing, SIZE), 0);
	return backing;
}

static Backing *make_file(void)
{
	g_autofree char *path = test_path("backing");
	g_autoptr(GError) error = NULL;
	Backing *backing = backing_file_open(path, BACKING_OPEN_CREATE, &error);

	CHECK_NO_ERROR(error);
	CHECK_INT(backing_grow(backing, SIZE), 0);
	return backing;
}

static Backing *make_block(void)
{
	g_autofree char *path = test_path("loop"), *device = NULL;
	g_autoptr(GError) error = NULL;
	Backing *backing;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	CHECK_INT(ftruncate(fd, SIZE), 0);
	close(fd);
	loop_fd = loop_device_new(path, &device);
	if (loop_fd < 0) {
		test_skip("no loop device can be made");
		return NULL;
	}
	backing = backing_file_open(device, 0, &error);
	CHECK_NO_ERROR(error);
	return backing;
}

/* A new image of the cluster whose configuration tests/ceph/backing.sh names. */
static Backing *open_new_image(void)
{
	static guint number;
	g_autofree char *image = g_strdup_printf("contract-%u", ++number);
	g_autofree char *uri = g_strdup_printf("rbd:rbd/%s?conf=%s", image, g_getenv("CEPH_CONF"));
	const char *argv[] = {"rbd", "create", image, "--size", "4M", NULL};
	g_autoptr(GError) error = NULL;
	Backing *backing;
	int status = -1;

	g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL,
		     &status, &error);
	CHECK_NO_ERROR(error);
	CHECK_INT(status, 0);
	backing = backing_open(uri, 0, &error);
	CHECK_NO_ERROR(error);
	return backing;
}

static Backing *make_rbd(void)
{
	Backing *backing = open_new_image();

	CHECK(backing_lock(backing, TRUE, NULL)); /* without it, nothing can be changed */
	return backing;
}

static const BackingKind kinds[] = {
	{"memory", make_memory, FALSE, FALSE}, {"faulty", make_faulty, FALSE, FALSE},
	{"file", make_file, FALSE, FALSE},     {"block", make_block, TRUE, FALSE},
	{"rbd", make_rbd, FALSE, TRUE}, /* the last: not without a cluster */
};

typedef struct {
	const char *name;
	void (*run)(Backing *backing, const BackingKind *kind);
} Case;

static void case_zeros(Backing *backing, const BackingKind *kind)
{
	g_autofree guint8 *data = g_malloc(SIZE);

	(void)kind;
	memset(data, 0xaa, SIZE);
	CHECK_UINT(backing_size(backing), SIZE);
	CHECK_INT(backing_pread(backing, data, SIZE, 0), 0);
	CHECK_ZERO(data, SIZE);
}

static void case_write_read(Backing *backing, const BackingKind *kind)
{
	g_autofree guint8 *flat = g_malloc0(SIZE), *data = g_malloc(SIZE);
	TestRandom random = test_random_new(test_seed());

	(void)kind;
	for (guint i = 0; i < 300; i++) {
		gsize offset = test_random_below(&random, SIZE);
		gsize length = test_random_below(&random, MIN(SIZE - offset, i % 20 ? 9000 : SIZE));

		test_row("write %u at %zu of %zu", i, offset, length);
		test_random_fill(&random, flat + offset, length);
		CHECK_INT(backing_pwrite(backing, flat + offset, length, offset), 0);
		offset = test_random_below(&random, SIZE);
		length = test_random_below(&random, SIZE - offset);
		CHECK_INT(backing_pread(backing, data, length, offset), 0);
		CHECK_MEM(data, flat + offset, length);
	}
	CHECK_INT(backing_flush(backing), 0);
	CHECK_INT(backing_pread(backing, data, SIZE, 0), 0);
	CHECK_MEM(data, flat, SIZE);
}

/* Cuts `data` into pieces of 0 to 600 bytes, more pieces than one system call takes. */
static int cut(TestRandom *random, guint8 *data, gsize length, struct iovec *iov, int max)
{
	int n = 0;

	for (; n < max - 1 && length; n++) {
		gsize piece = min_u64(test_random_below(random, 600), length);

		iov[n] = (struct iovec){.iov_base = data, .iov_len = piece};
		data += piece;
		length -= piece;
	}
	iov[n++] = (struct iovec){.iov_base = data, .iov_len = length};
	return n;
}

static void case_vectors(Backing *backing, const BackingKind *kind)
{
	const gsize length = MIB + 77;
	g_autofree guint8 *out = g_malloc(length), *in = g_malloc0(length);
	g_autofree struct iovec *iov = g_new(struct iovec, 5000);
	TestRandom random = test_random_new(test_seed());
	int count;

	(void)kind;
	test_random_fill(&random, out, length);
	count = cut(&random, out, length, iov, 5000);
	CHECK(count > 1024);
	CHECK_INT(backing_pwritev(backing, iov, count, 1234, BACKING_WAIT), 0);
	count = cut(&random, in, length, iov, 5000);
	CHECK_INT(backing_preadv(backing, iov, count, 1234, BACKING_WAIT), 0);
	CHECK_MEM(in, out, length);
}

static void case_bounds(Backing *backing, const BackingKind *kind)
{
	static const struct {
		guint64 offset;
		gsize length;
	} rows[] = {{SIZE, 1}, {SIZE - 1, 2},	   {SIZE + 4096, 4096},
		    {1, SIZE}, {G_MAXUINT64, 512}, {G_MAXINT64 - 10, 4096}};
	g_autofree guint8 *data = g_malloc(SIZE);

	(void)kind;
	memset(data, 0xaa, SIZE);
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		test_row("%zu bytes at %" G_GUINT64_FORMAT, rows[i].length, rows[i].offset);
		CHECK_INT(backing_pread(backing, data, rows[i].length, rows[i].offset), -ENXIO);
		CHECK_INT(backing_pwrite(backing, data, rows[i].length, rows[i].offset), -ENOSPC);
	}
	test_row(NULL);
	CHECK_UINT(backing_size(backing), SIZE);
	CHECK_INT(backing_pread(backing, data, SIZE, 0), 0);
	CHECK_ZERO(data, SIZE);
}

static void case_durable(Backing *backing, const BackingKind *kind)
{
	guint8 data[4096], back[4096];

	(void)kind;
	memset(data, 7, sizeof data);
	CHECK_INT(backing_write_durably(backing, data, sizeof data, 8192), 0);
	CHECK_INT(backing_pread(backing, back, sizeof back, 8192), 0);
	CHECK(!memcmp(data, back, sizeof data));
	CHECK_INT(backing_write_durably(backing, data, sizeof data, SIZE - 512), -ENOSPC);
}

static void case_nothing(Backing *backing, const BackingKind *kind)
{
	(void)kind;
	CHECK_INT(backing_preadv(backing, NULL, 0, 512, BACKING_WAIT), 0);
	CHECK_INT(backing_pwritev(backing, NULL, 0, 512, BACKING_WAIT), 0);
	CHECK_INT(backing_preadv(backing, NULL, 0, SIZE, BACKING_NOWAIT), 0);
	CHECK_INT(backing_punch(backing, 4096, 0), 0);
}

/* Checks what the backing reads as after a punch, whether the punch took place or not. */
static void check_punched(Backing *backing, const guint8 *before, guint64 offset, guint64 length,
			  int result)
{
	g_autofree guint8 *data = g_malloc(SIZE), *expected = g_memdup(before, SIZE);

	if (!result)
		memset(expected + offset, 0, length);
	CHECK_INT(backing_pread(backing, data, SIZE, 0), 0);
	CHECK_MEM(data, expected, SIZE);
}

static void case_punch(Backing *backing, const BackingKind *kind)
{
	static const struct {
		guint64 offset, length;
	} rows[] = {{0, 4096},
		    {4096, 128 * KIB},
		    {MIB, MIB + 4096},
		    {65536 - 4096, 8192},
		    {SIZE - 128 * KIB, 128 * KIB},
		    {0, SIZE}};
	g_autofree guint8 *data = g_malloc(SIZE);
	TestRandom random = test_random_new(test_seed());

	(void)kind;
	test_random_fill(&random, data, SIZE);
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		int result;

		test_row("%" G_GUINT64_FORMAT " bytes at %" G_GUINT64_FORMAT, rows[i].length,
			 rows[i].offset);
		CHECK_INT(backing_pwrite(backing, data, SIZE, 0), 0);
		result = backing_punch(backing, rows[i].offset, rows[i].length);
		CHECK(!result || result == -EOPNOTSUPP);
		check_punched(backing, data, rows[i].offset, rows[i].length, result);
	}
}

/* Whoever opens it anew counts. */
static guint64 allocated_of_image(Backing *backing)
{
	g_autofree char *uri = g_strdup_printf("%s?conf=%s", backing->name, g_getenv("CEPH_CONF"));
	g_autoptr(Backing) other = backing_open(uri, BACKING_OPEN_READ_ONLY, NULL);

	return CHECK(other != NULL) ? backing_allocated(other) : G_MAXUINT64;
}

/* What librbd does by itself would take the lock. */
static void check_looking_locks_nothing(void)
{
	g_autoptr(Backing) image = open_new_image();
	g_autoptr(GError) error = NULL;
	BackingOwner owner;

	CHECK_UINT(backing_allocated(image), 0);
	CHECK(backing_owner(image, &owner, &error));
	CHECK_NO_ERROR(error);
	CHECK_STR(owner.client, "");
}

static void case_allocated(Backing *backing, const BackingKind *kind)
{
	g_autofree guint8 *data = g_malloc(SIZE);

	if (kind->fixed) {
		CHECK_UINT(backing_allocated(backing), SIZE);
		return;
	}
	memset(data, 0x55, SIZE);
	if (kind->coarse) {
		CHECK_UINT(allocated_of_image(backing), 0);
		CHECK_INT(backing_pwrite(backing, data, MIB, MIB), 0);
		CHECK(allocated_of_image(backing) >= MIB);
		CHECK_INT(backing_punch(backing, 0, SIZE), 0);
		CHECK_UINT(allocated_of_image(backing), 0);
		check_looking_locks_nothing();
		return;
	}
	CHECK(backing_allocated(backing) < 64 * KIB);
	CHECK_INT(backing_pwrite(backing, data, MIB, MIB), 0);
	CHECK_INT(backing_flush(backing), 0);
	CHECK(backing_allocated(backing) >= MIB);
	CHECK(backing_allocated(backing) <= MIB + 64 * KIB);
	CHECK_INT(backing_punch(backing, MIB + 8192, MIB - 16384), 0);
	CHECK(backing_allocated(backing) >= 16384);
	CHECK(backing_allocated(backing) <= 80 * KIB);
}

static void case_grow(Backing *backing, const BackingKind *kind)
{
	guint8 data[4096];

	CHECK_INT(backing_grow(backing, SIZE / 2), 0);
	CHECK_UINT(backing_size(backing), SIZE);
	if (kind->fixed) {
		CHECK_INT(backing_grow(backing, SIZE + 4096), -ENOSPC);
		return;
	}
	CHECK_INT(backing_grow(backing, TIB + 4096), 0);
	CHECK_UINT(backing_size(backing), TIB + 4096);
	memset(data, 0xaa, sizeof data);
	CHECK_INT(backing_pread(backing, data, sizeof data, TIB), 0);
	CHECK_ZERO(data, sizeof data);
	CHECK_INT(backing_pwrite(backing, "x", 1, TIB + 4095), 0);
	CHECK_INT(backing_pread(backing, data, sizeof data, TIB), 0);
	CHECK_INT(data[4095], 'x');
	CHECK_INT(backing_grow(backing, (guint64)G_MAXINT64 + 1), -ENOSPC);
	CHECK_UINT(backing_size(backing), TIB + 4096);
}

static void case_nowait(Backing *backing, const BackingKind *kind)
{
	guint8 old[8192], new[8192], now[8192];
	struct iovec iov = {.iov_base = new, .iov_len = sizeof new};
	int result;

	(void)kind;
	memset(old, 1, sizeof old);
	memset(new, 2, sizeof new);
	CHECK_INT(backing_pwrite(backing, old, sizeof old, 4096), 0);
	for (guint i = 0; i < 3; i++) {
		result = backing_pwritev(backing, &iov, 1, 4096, BACKING_NOWAIT);
		CHECK(!result || result == -EAGAIN);
		CHECK_INT(backing_pread(backing, now, sizeof now, 4096), 0);
		CHECK_MEM(now, result ? old : new, sizeof now);
	}
	iov.iov_base = old;
	result = backing_preadv(backing, &iov, 1, 4096, BACKING_NOWAIT);
	CHECK(!result || result == -EAGAIN);
	if (!result)
		CHECK_MEM(old, now, sizeof old);
	iov.iov_len = 1;
	CHECK_INT(backing_preadv(backing, &iov, 1, SIZE, BACKING_NOWAIT), -ENXIO);
	CHECK_INT(backing_pwritev(backing, &iov, 1, SIZE, BACKING_NOWAIT), -ENOSPC);
}

typedef struct {
	Backing *backing;
	guint8 mark;
} Writer;

static gpointer write_marks(gpointer data)
{
	const Writer *writer = data;
	TestRandom random = test_random_new(writer->mark);
	guint8 bytes[64 * 512], other[64 * 512];

	memset(bytes, writer->mark, sizeof bytes);
	for (guint i = 0; i < 300; i++) {
		gsize sectors = 1 + test_random_below(&random, 64);
		guint64 offset = test_random_below(&random, 256) * 512;

		CHECK_INT(backing_pwrite(writer->backing, bytes, sectors * 512, offset), 0);
		CHECK_INT(backing_pread(writer->backing, other, sectors * 512, offset), 0);
		if (i % 50 == 0)
			CHECK_INT(backing_flush(writer->backing), 0);
	}
	return NULL;
}

static void case_threads(Backing *backing, const BackingKind *kind)
{
	g_autofree guint8 *data = g_malloc(SIZE);
	Writer writers[4];
	GThread *threads[4];

	(void)kind;
	for (guint8 i = 0; i < 4; i++) {
		writers[i] = (Writer){.backing = backing, .mark = i + 1};
		threads[i] = g_thread_new("writer", write_marks, &writers[i]);
	}
	for (guint i = 0; i < 4; i++)
		g_thread_join(threads[i]);
	CHECK_INT(backing_pread(backing, data, SIZE, 0), 0);
	for (gsize sector = 0; sector < SIZE; sector += 512) {
		test_row("sector at %zu", sector);
		CHECK(data[sector] <= 4);
		CHECK_MEM(data + sector, data + sector + 1, 511);
	}
}

static void case_lock(Backing *backing, const BackingKind *kind)
{
	g_autoptr(GError) error = NULL;

	(void)kind;
	CHECK(backing_lock(backing, TRUE, &error));
	CHECK(backing_lock(backing, TRUE, &error)); /* the holder may take it again */
	CHECK_NO_ERROR(error);
}

static void check_properties(Backing *backing, const char *wanted)
{
	char text[16];

	CHECK_INT(backing->ops->read_properties(backing, text, sizeof text), 0);
	CHECK_STR(text, wanted);
}

static void case_properties(Backing *backing, const BackingKind *kind)
{
	const BackingOps *ops = backing->ops;
	gboolean keeps = !strcmp(kind->name, "rbd");
	char text[16];

	CHECK((ops->read_properties != NULL) == keeps);
	CHECK((ops->write_properties != NULL) == keeps);
	if (!keeps)
		return;
	check_properties(backing, "");
	CHECK_INT(ops->write_properties(backing, "b=2\n", "a=1\n"), -ECANCELED);
	check_properties(backing, "");
	CHECK_INT(ops->write_properties(backing, "", "a=1\n"), 0);
	CHECK_INT(ops->write_properties(backing, "", "b=2\n"), -ECANCELED);
	CHECK_INT(ops->write_properties(backing, "a=1", ""), -ECANCELED);
	check_properties(backing, "a=1\n");
	CHECK_INT(ops->write_properties(backing, "a=1\n", "0123456789abcdef"), 0);
	CHECK_INT(ops->read_properties(backing, text, sizeof text), -EBADMSG);
	CHECK_INT(ops->write_properties(backing, "0123456789abcdef", "0123456789abcde"), 0);
	check_properties(backing, "0123456789abcde");
	CHECK_INT(ops->write_properties(backing, "0123456789abcde", ""), 0);
	check_properties(backing, "");
}

static const Case cases[] = {
	{"what was never written reads as zeros", case_zeros},
	{"what was written is read", case_write_read},
	{"what was written durably is read", case_durable},
	{"vectors of thousands of pieces", case_vectors},
	{"beyond the end nothing is read or written", case_bounds},
	{"requests for nothing succeed", case_nothing},
	{"a punched range reads as zeros, its neighbours stay", case_punch},
	{"space is taken by writing and given back by punching", case_allocated},
	{"growth reads as zeros", case_grow},
	{"without waiting: all or nothing", case_nowait},
	{"each sector is from one of the writers", case_threads},
	{"the holder of the lock can take it again", case_lock},
	{"properties are written in the place of those that are there", case_properties},
};

typedef struct {
	const BackingKind *kind;
	const Case *test;
} Combination;

static void run_case(const void *data)
{
	const Combination *combination = data;
	Backing *backing = combination->kind->make();

	if (backing)
		combination->test->run(backing, combination->kind);
	backing_free(backing);
	if (loop_fd >= 0)
		close(loop_fd);
	loop_fd = -1;
}

int main(int argc, char **argv)
{
	static Combination all[G_N_ELEMENTS(kinds) * G_N_ELEMENTS(cases)];
	guint n_kinds = (guint)G_N_ELEMENTS(kinds) - !g_getenv("CEPH_CONF"), n = 0;

	for (guint k = 0; k < n_kinds; k++)
		for (guint c = 0; c < G_N_ELEMENTS(cases); c++) {
			g_autofree char *name =
				g_strdup_printf("%s: %s", kinds[k].name, cases[c].name);

			all[n] = (Combination){.kind = &kinds[k], .test = &cases[c]};
			test_add(name, run_case, &all[n++]);
		}
	return test_run(argc, argv);
}
