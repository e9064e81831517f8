/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Direct volumes: an offset in the volume is the same offset in the backing.
 */
#include <errno.h>

#include "common/backing/file.h"
#include "common/base/bytes.h"
#include "common/base/error.h"
#include "common/base/units.h"
#include "common/check/scrub.h"
#include "common/engine/direct.h"
#include "common/engine/volume-receive.h"
#include "common/engine/volume-snapshots.h"
#include "common/engine/volume-usage.h"
#include "tests/backing/faulty.h"
#include "tests/backing/memory.h"
#include "tests/engine/support.h"

#define THREADS 4
#define STRETCH (MIB + 5 * SECTOR_SIZE) /* neighbours share a block */
#define SIZE (THREADS * STRETCH + 3 * SECTOR_SIZE)
#define REQUESTS 400
#define REQUEST_MAX (300 * KIB)
#define BATCH 8

static const guint8 uuid[16] = {1, 2, 3};

static Volume *open_direct(Backing *real, GError **error)
{
	return direct_open(backing_borrow(real), "test", uuid, 0, error);
}

static Volume *open_of(Backing *real)
{
	g_autoptr(GError) error = NULL;
	Volume *volume = open_direct(real, &error);

	CHECK_NO_ERROR(error);
	return volume;
}

static Backing *new_backing(const char *kind)
{
	g_autofree char *path = test_path(".img");
	Backing *backing = !strcmp(kind, "memory") ? backing_memory_new(0)
			   : !strcmp(kind, "faulty")
				   ? backing_faulty_new(0)
				   : backing_file_open(path, BACKING_OPEN_CREATE, NULL);

	CHECK_INT(backing_grow(backing, SIZE), 0);
	return backing;
}

/* ---- against a flat array, by threads that each have a stretch */

typedef struct {
	Volume *volume;
	guint64 start;
	guint8 *flat;
	guint8 buffer[REQUEST_MAX];
	TestRandom random;
} Stretch;

static void do_batch(Stretch *s)
{
	VolumeWrite writes[BATCH] = {0};
	struct iovec iov[BATCH];

	for (guint i = 0; i < BATCH; i++) {
		gsize offset = test_random_below(&s->random, STRETCH / SECTOR_SIZE) * SECTOR_SIZE;
		gsize length = MIN(BLOCK_SIZE, STRETCH - offset);

		test_random_fill(&s->random, s->flat + offset, length);
		iov[i] = (struct iovec){g_memdup(s->flat + offset, (guint)length), length};
		writes[i] = (VolumeWrite){
			.iov = &iov[i], .n_iov = 1, .offset = s->start + offset, .result = -1};
	}
	volume_write_batch(s->volume, writes, BATCH);
	for (guint i = 0; i < BATCH; i++) {
		CHECK_INT(writes[i].result, 0);
		g_free(iov[i].iov_base);
	}
}

static void do_read(Stretch *s, gsize offset, gsize length)
{
	struct iovec iov[9];
	int count = cut_vector(&s->random, s->buffer, length, iov, G_N_ELEMENTS(iov));
	int r = volume_read_nowait(s->volume, iov, count, s->start + offset, NULL);

	if (r == -EAGAIN)
		r = volume_read(s->volume, iov, count, s->start + offset, NULL);
	CHECK_INT(r, 0);
	CHECK_MEM(s->buffer, s->flat + offset, length);
}

static void do_write(Stretch *s, gsize offset, gsize length)
{
	struct iovec iov[9];
	int count = cut_vector(&s->random, s->flat + offset, length, iov, G_N_ELEMENTS(iov));
	int r;

	test_random_fill(&s->random, s->flat + offset, length);
	r = volume_write_nowait(s->volume, iov, count, s->start + offset, NULL);
	if (r == -EAGAIN)
		r = volume_write(s->volume, iov, count, s->start + offset, NULL);
	CHECK_INT(r, 0);
}

static void do_compare_and_write(Stretch *s, gsize offset, gsize length)
{
	gboolean differs = test_random_below(&s->random, 2) == 0;
	gsize byte = test_random_below(&s->random, length);
	g_autofree guint8 *data = g_malloc(length);
	struct iovec expected = {s->buffer, length}, wanted = {data, length};
	guint64 at = 1;

	test_random_fill(&s->random, data, length);
	memcpy(s->buffer, s->flat + offset, length);
	s->buffer[byte] ^= differs ? 0x10 : 0;
	CHECK_INT(volume_compare_and_write(s->volume, &expected, 1, &wanted, 1, s->start + offset,
					   &at),
		  differs ? -EILSEQ : 0);
	CHECK_UINT(at, differs ? s->start + offset + byte : 1);
	if (!differs)
		memcpy(s->flat + offset, data, length);
}

static void do_or(Stretch *s, gsize offset, gsize length)
{
	struct iovec iov = {s->buffer, length};

	test_random_fill(&s->random, s->buffer, length);
	CHECK_INT(volume_or(s->volume, &iov, 1, s->start + offset, NULL), 0);
	for (gsize i = 0; i < length; i++)
		s->flat[offset + i] |= s->buffer[i];
}

static void do_zero(Stretch *s, gsize offset, gsize length)
{
	if (test_random_below(&s->random, 2))
		CHECK_INT(volume_zero(s->volume, s->start + offset, length), 0);
	else
		CHECK_INT(volume_discard(s->volume, s->start + offset, length), 0);
	memset(s->flat + offset, 0, length);
}

static gpointer run_stretch(gpointer data)
{
	Stretch *s = data;

	for (guint i = 0; i < REQUESTS && !test_failed(); i++) {
		gsize offset = test_random_below(&s->random, STRETCH / SECTOR_SIZE) * SECTOR_SIZE;
		gsize limit = test_random_below(&s->random, 2) ? 8 * KIB : REQUEST_MAX;
		gsize most = MIN(STRETCH - offset, limit);
		gsize length =
			(1 + test_random_below(&s->random, most / SECTOR_SIZE)) * SECTOR_SIZE;
		guint kind = (guint)test_random_below(&s->random, 8);

		test_row("stretch at %" G_GUINT64_FORMAT ", request %u of kind %u: %zu at %zu",
			 s->start, i, kind, length, offset);
		switch (kind) {
		case 0:
			do_batch(s);
			break;
		case 1:
			do_zero(s, offset, length);
			break;
		case 2:
			do_compare_and_write(s, offset, length);
			break;
		case 3:
			do_or(s, offset, length);
			break;
		case 4:
			CHECK_INT(volume_flush(s->volume), 0);
			break;
		case 5:
			do_read(s, offset, length);
			break;
		default:
			do_write(s, offset, length);
		}
	}
	return NULL;
}

static void test_model(const void *kind)
{
	g_autoptr(Backing) backing = new_backing(kind);
	g_autofree guint8 *flat = g_malloc0(SIZE), *found = g_malloc(SIZE);
	TestRandom random = test_random_new(test_seed());
	Volume *volume = open_of(backing);
	Stretch *stretches = g_new0(Stretch, THREADS);
	GThread *threads[THREADS];

	REQUIRE(volume);
	CHECK_UINT(volume_size(volume), SIZE);
	for (guint i = 0; i < THREADS; i++) {
		stretches[i].volume = volume;
		stretches[i].start = i * STRETCH;
		stretches[i].flat = flat + i * STRETCH;
		stretches[i].random = test_random_new(test_random(&random));
		threads[i] = g_thread_new("stretch", run_stretch, &stretches[i]);
	}
	for (guint i = 0; i < THREADS; i++)
		g_thread_join(threads[i]);
	g_free(stretches);
	CHECK_INT(volume_get(volume, found, SIZE, 0), 0);
	CHECK_MEM(found, flat, SIZE);
	close_volume(volume);
	CHECK_INT(backing_pread(backing, found, SIZE, 0), 0);
	CHECK_MEM(found, flat, SIZE);
}

/* ---- races */

#define ROUNDS 300

static gpointer count_up(gpointer data)
{
	guint8 have[SECTOR_SIZE], next[SECTOR_SIZE];
	struct iovec expected = {have, sizeof have}, wanted = {next, sizeof next};

	for (guint i = 0; i < ROUNDS && !test_failed();) {
		int r = volume_get(data, have, sizeof have, 0);

		CHECK_INT(r, 0);
		memcpy(next, have, sizeof next);
		put_le32(next, get_le32(have) + 1);
		r = volume_compare_and_write(data, &expected, 1, &wanted, 1, 0, NULL);
		CHECK(r == 0 || r == -EILSEQ);
		i += r == 0;
	}
	return NULL;
}

/* Writes beside it in the same block, which must not bring back what was there. */
static gpointer write_beside(gpointer data)
{
	for (guint i = 0; i < ROUNDS && !test_failed(); i++)
		CHECK_INT(volume_put_value(data, (guint8)i, SECTOR_SIZE, SECTOR_SIZE), 0);
	return NULL;
}

static gpointer set_bits(gpointer data)
{
	guint8 bits[SECTOR_SIZE] = {0};
	struct iovec iov = {bits, sizeof bits};

	for (guint i = 0; i < 8 && !test_failed(); i++) {
		memset(bits, 1 << i, sizeof bits);
		CHECK_INT(volume_or(data, &iov, 1, BLOCK_SIZE, NULL), 0);
	}
	return NULL;
}

static void test_races(const void *data)
{
	static const GThreadFunc sides[] = {count_up, count_up, write_beside, set_bits, set_bits};
	g_autoptr(Backing) backing = new_backing("faulty");
	GThread *threads[G_N_ELEMENTS(sides)];
	Volume *volume = open_of(backing);
	guint8 have[SECTOR_SIZE];

	(void)data;
	REQUIRE(volume);
	backing_faulty_delay(backing, FAULTY_READ | FAULTY_WRITE, 20);
	for (guint i = 0; i < G_N_ELEMENTS(sides); i++)
		threads[i] = g_thread_new("side", sides[i], volume);
	for (guint i = 0; i < G_N_ELEMENTS(sides); i++)
		g_thread_join(threads[i]);
	CHECK_INT(volume_get(volume, have, sizeof have, 0), 0);
	CHECK_UINT(get_le32(have), 2 * ROUNDS);
	check_value(volume, 0xff, SECTOR_SIZE, BLOCK_SIZE);
	check_value(volume, (guint8)(ROUNDS - 1), SECTOR_SIZE, SECTOR_SIZE);
	close_volume(volume);
}

/* ---- answers that come late */

static gint writing, let_go; /* atomic */

/* The first write hangs in the backing. */
static gboolean hang_once(guint64 offset, guint64 length, gpointer data)
{
	(void)offset, (void)length, (void)data;
	if (g_atomic_int_add(&writing, 1) == 0)
		WAIT_WITHIN(60, g_atomic_int_get(&let_go));
	return TRUE;
}

typedef struct {
	Volume *volume;
	gint dropped, done; /* atomic */
	guint8 value;
} LateWrite;

static gpointer write_late(gpointer data)
{
	LateWrite *late = data;

	wanted_until(&late->dropped);
	CHECK_INT(volume_put_value(late->volume, late->value, BLOCK_SIZE, 0), 0);
	g_atomic_int_set(&late->done, TRUE);
	return NULL;
}

/* What is sent after a write was answered as late waits for it, and is not overwritten by it. */
static void test_late_write(const void *data)
{
	g_autoptr(Backing) backing = new_backing("memory");
	Volume *volume =
		direct_open(backing_borrow_gated(backing, hang_once, NULL), "test", uuid, 0, NULL);
	LateWrite first = {volume, 0, 0, 1}, second = {volume, 0, 0, 2}, third = {volume, 1, 0, 3};
	GThread *threads[2];

	(void)data;
	REQUIRE(volume);
	threads[0] = g_thread_new("first", write_late, &first);
	WAIT_WITHIN(20, g_atomic_int_get(&writing) > 0);
	g_atomic_int_set(&first.dropped, TRUE);
	threads[1] = g_thread_new("second", write_late, &second);
	g_usleep(200000); /* only waiting shows that nothing happens */
	CHECK(!g_atomic_int_get(&second.done));
	CHECK_INT(g_atomic_int_get(&writing), 1);
	CHECK_INT(volume_put_value(volume, 9, BLOCK_SIZE, 2 * BLOCK_SIZE), 0); /* elsewhere */
	g_atomic_int_set(&let_go, TRUE);
	g_thread_join(threads[0]);
	g_thread_join(threads[1]);
	check_value(volume, 2, BLOCK_SIZE, 0);

	wanted_until(&third.dropped);
	CHECK_INT(volume_put_value(volume, third.value, BLOCK_SIZE, 0), -ECANCELED);
	CHECK_INT(volume_zero(volume, 0, BLOCK_SIZE), -ECANCELED);
	CHECK_INT(volume_erase(volume), -ECANCELED);
	wanted_until(NULL);
	check_value(volume, 2, BLOCK_SIZE, 0);
	close_volume(volume);
}

/* ---- faults */

static void check_failed(Volume *volume, const char *why)
{
	g_autofree char *failure = volume_failure(volume);

	CHECK_CONTAINS(failure, why);
	CHECK_INT(volume_put_value(volume, 2, BLOCK_SIZE, 0), -ESHUTDOWN);
	CHECK_INT(volume_zero(volume, 0, BLOCK_SIZE), -ESHUTDOWN);
	CHECK_INT(volume_flush(volume), -ESHUTDOWN);
	check_value(volume, 1, BLOCK_SIZE, 0);
}

typedef struct {
	const char *name;
	int err, result;
	gboolean fails;
} FaultRow;

static const FaultRow fault_rows[] = {
	{"full", ENOSPC, -ENOSPC, FALSE},
	{"a bad sector", EIO, -EIO, FALSE},
	{"fenced", ESHUTDOWN, -ESHUTDOWN, TRUE},
	{"another has the lock", EROFS, -ESHUTDOWN, TRUE},
};

static void test_faults(const void *data)
{
	for (guint i = 0; i < G_N_ELEMENTS(fault_rows); i++) {
		const FaultRow *row = &fault_rows[i];
		g_autoptr(Backing) backing = new_backing("faulty");
		Volume *volume = open_of(backing);

		(void)data;
		test_row("%s", row->name);
		REQUIRE(volume);
		CHECK_INT(volume_put_value(volume, 1, BLOCK_SIZE, 0), 0);
		backing_faulty_fail(backing, FAULTY_WRITE, 0, row->err, FALSE, FALSE);
		CHECK_INT(volume_put_value(volume, 2, BLOCK_SIZE, BLOCK_SIZE), row->result);
		if (row->fails)
			check_failed(volume, "the backing refuses changes");
		else
			CHECK_INT(volume_put_value(volume, 2, BLOCK_SIZE, BLOCK_SIZE), 0);
		CHECK_INT(volume_close(volume, NULL), !row->fails);
	}
	test_row(NULL);
}

/* Zeros are promised; a backing that cannot punch gets them written. */
static void test_no_punch(const void *data)
{
	g_autoptr(Backing) backing = new_backing("faulty");
	Volume *volume = open_of(backing);

	(void)data;
	REQUIRE(volume);
	CHECK_INT(volume_put_value(volume, 1, MIB, 0), 0);
	backing_faulty_fail(backing, FAULTY_PUNCH, 0, EOPNOTSUPP, TRUE, FALSE);
	CHECK_INT(volume_discard(volume, SECTOR_SIZE, MIB - 2 * SECTOR_SIZE), 0);
	check_value(volume, 1, SECTOR_SIZE, 0);
	check_value(volume, 0, MIB - 2 * SECTOR_SIZE, SECTOR_SIZE);
	check_value(volume, 1, SECTOR_SIZE, MIB - SECTOR_SIZE);
	close_volume(volume);
}

static void test_failed_flush(const void *data)
{
	g_autoptr(Backing) backing = new_backing("faulty");
	Volume *volume = open_of(backing);

	(void)data;
	REQUIRE(volume);
	CHECK_INT(volume_put_value(volume, 1, BLOCK_SIZE, 0), 0);
	backing_faulty_fail(backing, FAULTY_FLUSH, 0, EIO, FALSE, FALSE);
	CHECK_INT(volume_flush(volume), -EIO);
	check_failed(volume, "flush");
	CHECK(!volume_close(volume, NULL));
}

/* What was flushed survives a loss of power. */
static void test_flush(const void *data)
{
	g_autoptr(Backing) backing = new_backing("faulty");
	g_autoptr(Backing) after = NULL;
	Volume *volume;

	(void)data;
	CHECK_INT(backing_flush(backing), 0);
	volume = open_of(backing);
	REQUIRE(volume);
	CHECK(volume_is_write_through(volume));
	CHECK_INT(volume_put_value(volume, 1, BLOCK_SIZE, 0), 0);
	CHECK_INT(volume_flush(volume), 0);
	after = backing_faulty_crash(backing, 0);
	close_volume(volume);
	volume = open_of(after);
	REQUIRE(volume);
	check_value(volume, 1, BLOCK_SIZE, 0);
	close_volume(volume);
}

/* ---- size, and what there is not */

static void test_size(const void *data)
{
	g_autoptr(Backing) backing = backing_memory_new(0);
	g_autoptr(GError) error = NULL;
	Volume *volume;

	(void)data;
	CHECK_INT(backing_grow(backing, MIB - 1), 0);
	CHECK(!open_direct(backing, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_INVALID, "out of range");
	g_clear_error(&error);
	CHECK_INT(backing_grow(backing, 2 * MIB + 700), 0);
	volume = open_of(backing);
	REQUIRE(volume);
	CHECK_UINT(volume_size(volume), 2 * MIB + 512); /* whole sectors */
	CHECK(volume_resize(volume, 4 * MIB, 0, 1, &error));
	CHECK_NO_ERROR(error);
	CHECK_UINT(volume_size(volume), 4 * MIB);
	CHECK_UINT(backing_size(backing), 4 * MIB);
	CHECK_INT(volume_put_value(volume, 7, BLOCK_SIZE, 4 * MIB - BLOCK_SIZE), 0);
	CHECK_INT(volume_put_value(volume, 7, BLOCK_SIZE, 4 * MIB), -EINVAL);
	CHECK(!volume_resize(volume, 2 * MIB, VOLUME_RESIZE_SHRINK, 1, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_UNSUPPORTED, "smaller");
	close_volume(volume);
}

static void test_what_it_tells(const void *data)
{
	g_autoptr(Backing) backing = new_backing("memory");
	Volume *volume = open_of(backing);
	guint64 length = 0;
	gboolean mapped;
	VolumeInfo info;

	(void)data;
	REQUIRE(volume);
	volume_get_info(volume, &info);
	CHECK_STR(info.uuid, "01020300-0000-0000-0000-000000000000");
	CHECK_INT(info.state, VOLUME_OK);
	CHECK_UINT(info.size, SIZE);
	CHECK(info.write_through && volume_is_direct(volume));
	CHECK_UINT(volume_limits(volume)->atomic_max, 0);
	CHECK_UINT(volume_limits(volume)->discard_granularity, 64 * KIB);
	CHECK_INT(volume_extent(volume, BLOCK_SIZE, &mapped, &length), 0);
	CHECK(mapped && length == SIZE - BLOCK_SIZE);
	CHECK_INT(volume_extent(volume, SIZE, &mapped, &length), -EINVAL);
	CHECK(volume_settled(volume, volume_settle(volume), 0));
	CHECK_INT(volume_checkpoint(volume), 0);
	close_volume(volume);
}

/* Each says so, and what has it instead. */
static void test_what_it_has_not(const void *data)
{
	const VolumeSnapshotParameters parameters = {.name = "one"};
	const VolumeUsageQuestion question = {0};
	g_autoptr(Backing) backing = new_backing("memory");
	g_autoptr(GArray) snapshots = NULL;
	g_autoptr(GPtrArray) tags = NULL;
	Volume *volume = open_of(backing);
	VolumeReceiving receiving;
	guint64 generation;
	VolumeUsage usage;

	(void)data;
	REQUIRE(volume);
#define CHECK_REFUSED(call)                                                                        \
	do {                                                                                       \
		g_autoptr(GError) error = NULL;                                                    \
                                                                                                   \
		test_row("%s", #call);                                                             \
		CHECK(!(call));                                                                    \
		CHECK_ERROR(error, STORAGEOS_ERROR_UNSUPPORTED, "whoever keeps what it is in");    \
	} while (0)
	CHECK_REFUSED(volume_snapshot_begin(volume, &parameters, &generation, &error));
	CHECK_REFUSED(volume_snapshot_wait(volume, 1, 1, &error));
	CHECK_REFUSED(volume_snapshot_delete(volume, "one", 0, &error));
	CHECK_REFUSED(volume_snapshot_rename(volume, "one", "two", &error));
	CHECK_REFUSED(volume_snapshot_hold(volume, "one", "tag", &error));
	CHECK_REFUSED(volume_snapshot_release(volume, "one", "tag", &error));
	CHECK_REFUSED(volume_rollback(volume, "one", 0, NULL, &error));
	CHECK_REFUSED(volume_receive_begin(volume, &parameters, SIZE, &error));
	CHECK_REFUSED(volume_usage(volume, &question, &usage, &error));
	CHECK_REFUSED(volume_set_write_through(volume, FALSE, &error));
	CHECK_REFUSED(volume_renew_uuid(volume, &error));
	CHECK_REFUSED(scrub_start(volume, 0, 0, &error));
	test_row(NULL);
	CHECK(!volume_has_snapshots(volume));
	snapshots = volume_snapshots(volume);
	tags = volume_snapshot_tags(volume, 1);
	CHECK_UINT(snapshots->len + tags->len, 0);
	CHECK(!volume_receive_get(volume, &receiving));
	close_volume(volume);
}

static void test_read_only(const void *data)
{
	g_autoptr(Backing) backing = new_backing("memory");
	Volume *volume =
		direct_open(backing_borrow(backing), "test", uuid, VOLUME_OPEN_READ_ONLY, NULL);

	(void)data;
	REQUIRE(volume);
	CHECK_INT(volume_put_value(volume, 1, BLOCK_SIZE, 0), -EROFS);
	check_value(volume, 0, BLOCK_SIZE, 0);
	close_volume(volume);
}

static void test_erase(const void *data)
{
	g_autoptr(Backing) backing = new_backing("faulty");
	Volume *volume = open_of(backing);

	(void)data;
	REQUIRE(volume);
	CHECK_INT(volume_put_value(volume, 1, 3 * BLOCK_SIZE, MIB), 0);
	CHECK_INT(volume_erase(volume), 0);
	check_value(volume, 0, SIZE, 0);
	CHECK_UINT(backing_faulty_count(backing, FAULTY_PUNCH), 0); /* overwritten */
	close_volume(volume);
}

int main(int argc, char **argv)
{
	test_add("in memory, the volume is what was written, and so is the backing", test_model,
		 "memory");
	test_add("in a faulty backing, too", test_model, "faulty");
	test_add("in a file, too", test_model, "file");
	test_add("no count and no bit is lost between threads", test_races, NULL);
	test_add("a write that was answered late holds its range until it ends", test_late_write,
		 NULL);
	test_add("a refusal of the backing is the answer, and being fenced the end", test_faults,
		 NULL);
	test_add("a backing that cannot punch gets zeros", test_no_punch, NULL);
	test_add("a failed flush makes it FAILED", test_failed_flush, NULL);
	test_add("what was flushed survives a loss of power", test_flush, NULL);
	test_add("it has the backing's size, and grows", test_size, NULL);
	test_add("it tells what it is", test_what_it_tells, NULL);
	test_add("it has no snapshots and no scrub, and says who has", test_what_it_has_not, NULL);
	test_add("opened read-only, nothing changes it", test_read_only, NULL);
	test_add("erasing overwrites it", test_erase, NULL);
	return test_run(argc, argv);
}
