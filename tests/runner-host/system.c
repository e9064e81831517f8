/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/runner-host/system.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

#define BACKSTORE "/sys/kernel/config/target/core/user_3/name/"

const char *enabled_text, *serial_text, *reservations_text;
gint clock_skew, clock_cancels, fdatasync_calls, fdatasync_error, fdatasync_delay;

void (*fdatasync_hook)(int fd);
void (*open_hook)(const char *path);

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

/* How far this thread's clock is ahead, microseconds. */
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

/* Corrects the end of the wait, so that a clock that is ahead makes no wait longer.  Weak, because
 * builds with the thread sanitizer have another definition (tests/tsan.c). */
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

/* A descriptor from which the text can be read, as from a file of the kernel. */
static int open_text(const char *text)
{
	int fd = memfd_create("text", MFD_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) ||
	    lseek(fd, 0, SEEK_SET))
		return -1;
	return fd;
}

int system_open(const char *path, int flags, mode_t mode)
{
	if (open_hook)
		open_hook(path);
	if (!strcmp(path, "/sys/class/uio/uio7/name"))
		return open_text("tcm-user/3/name/storageos/some/thing\n");
	if (!strcmp(path, BACKSTORE "enable") && enabled_text)
		return open_text(enabled_text);
	if (!strcmp(path, BACKSTORE "wwn/vpd_unit_serial") && serial_text)
		return open_text(serial_text);
	if (!strcmp(path, BACKSTORE "attrib/emulate_pr") && reservations_text)
		return open_text(reservations_text);
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

EXPORT int open(const char *path, int flags, ...);

/* Weak: programs that inject faults have another definition (tests/faults/inject.c), which calls
 * system_open(). */
__attribute__((weak)) int open(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list arguments;

	if (flags & O_CREAT) {
		va_start(arguments, flags);
		mode = va_arg(arguments, mode_t);
		va_end(arguments);
	}
	return system_open(path, flags, mode);
}
