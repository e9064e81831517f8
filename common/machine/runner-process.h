/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The running tcmu-runner: which files it was started from, and whether these are still the
 * installed ones.  The runner loads plugins once, when it starts, so a plugin that was installed
 * later has no effect until it is restarted.
 *
 * Requires root if the runner belongs to another user; otherwise all fields are unset.
 */
#pragma once

#include <glib.h>

#include "common/machine/runner-program.h"

typedef enum {
	RUNNER_PLUGIN_UNSEEN,	/* its memory map cannot be read */
	RUNNER_PLUGIN_ABSENT,	/* it has not loaded our plugin */
	RUNNER_PLUGIN_CURRENT,	/* it has loaded the installed plugin */
	RUNNER_PLUGIN_REPLACED, /* the file that it loaded was changed or removed */
} RunnerPlugin;

typedef struct {
	char *program;	   /* path of its executable, or NULL */
	gboolean outdated; /* the executable was replaced after the process started */
	char *directory;   /* of plugins, as given by --handler-path; or NULL */
	gint64 started;	   /* start time, seconds since 1970; 0: not known */
} RunnerProcess;

void runner_process_examine(guint32 pid, RunnerProcess *ret_process);
void runner_process_clear(RunnerProcess *process);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(RunnerProcess, runner_process_clear)

/* Compares the plugin that the process has loaded with the one installed at `path` (NULL: none). */
RunnerPlugin runner_process_plugin(guint32 pid, const RunnerProcess *process, const char *path);
