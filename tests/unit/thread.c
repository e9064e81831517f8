/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/thread.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/error.h"
#include "tests/harness.h"

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

/* In a process that may have no further thread: the caller gets an error, and its mask back. */
static int start_too_many(void)
{
	const struct rlimit none = {0, 0};
	g_autoptr(GError) error = NULL;
	sigset_t mask;

	if (setrlimit(RLIMIT_NPROC, &none) || (!geteuid() && setuid(65534)))
		return 2;
	if (thread_start("test", blocks_everything, NULL, &error) ||
	    !g_error_matches(error, STORAGEOS_ERROR, STORAGEOS_ERROR_IO))
		return 1;
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	return sigismember(&mask, SIGUSR1);
}

static void test_no_room(const void *data)
{
	int status = -1;
	pid_t child = fork();

	(void)data;
	if (!child)
		_exit(start_too_many());
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFEXITED(status));
	CHECK_INT(WEXITSTATUS(status), 0);
}

static void test_processors(const void *data)
{
	cpu_set_t before, one;
	guint last = CPU_SETSIZE;

	(void)data;
	REQUIRE(!sched_getaffinity(0, sizeof before, &before));
	CHECK_INT(thread_processors(), CPU_COUNT(&before));
	while (!CPU_ISSET(--last, &before))
		;
	CPU_ZERO(&one);
	CPU_SET(last, &one);
	CHECK(!sched_setaffinity(0, sizeof one, &one));
	CHECK_INT(thread_processors(), 1);
	CHECK(!sched_setaffinity(0, sizeof before, &before));
}

int main(int argc, char **argv)
{
	test_add("a thread starts with all signals blocked, and the caller keeps its mask",
		 test_mask, NULL);
	test_add("without room for a thread there is an error", test_no_room, NULL);
	test_add("only the processors that a thread may use are counted", test_processors, NULL);
	return test_run(argc, argv);
}
