/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads are answered whatever everything else waits for: the end of a checkpoint, or a file system
 * that takes no writes.  The server is a process of its own, in which chosen calls of the C library
 * block until they are released.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/logging.h"
#include "common/service/pool.h"
#include "common/base/units.h"
#include "fuse-fallback/mountpoint.h"
#include "fuse-fallback/serve.h"
#include "tests/engine/support.h"

#define SIZE ((guint64)64 << 30)
#define THREADS 24 /* of each kind: more than the server has for it */
#define READS 40
#define READ_SECONDS 15 /* for all of them: nobody waits for a checkpoint for less than 25 */
#define STILL_SECONDS 60

/* Shared with the server. */
static struct {
	gint writes, flushes; /* do not return */
	gint kept;	      /* calls that do not */
} * hangs;

static gboolean is_server;

static Config *config;
static VolumeName *volume;
static char *mountpoint, *file, *backing;

/* ---- below the server */

static void keep_while(gint *hang)
{
	if (!is_server || !g_atomic_int_get(hang))
		return;
	g_atomic_int_inc(&hangs->kept);
	while (g_atomic_int_get(hang))
		usleep(1000);
	g_atomic_int_add(&hangs->kept, -1);
}

#define EXPORT __attribute__((visibility("default")))

EXPORT int fdatasync(int fd);

int fdatasync(int fd)
{
	keep_while(&hangs->flushes);
	return (int)syscall(SYS_fdatasync, fd);
}

EXPORT ssize_t pwrite(int fd, const void *data, size_t length, off_t offset);

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset)
{
	keep_while(&hangs->writes);
	return syscall(SYS_pwrite64, fd, data, length, offset);
}

EXPORT ssize_t pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags);

ssize_t pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	keep_while(&hangs->writes);
	return syscall(SYS_pwritev2, fd, iov, (long)count, (long)offset, 0L, (long)flags);
}

/* ---- the server */

static int ready_fd = -1;

static gboolean on_ready(void)
{
	return write(ready_fd, "r", 1) == 1;
}

static void no_log(LoggingLevel level, const char *line)
{
	(void)level, (void)line;
}

static pid_t start_server(void)
{
	char c;
	int ends[2];
	pid_t child;

	if (pipe2(ends, O_CLOEXEC))
		return -1;
	fflush(stdout);
	child = fork();
	if (!child) {
		is_server = TRUE;
		ready_fd = ends[1];
		_exit(!serve(&(ServeRequest){config, volume, mountpoint, on_ready, NULL, FALSE},
			     NULL));
	}
	close(ends[1]);
	CHECK(child > 0 && read(ends[0], &c, 1) == 1);
	close(ends[0]);
	return child;
}

static void end_server(pid_t server)
{
	int status = -1;

	kill(server, SIGTERM);
	CHECK_INT(waitpid(server, &status, 0), server);
	CHECK(WIFEXITED(status) && !WEXITSTATUS(status));
	mountpoint_clear(mountpoint);
}

/* ---- users of the file */

typedef enum { WRITE, FLUSH, DISCARD, KINDS } Kind;

static gint stop, failures;
static gint under_way[KINDS], done[KINDS];

typedef struct {
	Kind kind;
	guint number;
	GThread *thread;
} User;

static gboolean change(Kind kind, int fd, guint8 *block, guint64 at)
{
	switch (kind) {
	case WRITE:
		return pwrite(fd, block, BLOCK_SIZE, (off_t)at) == BLOCK_SIZE;
	case FLUSH:
		return !fsync(fd);
	case DISCARD:
		return !fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at,
				  BLOCK_SIZE);
	case KINDS:
		break;
	}
	return FALSE;
}

/* Each writes in a leaf of the map of its own, beyond the range that is read. */
static gpointer use(gpointer data)
{
	const User *user = data;
	int fd = open(file, O_RDWR | O_DIRECT | O_CLOEXEC);
	guint8 *block = aligned_alloc(BLOCK_SIZE, BLOCK_SIZE);
	guint64 at = 2 * GIB + (user->kind == DISCARD) * 30 * GIB + user->number * MIB;

	memset(block, 'w', BLOCK_SIZE);
	while (!g_atomic_int_get(&stop)) {
		g_atomic_int_inc(&under_way[user->kind]);
		if (fd < 0 || !change(user->kind, fd, block, at))
			g_atomic_int_inc(&failures);
		g_atomic_int_add(&under_way[user->kind], -1);
		g_atomic_int_inc(&done[user->kind]);
		at = 2 * GIB + (at + THREADS * MIB - 2 * GIB) % (60 * GIB);
	}
	close(fd);
	free(block);
	return NULL;
}

/* Whether all of these users have a request under way, and none ends within two seconds. */
static gboolean wait_until_still(guint kinds)
{
	gint64 now = g_get_monotonic_time(), end = now + STILL_SECONDS * G_USEC_PER_SEC,
	       since = now;
	gint before = -1;

	while (now < end && now - since < 2 * G_USEC_PER_SEC) {
		gint moved = 0, busy = 0;

		for (guint i = 0; i < kinds; i++) {
			moved += g_atomic_int_get(&done[i]);
			busy += g_atomic_int_get(&under_way[i]);
		}
		if (moved != before || busy < (gint)(kinds * THREADS))
			since = now;
		before = moved;
		g_usleep(10000);
		now = g_get_monotonic_time();
	}
	return now < end;
}

static gint reads_done;

static gpointer read_all(gpointer data)
{
	int fd = open(file, O_RDONLY | O_DIRECT | O_CLOEXEC), below = open(backing, O_RDONLY);
	guint8 *block = aligned_alloc(BLOCK_SIZE, BLOCK_SIZE);
	struct stat st;

	(void)data;
	for (guint i = 0; i < READS; i++) {
		if (i % 2)
			posix_fadvise(below, 0, 0, POSIX_FADV_DONTNEED);
		if (fd < 0 || stat(file, &st) ||
		    pread(fd, block, BLOCK_SIZE, (off_t)i * BLOCK_SIZE) != BLOCK_SIZE ||
		    block[0] != 1)
			g_atomic_int_inc(&failures);
		g_atomic_int_inc(&reads_done);
	}
	free(block);
	close(below);
	close(fd);
	return NULL;
}

/* How many of the reads were answered while the others wait. */
static gint read_meanwhile(GThread **ret_reader)
{
	gint64 end = g_get_monotonic_time() + READ_SECONDS * G_USEC_PER_SEC;

	g_atomic_int_set(&reads_done, 0);
	*ret_reader = g_thread_new("reader", read_all, NULL);
	while (g_atomic_int_get(&reads_done) < READS && g_get_monotonic_time() < end)
		g_usleep(10000);
	return g_atomic_int_get(&reads_done);
}

/* ---- the tests */

/* With `kinds` of users, while `hang`. */
static void try_case(gint *hang, guint kinds)
{
	User users[KINDS * THREADS];
	GThread *reader;

	g_atomic_int_set(&stop, FALSE);
	memset(done, 0, sizeof done);
	g_atomic_int_set(hang, TRUE);
	for (guint i = 0; i < kinds * THREADS; i++) {
		users[i] = (User){.kind = i / THREADS, .number = i % THREADS};
		users[i].thread = g_thread_new("user", use, &users[i]);
	}
	CHECK(wait_until_still(kinds));
	CHECK(g_atomic_int_get(&hangs->kept) > 0);
	CHECK_INT(read_meanwhile(&reader), READS);
	g_atomic_int_set(&stop, TRUE);
	g_atomic_int_set(hang, FALSE);
	g_thread_join(reader);
	for (guint i = 0; i < kinds * THREADS; i++)
		g_thread_join(users[i].thread);
	CHECK_INT(g_atomic_int_get(&failures), 0);
}

static void check_volume(void)
{
	g_autoptr(GError) error = NULL;
	Volume *opened = pool_volume_open(config, volume, 0, &error);

	CHECK_NO_ERROR(error);
	REQUIRE(opened != NULL);
	check_value(opened, 1, READS * BLOCK_SIZE, 0);
	close_volume(opened);
}

static void test_reads(gint *hang, guint kinds)
{
	pid_t server;

	if (access("/dev/fuse", R_OK | W_OK) || geteuid()) {
		test_skip("FUSE and root are needed to serve");
		return;
	}
	server = start_server();
	REQUIRE(server > 0);
	try_case(hang, kinds);
	end_server(server);
	check_volume();
}

static void test_checkpoint(const void *data)
{
	(void)data;
	test_reads(&hangs->flushes, 1);
}

static void test_frozen(const void *data)
{
	(void)data;
	test_reads(&hangs->writes, KINDS);
}

static gboolean prepare(void)
{
	const VolumeParameters parameters = {.size = SIZE};
	g_autofree char *conf = test_path("conf"), *pool = test_path("pool"), *text = NULL;
	g_autofree char *run = test_path("run"), *state = test_path("state");
	Volume *opened;

	/* With few nodes in memory, few writes suffice to make requests wait for a checkpoint. */
	text = g_strdup_printf("[storageos]\nrun_directory=%s\nstate_directory=%s\n"
			       "node_cache=1MiB\n[pool default]\npath=%s\n",
			       run, state, pool);
	mountpoint = test_path("mount");
	file = g_build_filename(mountpoint, "db", NULL);
	backing = g_build_filename(pool, "db.vol", NULL);
	hangs = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (hangs == MAP_FAILED || !g_file_set_contents(conf, text, -1, NULL) ||
	    !pool_mark("default", pool, NULL, NULL) || g_mkdir_with_parents(mountpoint, 0700))
		return FALSE;
	config = config_load(conf, NULL);
	volume = volume_name_parse("db", NULL);
	if (!config || !pool_volume_create(config, volume, &parameters, 0, NULL))
		return FALSE;
	opened = pool_volume_open(config, volume, 0, NULL);
	return opened && !volume_put_value(opened, 1, READS * BLOCK_SIZE, 0) &&
	       volume_close(opened, NULL);
}

int main(int argc, char **argv)
{
	int result;

	logging_set_sink(no_log);
	if (!prepare()) {
		printf("Bail out! no volume\n");
		return 1;
	}
	test_add("reads are answered while writes wait for a checkpoint", test_checkpoint, NULL);
	test_add("reads are answered while the file system below takes no writes", test_frozen,
		 NULL);
	result = test_run(argc, argv);
	config_free(config);
	volume_name_free(volume);
	g_free(mountpoint);
	g_free(file);
	g_free(backing);
	return result;
}
