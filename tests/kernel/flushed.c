/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves that data of a successful flush are there, whatever the disk below refuses.
 *
 *     flushed PATH RECORD verify|load|die
 *
 * Opens the volume PATH and verifies it.  Unless the mode is `verify`, it then prints `loading`
 * and changes the volume until SIGTERM, or until every thread got an error; then it closes the
 * volume (`load`) or dies without a close (`die`).  Each thread writes blocks of its own, which
 * hold their number and the count of their writes, and flushes after a few writes; one more
 * thread makes checkpoints all the time.  RECORD has two counts for each block: that of the last
 * successful flush, and the last one written.  The disk must hold one of these or a count
 * between; zeros before the first load.  The next load continues from the count that was found.
 *
 * Exit status: 0 success; 1 wrong data, or a read failed; 2 usage; 3 the volume cannot be
 * opened; 4 every thread got an error.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/backing/file.h"
#include "common/base/units.h"
#include "common/engine/volume.h"

#define THREADS 4u
#define BLOCKS 1200u	     /* of all threads */
#define STRIDE (700u * 1024) /* from one to the next: many leaves of the map */
#define WORDS (BLOCK_SIZE / sizeof(uint64_t))

enum { EXIT_WRONG = 1, EXIT_USAGE = 2, EXIT_CLOSED = 3, EXIT_DISK = 4 };

typedef struct {
	uint64_t flushed, newest;
} FlushCounts;

typedef struct {
	Volume *volume;
	FlushCounts *counts; /* of each block; the file RECORD */
	gint idle;	     /* atomic: no more checkpoints */
} FlushDisk;

typedef struct {
	FlushDisk *disk;
	guint number;
	guint flushes;
	gboolean failed;
} FlushWorker;

static volatile sig_atomic_t stopped;

static void stop(int signal_number)
{
	(void)signal_number;
	stopped = 1;
}

static void fill(uint64_t *words, uint64_t block, uint64_t count)
{
	for (guint i = 0; i < WORDS; i++)
		words[i] = count ? (block << 40 ^ count) * UINT64_C(0x9e3779b97f4a7c15) + i : 0;
}

static guint64 place(uint64_t block)
{
	return block * STRIDE / BLOCK_SIZE * BLOCK_SIZE;
}

/* Writes a random block of the thread once more. */
static gboolean write_one(FlushWorker *worker, GRand *random)
{
	guint block =
		worker->number + THREADS * (guint)g_rand_int_range(random, 0, BLOCKS / THREADS);
	FlushCounts *counts = &worker->disk->counts[block];
	uint64_t words[WORDS];
	struct iovec iov = {words, sizeof words};

	fill(words, block, ++counts->newest);
	return !volume_write(worker->disk->volume, &iov, 1, place(block), NULL);
}

static gboolean flush(FlushWorker *worker)
{
	if (volume_flush(worker->disk->volume))
		return FALSE;
	for (guint block = worker->number; block < BLOCKS; block += THREADS)
		worker->disk->counts[block].flushed = worker->disk->counts[block].newest;
	worker->flushes++;
	return TRUE;
}

static gpointer work(gpointer data)
{
	FlushWorker *worker = data;
	GRand *random = g_rand_new();

	while (!worker->failed && !stopped) {
		gint n = g_rand_int_range(random, 1, 8);

		while (n-- && !worker->failed)
			worker->failed = !write_one(worker, random);
		worker->failed = worker->failed || !flush(worker);
	}
	g_rand_free(random);
	return NULL;
}

static gpointer make_checkpoints(gpointer data)
{
	FlushDisk *disk = data;

	while (!g_atomic_int_get(&disk->idle) && !volume_checkpoint(disk->volume))
		;
	return NULL;
}

static int load(FlushDisk *disk)
{
	GThread *threads[THREADS], *checkpoints;
	FlushWorker workers[THREADS];
	guint flushes = 0, failed = 0;

	printf("loading\n");
	fflush(stdout);
	for (guint i = 0; i < THREADS; i++) {
		workers[i] = (FlushWorker){.disk = disk, .number = i};
		threads[i] = g_thread_new("worker", work, &workers[i]);
	}
	checkpoints = g_thread_new("checkpoints", make_checkpoints, disk);
	for (guint i = 0; i < THREADS; i++) {
		g_thread_join(threads[i]);
		flushes += workers[i].flushes;
		failed += workers[i].failed;
	}
	g_atomic_int_set(&disk->idle, TRUE);
	g_thread_join(checkpoints);
	printf("%u flushes, %u threads got an error\n", flushes, failed);
	return failed == THREADS ? EXIT_DISK : 0;
}

/* Reads the count of a block.  FALSE, with a message, if the block may not hold it. */
static gboolean find_count(const FlushDisk *disk, guint block, uint64_t *ret_count)
{
	const FlushCounts *counts = &disk->counts[block];
	uint64_t words[WORDS], wanted[WORDS];
	struct iovec iov = {words, sizeof words};
	int r = volume_read(disk->volume, &iov, 1, place(block), NULL);

	for (uint64_t count = counts->flushed; !r && count <= counts->newest; count++) {
		fill(wanted, block, count);
		*ret_count = count;
		if (!memcmp(words, wanted, sizeof words))
			return TRUE;
	}
	printf("block %u: %s, from number %" PRIu64 ", flushed, to %" PRIu64 "\n", block,
	       r ? g_strerror(-r) : "not what was written", counts->flushed, counts->newest);
	return FALSE;
}

static int verify(FlushDisk *disk)
{
	guint wrong = 0;

	for (guint block = 0; block < BLOCKS; block++) {
		uint64_t count;

		if (find_count(disk, block, &count))
			disk->counts[block] = (FlushCounts){count, count};
		else
			wrong++;
	}
	return wrong ? EXIT_WRONG : 0;
}

static FlushCounts *open_record(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	void *counts = MAP_FAILED;

	if (fd >= 0 && !ftruncate(fd, BLOCKS * sizeof(FlushCounts)))
		counts = mmap(NULL, BLOCKS * sizeof(FlushCounts), PROT_READ | PROT_WRITE,
			      MAP_SHARED, fd, 0);
	return counts == MAP_FAILED ? NULL : counts;
}

static Volume *open_volume(const char *path)
{
	g_autoptr(GError) error = NULL;
	Backing *backing = backing_file_open(path, 0, &error);
	Volume *volume = backing ? volume_open(backing, path, 0, &error) : NULL;

	if (!volume)
		printf("%s\n", error->message);
	return volume;
}

int main(int argc, char **argv)
{
	FlushDisk disk = {.counts = argc == 4 ? open_record(argv[2]) : NULL};
	int status;

	if (!disk.counts)
		return EXIT_USAGE;
	signal(SIGTERM, stop);
	volume_set_cache_size(MIB);
	disk.volume = open_volume(argv[1]);
	if (!disk.volume)
		return EXIT_CLOSED;
	status = verify(&disk);
	if (!status && strcmp(argv[3], "verify"))
		status = load(&disk);
	fflush(stdout);
	if (!strcmp(argv[3], "die"))
		_exit(status);
	volume_close(disk.volume, NULL);
	return status;
}
