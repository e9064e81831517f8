/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/thread.h"

#include <pthread.h>
#include <signal.h>

#include "common/base/error.h"

GThread *thread_start(const char *name, GThreadFunc run, gpointer data, GError **error)
{
	g_autoptr(GError) failure = NULL;
	sigset_t all, before;
	GThread *thread;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); /* a new thread inherits its creator's mask */
	thread = g_thread_try_new(name, run, data, &failure);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!thread)
		error_set(error, STORAGEOS_ERROR_IO, "start a thread: %s", failure->message);
	return thread;
}
