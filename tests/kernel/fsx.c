/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fsx FILE BYTES SECONDS SEED: random operations on a file of a mounted file system.  Everything
 * that is read is compared with what was written.  Modelled on the file system exerciser of that
 * name, which no distribution packages.
 *
 * The operations: reads and writes through the page cache, with direct I/O and by mapped memory;
 * truncating; punching, zeroing, preallocating, collapsing and inserting ranges, where the file
 * system supports that; flushing; dropping the cache, so that data are read from the disk
 * again.  Ends after SECONDS, or on SIGTERM, and compares the whole file once more.
 *
 * Exit status: 0 success; 1 a difference or an error: prints what, where, and the operations
 * before.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LONGEST (128u << 10)
#define PAGE 4096u
#define KEPT 32 /* operations that a failure tells */

typedef struct {
	const char *name;
	guint64 offset, length;
} Operation;

static const char *path;
static int fd, direct;
static GRand *random_numbers;
static guint8 *model, *room; /* the expected content; a buffer of that size, aligned */
static guint64 size_max, size;
static Operation kept[KEPT];
static guint64 operations;
static volatile sig_atomic_t stopped;

static void stop(int number)
{
	(void)number;
	stopped = TRUE;
}

G_GNUC_NORETURN static void fail(const char *what, guint64 offset)
{
	printf("%s: %s at %" G_GUINT64_FORMAT ": %s; size %" G_GUINT64_FORMAT
	       "; after %" G_GUINT64_FORMAT " operations:\n",
	       path, what, offset, g_strerror(errno), size, operations);
	for (guint i = 0; i < KEPT; i++) {
		const Operation *o = &kept[(operations + i) % KEPT];

		if (o->name)
			printf("  %s %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT "\n", o->name,
			       o->offset, o->length);
	}
	exit(1);
}

static void compare(const guint8 *have, guint64 offset, guint64 length)
{
	for (guint64 i = 0; i < length; i++) {
		if (have[i] == model[offset + i])
			continue;
		errno = 0;
		printf("byte %" G_GUINT64_FORMAT " is %02x, should be %02x\n", offset + i, have[i],
		       model[offset + i]);
		fail("wrong data", offset + i);
	}
}

static guint64 below(guint64 limit)
{
	return limit ? (guint64)(g_rand_double(random_numbers) * (double)limit) : 0;
}

/* Changes the expected content, or the size. */
static void fill(guint64 offset, guint64 length)
{
	guint32 pattern = g_rand_int(random_numbers);

	for (guint64 i = 0; i < length; i++)
		model[offset + i] = (guint8)(pattern >> (i % 4 * 8)) ^ (guint8)(i >> 2);
}

static void grow(guint64 to)
{
	size = MAX(size, to);
}

static void cut(guint64 to)
{
	if (to < size)
		memset(model + to, 0, size - to);
	size = to;
}

/* ---- operations on a range within the largest size */

static void do_read(guint64 offset, guint64 length)
{
	if (offset >= size)
		return;
	length = MIN(length, size - offset);
	if (pread(fd, room, length, (off_t)offset) != (ssize_t)length)
		fail("read", offset);
	compare(room, offset, length);
}

static void do_read_direct(guint64 offset, guint64 length)
{
	ssize_t got;

	offset &= ~(guint64)(PAGE - 1);
	length = (length + PAGE - 1) & ~(guint64)(PAGE - 1);
	if (offset >= size)
		return;
	got = pread(direct, room, length, (off_t)offset);
	if (got < 0 || (guint64)got < MIN(length, size - offset))
		fail("direct read", offset);
	compare(room, offset, MIN((guint64)got, size - offset));
}

static void do_write(guint64 offset, guint64 length)
{
	fill(offset, length);
	grow(offset + length);
	if (pwrite(fd, model + offset, length, (off_t)offset) != (ssize_t)length)
		fail("write", offset);
}

static void do_map(guint64 offset, guint64 length, gboolean change)
{
	guint64 page = offset & ~(guint64)(PAGE - 1);
	guint8 *at;

	if (offset >= size)
		return;
	length = MIN(length, size - offset);
	at = mmap(NULL, offset - page + length, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		  (off_t)page);
	if (at == MAP_FAILED)
		fail("map", offset);
	if (change) {
		fill(offset, length);
		memcpy(at + (offset - page), model + offset, length);
	} else {
		compare(at + (offset - page), offset, length);
	}
	munmap(at, offset - page + length);
}

static void do_map_read(guint64 offset, guint64 length)
{
	do_map(offset, length, FALSE);
}

static void do_map_write(guint64 offset, guint64 length)
{
	do_map(offset, length, TRUE);
}

static void do_truncate(guint64 offset, guint64 length)
{
	(void)length;
	cut(offset);
	if (ftruncate(fd, (off_t)offset) < 0)
		fail("truncate", offset);
}

/* FALSE: the file system does not support this. */
static gboolean allocate(int mode, guint64 offset, guint64 length, const char *what)
{
	if (!fallocate(fd, mode, (off_t)offset, (off_t)length))
		return TRUE;
	if (errno != EOPNOTSUPP && errno != EINVAL)
		fail(what, offset);
	return FALSE;
}

static void do_punch(guint64 offset, guint64 length)
{
	if (offset < size &&
	    allocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length, "punch"))
		memset(model + offset, 0, MIN(length, size - offset));
}

static void do_zero(guint64 offset, guint64 length)
{
	if (!allocate(FALLOC_FL_ZERO_RANGE, offset, length, "zero"))
		return;
	memset(model + offset, 0, length);
	grow(offset + length);
}

static void do_preallocate(guint64 offset, guint64 length)
{
	if (allocate(0, offset, length, "preallocate"))
		grow(offset + length);
}

static void align(guint64 *offset, guint64 *length)
{
	*offset &= ~(guint64)(PAGE - 1);
	*length = MAX(*length & ~(guint64)(PAGE - 1), PAGE);
}

static void do_collapse(guint64 offset, guint64 length)
{
	align(&offset, &length);
	if (offset + length >= size ||
	    !allocate(FALLOC_FL_COLLAPSE_RANGE, offset, length, "collapse"))
		return;
	memmove(model + offset, model + offset + length, size - offset - length);
	cut(size - length);
}

static void do_insert(guint64 offset, guint64 length)
{
	align(&offset, &length);
	if (offset >= size || size + length > size_max ||
	    !allocate(FALLOC_FL_INSERT_RANGE, offset, length, "insert"))
		return;
	memmove(model + offset + length, model + offset, size - offset);
	memset(model + offset, 0, length);
	size += length;
}

static void do_flush(guint64 offset, guint64 length)
{
	(void)length;
	if (fdatasync(fd) < 0)
		fail("flush", offset);
}

static void do_forget(guint64 offset, guint64 length)
{
	do_flush(offset, length);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

static const struct {
	const char *name;
	guint share;
	void (*run)(guint64 offset, guint64 length);
} kinds[] = {
	{"read", 20, do_read},
	{"direct-read", 8, do_read_direct},
	{"write", 25, do_write},
	{"map-read", 8, do_map_read},
	{"map-write", 12, do_map_write},
	{"truncate", 4, do_truncate},
	{"punch", 6, do_punch},
	{"zero", 4, do_zero},
	{"preallocate", 3, do_preallocate},
	{"collapse", 2, do_collapse},
	{"insert", 2, do_insert},
	{"flush", 4, do_flush},
	{"forget", 2, do_forget},
};

static void step(void)
{
	guint64 length = 1 + below(below(4) ? LONGEST / 16 : LONGEST);
	guint64 offset = below(size_max - length + 1);
	guint at = (guint)below(100), i = 0;

	for (; at >= kinds[i].share; i++)
		at -= kinds[i].share;
	kept[operations++ % KEPT] = (Operation){kinds[i].name, offset, length};
	kinds[i].run(offset, length);
}

static void compare_all(void)
{
	for (guint64 offset = 0; offset < size; offset += LONGEST)
		do_read(offset, LONGEST);
}

int main(int argc, char **argv)
{
	gint64 end;

	if (argc != 5) {
		fprintf(stderr, "usage: fsx FILE BYTES SECONDS SEED\n");
		return 2;
	}
	signal(SIGTERM, stop);
	path = argv[1];
	size_max = g_ascii_strtoull(argv[2], NULL, 10) & ~(guint64)(PAGE - 1);
	end = g_get_monotonic_time() + g_ascii_strtoll(argv[3], NULL, 10) * G_USEC_PER_SEC;
	random_numbers = g_rand_new_with_seed((guint32)g_ascii_strtoull(argv[4], NULL, 10));
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	direct = open(path, O_RDONLY | O_DIRECT);
	if (size_max < 2 * LONGEST || fd < 0 || direct < 0)
		fail("open", 0);
	model = g_malloc0(size_max + LONGEST);
	room = aligned_alloc(PAGE, LONGEST + PAGE);
	while (!stopped && g_get_monotonic_time() < end)
		step();
	do_forget(0, 0);
	compare_all();
	printf("%" G_GUINT64_FORMAT " operations\n", operations);
	return 0;
}
