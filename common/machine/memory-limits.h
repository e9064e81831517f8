/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much memory a process may use on this machine.
 *
 * A process that serves volumes needs `node_cache` bytes (configuration), one bit for each 4 KiB of
 * every volume, and its buffers.  This memory must be locked: a server that waits for the kernel to
 * free memory by writing to the server's own volume waits for ever.
 */
#pragma once

#include <glib.h>
#include <sys/types.h>

#define MEMORY_UNLIMITED G_MAXUINT64

typedef struct {
	guint64 locked;	 /* RLIMIT_MEMLOCK, bytes */
	guint64 cgroup;	 /* lowest limit of its control group and the ancestors, bytes */
	guint64 machine; /* memory of the machine, bytes */
} MemoryLimits;

/* Reads the limits of a process (0: the calling one).  A limit that cannot be read is
 * MEMORY_UNLIMITED. */
void memory_limits_read(pid_t pid, MemoryLimits *ret_limits);

/* The same with other directories in place of /proc and /sys/fs/cgroup, for tests. */
void memory_limits_read_from(const char *proc, const char *cgroups, pid_t pid,
			     MemoryLimits *ret_limits);

/* Whether the calling process may lock any amount of memory: its limit is MEMORY_UNLIMITED, or it
 * has the capability to raise the limit (CAP_SYS_RESOURCE). */
gboolean memory_may_lock(const MemoryLimits *limits);
