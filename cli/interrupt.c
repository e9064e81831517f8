/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/interrupt.h"

#include <pthread.h>
#include <signal.h>

#include "common/base/error.h"

static gboolean held;

static void signals_fill(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGHUP);
}

void interrupt_hold(void)
{
	sigset_t set;

	signals_fill(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	held = TRUE;
}

void interrupt_child(void)
{
	sigset_t set;

	signals_fill(&set);
	if (held)
		pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

void interrupt_release(void)
{
	interrupt_child();
	held = FALSE;
}

gboolean interrupt_check(GError **error)
{
	sigset_t pending;

	if (!held || sigpending(&pending) ||
	    (!sigismember(&pending, SIGINT) && !sigismember(&pending, SIGTERM) &&
	     !sigismember(&pending, SIGHUP)))
		return TRUE;
	return error_set(error, STORAGEOS_ERROR_BUSY, "interrupted");
}
