/* SPDX-License-Identifier: Apache-2.0 */
#include "common/machine/runner-process.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/files.h"

#define DELETED " (deleted)"
#define HANDLER_PATH "--handler-path"

static char *process_file(guint32 pid, const char *name)
{
	return g_strdup_printf("/proc/%u/%s", pid, name);
}

static char *process_read(guint32 pid, const char *name, gsize *ret_length)
{
	g_autofree char *path = process_file(pid, name);

	return files_read_kernel(path, ret_length);
}

/* Sets `program` and `outdated`.  The kernel appends DELETED to the path of a file that was removed
 * or replaced. */
static void process_find_program(guint32 pid, RunnerProcess *process)
{
	g_autofree char *link = process_file(pid, "exe");
	char target[PATH_MAX];
	ssize_t length = readlink(link, target, sizeof target - 1);

	if (length <= 0)
		return;
	target[length] = '\0';
	process->outdated = g_str_has_suffix(target, DELETED);
	if (process->outdated)
		target[strlen(target) - strlen(DELETED)] = '\0';
	process->program = g_strdup(target);
}

/* Sets `directory` from "--handler-path DIR" or "--handler-path=DIR".  Each argument in cmdline
 * ends with a zero byte. */
static void process_find_handler_directory(guint32 pid, RunnerProcess *process)
{
	gsize length = 0;
	g_autofree char *words = process_read(pid, "cmdline", &length);
	const char *next;

	for (const char *word = words; word && word < words + length; word = next) {
		next = word + strlen(word) + 1;
		if (g_str_has_prefix(word, HANDLER_PATH "="))
			process->directory = g_strdup(word + strlen(HANDLER_PATH "="));
		else if (!strcmp(word, HANDLER_PATH) && next < words + length)
			process->directory = g_strdup(next);
		if (process->directory)
			return;
	}
}

/* Sets `started`: boot time plus field 22 of /proc/PID/stat, which is in clock ticks.  Fields are
 * counted from the last ')', because the name (field 2) may have spaces and parentheses. */
static void process_find_start(guint32 pid, RunnerProcess *process)
{
	g_autofree char *stat = process_read(pid, "stat", NULL);
	const char *at = stat ? strrchr(stat, ')') : NULL;
	g_autofree char *machine = NULL;
	const char *booted;

	for (guint i = 0; at && i < 20; i++) {
		at = strchr(at, ' ');
		at = at ? at + 1 : NULL;
	}
	machine = at ? files_read_kernel("/proc/stat", NULL) : NULL;
	if (!machine)
		return;
	booted = strstr(machine, "\nbtime ");
	if (booted)
		process->started = (gint64)strtoull(booted + strlen("\nbtime "), NULL, 10) +
				   (gint64)strtoull(at, NULL, 10) / sysconf(_SC_CLK_TCK);
}

void runner_process_examine(guint32 pid, RunnerProcess *ret_process)
{
	memset(ret_process, 0, sizeof *ret_process);
	if (!pid)
		return;
	process_find_program(pid, ret_process);
	process_find_handler_directory(pid, ret_process);
	process_find_start(pid, ret_process);
}

void runner_process_clear(RunnerProcess *process)
{
	g_clear_pointer(&process->program, g_free);
	g_clear_pointer(&process->directory, g_free);
}

/* Whether the file was written in place after the process started.  (Package managers replace
 * files, but administrators may copy over them.) */
static gboolean file_changed_since(const char *path, gint64 started)
{
	struct stat st;

	return started && !stat(path, &st) && (gint64)st.st_mtime > started + 1;
}

RunnerPlugin runner_process_plugin(guint32 pid, const RunnerProcess *process, const char *path)
{
	g_autofree char *maps = pid ? process_read(pid, "maps", NULL) : NULL;
	const char *at;

	if (!maps || !*maps)
		return RUNNER_PLUGIN_UNSEEN;
	at = strstr(maps, "/" RUNNER_PLUGIN);
	if (!at)
		return RUNNER_PLUGIN_ABSENT;
	at += strlen("/" RUNNER_PLUGIN);
	if (g_str_has_prefix(at, DELETED) || !path || file_changed_since(path, process->started))
		return RUNNER_PLUGIN_REPLACED;
	return RUNNER_PLUGIN_CURRENT;
}
