/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/program.h"

#include <signal.h>
#include <unistd.h>

#include "common/base/fd.h"

void program_begin(void)
{
	fd_fill_stdio();
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
}

void program_begin_serving(void)
{
	sigset_t none;

	fd_close_from(STDERR_FILENO + 1);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTERM, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

void program_leave_terminal(void)
{
	signal(SIGINT, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
}
