/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A real file system that is full: threads fill a small tmpfs through one volume, while another
 * file takes space and gives it back.  Everything that was acknowledged must be there, while the
 * volume is open and after it is opened again, and `check` must find nothing.
 *
 * Each thread owns every fourth run of blocks, so that all threads change the same nodes, and
 * writes mostly across the ends of leaves.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <mntent.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <unistd.h>
#undef BLOCK_SIZE /* defined by the kernel's headers */

#include "common/backing/file.h"
#include "common/base/logging.h"
#include "common/base/units.h"
#include "tests/engine/support.h"

#define SPACE "24m"
#define SIZE (1 * GIB)
#define THREADS 3u
#define LEAVES 384u /* the number of leaves across whose ends the threads write */
#define RUN 12u	    /* blocks of each thread on each side of the end of a leaf */
#define SLOTS (2 * RUN)
#define ROUNDS 4
#define ROUND_TIME (1200 * G_TIME_SPAN_MILLISECOND)

typedef struct {
	Volume *volume;
	guint number;
	guint64 seed;
	gint64 end;
	/* The value of each block is one of these two. */
	guint8 last[LEAVES][SLOTS], maybe[LEAVES][SLOTS];
	guint done, refused;
} TmpfsWriter;

static void no_log(LoggingLevel level, const char *line)
{
	(void)level, (void)line;
}

/* The place of a thread's block: 0 to 11 are before the end of the leaf, 12 to 23 behind it. */
static guint64 place_of(const TmpfsWriter *writer, guint leaf, guint slot)
{
	guint64 end = (guint64)(leaf + 1) * 256;

	if (writer->number == 0)
		return blocks_to_bytes(end - RUN + slot);
	/* Threads with higher numbers are further away from the end, on either side. */
	return slot < RUN ? blocks_to_bytes(end - (writer->number + 1) * RUN + slot)
			  : blocks_to_bytes(end + writer->number * RUN + slot - RUN);
}

static void check_block(TmpfsWriter *writer, guint leaf, guint slot)
{
	guint8 data[BLOCK_SIZE];
	guint64 at = place_of(writer, leaf, slot);

	if (!CHECK_INT(volume_get(writer->volume, data, sizeof data, at), 0))
		return;
	if (!memcmp(data, data + 1, sizeof data - 1) &&
	    (*data == writer->last[leaf][slot] || *data == writer->maybe[leaf][slot]))
		return;
	FAIL("block %" G_GUINT64_FORMAT " holds %u, expected %u or %u", at / BLOCK_SIZE, *data,
	     writer->last[leaf][slot], writer->maybe[leaf][slot]);
}

static void change(TmpfsWriter *writer, TestRandom *random)
{
	guint leaf = (guint)test_random_below(random, LEAVES);
	guint first = (guint)test_random_below(random, SLOTS - 1);
	guint n = 1 + (guint)test_random_below(random, SLOTS - first);
	guint8 value =
		test_random_below(random, 5) ? (guint8)(1 + test_random_below(random, 255)) : 0;
	int r;

	/* This thread's blocks on the two sides of the end are not adjacent. */
	if (writer->number && first < RUN)
		n = MIN(n, RUN - first);
	r = value ? volume_put_value(writer->volume, value, n * BLOCK_SIZE,
				     place_of(writer, leaf, first))
		  : volume_discard(writer->volume, place_of(writer, leaf, first), n * BLOCK_SIZE);
	if (r && CHECK(value && r == -ENOSPC))
		writer->refused++;
	writer->done += !r;
	memset(writer->maybe[leaf] + first, value, n);
	if (!r)
		memset(writer->last[leaf] + first, value, n);
}

static gpointer writer_main(gpointer data)
{
	TmpfsWriter *writer = data;
	TestRandom random = test_random_new(writer->seed);

	while (g_get_monotonic_time() < writer->end && !test_failed()) {
		change(writer, &random);
		if (!test_random_below(&random, 100))
			CHECK_INT(volume_flush(writer->volume), 0);
		if (!test_random_below(&random, 10))
			check_block(writer, (guint)test_random_below(&random, LEAVES),
				    (guint)test_random_below(&random, SLOTS));
	}
	return NULL;
}

/* Another file takes all space that is left, and gives some of it back. */
static void hog(const char *directory, gint64 end, TestRandom *random)
{
	static const guint8 data[64 * KIB] = {1};
	g_autofree char *path = g_build_filename(directory, "hog", NULL);
	int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);

	CHECK(fd >= 0);
	while (fd >= 0 && g_get_monotonic_time() < end && !test_failed()) {
		off_t size = lseek(fd, 0, SEEK_END);
		off_t less = (off_t)(test_random_below(random, 200) * 4 * KIB);

		while (write(fd, data, sizeof data) > 0)
			;
		g_usleep((gulong)test_random_below(random, 30000));
		size = lseek(fd, 0, SEEK_END);
		CHECK(!ftruncate(fd, size > less ? size - less : 0));
		g_usleep((gulong)test_random_below(random, 10000));
	}
	CHECK(!unlink(path));
	if (fd >= 0)
		close(fd);
}

static Volume *open_file(const char *path)
{
	g_autoptr(GError) error = NULL;
	Backing *backing = backing_file_open(path, 0, &error);
	Volume *volume = backing ? volume_open(backing, "test", 0, &error) : NULL;

	CHECK_NO_ERROR(error);
	return volume;
}

static void check_writers(TmpfsWriter *writers, Volume *volume)
{
	for (guint i = 0; i < THREADS && !test_failed(); i++) {
		writers[i].volume = volume;
		for (guint leaf = 0; leaf < LEAVES; leaf++)
			for (guint slot = 0; slot < SLOTS; slot++)
				check_block(&writers[i], leaf, slot);
	}
}

/* Opens the volume, fills it, verifies it, closes it or dies, and verifies it again. */
static void run_round(const char *directory, const char *path, TmpfsWriter *writers,
		      TestRandom *random, gboolean dies)
{
	gint64 end = g_get_monotonic_time() + ROUND_TIME;
	Volume *volume = open_file(path);
	g_autoptr(Backing) closed = NULL;
	GThread *threads[THREADS];
	g_autofree char *why = NULL;

	REQUIRE(volume != NULL);
	for (guint i = 0; i < THREADS; i++) {
		writers[i].volume = volume;
		writers[i].seed = test_random(random);
		writers[i].end = end;
		threads[i] = g_thread_new("writer", writer_main, &writers[i]);
	}
	hog(directory, end, random);
	for (guint i = 0; i < THREADS; i++)
		g_thread_join(threads[i]);
	why = volume_failure(volume);
	CHECK_STR(why, NULL);
	check_writers(writers, volume);
	if (dies)
		volume_abandon(volume);
	else
		close_volume(volume);
	volume = open_file(path);
	REQUIRE(volume != NULL);
	check_writers(writers, volume);
	close_volume(volume);
	closed = backing_file_open(path, BACKING_OPEN_READ_ONLY, NULL);
	if (CHECK(closed != NULL))
		backing_check(closed);
}

static void fill_up(const char *directory)
{
	const VolumeParameters parameters = {.size = SIZE, .journal_size = 256 * KIB};
	g_autofree char *path = g_build_filename(directory, "a.vol", NULL);
	g_autofree TmpfsWriter *writers = g_new0(TmpfsWriter, THREADS);
	TestRandom random = test_random_new(test_seed());
	Backing *backing = backing_file_open(path, BACKING_OPEN_CREATE, NULL);
	guint done = 0, refused = 0;

	REQUIRE(backing != NULL);
	CHECK(volume_format(backing, &parameters, NULL));
	backing_free(backing);
	for (guint i = 0; i < THREADS; i++)
		writers[i].number = i;
	for (guint round = 0; round < ROUNDS && !test_failed(); round++) {
		test_row("round %u", round);
		run_round(directory, path, writers, &random, round % 2);
	}
	for (guint i = 0; i < THREADS; i++) {
		done += writers[i].done;
		refused += writers[i].refused;
	}
	test_note("%u changes made, %u refused", done, refused);
	CHECK(done > 0 && refused > 0);
}

static void test_tmpfs(const void *data)
{
	g_autofree char *directory = test_path("tmpfs");

	(void)data;
	REQUIRE(!g_mkdir(directory, 0700));
	if (!CHECK(!mount("none", directory, "tmpfs", 0, "size=" SPACE)))
		return;
	fill_up(directory);
	CHECK(!umount2(directory, MNT_DETACH));
	CHECK(!rmdir(directory));
}

/* Lets go of what other tests have mounted, whose devices would be in use as long as this runs. */
static void let_go(void)
{
	g_autofree char *beginning = g_strconcat(g_get_tmp_dir(), "/", NULL);
	FILE *mounts = setmntent("/proc/self/mounts", "r");
	const struct mntent *entry;

	while (mounts && (entry = getmntent(mounts)))
		if (g_str_has_prefix(entry->mnt_dir, beginning))
			umount2(entry->mnt_dir, MNT_DETACH);
	if (mounts)
		endmntent(mounts);
}

/* Gives the process a mount namespace of its own, whose mounts end with it. */
static gboolean unshare_mounts(void)
{
	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return FALSE;
	let_go();
	return TRUE;
}

int main(int argc, char **argv)
{
	if (!unshare_mounts()) {
		printf("Bail out! a mount namespace: %s\n", g_strerror(errno));
		return 1;
	}
	logging_set_sink(no_log);
	test_add("threads fill up a tmpfs", test_tmpfs, NULL);
	return test_run(argc, argv);
}
