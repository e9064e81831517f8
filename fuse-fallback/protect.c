/* SPDX-License-Identifier: Apache-2.0 */
#include "fuse-fallback/protect.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/fd.h"
#include "common/logging.h"

/* Linux 5.6 */
#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

static void warn(const char *volume, const char *what)
{
	log_warning("volume '%s': %s: %s", volume, what, g_strerror(errno));
}

/* Program, libraries and what is allocated now are read in and locked; what comes later is locked
 * when it is first touched, so that stacks and caches take no more memory than they use.  Without
 * the limit raised, locking would make later allocations fail: then it is left. */
static void lock_memory(const char *volume)
{
	const struct rlimit unlimited = {.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
	struct rlimit limit;

	if (setrlimit(RLIMIT_MEMLOCK, &unlimited) &&
	    (getrlimit(RLIMIT_MEMLOCK, &limit) || limit.rlim_cur != RLIM_INFINITY))
		warn(volume, "cannot raise the limit of locked memory");
	else if (mlockall(MCL_CURRENT) || mlockall(MCL_FUTURE | MCL_ONFAULT))
		warn(volume, "cannot lock memory");
}

static void exempt_from_oom_killer(const char *volume)
{
	static const char score[] = "-1000";
	int fd = fd_open("/proc/self/oom_score_adj", O_WRONLY, 0);

	if (fd < 0 || write(fd, score, sizeof score - 1) < 0)
		warn(volume, "cannot exempt the process from the OOM killer");
	if (fd >= 0)
		close(fd);
}

void protect_process(const char *volume)
{
	if (prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0))
		warn(volume, "cannot mark the process as an I/O flusher");
	exempt_from_oom_killer(volume);
	/* Locked memory cannot be given back page by page; few arenas keep little unused. */
	mallopt(M_ARENA_MAX, 2);
	lock_memory(volume);
}
