/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcmu-runner as it runs: from which files, and whether those are still the ones that are
 * installed. It looks for plugins once, when it starts, so what was installed since has no effect
 * yet.
 *
 * Looking at another user's process takes root; without, nothing is said.
 */
#pragma once

#include <glib.h>

#include "common/machine/runner-program.h"

typedef enum {
	RUNNER_PLUGIN_UNSEEN,	/* its memory may not be looked at */
	RUNNER_PLUGIN_ABSENT,	/* it has none of ours */
	RUNNER_PLUGIN_CURRENT,	/* the one that is installed */
	RUNNER_PLUGIN_REPLACED, /* one that was replaced or removed since */
} RunnerPlugin;

typedef struct {
	char *program;	   /* or NULL */
	gboolean outdated; /* the program was replaced since it was started */
	char *directory;   /* of plugins, where it was told one (--handler-path), or NULL */
	gint64 started;	   /* seconds since 1970; 0: not known */
} RunnerProcess;

void runner_process_examine(guint32 pid, RunnerProcess *ret_process);
void runner_process_clear(RunnerProcess *process);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(RunnerProcess, runner_process_clear)

/* Which plugin the process has loaded, compared with what is installed at `path` (or NULL). */
RunnerPlugin runner_process_plugin(guint32 pid, const RunnerProcess *process, const char *path);
