/* SPDX-License-Identifier: Apache-2.0 */
#include "fuse-fallback/attendance.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/base/logging.h"
#include "tests/harness.h"

static void no_log(LoggingLevel level, const char *line)
{
	(void)level, (void)line;
}

/* Whether the process gets SIGTERM within that time. */
static gboolean is_told(guint milliseconds)
{
	const struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	return sigtimedwait(&signals, NULL, &time) == SIGTERM;
}

/* As `attach` does. */
static int take_lock(const char *path)
{
	int fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0600);

	CHECK(fd >= 0 && !flock(fd, LOCK_EX | LOCK_NB));
	return fd;
}

static void test_nobody(const void *data)
{
	g_autofree char *path = test_path("lock");
	gint users = 0;
	int fd = take_lock(path);
	Attendance *attendance = attendance_watch(path, &users, NULL);

	(void)data;
	REQUIRE(attendance);
	CHECK(!is_told(500)); /* it may still come */
	close(fd);
	CHECK(is_told(20000));
	attendance_free(attendance);
}

static void test_came(const void *data)
{
	g_autofree char *path = test_path("lock");
	gint users = 0;
	int fd = take_lock(path);
	Attendance *attendance = attendance_watch(path, &users, NULL);

	(void)data;
	REQUIRE(attendance);
	g_atomic_int_set(&users, 1);
	close(fd);
	CHECK(!is_told(500));
	g_atomic_int_set(&users, 0); /* the kernel unmounts it when it is detached */
	CHECK(!is_told(500));
	attendance_free(attendance);
}

static void test_no_lock(const void *data)
{
	g_autofree char *path = test_path("lock");
	gint users = 0;
	Attendance *attendance = attendance_watch(path, &users, NULL);

	(void)data;
	REQUIRE(attendance);
	CHECK(is_told(20000));
	attendance_free(attendance);
}

static void test_ended_before(const void *data)
{
	g_autofree char *path = test_path("lock");
	gint users = 0;
	int fd = take_lock(path);
	Attendance *attendance = attendance_watch(path, &users, NULL);

	(void)data;
	REQUIRE(attendance);
	attendance_free(attendance);
	close(fd);
	CHECK(!is_told(200));
}

int main(int argc, char **argv)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	logging_set_sink(no_log);
	test_add("nobody came: the server is told to end", test_nobody, NULL);
	test_add("somebody came: it goes on, also when he has gone", test_came, NULL);
	test_add("a lock that is not there is nobody's", test_no_lock, NULL);
	test_add("a server that ends while somebody attaches is not told", test_ended_before, NULL);
	return test_run(argc, argv);
}
