/* SPDX-License-Identifier: Apache-2.0 */
/* Output that cannot be written is reported, whenever the write fails. */
#include "common/base/output.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/harness.h"

enum { TAKEN, LOST, LOST_READER };

static const struct {
	const char *name;
	const char *path; /* the file that is standard output; NULL: it is closed */
	gsize printed;
	gboolean flushed; /* flushed before the end, with no output after it */
	int result;
} rows[] = {
	{"a file", "/dev/null", 100, FALSE, TAKEN},
	{"a full disk", "/dev/full", 100, FALSE, LOST},
	{"a full disk, long before the end", "/dev/full", (gsize)1 << 20, FALSE, LOST},
	{"a full disk, told once", "/dev/full", 100, TRUE, LOST},
	{"a full disk, nothing printed", "/dev/full", 0, FALSE, TAKEN},
	{"nowhere", NULL, 100, FALSE, LOST},
	{"nowhere, nothing printed", NULL, 0, FALSE, TAKEN},
	{"a pipe without a reader", "|", 100, FALSE, LOST_READER},
	{"a pipe without a reader, told once", "|", 100, TRUE, LOST_READER},
};

static int pipe_without_reader(void)
{
	int ends[2];

	if (pipe(ends))
		return -1;
	close(ends[0]);
	return ends[1];
}

/* Runs in a child.  Returns the result of output_end(). */
static int print(guint row)
{
	const char *path = rows[row].path;
	int fd = !path ? -1 : *path == '|' ? pipe_without_reader() : open(path, O_WRONLY);

	signal(SIGPIPE, SIG_DFL);
	if (fd >= 0)
		dup2(fd, STDOUT_FILENO);
	else
		close(STDOUT_FILENO);
	output_begin();
	for (gsize i = 0; i < rows[row].printed; i++)
		putchar('x');
	if (rows[row].flushed)
		output_flush(NULL);
	if (output_end(NULL))
		return TAKEN;
	return output_reader_left() ? LOST_READER : LOST;
}

static void test_rows(const void *data)
{
	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		int status = 0;
		pid_t pid;

		test_row("%s", rows[i].name);
		fflush(stdout);
		pid = fork();
		REQUIRE(pid >= 0);
		if (!pid)
			_exit(print(i));
		CHECK_INT(waitpid(pid, &status, 0), pid);
		CHECK(WIFEXITED(status));
		CHECK_INT(WEXITSTATUS(status), rows[i].result);
	}
}

int main(int argc, char **argv)
{
	test_add("output that cannot be written is reported", test_rows, NULL);
	return test_run(argc, argv);
}
