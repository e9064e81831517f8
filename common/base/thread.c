/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/thread.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/error.h"

#define LONGEST_SLICE_NS 100000000u

/* A new thread inherits its creator's mask. */
static sigset_t signals_block(void)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	return before;
}

GThread *thread_start(const char *name, GThreadFunc run, gpointer data, GError **error)
{
	g_autoptr(GError) failure = NULL;
	sigset_t before = signals_block();
	GThread *thread = g_thread_try_new(name, run, data, &failure);

	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!thread)
		error_set(error, STORAGEOS_ERROR_IO, "start a thread: %s", failure->message);
	return thread;
}

gboolean thread_start_detached(const char *name, GThreadFunc run, gpointer data, GError **error)
{
	sigset_t before = signals_block();
	pthread_t thread;
	gboolean started = !pthread_create(&thread, NULL, run, data);

	if (started) {
		pthread_setname_np(thread, name);
		pthread_detach(thread);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return started || error_set(error, STORAGEOS_ERROR_IO, "no room for another thread");
}

/* sched_setattr(2); Documentation/scheduler/sched-eevdf.rst: who asks for a shorter slice goes
 * first. */
void thread_give_way(void)
{
	struct {
		guint32 size, policy;
		guint64 flags;
		gint32 nice;
		guint32 priority;
		guint64 runtime, deadline, period;
	} attr = {0};

	if (syscall(SYS_sched_getattr, 0, &attr, (guint)sizeof attr, 0u) ||
	    attr.policy != SCHED_OTHER)
		return;
	attr.runtime = LONGEST_SLICE_NS;
	syscall(SYS_sched_setattr, 0, &attr, 0u);
}

guint thread_processors(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof set, &set))
		return g_get_num_processors(); /* more than the set can name */
	return (guint)CPU_COUNT(&set);
}
