/* SPDX-License-Identifier: Apache-2.0 */
#include "common/machine/memory-limits.h"
#include "common/base/bounds.h"
#include "common/base/files.h"

#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Control groups of version 1 have no "max": a group without a limit shows the largest number of
 * pages that fits, in bytes. */
#define NO_LIMIT ((guint64)1 << 60)

static guint64 cgroup_read_limit(const char *path)
{
	g_autofree char *text = files_read_kernel(path, NULL);
	guint64 bytes;

	if (!text || !g_ascii_isdigit(*text)) /* "max" */
		return MEMORY_UNLIMITED;
	bytes = g_ascii_strtoull(text, NULL, 10);
	return bytes >= NO_LIMIT ? MEMORY_UNLIMITED : bytes;
}

/* The lowest limit of the group and its ancestors. */
static guint64 cgroup_least_limit(const char *hierarchy, const char *group, const char *file)
{
	g_autofree char *at = g_strdup(group);
	guint64 least = MEMORY_UNLIMITED;

	while (TRUE) {
		g_autofree char *path = g_build_filename(hierarchy, at, file, NULL);
		char *slash = strrchr(at, '/');

		least = min_u64(least, cgroup_read_limit(path));
		if (!slash)
			return least;
		*slash = '\0';
	}
}

/* The limit of the group in a line of /proc/PID/cgroup: "0::/GROUP" (version 2) or
 * "4:memory:/GROUP" (version 1). */
static guint64 limit_of_line(const char *cgroups, const char *line)
{
	g_auto(GStrv) parts = g_strsplit(line, ":", 3);
	g_autofree char *first = g_build_filename(cgroups, "memory", NULL);
	g_auto(GStrv) controllers = NULL;

	if (g_strv_length(parts) < 3 || strstr(parts[2], ".."))
		return MEMORY_UNLIMITED;
	if (!*parts[1])
		return cgroup_least_limit(cgroups, parts[2], "memory.max");
	controllers = g_strsplit(parts[1], ",", 0);
	return g_strv_contains((const char *const *)controllers, "memory")
		       ? cgroup_least_limit(first, parts[2], "memory.limit_in_bytes")
		       : MEMORY_UNLIMITED;
}

static guint64 cgroup_limit(const char *directory, const char *cgroups)
{
	g_autofree char *path = g_build_filename(directory, "cgroup", NULL);
	g_autofree char *text = files_read_kernel(path, NULL);
	g_auto(GStrv) lines = text ? g_strsplit(text, "\n", 0) : NULL;
	guint64 least = MEMORY_UNLIMITED;

	for (guint i = 0; lines && lines[i]; i++)
		least = min_u64(least, limit_of_line(cgroups, lines[i]));
	return least;
}

/* The number that follows `word` in the file; MEMORY_UNLIMITED if there is none. */
static guint64 number_behind(const char *path, const char *word)
{
	g_autofree char *text = files_read_kernel(path, NULL);
	const char *at = text ? strstr(text, word) : NULL;

	if (!at)
		return MEMORY_UNLIMITED;
	at += strlen(word);
	at += strspn(at, " \t");
	return g_ascii_isdigit(*at) ? g_ascii_strtoull(at, NULL, 10) : MEMORY_UNLIMITED;
}

void memory_limits_read_from(const char *proc, const char *cgroups, pid_t pid,
			     MemoryLimits *ret_limits)
{
	g_autofree char *number = pid ? g_strdup_printf("%d", (int)pid) : g_strdup("self");
	g_autofree char *directory = g_build_filename(proc, number, NULL);
	g_autofree char *limits = g_build_filename(directory, "limits", NULL);
	g_autofree char *machine = g_build_filename(proc, "meminfo", NULL);
	guint64 kib = number_behind(machine, "MemTotal:");

	ret_limits->locked = number_behind(limits, "Max locked memory");
	ret_limits->cgroup = cgroup_limit(directory, cgroups);
	ret_limits->machine = kib == MEMORY_UNLIMITED ? kib : kib * 1024;
}

void memory_limits_read(pid_t pid, MemoryLimits *ret_limits)
{
	memory_limits_read_from("/proc", "/sys/fs/cgroup", pid, ret_limits);
}

gboolean memory_may_lock(const MemoryLimits *limits)
{
	g_autofree char *text = files_read_kernel("/proc/self/status", NULL);
	const char *at = text ? strstr(text, "CapEff:") : NULL;
	guint64 capabilities = at ? g_ascii_strtoull(at + strlen("CapEff:"), NULL, 16) : 0;

	return limits->locked == MEMORY_UNLIMITED ||
	       (capabilities & ((guint64)1 << CAP_SYS_RESOURCE));
}
