/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/runner-host/system.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

const char *enabled_text;
gint clock_skew, clock_cancels, fdatasync_calls, fdatasync_error, fdatasync_delay;

void (*fdatasync_hook)(int fd);

EXPORT int fdatasync(int fd);

int fdatasync(int fd)
{
	int error = g_atomic_int_get(&fdatasync_error);

	g_atomic_int_inc(&fdatasync_calls);
	if (fdatasync_hook)
		fdatasync_hook(fd);
	if (g_atomic_int_get(&fdatasync_delay))
		g_usleep((gulong)g_atomic_int_get(&fdatasync_delay));
	if (error) {
		errno = error;
		return -1;
	}
	return (int)syscall(SYS_fdatasync, fd);
}

/* Microseconds that this thread's clock is ahead. */
static gint64 skew(void)
{
	gboolean main_thread = getpid() == (pid_t)syscall(SYS_gettid);

	return main_thread ? 0 : g_atomic_int_get(&clock_skew) * G_USEC_PER_SEC;
}

EXPORT gint64 g_get_monotonic_time(void);

gint64 g_get_monotonic_time(void)
{
	struct timespec now;

	if (g_atomic_int_get(&clock_cancels))
		pthread_testcancel();
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (gint64)now.tv_sec * G_USEC_PER_SEC + now.tv_nsec / 1000 + skew();
}

EXPORT gboolean g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end);

/* Nobody sleeps longer for what the clock said.  Weak: the thread sanitizer's builds have another
 * one (tests/tsan.c). */
__attribute__((weak)) gboolean g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end)
{
	gboolean (*real)(GCond *, GMutex *, gint64);

	*(void **)&real = dlsym(RTLD_NEXT, "g_cond_wait_until");
	return real(cond, mutex, end - skew());
}

EXPORT char *g_file_read_link(const char *path, GError **error);

char *g_file_read_link(const char *path, GError **error)
{
	(void)error;
	return g_strdup(strcmp(path, "/proc/self/fd/8765") ? "/dev/null" : "/dev/uio7");
}

EXPORT gboolean g_file_get_contents(const char *path, char **ret_text, gsize *ret_length,
				    GError **error);

gboolean g_file_get_contents(const char *path, char **ret_text, gsize *ret_length, GError **error)
{
	gboolean (*real)(const char *, char **, gsize *, GError **) = NULL;
	void *symbol = dlsym(RTLD_NEXT, "g_file_get_contents");

	if (!strcmp(path, "/sys/class/uio/uio7/name")) {
		*ret_text = g_strdup("tcm-user/3/name/storageos/some/thing\n");
		return TRUE;
	}
	if (!strcmp(path, "/sys/kernel/config/target/core/user_3/name/enable") && enabled_text) {
		*ret_text = g_strdup(enabled_text);
		return TRUE;
	}
	memcpy(&real, &symbol, sizeof real);
	return real(path, ret_text, ret_length, error);
}
