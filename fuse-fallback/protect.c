/* SPDX-License-Identifier: Apache-2.0 */
#include "fuse-fallback/protect.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/base/fd.h"
#include "common/base/logging.h"

/* Linux 5.6 */
#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

#define STACK ((rlim_t)8 << 20)

static void protect_warn(const char *volume, const char *what)
{
	log_warning("volume '%s': %s: %s", volume, what, g_strerror(errno));
}

/* Locks the program, its libraries and the present allocations at once, and later ones when they
 * are first touched, so that stacks and caches take no more memory than they use.  Without a raised
 * limit, locking would make later allocations fail; then nothing is locked. */
static void lock_memory(const char *volume)
{
	const struct rlimit unlimited = {.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
	struct rlimit limit;

	if (setrlimit(RLIMIT_MEMLOCK, &unlimited) &&
	    (getrlimit(RLIMIT_MEMLOCK, &limit) || limit.rlim_cur != RLIM_INFINITY))
		protect_warn(volume, "cannot raise the limit of locked memory");
	else if (mlockall(MCL_CURRENT) || mlockall(MCL_FUTURE | MCL_ONFAULT))
		protect_warn(volume, "cannot lock memory");
}

/* The least that each limit must be.  The C library has read the stack limit at the start, so
 * set_stack_of_threads() has to tell it anew. */
static const struct {
	const char *name;
	int resource;
	rlim_t least;
} limits[] = {
	{"processor time", RLIMIT_CPU, RLIM_INFINITY}, {"address space", RLIMIT_AS, RLIM_INFINITY},
	{"data", RLIMIT_DATA, RLIM_INFINITY},	       {"stack", RLIMIT_STACK, STACK},
	{"descriptors", RLIMIT_NOFILE, 1024},
};

/* Raises the soft limit to `least`, or to the hard limit if that cannot be raised. */
static gboolean limit_lift(int resource, rlim_t least)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit) || limit.rlim_cur >= least)
		return TRUE;
	limit.rlim_cur = least;
	if (limit.rlim_max >= least)
		return !setrlimit(resource, &limit);
	if (!setrlimit(resource, &(struct rlimit){least, least}))
		return TRUE;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(resource, &limit);
	errno = EPERM;
	return FALSE;
}

static void set_stack_of_threads(void)
{
	pthread_attr_t attributes;
	struct rlimit limit = {.rlim_cur = STACK};

	getrlimit(RLIMIT_STACK, &limit);
	if (pthread_attr_init(&attributes))
		return;
	if (!pthread_attr_setstacksize(&attributes, MIN(limit.rlim_cur, STACK)))
		pthread_setattr_default_np(&attributes);
	pthread_attr_destroy(&attributes);
}

static void limits_lift(const char *volume)
{
	struct rlimit size;

	for (guint i = 0; i < G_N_ELEMENTS(limits); i++) {
		g_autofree char *what =
			g_strconcat("cannot raise the limit of ", limits[i].name, NULL);

		if (!limit_lift(limits[i].resource, limits[i].least))
			protect_warn(volume, what);
	}
	set_stack_of_threads();
	if (!getrlimit(RLIMIT_FSIZE, &size) && size.rlim_cur != RLIM_INFINITY)
		log_warning("volume '%s': files may have at most %" G_GUINT64_FORMAT
			    " bytes (ulimit -f): writes beyond that fail",
			    volume, (guint64)size.rlim_cur);
}

static void exempt_from_oom_killer(const char *volume)
{
	static const char score[] = "-1000";
	int fd = fd_open("/proc/self/oom_score_adj", O_WRONLY, 0);

	if (fd < 0 || write(fd, score, sizeof score - 1) < 0)
		protect_warn(volume, "cannot exempt the process from the OOM killer");
	if (fd >= 0)
		close(fd);
}

void protect_process(const char *volume)
{
	limits_lift(volume);
	if (prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0))
		protect_warn(volume, "cannot mark the process as an I/O flusher");
	exempt_from_oom_killer(volume);
	/* Locked memory is not given back page by page; few arenas keep little of it unused. */
	mallopt(M_ARENA_MAX, 2);
	lock_memory(volume);
}
