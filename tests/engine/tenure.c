/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One writer across machines: several backings lead to one memory, as the devices of several
 * machines lead to one disk.  The machines differ by what host_get() pretends when each opens.
 */
#include <errno.h>
#include <string.h>

#include "common/base/logging.h"
#include "common/base/units.h"
#include "common/check/check.h"
#include "common/check/repair.h"
#include "common/engine/crc32c.h"
#include "common/engine/superblock.h"
#include "common/engine/tenure.h"
#include "tests/backing/faulty.h"
#include "tests/engine/support.h"

#define SIZE (8 * MIB)

static guint interval, settle; /* milliseconds */

static void set_times(guint ms)
{
	interval = ms;
	settle = MAX(ms / 4, 1);
	tenure_set_times(interval, settle);
}

/* Where nobody lives who must write in time. */
static void hurry(void)
{
	set_times(20);
}

static void take_time(void)
{
	set_times((guint)(150 * test_time_factor()));
}

/* `again`: the same machine after another boot. */
static const Host alpha = {{1}, {11}, 77, "alpha"}, alpha_again = {{1}, {12}, 5, "alpha"},
		  beta = {{2}, {22}, 88, "beta"}, nowhere = {{0}, {0}, 3, ""};

static void no_log(LoggingLevel level, const char *line)
{
	(void)level, (void)line;
}

/* Sleeps for so many intervals. */
static void sleep_intervals(double n)
{
	g_usleep((gulong)(n * interval * 1000));
}

/* What an open needs where it watches, in microseconds. */
static gint64 watch(void)
{
	return (2 * (gint64)interval + settle) * 1000;
}

static Volume *try_open(Backing *disk, const Host *host, guint64 device, VolumeOpenFlags flags,
			GError **error)
{
	Volume *volume;

	host_pretend(host);
	volume = volume_open(backing_share(disk, device, NULL, NULL), "v", flags, error);
	host_pretend(NULL);
	return volume;
}

static Volume *open_by(Backing *disk, const Host *host, guint64 device)
{
	g_autoptr(GError) error = NULL;
	Volume *volume = try_open(disk, host, device, 0, &error);

	CHECK_NO_ERROR(error);
	return volume;
}

static Backing *new_disk(void)
{
	const VolumeParameters parameters = {.size = SIZE, .journal_size = 64 * KIB};
	Backing *disk = backing_faulty_new(0);
	g_autoptr(Backing) shared = NULL;

	CHECK_INT(backing_grow(disk, 2 * MIB + 128 * MIB), 0);
	shared = backing_share(disk, 1, NULL, NULL);
	CHECK(volume_format(shared, &parameters, NULL));
	return disk;
}

static guint64 features(Backing *disk)
{
	SuperblockPair pair;

	return CHECK(superblock_load(disk, &pair, NULL)) ? pair.current.ro_compatible : 0;
}

static void test_closed(const void *data)
{
	g_autoptr(Backing) disk = new_disk();
	gint64 begun;
	Volume *volume;

	(void)data;
	CHECK_UINT(features(disk), 0);
	for (guint i = 0; i < 3; i++) {
		begun = g_get_monotonic_time();
		volume = open_by(disk, i % 2 ? &beta : &alpha, 1 + i);
		REQUIRE(volume);
		CHECK(g_get_monotonic_time() - begun >= settle * 1000);
		CHECK_QUICK(((TestTime){begun, 0}), 2 * interval / 1000.0);
		CHECK_UINT(features(disk), FORMAT_RO_TENURE);
		close_volume(volume);
		CHECK_UINT(features(disk), 0);
	}
	backing_check(disk);
}

static void test_in_use(const void *data)
{
	const VolumeParameters parameters = {.size = SIZE, .journal_size = 64 * KIB};
	g_autoptr(Backing) disk = new_disk();
	Volume *volume = open_by(disk, &alpha, 1);
	g_autoptr(Backing) other = backing_share(disk, 2, NULL, NULL);

	(void)data;
	REQUIRE(volume);
	for (guint i = 0; i < 4; i++) {
		g_autoptr(GError) error = NULL;
		g_autoptr(RepairPlan) plan = NULL;

		test_row("opener %u", i);
		if (i < 2)
			CHECK(!try_open(disk, i ? &alpha_again : &beta, 2, 0, &error));
		else if (i == 2)
			CHECK(!volume_format(other, &parameters, &error));
		else
			CHECK(!(plan = repair_plan(other, 0, NULL, NULL, NULL, &error)));
		CHECK_ERROR(error, STORAGEOS_ERROR_BUSY, "is in use by alpha (process 77)");
	}
	test_row(NULL);
	sleep_intervals(2);
	CHECK_INT(volume_put_value(volume, 'a', 4096, 0), 0);
	close_volume(volume);
	backing_check(disk);
}

/* Who may have died with the backing, and who opens it over which device then. */
typedef struct {
	const char *name;
	const Host *before, *after;
	guint64 device;
	gboolean waits;
} Succession;

static const Succession successions[] = {
	{"the same boot, the same device", &alpha, &alpha, 1, FALSE},
	{"the same boot, another device", &alpha, &alpha, 2, TRUE},
	{"another boot", &alpha, &alpha_again, 1, TRUE},
	{"another machine", &alpha, &beta, 1, TRUE},
	{"no boot is known", &nowhere, &nowhere, 1, TRUE},
};

static void test_died(const void *data)
{
	(void)data;
	hurry();
	for (guint i = 0; i < G_N_ELEMENTS(successions); i++) {
		const Succession *row = &successions[i];
		g_autoptr(Backing) disk = new_disk();
		g_autoptr(GError) error = NULL;
		Volume *volume = open_by(disk, row->before, 1);
		gint64 begun;

		test_row("%s", row->name);
		REQUIRE(volume);
		CHECK_INT(volume_put_value(volume, 'a', 4096, 0), 0);
		volume_abandon(volume);
		CHECK_UINT(features(disk), FORMAT_RO_TENURE);
		volume = try_open(disk, row->after, row->device, VOLUME_OPEN_HASTY, &error);
		if (row->waits) {
			CHECK(!volume);
			CHECK_ERROR(error, STORAGEOS_ERROR_AWAITED, "which may have it in use");
			begun = g_get_monotonic_time();
			volume = open_by(disk, row->after, row->device);
			CHECK(g_get_monotonic_time() - begun >= watch());
		}
		REQUIRE(volume);
		check_value(volume, 'a', 4096, 0);
		close_volume(volume);
		backing_check(disk);
	}
	take_time();
}

/* Who only reads does not wait, and leaves no trace. */
static void test_read_only(const void *data)
{
	g_autoptr(Backing) disk = new_disk();
	g_autoptr(Backing) other = backing_share(disk, 2, NULL, NULL);
	g_autoptr(CheckResult) result = NULL;
	g_autofree char *who = NULL;
	Volume *volume = open_by(disk, &alpha, 1), *reader;
	guint64 changes;

	(void)data;
	REQUIRE(volume);
	volume_abandon(volume);
	changes = backing_faulty_count(disk, FAULTY_MODIFY);
	reader = try_open(disk, &beta, 2, VOLUME_OPEN_READ_ONLY | VOLUME_OPEN_HASTY, NULL);
	REQUIRE(reader);
	close_volume(reader);
	who = tenure_describe(other);
	CHECK_STR(who, "alpha (process 77)");
	result = check_run(other, NULL, NULL, NULL);
	REQUIRE(result);
	CHECK_STR(result->claimed_by, "alpha (process 77)");
	CHECK_UINT(result->errors, 0);
	CHECK_UINT(backing_faulty_count(disk, FAULTY_MODIFY), changes);
	close_volume(open_by(disk, &beta, 2));
	CHECK(!tenure_describe(other));
}

/* Puts a tenure into the disk as a machine does that has not looked. */
static void put_tenure(Backing *disk, const Host *host)
{
	const TenureRecord record = {
		.turn = 4711, .host = *host, .device = 2, .interval = interval};
	FormatTenure block;

	tenure_encode(&record, &block);
	CHECK_INT(backing_pwrite(disk, &block, sizeof block, FORMAT_TENURE_OFFSET), 0);
}

static guint32 checksum(Backing *disk)
{
	gsize size = (gsize)backing_size(disk);
	g_autofree guint8 *bytes = g_malloc(size);

	CHECK_INT(backing_pread(disk, bytes, size, 0), 0);
	return crc32c(0, bytes, size);
}

static gpointer write_on(gpointer data)
{
	while (volume_put_value(data, 'w', 4096, 8192) == 0)
		;
	return NULL;
}

/* A disk of another's, and a volume that only a later version may write. */
static void test_not_ours(const void *data)
{
	static guint8 before[MIB], after[MIB];
	g_autoptr(Backing) disk = new_disk();
	SuperblockPair pair;
	Superblock later;

	(void)data;
	for (guint i = 0; i < 2; i++) {
		g_autoptr(Backing) shared = backing_share(disk, 1, NULL, NULL);
		g_autoptr(GError) error = NULL;

		test_row("%s", i ? "another's" : "a later version's");
		if (i) {
			memset(before, 'x', sizeof before);
			CHECK_INT(backing_pwrite(disk, before, sizeof before, 0), 0);
		} else {
			REQUIRE(superblock_load(disk, &pair, NULL));
			later = pair.current;
			later.generation++;
			later.ro_compatible |= (guint64)1 << 63;
			CHECK_INT(superblock_store(disk, &pair, &later), 0);
			CHECK_INT(backing_pread(disk, before, sizeof before, 0), 0);
		}
		CHECK(!try_open(disk, &beta, 1, 0, NULL));
		CHECK(!repair_plan(shared, 0, NULL, NULL, NULL, &error));
		CHECK_ERROR(error, i ? STORAGEOS_ERROR_CORRUPT : STORAGEOS_ERROR_UNSUPPORTED, "");
		CHECK_INT(backing_pread(disk, after, sizeof after, 0), 0);
		CHECK(!memcmp(before, after, sizeof before));
	}
}

static void test_taken(const void *data)
{
	g_autoptr(Backing) disk = new_disk();
	g_autofree char *failure = NULL;
	g_autoptr(GError) error = NULL;
	Backing *backing = backing_share(disk, 1, NULL, NULL);
	Volume *volume;
	guint32 before;
	GThread *writer;

	(void)data;
	host_pretend(&alpha);
	volume = volume_open(backing, "v", 0, NULL);
	host_pretend(NULL);
	REQUIRE(volume);
	CHECK_INT(volume_put_value(volume, 'a', 4096, 0), 0);
	writer = g_thread_new("writer", write_on, volume);
	put_tenure(disk, &beta);
	g_thread_join(writer);
	failure = volume_failure(volume);
	CHECK_STR(failure, "beta (process 88) has taken its disk");
	WAIT_WITHIN(10, backing_condemned(backing));
	CHECK(backing_condemned(backing));
	before = checksum(disk);
	CHECK_INT(volume_put_value(volume, 'b', 4096, 0), -ESHUTDOWN);
	CHECK_INT(volume_flush(volume), -ESHUTDOWN);
	check_value(volume, 'a', 4096, 0);
	sleep_intervals(3);
	CHECK(!volume_close(volume, &error));
	CHECK(checksum(disk) == before);
}

/* A machine that stood still writes its pulse when another one has the disk: that says nothing, not
 * even where it says that the disk was given back. */
static void test_late(const void *data)
{
	g_autoptr(Backing) disk = new_disk();
	FormatPulse late;
	PulseRecord record = {0};
	Volume *volume = open_by(disk, &alpha, 1);

	(void)data;
	REQUIRE(volume);
	CHECK_INT(backing_pread(disk, &late, sizeof late, FORMAT_PULSE_OFFSET), 0);
	volume_abandon(volume);
	volume = open_by(disk, &beta, 2);
	REQUIRE(volume);
	for (guint i = 0; i < 2; i++) {
		g_autoptr(GError) error = NULL;

		test_row("pulse %u", i);
		CHECK_INT(backing_pwrite(disk, &late, sizeof late, FORMAT_PULSE_OFFSET), 0);
		CHECK(!try_open(disk, &alpha_again, 1, 0, &error));
		CHECK_ERROR(error, STORAGEOS_ERROR_BUSY, "is in use by beta (process 88)");
		CHECK(pulse_decode(&late, &record));
		record.open = FALSE;
		pulse_encode(&record, &late);
	}
	test_row(NULL);
	CHECK_INT(volume_put_value(volume, 'b', 4096, 0), 0);
	close_volume(volume);
	backing_check(disk);
}

typedef struct {
	Backing *disk;
	guint64 device;
	gint *met; /* how many are about to write their tenure */
	Volume *volume;
	GError *error;
} Racer;

/* Both have looked before either writes. */
static gboolean meet(guint64 offset, guint64 length, gpointer data)
{
	gint *met = data;

	(void)length;
	if (offset == FORMAT_TENURE_OFFSET) {
		g_atomic_int_inc(met);
		WAIT_WITHIN(10, g_atomic_int_get(met) == 2);
	}
	return TRUE;
}

static gpointer race(gpointer data)
{
	Racer *racer = data;

	racer->volume = volume_open(backing_share(racer->disk, racer->device, meet, racer->met),
				    "v", 0, &racer->error);
	return NULL;
}

/* Two find the disk given back, and take it at the same moment. */
static void test_race(const void *data)
{
	(void)data;
	for (guint i = 0; i < 4; i++) {
		g_autoptr(Backing) disk = new_disk();
		gint met = 0;
		Racer racers[2] = {{.disk = disk, .device = 1, .met = &met},
				   {.disk = disk, .device = 2, .met = &met}};
		GThread *threads[2];
		guint opened = 0;

		test_row("race %u", i);
		for (guint j = 0; j < 2; j++)
			threads[j] = g_thread_new("racer", race, &racers[j]);
		for (guint j = 0; j < 2; j++) {
			g_thread_join(threads[j]);
			opened += racers[j].volume != NULL;
			if (racers[j].error)
				CHECK_ERROR(racers[j].error, STORAGEOS_ERROR_BUSY, "in use by");
			g_clear_error(&racers[j].error);
		}
		CHECK_UINT(opened, 1);
		for (guint j = 0; j < 2; j++)
			if (racers[j].volume)
				close_volume(racers[j].volume);
	}
}

/* Any call of the open fails: the next open is as good as any. */
static void test_faults(const void *data)
{
	const FaultyKind kinds[] = {FAULTY_READ, FAULTY_WRITE, FAULTY_FLUSH};

	(void)data;
	hurry();
	for (guint i = 0; i < G_N_ELEMENTS(kinds); i++) {
		for (guint point = 0; point < 4; point++) {
			g_autoptr(Backing) disk = new_disk();
			g_autoptr(GError) error = NULL;
			Volume *volume;

			test_row("kind %u, point %u", i, point);
			backing_faulty_fail(disk, kinds[i], point, EIO, FALSE, TRUE);
			volume = try_open(disk, &alpha, 1, 0, &error);
			if (!volume)
				CHECK_ERROR(error, STORAGEOS_ERROR_IO, "");
			volume_close(volume, NULL);
			backing_faulty_fail(disk, 0, 0, 0, FALSE, FALSE);
			volume = open_by(disk, &alpha, 1);
			if (volume)
				close_volume(volume);
			backing_check(disk);
		}
	}
	take_time();
}

/* The disk fails for a while: nothing is concluded from that. */
static void test_renewal_faults(const void *data)
{
	const FaultyKind kinds[] = {FAULTY_READ, FAULTY_WRITE};

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(kinds); i++) {
		g_autoptr(Backing) disk = new_disk();
		g_autoptr(GError) error = NULL;
		Volume *volume = open_by(disk, &alpha, 1);

		test_row("kind %u", i);
		REQUIRE(volume);
		backing_faulty_fail(disk, kinds[i], 0, EIO, TRUE, TRUE);
		sleep_intervals(3);
		backing_faulty_fail(disk, 0, 0, 0, FALSE, FALSE);
		CHECK(!volume_failure(volume));
		CHECK(!try_open(disk, &beta, 2, 0, &error));
		CHECK_ERROR(error, STORAGEOS_ERROR_BUSY, "alpha");
		CHECK_INT(volume_put_value(volume, 'a', 4096, 0), 0);
		close_volume(volume);
	}
}

/* FALSE if the open needs fewer operations. */
static gboolean cut_at(guint64 point)
{
	g_autoptr(Backing) disk = new_disk();
	TestRandom random = test_random_new(test_seed() + point);
	Volume *volume = open_by(disk, &alpha, 1);
	guint64 before;

	CHECK_INT(volume_put_value(volume, 'k', 4096, 0), 0);
	close_volume(volume);
	before = backing_faulty_count(disk, FAULTY_MODIFY);
	backing_faulty_fail(disk, FAULTY_MODIFY, point, EIO, TRUE, TRUE);
	volume = try_open(disk, &alpha, 1, 0, NULL);
	if (volume)
		volume_abandon(volume);
	for (guint i = 0; i < 3 && !test_failed(); i++) {
		g_autoptr(Backing) left = backing_faulty_crash(disk, FAULTY_CRASH_SEED(i, &random));

		test_row("stopped at operation %" G_GUINT64_FORMAT ", crash %u", point, i);
		volume = open_by(left, &beta, 2);
		if (!volume)
			return FALSE;
		check_value(volume, 'k', 4096, 0);
		close_volume(volume);
		backing_check(left);
	}
	return backing_faulty_count(disk, FAULTY_MODIFY) - before > point;
}

static void test_cut(const void *data)
{
	guint64 point = 0;

	(void)data;
	hurry();
	while (cut_at(point) && !test_failed())
		point++;
	CHECK(point > 3);
	take_time();
}

/* A block that says nothing, by rot or because a later version wrote it, is watched. */
static void test_unknown(const void *data)
{
	g_autoptr(Backing) disk = new_disk();
	g_autoptr(GError) error = NULL;
	Volume *volume = open_by(disk, &alpha, 1);
	gint64 begun;

	(void)data;
	REQUIRE(volume);
	close_volume(volume);
	backing_faulty_flip(disk, FORMAT_TENURE_OFFSET + 100, 3);
	CHECK(!try_open(disk, &alpha, 1, VOLUME_OPEN_HASTY, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_AWAITED, "given back by another machine");
	begun = g_get_monotonic_time();
	volume = open_by(disk, &alpha, 1);
	CHECK(g_get_monotonic_time() - begun >= watch());
	REQUIRE(volume);
	close_volume(volume);
	backing_check(disk);
}

/* A copy of the disk in a file is nobody else's. */
static void test_copied(const void *data)
{
	g_autoptr(Backing) disk = new_disk();
	Volume *volume = open_by(disk, &alpha, 1);

	(void)data;
	REQUIRE(volume);
	volume_abandon(volume);
	CHECK_UINT(features(disk), FORMAT_RO_TENURE);
	volume = volume_open(backing_borrow(disk), "v", VOLUME_OPEN_HASTY, NULL);
	REQUIRE(volume);
	CHECK_UINT(features(disk), 0);
	close_volume(volume);
}

int main(int argc, char **argv)
{
	take_time();
	logging_set_sink(no_log);
	test_add("a volume that was closed is opened at once, on any machine", test_closed, NULL);
	test_add("a volume that another machine has open is in use", test_in_use, NULL);
	test_add("after a death, who may have it still is waited for", test_died, NULL);
	test_add("reading neither waits nor writes, and tells who has it", test_read_only, NULL);
	test_add("what is not ours to write is not written to", test_not_ours, NULL);
	test_add("when another machine takes the disk, nothing more is written", test_taken, NULL);
	test_add("a pulse of an earlier turn says nothing", test_late, NULL);
	test_add("of two that open at one moment, one does", test_race, NULL);
	test_add("any call of an open fails", test_faults, NULL);
	test_add("a disk that fails for a while loses nobody his volume", test_renewal_faults,
		 NULL);
	test_add("power cuts in an open", test_cut, NULL);
	test_add("what cannot be decoded is watched", test_unknown, NULL);
	test_add("a copy in a file is nobody else's", test_copied, NULL);
	return test_run(argc, argv);
}
