/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes to a direct volume, and a record of what was acknowledged that outlives the writer.
 *
 *   direct-stamps write URI RECORD SECONDS   eight threads write, one reads
 *   direct-stamps watch URI RECORD SECONDS   one thread reads, nobody writes
 *   direct-stamps hold URI RECORD SECONDS    nobody reads or writes
 *   direct-stamps take URI RECORD SECONDS    as `write`, on standby first: takes the volume from
 *                                            whoever has it, and says how long that took, how far
 *                                            the other had counted, and how far it counts itself
 *   direct-stamps follow URI RECORD          on standby: reads until another one's writes are seen
 *   direct-stamps verify URI RECORD          what is there: nothing acknowledged is missing, and
 *                                            nothing is there that was not sent
 *   direct-stamps fill URI                   writes until the pool is full, then what must go on
 *   direct-stamps size URI FILE SIZE         once FILE is there, the image has SIZE bytes, and is
 *                                            written to its end
 *
 * Exit status: 0; 1 something is wrong; 3 the volume became FAILED, which is printed with how long
 * before the end of the process that was.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/bounds.h"
#include "common/base/bytes.h"
#include "common/base/units.h"
#include "common/engine/direct.h"

#define THREADS 8
#define PER_THREAD 16
#define SLOTS (THREADS * PER_THREAD)
#define STRIDE (2 * MIB - 4096) /* across objects */

typedef struct {
	guint64 sent[SLOTS], acked[SLOTS]; /* atomic: how often each slot was written */
} Stamps;

typedef struct {
	Volume *volume;
	Stamps *stamps;
	gint64 end;
	gint wrong; /* atomic: a result that may not be */
} Run;

typedef struct {
	Run *run;
	guint number;
} Writer;

static guint64 get(const guint64 *at)
{
	return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}

static void set(guint64 *at, guint64 value)
{
	__atomic_store_n(at, value, __ATOMIC_RELEASE);
}

static Stamps *stamps_map(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	Stamps *stamps;

	if (fd < 0 || ftruncate(fd, sizeof *stamps))
		return NULL;
	stamps = mmap(NULL, sizeof *stamps, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return stamps == MAP_FAILED ? NULL : stamps;
}

static Volume *open_volume(const char *uri, VolumeOpenFlags flags)
{
	g_autoptr(GError) error = NULL;
	gboolean read_only = flags & VOLUME_OPEN_READ_ONLY;
	Backing *backing = backing_open(uri, read_only ? BACKING_OPEN_READ_ONLY : 0, &error);
	Volume *volume = backing ? volume_open(backing, "test", flags, &error) : NULL;

	if (!volume)
		fprintf(stderr, "direct-stamps: %s\n", error->message);
	return volume;
}

static int transfer(Volume *volume, guint8 *block, guint64 offset, gboolean write)
{
	struct iovec iov = {block, BLOCK_SIZE};

	return write ? volume_write(volume, &iov, 1, offset, NULL)
		     : volume_read(volume, &iov, 1, offset, NULL);
}

static gboolean goes_on(const Run *run)
{
	return g_get_monotonic_time() < run->end;
}

static gpointer write_slots(gpointer data)
{
	const Writer *writer = data;
	Run *run = writer->run;
	guint8 block[BLOCK_SIZE] = {0};

	for (guint i = 0; goes_on(run); i++) {
		guint slot = writer->number * PER_THREAD + i % PER_THREAD;
		guint64 value = get(&run->stamps->sent[slot]) + 1;
		int r;

		put_le64(block, value);
		put_le64(block + BLOCK_SIZE - 8, value);
		set(&run->stamps->sent[slot], value);
		r = transfer(run->volume, block, slot * STRIDE, TRUE);
		if (!r) {
			set(&run->stamps->acked[slot], value);
			continue;
		}
		if (r != -ESHUTDOWN)
			g_atomic_int_set(&run->wrong, r);
		break;
	}
	return NULL;
}

static gpointer read_slots(gpointer data)
{
	Run *run = data;
	guint8 block[BLOCK_SIZE];

	for (guint i = 0; goes_on(run); i++) {
		if (transfer(run->volume, block, i % SLOTS * STRIDE, FALSE))
			break;
		g_usleep(1000);
	}
	return NULL;
}

/* The volume's state is asked for as a server's is: by others than its requests. */
static int await_end(Run *run)
{
	VolumeInfo info;

	do {
		g_usleep(10000);
		volume_get_info(run->volume, &info);
	} while (info.state == VOLUME_OK && goes_on(run));
	if (info.state == VOLUME_FAILED) {
		g_autofree char *why = volume_failure(run->volume);

		printf("FAILED: %s%s\n", volume_is_fenced(run->volume) ? "fenced: " : "", why);
		fflush(stdout);
		run->end = min_i64(run->end, g_get_monotonic_time() + 10 * G_USEC_PER_SEC);
		return 3;
	}
	return 0;
}

static int run_load(Volume *volume, const char *record, double seconds, guint n_readers,
		    guint n_writers)
{
	Stamps *stamps = stamps_map(record);
	Run run = {volume, stamps, 0, 0};
	Writer writers[THREADS];
	GThread *threads[2 * THREADS];
	guint n = 0;
	int status;

	if (!volume || !stamps)
		return 1;
	run.end = g_get_monotonic_time() + (gint64)(seconds * G_USEC_PER_SEC);
	for (guint i = 0; i < n_readers; i++)
		threads[n++] = g_thread_new("reader", read_slots, &run);
	for (guint i = 0; i < n_writers; i++) {
		writers[i] = (Writer){&run, i};
		threads[n++] = g_thread_new("writer", write_slots, &writers[i]);
	}
	puts("ready");
	fflush(stdout);
	status = await_end(&run);
	while (n)
		g_thread_join(threads[--n]);
	if (run.wrong)
		fprintf(stderr, "direct-stamps: a write ended with %s\n", g_strerror(-run.wrong));
	return run.wrong ? 1 : status;
}

static int load(const char *uri, const char *record, double seconds, guint n_readers,
		guint n_writers)
{
	Volume *volume = open_volume(uri, 0);
	int status = run_load(volume, record, seconds, n_readers, n_writers);

	volume_close(volume, NULL);
	return status;
}

/* On standby, everything is read and nothing is changed. */
static gboolean stands_by(Volume *volume)
{
	guint8 block[BLOCK_SIZE];
	int read = transfer(volume, block, 0, FALSE), write = transfer(volume, block, 0, TRUE);
	int zero = volume_zero(volume, 0, BLOCK_SIZE), flush = volume_flush(volume);

	printf("standby: read: %s; write: %s; zero: %s; flush: %s\n", g_strerror(-read),
	       g_strerror(-write), g_strerror(-zero), g_strerror(-flush));
	return volume_is_on_standby(volume) && !read && write == -EBUSY && zero == -EBUSY && !flush;
}

#define FOLLOW_SECONDS 20

static int follow(const char *uri, const char *record)
{
	Stamps *stamps = stamps_map(record);
	Volume *volume = open_volume(uri, VOLUME_OPEN_STANDBY);
	gint64 end = g_get_monotonic_time() + FOLLOW_SECONDS * G_USEC_PER_SEC;
	guint8 block[BLOCK_SIZE];
	guint64 wanted = 0;
	int r = 0;

	if (!volume || !stamps)
		return 1;
	do {
		r = transfer(volume, block, 0, FALSE);
		wanted = wanted ? wanted : get_le64(block) + 1;
		g_usleep(10000);
	} while (!r && get_le64(block) < wanted && g_get_monotonic_time() < end);
	printf("read %" G_GUINT64_FORMAT ", wanted %" G_GUINT64_FORMAT ", acknowledged "
	       "%" G_GUINT64_FORMAT "\n",
	       get_le64(block), wanted, get(&stamps->acked[0]));
	volume_close(volume, NULL);
	return r || get_le64(block) < wanted;
}

static gboolean take_over(Volume *volume, GError **error)
{
	BackingOwner owner;
	gint64 began;

	if (!volume_owner(volume, &owner, error))
		return FALSE;
	if (*owner.client && volume_take_over(volume, NULL, NULL)) {
		fputs("direct-stamps: took a lock that another one has\n", stderr);
		return FALSE;
	}
	began = g_get_monotonic_time();
	if (!volume_take_over(volume, owner.client, error))
		return FALSE;
	printf("took over within %" G_GINT64_FORMAT " ms; before: %s, count %" G_GUINT64_FORMAT
	       "\n",
	       (g_get_monotonic_time() - began) / 1000, *owner.host ? owner.host : "nobody known",
	       owner.count);
	return !volume_is_on_standby(volume);
}

static int take(const char *uri, const char *record, double seconds)
{
	Volume *volume = open_volume(uri, VOLUME_OPEN_STANDBY);
	g_autoptr(GError) error = NULL;
	BackingOwner owner;
	int status = 1;

	if (volume && stands_by(volume) && take_over(volume, &error))
		status = run_load(volume, record, seconds, 1, THREADS);
	if (!status && volume_owner(volume, &owner, &error))
		printf("count %" G_GUINT64_FORMAT "\n", owner.count);
	if (error)
		fprintf(stderr, "direct-stamps: %s\n", error->message);
	volume_close(volume, NULL);
	return status;
}

static int verify(const char *uri, const char *record)
{
	Stamps *stamps = stamps_map(record);
	Volume *volume = open_volume(uri, VOLUME_OPEN_READ_ONLY);
	guint64 acked = 0;
	int status = 0;

	if (!volume || !stamps)
		return 1;
	for (guint slot = 0; slot < SLOTS; slot++) {
		guint8 block[BLOCK_SIZE];
		int r = transfer(volume, block, slot * STRIDE, FALSE);
		guint64 value = get_le64(block);

		acked += get(&stamps->acked[slot]);
		if (!r && value == get_le64(block + BLOCK_SIZE - 8) &&
		    value >= get(&stamps->acked[slot]) && value <= get(&stamps->sent[slot]))
			continue;
		printf("slot %u: %s: %" G_GUINT64_FORMAT ", acknowledged %" G_GUINT64_FORMAT
		       ", sent %" G_GUINT64_FORMAT "\n",
		       slot, r ? g_strerror(-r) : "has", value, get(&stamps->acked[slot]),
		       get(&stamps->sent[slot]));
		status = 1;
	}
	printf("acknowledged %" G_GUINT64_FORMAT "\n", acked);
	volume_close(volume, NULL);
	return status ? status : !acked;
}

static int fill(const char *uri)
{
	Volume *volume = open_volume(uri, 0);
	guint8 block[BLOCK_SIZE];
	guint64 offset = 0;
	int r = 0, again, zero;

	if (!volume)
		return 1;
	memset(block, 0x55, sizeof block);
	for (; !r && offset < volume_size(volume); offset += MIB)
		r = transfer(volume, block, offset, TRUE);
	again = transfer(volume, block, 0, TRUE);
	zero = volume_zero(volume, 0, BLOCK_SIZE);
	printf("full: %s; overwrite: %s; zero: %s\n", g_strerror(-r), g_strerror(-again),
	       g_strerror(-zero));
	volume_close(volume, NULL);
	return r != -ENOSPC || again || zero;
}

static int await_size(const char *uri, const char *file, guint64 size)
{
	Volume *volume = open_volume(uri, 0);
	guint8 block[BLOCK_SIZE] = {0};
	g_autoptr(GError) error = NULL;
	int r = -EIO;

	if (!volume)
		return 1;
	puts("ready");
	fflush(stdout);
	while (access(file, F_OK))
		g_usleep(10000);
	if (volume_resize(volume, size, 0, 1, &error))
		r = transfer(volume, block, size - BLOCK_SIZE, TRUE);
	else
		fprintf(stderr, "direct-stamps: %s\n", error->message);
	volume_close(volume, NULL);
	return r != 0;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 2 ? argv[1] : "";

	if (!strcmp(verb, "write") && argc == 5)
		return load(argv[2], argv[3], atof(argv[4]), 1, THREADS);
	if (!strcmp(verb, "watch") && argc == 5)
		return load(argv[2], argv[3], atof(argv[4]), 1, 0);
	if (!strcmp(verb, "hold") && argc == 5)
		return load(argv[2], argv[3], atof(argv[4]), 0, 0);
	if (!strcmp(verb, "take") && argc == 5)
		return take(argv[2], argv[3], atof(argv[4]));
	if (!strcmp(verb, "follow") && argc == 4)
		return follow(argv[2], argv[3]);
	if (!strcmp(verb, "verify") && argc == 4)
		return verify(argv[2], argv[3]);
	if (!strcmp(verb, "fill") && argc == 3)
		return fill(argv[2]);
	if (!strcmp(verb, "size") && argc == 5)
		return await_size(argv[2], argv[3], g_ascii_strtoull(argv[4], NULL, 10));
	fputs("usage: see the head of direct-stamps.c\n", stderr);
	return 2;
}
