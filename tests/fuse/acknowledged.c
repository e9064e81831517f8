/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves that no acknowledged write is lost when the server of a disk is killed.
 *
 *     acknowledged write DISK RECORD SECONDS    until that time, or until the disk is gone
 *     acknowledged verify DISK RECORD           afterwards, as often as wanted
 *
 * Threads write blocks of the first 128 MiB with direct I/O; each block has one writer, and what
 * is in it tells its number and a version that rises by one.  For each block the record (a file)
 * has the last version that was begun and the last that was acknowledged: the disk must hold one
 * of these two, whole.  `write` goes on from a record that is there.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BLOCK 4096u
#define BLOCKS (128u * 256u)
#define THREADS 16u
#define RUN_MAX 16u /* blocks in one write */
#define SYNC_EVERY 64u

typedef struct {
	uint64_t begun, acknowledged;
} Versions;

typedef struct {
	int disk;
	Versions *versions; /* of all blocks */
	guint first;	    /* of this thread's blocks */
	gint64 end;
	guint64 writes;
	int failure;
} Writer;

/* Every word of a block depends on its number, its version and where the word is. */
static void fill(uint64_t *data, uint64_t block, uint64_t version)
{
	data[0] = block;
	data[1] = version;
	for (guint i = 2; i < BLOCK / sizeof *data; i++)
		data[i] = (block << 40 ^ version << 9 ^ i) * UINT64_C(0x9e3779b97f4a7c15);
}

static gboolean is_version(const uint64_t *data, uint64_t block, uint64_t version)
{
	uint64_t wanted[BLOCK / sizeof *data];

	memset(wanted, 0, sizeof wanted);
	if (version > 0)
		fill(wanted, block, version);
	return memcmp(data, wanted, BLOCK) == 0;
}

static void *aligned(gsize size)
{
	void *memory = NULL;

	if (posix_memalign(&memory, BLOCK, size))
		abort();
	return memory;
}

static int write_run(Writer *writer, uint8_t *data, guint block, guint count)
{
	ssize_t n;

	for (guint i = 0; i < count; i++) {
		Versions *versions = &writer->versions[block + i];

		versions->begun = versions->acknowledged + 1;
		fill((uint64_t *)(void *)(data + (gsize)i * BLOCK), block + i, versions->begun);
	}
	n = pwrite(writer->disk, data, (gsize)count * BLOCK, (off_t)block * BLOCK);
	if (n != (ssize_t)((gsize)count * BLOCK))
		return n < 0 ? errno : EIO;
	for (guint i = 0; i < count; i++)
		writer->versions[block + i].acknowledged = writer->versions[block + i].begun;
	return 0;
}

static gpointer write_thread(gpointer pointer)
{
	Writer *writer = pointer;
	g_autoptr(GRand) random = g_rand_new_with_seed(writer->first);
	uint8_t *data = aligned((gsize)RUN_MAX * BLOCK);

	while (!writer->failure && g_get_monotonic_time() < writer->end) {
		guint at = (guint)g_rand_int_range(random, 0, BLOCKS / THREADS);
		guint most = MIN(RUN_MAX, BLOCKS / THREADS - at);
		guint count = 1 + (guint)g_rand_int_range(random, 0, (gint32)most);

		writer->failure = write_run(writer, data, writer->first + at, count);
		if (++writer->writes % SYNC_EVERY == 0 && !writer->failure)
			writer->failure = fdatasync(writer->disk) ? errno : 0;
	}
	free(data);
	return NULL;
}

static int write_all(int disk, Versions *versions, guint seconds)
{
	Writer writers[THREADS];
	GThread *threads[THREADS];
	guint64 writes = 0;
	int failure = 0;

	for (guint i = 0; i < THREADS; i++) {
		writers[i] = (Writer){
			.disk = disk,
			.versions = versions,
			.first = i * (BLOCKS / THREADS),
			.end = g_get_monotonic_time() + (gint64)seconds * G_USEC_PER_SEC,
		};
		threads[i] = g_thread_new("writer", write_thread, &writers[i]);
	}
	for (guint i = 0; i < THREADS; i++) {
		g_thread_join(threads[i]);
		writes += writers[i].writes;
		failure = failure ? failure : writers[i].failure;
	}
	printf("%" PRIu64 " writes, then: %s\n", writes, failure ? g_strerror(failure) : "the end");
	return writes > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int verify_all(int disk, const Versions *versions)
{
	uint64_t *data = aligned(BLOCK);
	guint64 bad = 0, written = 0;

	for (guint64 block = 0; block < BLOCKS; block++) {
		const Versions *v = &versions[block];

		written += v->acknowledged > 0;
		if (pread(disk, data, BLOCK, (off_t)(block * BLOCK)) == BLOCK &&
		    (is_version(data, block, v->acknowledged) || is_version(data, block, v->begun)))
			continue;
		if (++bad <= 10)
			printf("block %" PRIu64 ": acknowledged version %" PRIu64
			       ", found block %" PRIu64 " version %" PRIu64 "\n",
			       block, v->acknowledged, data[0], data[1]);
	}
	free(data);
	printf("%" PRIu64 " blocks with acknowledged writes, %" PRIu64 " bad\n", written, bad);
	return bad == 0 && written > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	gboolean writing = argc == 5 && g_str_equal(argv[1], "write");
	int disk, record;
	Versions *versions;

	if (!writing && !(argc == 4 && g_str_equal(argv[1], "verify"))) {
		fprintf(stderr,
			"usage: acknowledged write DISK RECORD SECONDS | verify DISK RECORD\n");
		return 2;
	}
	disk = open(argv[2], O_RDWR | O_DIRECT | O_CLOEXEC);
	record = open(argv[3], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (disk < 0 || record < 0 || ftruncate(record, (off_t)(BLOCKS * sizeof *versions))) {
		perror(disk < 0 ? argv[2] : argv[3]);
		return EXIT_FAILURE;
	}
	versions = mmap(NULL, BLOCKS * sizeof *versions, PROT_READ | PROT_WRITE, MAP_SHARED, record,
			0);
	if (versions == MAP_FAILED) {
		perror(argv[3]);
		return EXIT_FAILURE;
	}
	return writing ? write_all(disk, versions, (guint)atoi(argv[4]))
		       : verify_all(disk, versions);
}
