/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much memory a process may have here.
 *
 * What serves volumes takes `node_cache` of the configuration, one bit for each 4 KiB of every
 * volume, and its buffers; and it has to hold them: a server that waits for memory which only its
 * own volume could free waits for ever.
 */
#pragma once

#include <glib.h>
#include <sys/types.h>

#define MEMORY_UNLIMITED G_MAXUINT64

typedef struct {
	guint64 locked;	 /* RLIMIT_MEMLOCK, bytes */
	guint64 cgroup;	 /* the least limit of its control group and those above, bytes */
	guint64 machine; /* that there is, bytes */
} MemoryLimits;

/* What a process (0: this one) may have; MEMORY_UNLIMITED also for what cannot be told. */
void memory_limits_read(pid_t pid, MemoryLimits *ret_limits);

/* The same, with other directories than /proc and /sys/fs/cgroup. */
void memory_limits_read_from(const char *proc, const char *cgroups, pid_t pid,
			     MemoryLimits *ret_limits);

/* Whether this process may lock as much as it likes, whatever its limit is. */
gboolean memory_may_lock(const MemoryLimits *limits);
