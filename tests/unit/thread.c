/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/thread.h"
#include "tests/harness.h"

#include <pthread.h>
#include <signal.h>

/* Whether the calling thread blocks every signal that can be blocked. */
static gpointer blocks_everything(gpointer data)
{
	sigset_t mask;

	(void)data;
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	for (int number = 1; number < 32; number++)
		if (number != SIGKILL && number != SIGSTOP && !sigismember(&mask, number))
			return GINT_TO_POINTER(FALSE);
	return GINT_TO_POINTER(TRUE);
}

static void test_mask(const void *data)
{
	sigset_t one, before, after;
	GThread *thread;

	(void)data;
	sigemptyset(&one);
	sigaddset(&one, SIGUSR2);
	pthread_sigmask(SIG_SETMASK, &one, &before);
	thread = thread_start("test", blocks_everything, NULL, NULL);
	REQUIRE(thread);
	CHECK(GPOINTER_TO_INT(g_thread_join(thread)));
	pthread_sigmask(SIG_SETMASK, &before, &after);
	CHECK(sigismember(&after, SIGUSR2) == 1);
	CHECK(sigismember(&after, SIGUSR1) == 0);
}

int main(int argc, char **argv)
{
	test_add("a thread starts with all signals blocked, and the caller keeps its mask",
		 test_mask, NULL);
	return test_run(argc, argv);
}
