/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/runner-host/disk.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/runner-host/system.h"

#define EXPORT __attribute__((visibility("default")))

gint no_space, space_asked, space_hangs;

static GMutex lock;
static GCond changed;
static const char *hangs; /* suffix of the files whose calls hang; NULL: none */
static guint kept;

void disk_hang(const char *suffix)
{
	g_mutex_lock(&lock);
	g_atomic_pointer_set(&hangs, suffix);
	g_cond_broadcast(&changed);
	g_mutex_unlock(&lock);
}

guint disk_kept(void)
{
	guint n;

	g_mutex_lock(&lock);
	n = kept;
	g_mutex_unlock(&lock);
	return n;
}

static void keep_path(const char *path)
{
	g_mutex_lock(&lock);
	kept++;
	while (hangs && g_str_has_suffix(path, hangs))
		g_cond_wait(&changed, &lock);
	kept--;
	g_mutex_unlock(&lock);
}

/* The path of an open file; "" while nothing hangs. */
static void path_of(int fd, char path[4096])
{
	char link[64];
	ssize_t n = 0;

	if (g_atomic_pointer_get(&hangs)) {
		g_snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
		n = readlink(link, path, 4095);
	}
	path[MAX(n, 0)] = 0;
}

static void keep(int fd)
{
	char path[4096];

	path_of(fd, path);
	keep_path(path);
}

static gboolean would_keep(int fd)
{
	char path[4096];
	gboolean would;

	path_of(fd, path);
	g_mutex_lock(&lock);
	would = hangs && g_str_has_suffix(path, hangs);
	g_mutex_unlock(&lock);
	return would;
}

/* For the functions of system.c. */
__attribute__((constructor)) static void keep_in_system(void)
{
	fdatasync_hook = keep;
	open_hook = keep_path;
}

EXPORT int ftruncate(int fd, off_t size);

int ftruncate(int fd, off_t size)
{
	if (g_atomic_int_get(&no_space)) {
		errno = ENOSPC;
		return -1;
	}
	keep(fd);
	return (int)syscall(SYS_ftruncate, fd, size);
}

EXPORT ssize_t pread(int fd, void *data, size_t length, off_t offset);

ssize_t pread(int fd, void *data, size_t length, off_t offset)
{
	keep(fd);
	return syscall(SYS_pread64, fd, data, length, offset);
}

EXPORT ssize_t pwrite(int fd, const void *data, size_t length, off_t offset);

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset)
{
	keep(fd);
	return syscall(SYS_pwrite64, fd, data, length, offset);
}

EXPORT ssize_t preadv2(int fd, const struct iovec *iov, int count, off_t offset, int flags);

ssize_t preadv2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	if (flags & RWF_NOWAIT && would_keep(fd)) {
		errno = EAGAIN;
		return -1;
	}
	keep(fd);
	return syscall(SYS_preadv2, fd, iov, (long)count, (long)offset, 0L, (long)flags);
}

EXPORT ssize_t pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags);

ssize_t pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	keep(fd);
	return syscall(SYS_pwritev2, fd, iov, (long)count, (long)offset, 0L, (long)flags);
}

EXPORT int statvfs(const char *path, struct statvfs *fs);

int statvfs(const char *path, struct statvfs *fs)
{
	int (*real)(const char *, struct statvfs *);

	g_atomic_int_inc(&space_asked);
	while (g_atomic_int_get(&space_hangs))
		g_usleep(1000);
	*(void **)&real = dlsym(RTLD_NEXT, "statvfs64");
	return real(path, fs);
}
