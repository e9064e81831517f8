/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the plugin copes with the process that it is in: standard descriptors may be closed, and the
 * size of files may be limited.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/handler/fixture.h"
#include "tests/harness.h"

#define BLOCK 4096
#define FDS 256

/* ---- closed */

typedef struct {
	int saved[3];
} Stdio;

static Stdio stdio_close(void)
{
	Stdio stdio;

	fflush(stdout);
	fflush(stderr);
	for (int fd = 0; fd < 3; fd++) {
		stdio.saved[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 100);
		close(fd);
	}
	return stdio;
}

static void stdio_restore(const Stdio *stdio)
{
	for (int fd = 0; fd < 3; fd++) {
		dup2(stdio->saved[fd], fd);
		close(stdio->saved[fd]);
	}
}

static void note_open(gboolean *ret_open)
{
	for (int fd = 0; fd < FDS; fd++)
		ret_open[fd] = fcntl(fd, F_GETFD) >= 0;
}

/* How many descriptors are there now that were not there; *ret_bad: of these are inherited, or in
 * the place of standard ones and anything but /dev/null. */
static int look_at_new(const gboolean *before, char (*ret_bad)[300])
{
	int n = 0;

	**ret_bad = '\0';
	for (int fd = 0; fd < FDS; fd++) {
		char link[64], path[256] = "";
		int flags = fcntl(fd, F_GETFD);

		if (flags < 0 || before[fd])
			continue;
		n++;
		g_snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
		if (readlink(link, path, sizeof path - 1) < 0)
			continue;
		if (fd < 3 ? strcmp(path, "/dev/null") : flags != FD_CLOEXEC)
			g_snprintf(*ret_bad, sizeof *ret_bad, "%d: %s", fd, path);
	}
	return n;
}

/* Whoever reports to what was standard error: the file's position there is its start. */
static void report(void)
{
	for (int fd = 0; fd < 3; fd++)
		if (write(fd, "cannot do something", 19) > 0)
			continue;
}

static void test_closed(const void *data)
{
	guint8 block[BLOCK], out[BLOCK];
	gboolean before[FDS];
	char bad[300];
	Stdio stdio;
	int added, n;
	Dev dev;

	(void)data;
	memset(block, 'd', sizeof block);
	dev_init(&dev, "storageos/closed;create", SIZE);
	stdio = stdio_close();
	note_open(before);
	added = dev_add(&dev);
	report();
	n = look_at_new(before, &bad);
	stdio_restore(&stdio);
	REQUIRE(CHECK_INT(added, 0));
	CHECK(n >= 3 + 2); /* the volume, its socket */
	CHECK_STR(bad, "");
	CHECK_INT(run_write(&dev, block, sizeof block, 0), STS_OK);
	dev_remove(&dev);
	REQUIRE(dev_open(&dev, "closed"));
	CHECK_INT(run_read(&dev, out, sizeof out, 0), STS_OK);
	CHECK_MEM(out, block, sizeof out);
	dev_remove(&dev);
}

/* ---- a limit */

/* A write beyond the limit fails, and the process survives whatever it does with SIGXFSZ. */
static void test_limit(const void *data)
{
	const guint64 size = 4 << 20;
	struct rlimit before, limit;
	guint8 *memory = calloc(1, size);
	guint8 out[BLOCK];
	int limited;
	Dev dev;

	(void)data;
	REQUIRE(memory && dev_open(&dev, "limited"));
	signal(SIGXFSZ, SIG_DFL);
	memset(memory, 'a', size);
	CHECK_INT(run_write(&dev, memory, BLOCK, 0), STS_OK);
	getrlimit(RLIMIT_FSIZE, &before);
	limit = before;
	limit.rlim_cur = 6 << 20; /* behind the journal, before most of the slots */
	setrlimit(RLIMIT_FSIZE, &limit);
	limited = run_write(&dev, memory, size, BLOCK);
	setrlimit(RLIMIT_FSIZE, &before);
	CHECK(limited != STS_OK);
	CHECK_INT(run_read(&dev, out, sizeof out, 0), STS_OK);
	CHECK_MEM(out, memory, sizeof out);
	CHECK_INT(run_write(&dev, memory, size, BLOCK), STS_OK); /* the volume is not FAILED */
	dev_remove(&dev);
	free(memory);
}

void descriptors_tests(void)
{
	test_add("where 0, 1 and 2 are closed nothing of the plugin's gets there", test_closed,
		 NULL);
	test_add("beyond the process's limit of file sizes a write fails, and nobody dies",
		 test_limit, NULL);
}
