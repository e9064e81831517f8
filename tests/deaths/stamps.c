/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves that a disk whose server is killed keeps everything that it acknowledged, and shows
 * nothing else.
 *
 *     stamps load DISK RECORD SEED SECONDS [MIB]   ends after SECONDS, on SIGTERM, or when the disk
 *                                                  fails
 *     stamps verify DISK RECORD                    afterwards, before the next load
 *
 * DISK is a file or a block device, used with direct I/O: all of it, or the first MIB mebibytes. It
 * must be zeros before the first load.  RECORD is a file that the first load makes and later loads
 * continue, because the knowledge of the disk's content must outlive the server.
 *
 * The load prints `loading` as soon as it has opened the disk and handles SIGTERM, and at its end
 * the number of requests that it made.
 *
 * Each sector that is written carries the volume's number, its own and the sequence of its
 * request.  Threads, each with one request under way, write, zero, discard and flush, in
 * sizes from one sector to half a mebibyte, and read what they wrote.  A sector has one writer,
 * but a block may have two: a strip of sectors belongs to one thread, and two strips meet within a
 * block.  Pairs of strips are scattered over the whole disk, so that many leaves of the map
 * change.
 *
 * For each sector the record has the last stamp that was acknowledged and the last that was begun:
 * the disk must hold one of these two.  A write of at most 32 KiB that was under way is there as a
 * whole or not at all.  The stamp that `verify` finds becomes the acknowledged one: it must not
 * change back.
 *
 * Exit status: 0; 1 wrong data; 2 usage, or an error of the program itself; 4 (load) an I/O error
 * of the disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR 512u
#define BLOCK_SECTORS 8u
#define THREADS 16u
#define STRIPS 64u
#define STRIP_SECTORS 1501u /* odd: strips of a pair meet within a block */
#define RECORDED (STRIPS * STRIP_SECTORS)
#define REQUEST_MAX 1024u /* sectors */
#define WHOLE_MAX 64u	  /* sectors of a write that is never torn */
#define WORDS (SECTOR / sizeof(uint64_t))

enum { EXIT_WRONG = 1, EXIT_USAGE = 2, EXIT_DISK = 4 };

/* A stamp is the sequence of a write, or 0 for zeros. */
typedef struct {
	uint64_t acknowledged, begun;
} Stamps;

typedef struct {
	uint32_t whole; /* a write that must not be torn is under way */
	uint32_t first, count;
	uint64_t sequence; /* the last sequence that was used */
} Flight;

typedef struct {
	uint64_t volume;
	uint64_t stride; /* sectors between pairs of strips */
	Stamps sectors[RECORDED];
	Flight flights[THREADS];
} StampRecord;

typedef struct {
	int fd;
	gboolean device;
	uint64_t size; /* in sectors */
	StampRecord *record;
} StampDisk;

typedef struct {
	const StampDisk *disk;
	guint number;
	GRand *random;
	uint8_t *data;
	guint64 requests;
	int failure; /* errno of the disk */
	gboolean wrong;
} StampWorker;

static volatile sig_atomic_t stopped;
static gint64 end_time;

static void stop(int signal_number)
{
	(void)signal_number;
	stopped = 1;
}

/* The place on the disk of a sector of the record. */
static uint64_t place_of(const StampDisk *disk, uint32_t sector)
{
	uint32_t strip = sector / STRIP_SECTORS, within = sector % STRIP_SECTORS;
	uint32_t pair = strip / 2;

	return pair * disk->record->stride + pair % 29 + (strip % 2 ? STRIP_SECTORS : 0) + within;
}

static off_t bytes(uint64_t sectors)
{
	return (off_t)(sectors * SECTOR);
}

/* Fills a sector for a stamp.  Every word depends on the whole stamp. */
static void fill(const StampDisk *disk, uint64_t *words, uint32_t sector, uint64_t stamp)
{
	uint64_t place = place_of(disk, sector), mixed;

	if (!stamp) {
		memset(words, 0, SECTOR);
		return;
	}
	mixed = disk->record->volume ^ place << 24 ^ stamp;
	words[0] = disk->record->volume;
	words[1] = place;
	words[2] = stamp;
	for (guint i = 3; i < WORDS; i++)
		words[i] = (mixed + i) * UINT64_C(0x9e3779b97f4a7c15);
}

static gboolean holds(const StampDisk *disk, const uint64_t *words, uint32_t sector, uint64_t stamp)
{
	uint64_t wanted[WORDS];

	fill(disk, wanted, sector, stamp);
	return memcmp(words, wanted, SECTOR) == 0;
}

static void *aligned(gsize size)
{
	void *memory = NULL;

	if (posix_memalign(&memory, 4096, size))
		exit(EXIT_USAGE);
	return memory;
}

static void complain(const StampDisk *disk, const uint64_t *words, uint32_t sector,
		     const char *when)
{
	const Stamps *stamps = &disk->record->sectors[sector];

	printf("%s, sector %" PRIu64 ": acknowledged %" PRIu64 ", begun %" PRIu64
	       ", found volume %" PRIx64 " sector %" PRIu64 " stamp %" PRIu64 "\n",
	       when, place_of(disk, sector), stamps->acknowledged, stamps->begun, words[0],
	       words[1], words[2]);
}

/* --- load ------------------------------------------------------------------------------------- */

static int transfer(ssize_t done, uint32_t sectors)
{
	if (done == (ssize_t)bytes(sectors))
		return 0;
	return done < 0 ? errno : EIO;
}

static int request_write(StampWorker *worker, uint32_t first, uint32_t count, uint64_t stamp)
{
	const StampDisk *disk = worker->disk;

	for (uint32_t i = 0; i < count; i++)
		fill(disk, (uint64_t *)(void *)(worker->data + i * SECTOR), first + i, stamp);
	return transfer(
		pwrite(disk->fd, worker->data, count * SECTOR, bytes(place_of(disk, first))),
		count);
}

static int request_zero(const StampDisk *disk, uint32_t first, uint32_t count)
{
	return fallocate(disk->fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
			 bytes(place_of(disk, first)), bytes(count))
		       ? errno
		       : 0;
}

static int request_discard(const StampDisk *disk, uint32_t first, uint32_t count)
{
	uint64_t range[2] = {place_of(disk, first) * SECTOR, (uint64_t)count * SECTOR};
	int r;

	if (disk->device)
		r = ioctl(disk->fd, BLKDISCARD, range);
	else
		r = fallocate(disk->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)range[0],
			      (off_t)range[1]);
	return r ? errno : 0;
}

static int request_read(StampWorker *worker, uint32_t first, uint32_t count)
{
	const StampDisk *disk = worker->disk;
	int r = transfer(
		pread(disk->fd, worker->data, count * SECTOR, bytes(place_of(disk, first))), count);

	for (uint32_t i = 0; i < count && !r; i++) {
		const uint64_t *words = (uint64_t *)(void *)(worker->data + i * SECTOR);

		if (holds(disk, words, first + i, disk->record->sectors[first + i].acknowledged))
			continue;
		complain(disk, words, first + i, "read under load");
		worker->wrong = TRUE;
		break;
	}
	return r;
}

/* A random number of sectors, mostly small. */
static uint32_t random_count(StampWorker *worker)
{
	static const uint32_t limits[] = {1, 8, 8, 8, 16, 64, 64, 200, REQUEST_MAX};
	guint i = (guint)g_rand_int_range(worker->random, 0, G_N_ELEMENTS(limits));

	return (uint32_t)g_rand_int_range(worker->random, 1, (gint32)limits[i] + 1);
}

/* Random sectors in a strip of this worker; half of the ranges begin at a block. */
static void random_range(StampWorker *worker, uint32_t *ret_first, uint32_t *ret_count)
{
	uint32_t strip = worker->number +
			 THREADS * (uint32_t)g_rand_int_range(worker->random, 0, STRIPS / THREADS);
	uint32_t count = random_count(worker), within, off;

	within = (uint32_t)g_rand_int_range(worker->random, 0, (gint32)(STRIP_SECTORS - count + 1));
	if (g_rand_boolean(worker->random)) {
		off = place_of(worker->disk, strip * STRIP_SECTORS + within) % BLOCK_SECTORS;
		within = within >= off ? within - off : within;
	}
	*ret_first = strip * STRIP_SECTORS + within;
	*ret_count = count;
}

/* Reduces the range to its whole blocks, because only these are discarded.  FALSE if there is none.
 */
static gboolean whole_blocks(const StampDisk *disk, uint32_t *first, uint32_t *count)
{
	uint32_t off = place_of(disk, *first) % BLOCK_SECTORS;
	uint32_t skip = off ? BLOCK_SECTORS - off : 0;

	if (*count < skip + BLOCK_SECTORS)
		return FALSE;
	*first += skip;
	*count = (*count - skip) / BLOCK_SECTORS * BLOCK_SECTORS;
	return TRUE;
}

/* Records that a request begins, carries it out, and records its acknowledgement. */
static int change(StampWorker *worker, guint kind, uint32_t first, uint32_t count)
{
	StampRecord *record = worker->disk->record;
	Flight *flight = &record->flights[worker->number];
	uint64_t stamp = kind ? 0 : (flight->sequence += THREADS);
	int r;

	for (uint32_t i = first; i < first + count; i++)
		record->sectors[i].begun = stamp;
	flight->first = first;
	flight->count = count;
	flight->whole = !kind && count <= WHOLE_MAX;
	if (!kind)
		r = request_write(worker, first, count, stamp);
	else if (kind == 1)
		r = request_zero(worker->disk, first, count);
	else
		r = request_discard(worker->disk, first, count);
	if (r)
		return r;
	flight->whole = FALSE;
	for (uint32_t i = first; i < first + count; i++)
		record->sectors[i].acknowledged = stamp;
	return 0;
}

static int one_request(StampWorker *worker)
{
	guint choice = (guint)g_rand_int_range(worker->random, 0, 64);
	uint32_t first, count;

	random_range(worker, &first, &count);
	if (choice == 0)
		return fdatasync(worker->disk->fd) ? errno : 0;
	if (choice < 8)
		return request_read(worker, first, count);
	if (choice < 11)
		return change(worker, 1, first, count);
	if (choice < 15 && whole_blocks(worker->disk, &first, &count))
		return change(worker, 2, first, count);
	return change(worker, 0, first, count);
}

static gpointer work(gpointer pointer)
{
	StampWorker *worker = pointer;

	while (!worker->failure && !worker->wrong && !stopped &&
	       g_get_monotonic_time() < end_time) {
		worker->failure = one_request(worker);
		worker->requests++;
	}
	return NULL;
}

static int load(const StampDisk *disk, guint32 seed)
{
	StampWorker workers[THREADS];
	GThread *threads[THREADS];
	guint64 requests = 0;
	int failure = 0;
	gboolean wrong = FALSE;

	printf("loading\n");
	fflush(stdout);
	for (guint i = 0; i < THREADS; i++) {
		guint32 seeds[] = {seed, i};

		workers[i] = (StampWorker){.disk = disk, .number = i};
		workers[i].random = g_rand_new_with_seed_array(seeds, G_N_ELEMENTS(seeds));
		workers[i].data = aligned(REQUEST_MAX * SECTOR);
		threads[i] = g_thread_new("worker", work, &workers[i]);
	}
	for (guint i = 0; i < THREADS; i++) {
		g_thread_join(threads[i]);
		requests += workers[i].requests;
		failure = failure ? failure : workers[i].failure;
		wrong = wrong || workers[i].wrong;
		g_rand_free(workers[i].random);
		free(workers[i].data);
	}
	printf("%" PRIu64 " requests, then: %s\n", requests,
	       failure ? g_strerror(failure) : "the end");
	return wrong ? EXIT_WRONG : failure ? EXIT_DISK : EXIT_SUCCESS;
}

/* --- verify ----------------------------------------------------------------------------------- */

typedef struct {
	guint64 stamped, doubtful, arrived, wrong;
} StampCounts;

static void verify_sector(const StampDisk *disk, const uint64_t *words, uint32_t sector,
			  StampCounts *counts)
{
	Stamps *stamps = &disk->record->sectors[sector];
	gboolean old = holds(disk, words, sector, stamps->acknowledged);
	gboolean now = !old && holds(disk, words, sector, stamps->begun);

	if (!old && !now && ++counts->wrong <= 10)
		complain(disk, words, sector, "verify");
	counts->doubtful += stamps->begun != stamps->acknowledged;
	counts->arrived += now;
	if (now)
		stamps->acknowledged = stamps->begun;
	counts->stamped += stamps->acknowledged != 0;
}

/* Verifies a request that was under way, after its sectors were examined. */
static void verify_whole(const StampDisk *disk, Flight *flight, StampCounts *counts)
{
	const Stamps *stamps = &disk->record->sectors[flight->first];
	uint32_t arrived = 0;

	for (uint32_t i = 0; i < flight->count && flight->whole; i++)
		arrived += stamps[i].acknowledged == flight->sequence;
	if (flight->whole && arrived && arrived < flight->count) {
		counts->wrong++;
		printf("torn: of the %u sectors of request %" PRIu64 " at %" PRIu64
		       " there are %u\n",
		       flight->count, flight->sequence, place_of(disk, flight->first), arrived);
	}
	flight->whole = FALSE;
}

static int verify(const StampDisk *disk)
{
	g_autofree char *error = NULL;
	uint8_t *data = aligned(STRIP_SECTORS * SECTOR);
	StampCounts counts = {0};

	for (uint32_t strip = 0; strip < STRIPS && !error; strip++) {
		uint32_t first = strip * STRIP_SECTORS;
		int r = transfer(
			pread(disk->fd, data, STRIP_SECTORS * SECTOR, bytes(place_of(disk, first))),
			STRIP_SECTORS);

		if (r)
			error = g_strdup_printf("read of strip %u: %s", strip, g_strerror(r));
		for (uint32_t i = 0; i < STRIP_SECTORS && !r; i++)
			verify_sector(disk, (uint64_t *)(void *)(data + i * SECTOR), first + i,
				      &counts);
	}
	free(data);
	if (error) {
		printf("%s\n", error);
		return EXIT_WRONG;
	}
	for (guint i = 0; i < THREADS; i++)
		verify_whole(disk, &disk->record->flights[i], &counts);
	for (uint32_t i = 0; i < RECORDED; i++)
		disk->record->sectors[i].begun = disk->record->sectors[i].acknowledged;
	printf("%" PRIu64 " sectors stamped, of %" PRIu64 " in doubt %" PRIu64 " arrived, %" PRIu64
	       " wrong\n",
	       counts.stamped, counts.doubtful, counts.arrived, counts.wrong);
	return counts.wrong || !counts.stamped ? EXIT_WRONG : EXIT_SUCCESS;
}

/* --- both ------------------------------------------------------------------------------------- */

static gboolean open_disk(StampDisk *disk, const char *path)
{
	struct stat status;
	uint64_t size;

	disk->fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	if (disk->fd < 0 || fstat(disk->fd, &status))
		return FALSE;
	size = (uint64_t)status.st_size;
	disk->device = S_ISBLK(status.st_mode);
	if (disk->device && ioctl(disk->fd, BLKGETSIZE64, &size))
		return FALSE;
	disk->size = size / SECTOR;
	return TRUE;
}

static gboolean open_record(StampDisk *disk, const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, sizeof *disk->record))
		return FALSE;
	disk->record = mmap(NULL, sizeof *disk->record, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return disk->record != MAP_FAILED;
}

/* Makes a new record.  Its stamps begin anew, so the volume gets a new number.  FALSE if the disk
 * is too small. */
static gboolean record_init(const StampDisk *disk, guint32 seed, uint64_t size)
{
	StampRecord *record = disk->record;

	if (record->volume)
		return TRUE;
	record->stride = size / (STRIPS / 2);
	if (size > disk->size || record->stride < 2 * STRIP_SECTORS + BLOCK_SECTORS * 4)
		return FALSE;
	record->volume = (uint64_t)getpid() << 32 | seed | 1;
	for (guint i = 0; i < THREADS; i++)
		record->flights[i].sequence = i + 1;
	return TRUE;
}

int main(int argc, char **argv)
{
	gboolean loading = argc >= 6 && argc <= 7 && g_str_equal(argv[1], "load");
	guint32 seed = loading ? (guint32)strtoul(argv[4], NULL, 10) : 0;
	StampDisk disk = {0};

	if (!loading && !(argc == 4 && g_str_equal(argv[1], "verify"))) {
		fprintf(stderr, "usage: stamps load DISK RECORD SEED SECONDS [MIB]\n"
				"       stamps verify DISK RECORD\n");
		return EXIT_USAGE;
	}
	if (!open_record(&disk, argv[3])) {
		perror(argv[3]);
		return EXIT_USAGE;
	}
	if (!open_disk(&disk, argv[2])) {
		perror(argv[2]);
		return EXIT_USAGE;
	}
	if (!loading)
		return verify(&disk);
	if (!record_init(&disk, seed, argc > 6 ? strtoul(argv[6], NULL, 10) * 2048 : disk.size)) {
		fprintf(stderr, "stamps: %s is too small\n", argv[2]);
		return EXIT_USAGE;
	}
	signal(SIGTERM, stop);
	end_time = g_get_monotonic_time() + (gint64)(atof(argv[5]) * G_USEC_PER_SEC);
	return load(&disk, seed);
}
