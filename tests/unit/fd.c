/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/backing/file.h"
#include "common/base/files.h"
#include "common/base/units.h"
#include "tests/harness.h"

#define COMBINATIONS 8 /* of descriptors 0, 1 and 2 being open or closed */

typedef int (*ChildMain)(void);

/* Runs `child` in a child process in which the descriptors of the bits of `closed` are closed.  Its
 * result must be 0; another value says where it failed. */
static void run_child(ChildMain child, guint closed)
{
	int status = -1;
	pid_t pid = fork();

	test_row("closed: %s%s%s", closed & 1 ? "0 " : "", closed & 2 ? "1 " : "",
		 closed & 4 ? "2" : "");
	if (!pid) {
		for (int fd = 0; fd < 3; fd++)
			if (closed & 1u << fd)
				close(fd);
		_exit(child());
	}
	CHECK_INT(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status));
	CHECK_INT(WEXITSTATUS(status), 0);
}

static void run_children(ChildMain child)
{
	for (guint closed = 0; closed < COMBINATIONS; closed++)
		run_child(child, closed);
}

static gboolean is_ours(int fd)
{
	return fd >= 3 && fcntl(fd, F_GETFD) == FD_CLOEXEC;
}

static int fill(void)
{
	gboolean open[3];
	char c;

	for (int fd = 0; fd < 3; fd++)
		open[fd] = fcntl(fd, F_GETFD) >= 0;
	fd_fill_stdio();
	for (int fd = 0; fd < 3; fd++) {
		if (fcntl(fd, F_GETFD) != 0)
			return 1 + fd; /* programs that are started must inherit it */
		if (!open[fd] && (write(fd, "x", 1) != -1 || errno != EBADF))
			return 4 + fd;
		if (!open[fd] && read(fd, &c, 1) != 0)
			return 7 + fd;
	}
	return 0;
}

static void test_fill(const void *data)
{
	(void)data;
	run_children(fill);
}

static int move_up(void)
{
	for (guint i = 0; i < 4; i++)
		if (!is_ours(fd_above_stdio(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0))))
			return 1;
	errno = 0;
	return fd_above_stdio(open("/nowhere/at/all", O_RDONLY)) == -1 && errno == ENOENT ? 0 : 2;
}

static void test_move_up(const void *data)
{
	(void)data;
	run_children(move_up);
}

static int open_all(void)
{
	int ends[2];

	if (!is_ours(fd_open("/", O_RDONLY, 0)) ||
	    !is_ours(fd_openat(AT_FDCWD, ".", O_PATH | O_DIRECTORY, 0)))
		return 1;
	if (fd_pipe(ends) || !is_ours(ends[0]) || !is_ours(ends[1]))
		return 2;
	if (fd_socketpair(ends) || !is_ours(ends[0]) || !is_ours(ends[1]))
		return 4;
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			return 3;
	return 0;
}

static void test_open(const void *data)
{
	(void)data;
	run_children(open_all);
}

/* Messages must not get into the file where standard error was closed. */
static int report_beside_backing(void)
{
	g_autofree char *path = test_path("file");
	g_autoptr(Backing) backing = NULL;
	guint8 block[BLOCK_SIZE] = {0}, out[BLOCK_SIZE];

	if (!files_write(path, "", 0, 0600, FILES_NEW, NULL))
		return 1;
	for (int fd = 0; fd < 3; fd++)
		close(fd); /* the descriptors that filled the gaps */
	backing = backing_file_open(path, 0, NULL);
	memset(block, 'b', sizeof block);
	if (!backing || backing_grow(backing, MIB) ||
	    backing_pwrite(backing, block, sizeof block, 0))
		return 2;
	for (int fd = 0; fd < 3; fd++)
		if (write(fd, "# not for the file\n", 19) >= 0 && fd == 0)
			return 3;
	if (backing_pread(backing, out, sizeof out, 0))
		return 4;
	return memcmp(block, out, sizeof out) ? 5 : 0;
}

static void test_backing(const void *data)
{
	(void)data;
	test_directory(); /* made by the parent */
	run_child(report_beside_backing, 1 | 2 | 4);
}

static int close_above(void)
{
	int low = fcntl(1, F_DUPFD, 3), high = fcntl(1, F_DUPFD, 500);

	if (low < 0 || high < 500)
		return 1;
	fd_close_from(low + 1);
	if (fcntl(low, F_GETFD) < 0 || fcntl(high, F_GETFD) >= 0)
		return 2;
	fd_close_from(3);
	return fcntl(low, F_GETFD) >= 0 || fcntl(1, F_GETFD) < 0 ? 3 : 0;
}

static void test_close_from(const void *data)
{
	(void)data;
	run_child(close_above, 0);
}

int main(int argc, char **argv)
{
	test_add("0, 1 and 2 if closed: read as an end, cannot be written to", test_fill, NULL);
	test_add("a descriptor is moved above 2 and is not inherited", test_move_up, NULL);
	test_add("an opened descriptor is above 2 and not inherited", test_open, NULL);
	test_add("a message does not get into a backing", test_backing, NULL);
	test_add("all descriptors from a number on are closed", test_close_from, NULL);
	return test_run(argc, argv);
}
