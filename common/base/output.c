/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/output.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/error.h"

/* Large enough for nearly all output, so that the write that fails is nearly always fflush()'s,
 * whose errno is known. */
#define BUFFER ((gsize)1 << 18)

static gboolean pipe_kills; /* SIGPIPE had its default action before output_begin() */
static int problem;	    /* errno value of the first error; -1: an unknown error */

void output_begin(void)
{
	static char buffer[BUFFER];

	pipe_kills = signal(SIGPIPE, SIG_IGN) == SIG_DFL;
	if (!isatty(STDOUT_FILENO))
		setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
}

void output_help(GOptionContext *context)
{
	g_autofree char *help = g_option_context_get_help(context, TRUE, NULL);
	g_auto(GStrv) parts = g_strsplit(help, "…", -1); /* UTF-8, whatever the locale is */
	g_autofree char *plain = g_strjoinv("...", parts);

	fputs(plain, stdout);
}

static gboolean output_judge(gboolean failed, int err, GError **error)
{
	if (failed && !problem)
		problem = err ? err : -1;
	if (!problem)
		return TRUE;
	if (problem == -1)
		return error_set(error, STORAGEOS_ERROR_IO,
				 "standard output: not all of it could be written");
	if (problem == EBADF)
		return error_set(error, STORAGEOS_ERROR_IO, "standard output: it is closed");
	return error_set_errno(error, problem, "standard output");
}

gboolean output_flush(GError **error)
{
	gboolean failed;

	errno = 0;
	failed = fflush(stdout) != 0;
	return output_judge(failed || ferror(stdout), failed ? errno : 0, error);
}

gboolean output_end(GError **error)
{
	gboolean flushed = output_flush(error);

	errno = 0;
	/* EBADF: closed from the start; nothing was written to it, so nothing is lost. */
	if (!fclose(stdout) || errno == EBADF || !flushed)
		return flushed;
	return output_judge(TRUE, errno, error);
}

gboolean output_reader_left(void)
{
	return problem == EPIPE && pipe_kills;
}

void output_die_of_reader(void)
{
	signal(SIGPIPE, SIG_DFL);
	raise(SIGPIPE);
}

void output_child(void)
{
	if (pipe_kills)
		signal(SIGPIPE, SIG_DFL);
}
