/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/faults/inject.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static gint armed; /* atomic: the kinds, 0 for none */
static int error_number;
static gboolean for_ever;
static guint64 calls, strikes_at, total; /* atomic */
static __thread gboolean is_suspended;

void inject_begin(const Injection *injection, guint64 point)
{
	error_number = injection->err;
	for_ever = injection->for_ever;
	__atomic_store_n(&calls, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&strikes_at, point, __ATOMIC_SEQ_CST);
	g_atomic_int_set(&armed, (gint)injection->kinds);
}

guint64 inject_end(void)
{
	g_atomic_int_set(&armed, 0);
	return __atomic_load_n(&calls, __ATOMIC_SEQ_CST);
}

void inject_suspend(gboolean suspended)
{
	is_suspended = suspended;
}

guint64 inject_total(void)
{
	return __atomic_load_n(&total, __ATOMIC_SEQ_CST);
}

/* Whether this call must fail.  Then errno is set, unless the transfer must be short. */
static gboolean strikes(InjectKind kind)
{
	guint64 number;

	if (is_suspended || !(g_atomic_int_get(&armed) & (gint)kind))
		return FALSE;
	number = __atomic_fetch_add(&calls, 1, __ATOMIC_SEQ_CST);
	if (for_ever ? number < strikes_at : number != strikes_at)
		return FALSE;
	__atomic_fetch_add(&total, 1, __ATOMIC_SEQ_CST);
	if (error_number > 0)
		errno = error_number;
	return TRUE;
}

/* Looks up the definition that ours hides, once; several threads may do so at the same time. */
static void find_next(const char *name, gpointer function)
{
	void **at = function;

	if (!__atomic_load_n(at, __ATOMIC_ACQUIRE))
		__atomic_store_n(at, dlsym(RTLD_NEXT, name), __ATOMIC_RELEASE);
}

/* ---- memory */

EXPORT gpointer g_try_malloc(gsize size)
{
	return strikes(INJECT_MEMORY) || !size ? NULL : malloc(size);
}

EXPORT gpointer g_try_malloc0(gsize size)
{
	return strikes(INJECT_MEMORY) || !size ? NULL : calloc(1, size);
}

EXPORT gpointer g_try_malloc_n(gsize n, gsize size)
{
	return strikes(INJECT_MEMORY) || !n || !size ? NULL : reallocarray(NULL, n, size);
}

EXPORT gpointer g_try_malloc0_n(gsize n, gsize size)
{
	return strikes(INJECT_MEMORY) || !n || !size ? NULL : calloc(n, size);
}

EXPORT gpointer g_try_realloc(gpointer memory, gsize size)
{
	return strikes(INJECT_MEMORY) ? NULL : realloc(memory, size);
}

EXPORT gpointer g_try_realloc_n(gpointer memory, gsize n, gsize size)
{
	return strikes(INJECT_MEMORY) ? NULL : reallocarray(memory, n, size);
}

/* Small allocations are for GLib's slices; GLib aborts if they fail. */
EXPORT int posix_memalign(void **memory, size_t alignment, size_t size)
{
	gboolean fails = size > 64u << 10 && strikes(INJECT_MEMORY);

	*memory = fails ? NULL : memalign(alignment, size);
	return *memory ? 0 : ENOMEM;
}

EXPORT void *mmap(void *at, size_t length, int protection, int flags, int fd, off_t offset)
{
	static void *(*real)(void *, size_t, int, int, int, off_t);

	find_next("mmap", &real);
	if (flags & MAP_ANONYMOUS && strikes(INJECT_MEMORY)) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	return real(at, length, protection, flags, fd, offset);
}

/* ---- threads */

EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
			  void *(*function)(void *), void *data)
{
	static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

	find_next("pthread_create", &real);
	return strikes(INJECT_THREAD) ? EAGAIN : real(thread, attributes, function, data);
}

/* ---- descriptors */

/* open() of the runner host (tests/runner-host/system.h), in a process that is one. */
EXPORT __attribute__((weak)) int system_open(const char *path, int flags, mode_t mode);

EXPORT int open(const char *path, int flags, ...)
{
	va_list args;
	int mode;

	va_start(args, flags);
	mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, int) : 0;
	va_end(args);
	if (strikes(INJECT_OPEN))
		return -1;
	return system_open ? system_open(path, flags, (mode_t)mode)
			   : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

EXPORT int socket(int domain, int type, int protocol)
{
	return strikes(INJECT_OPEN) ? -1 : (int)syscall(SYS_socket, domain, type, protocol);
}

EXPORT int eventfd(unsigned int count, int flags)
{
	return strikes(INJECT_OPEN) ? -1 : (int)syscall(SYS_eventfd2, count, flags);
}

EXPORT int pipe2(int fds[2], int flags)
{
	return strikes(INJECT_OPEN) ? -1 : (int)syscall(SYS_pipe2, fds, flags);
}

/* ---- transfers */

/* How many of `length` bytes a short transfer moves: at least one, and never whole sectors only. */
static size_t part_of(size_t length)
{
	return length > 1 ? length / 3 + 1 : length;
}

EXPORT ssize_t pread(int fd, void *data, size_t length, off_t offset)
{
	if (strikes(INJECT_READ)) {
		if (error_number != INJECT_SHORT)
			return -1;
		length = part_of(length);
	}
	return syscall(SYS_pread64, fd, data, length, offset);
}

EXPORT ssize_t pwrite(int fd, const void *data, size_t length, off_t offset)
{
	if (strikes(INJECT_WRITE)) {
		if (error_number != INJECT_SHORT)
			return -1;
		length = part_of(length);
	}
	return syscall(SYS_pwrite64, fd, data, length, offset);
}

static ssize_t vector(long number, int fd, const struct iovec *iov, int count, off_t offset,
		      int flags, gboolean part)
{
	struct iovec first = {iov->iov_base, part_of(iov->iov_len)};

	if (part)
		return syscall(number, fd, &first, 1, offset, 0, flags);
	return syscall(number, fd, iov, count, offset, 0, flags);
}

EXPORT ssize_t preadv2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	gboolean struck = strikes(INJECT_READ);

	if (struck && error_number != INJECT_SHORT)
		return -1;
	return vector(SYS_preadv2, fd, iov, count, offset, flags, struck);
}

EXPORT ssize_t pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	gboolean struck = strikes(INJECT_WRITE);

	if (struck && error_number != INJECT_SHORT)
		return -1;
	if (flags & RWF_DSYNC && strikes(INJECT_FLUSH))
		return -1;
	return vector(SYS_pwritev2, fd, iov, count, offset, flags & ~RWF_DSYNC, struck);
}

/* These call the C library's functions because they are cancellation points: libfuse cancels
 * threads in them. */
EXPORT ssize_t read(int fd, void *data, size_t length)
{
	static ssize_t (*real)(int, void *, size_t);

	if (strikes(INJECT_RECEIVE)) {
		if (error_number != INJECT_SHORT)
			return -1;
		length = part_of(length);
	}
	find_next("read", &real);
	return real(fd, data, length);
}

EXPORT ssize_t write(int fd, const void *data, size_t length)
{
	static ssize_t (*real)(int, const void *, size_t);

	if (strikes(INJECT_SEND)) {
		if (error_number != INJECT_SHORT)
			return -1;
		length = part_of(length);
	}
	find_next("write", &real);
	return real(fd, data, length);
}

/* ---- sockets */

EXPORT ssize_t recv(int fd, void *data, size_t length, int flags)
{
	static ssize_t (*real)(int, void *, size_t, int);

	if (strikes(INJECT_RECEIVE)) {
		if (error_number != INJECT_SHORT)
			return -1;
		length = part_of(length);
	}
	find_next("recv", &real);
	return real(fd, data, length, flags);
}

EXPORT ssize_t send(int fd, const void *data, size_t length, int flags)
{
	static ssize_t (*real)(int, const void *, size_t, int);

	if (strikes(INJECT_SEND)) {
		if (error_number != INJECT_SHORT)
			return -1;
		length = part_of(length);
	}
	find_next("send", &real);
	return real(fd, data, length, flags);
}

/* glibc's own types for an address; with other types, these would not define its functions. */
EXPORT int bind(int fd, __CONST_SOCKADDR_ARG address, socklen_t length)
{
	return strikes(INJECT_SOCKET) ? -1
				      : (int)syscall(SYS_bind, fd, address.__sockaddr__, length);
}

EXPORT int listen(int fd, int backlog)
{
	return strikes(INJECT_SOCKET) ? -1 : (int)syscall(SYS_listen, fd, backlog);
}

EXPORT int connect(int fd, __CONST_SOCKADDR_ARG address, socklen_t length)
{
	return strikes(INJECT_SOCKET) ? -1
				      : (int)syscall(SYS_connect, fd, address.__sockaddr__, length);
}

EXPORT int accept4(int fd, __SOCKADDR_ARG address, socklen_t *length, int flags)
{
	return strikes(INJECT_SOCKET)
		       ? -1
		       : (int)syscall(SYS_accept4, fd, address.__sockaddr__, length, flags);
}

EXPORT int getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
	return strikes(INJECT_SOCKET)
		       ? -1
		       : (int)syscall(SYS_getsockopt, fd, level, name, value, length);
}

EXPORT int fchmod(int fd, mode_t mode)
{
	return strikes(INJECT_SOCKET) ? -1 : (int)syscall(SYS_fchmod, fd, mode);
}

EXPORT int poll(struct pollfd *fds, nfds_t n, int milliseconds)
{
	static int (*real)(struct pollfd *, nfds_t, int);

	find_next("poll", &real);
	return strikes(INJECT_POLL) ? -1 : real(fds, n, milliseconds);
}

/* ---- names */

EXPORT int rename(const char *from, const char *to)
{
	return strikes(INJECT_NAME) ? -1
				    : (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

EXPORT int renameat2(int from_directory, const char *from, int to_directory, const char *to,
		     unsigned int flags)
{
	return strikes(INJECT_NAME)
		       ? -1
		       : (int)syscall(SYS_renameat2, from_directory, from, to_directory, to, flags);
}

EXPORT int link(const char *from, const char *to)
{
	return strikes(INJECT_NAME) ? -1
				    : (int)syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
}

/* On some architectures, the kernel's struct stat differs from the C library's. */
EXPORT int fstat(int fd, struct stat *st)
{
	static int (*real)(int, struct stat *);

	find_next("fstat64", &real);
	return strikes(INJECT_STAT) ? -1 : real(fd, st);
}

/* ---- other calls; tests of the plugin have an fdatasync() of their own */

#ifndef INJECT_WITHOUT_FDATASYNC
EXPORT int fdatasync(int fd)
{
	(void)fd;
	return strikes(INJECT_FLUSH) ? -1 : 0;
}
#endif

EXPORT int fsync(int fd)
{
	(void)fd;
	return strikes(INJECT_FLUSH) ? -1 : 0;
}

EXPORT int ftruncate(int fd, off_t size)
{
	return strikes(INJECT_SPACE) ? -1 : (int)syscall(SYS_ftruncate, fd, size);
}

EXPORT int fallocate(int fd, int mode, off_t offset, off_t length)
{
	return strikes(INJECT_SPACE) ? -1 : (int)syscall(SYS_fallocate, fd, mode, offset, length);
}

EXPORT int flock(int fd, int operation)
{
	return strikes(INJECT_LOCK) ? -1 : (int)syscall(SYS_flock, fd, operation);
}
