/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/harness.h"

/* Runs `child` in a child process.  Its result must be 0; another value says where it failed. */
static void run_child(int (*child)(const char *path))
{
	g_autofree char *path = test_path("file");
	int status = -1;
	pid_t pid = fork();

	if (!pid)
		_exit(child(path));
	CHECK_INT(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status));
	CHECK_INT(WEXITSTATUS(status), 0);
}

static int write_beyond_limit(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	struct rlimit limit;

	signal(SIGXFSZ, SIG_DFL);
	program_begin();
	if (fd < 0 || getrlimit(RLIMIT_FSIZE, &limit))
		return 1;
	limit.rlim_cur = 4096;
	if (setrlimit(RLIMIT_FSIZE, &limit))
		return 2;
	return pwrite(fd, "x", 1, 4096) == -1 && errno == EFBIG ? 0 : 3;
}

static void test_file_limit(const void *data)
{
	(void)data;
	run_child(write_beyond_limit);
}

static int wait_for_child(const char *path)
{
	int status = 0;
	pid_t pid;

	(void)path;
	signal(SIGCHLD, SIG_IGN);
	program_begin();
	pid = fork();
	if (!pid)
		_exit(7);
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 7 ? 0
												: 1;
}

static void test_children(const void *data)
{
	(void)data;
	run_child(wait_for_child);
}

static int take_signals(const char *path)
{
	int ends[2], kept = open(path, O_WRONLY | O_CREAT, 0600);
	sigset_t all, now;

	signal(SIGTERM, SIG_IGN);
	signal(SIGPIPE, SIG_DFL);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	program_begin();
	program_begin_serving();
	if (kept < 0 || fcntl(kept, F_GETFD) >= 0)
		return 1;
	sigprocmask(SIG_SETMASK, NULL, &now);
	if (sigismember(&now, SIGTERM) || signal(SIGTERM, SIG_DFL) != SIG_DFL)
		return 2;
	if (pipe2(ends, O_CLOEXEC) || close(ends[0]))
		return 3;
	return write(ends[1], "x", 1) == -1 && errno == EPIPE ? 0 : 4;
}

static void test_serving(const void *data)
{
	(void)data;
	run_child(take_signals);
}

int main(int argc, char **argv)
{
	test_add("a write beyond the file size limit fails, and kills nothing", test_file_limit,
		 NULL);
	test_add("children can be waited for although the parent ignored SIGCHLD", test_children,
		 NULL);
	test_add("a server keeps no descriptor, and ends on SIGTERM", test_serving, NULL);
	return test_run(argc, argv);
}
