/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcmu-runner as its files show it: version, ABI generation, where it looks for plugins, and what
 * of ours lies there.  Its program is read and never run (it exits with an error even where it only
 * prints its version).
 */
#pragma once

#include <glib.h>

#include "common/root.h"

#define RUNNER_PLUGIN "handler_storageos.so"

/* By the layout of what a plugin gives to the runner; only G is served. */
typedef enum {
	RUNNER_GENERATION_UNKNOWN,
	RUNNER_GENERATION_A, /* 1.1 and before */
	RUNNER_GENERATION_B, /* 1.2 */
	RUNNER_GENERATION_C, /* 1.3 */
	RUNNER_GENERATION_D, /* 1.4 */
	RUNNER_GENERATION_E, /* 1.5.0 to 1.5.2 */
	RUNNER_GENERATION_F, /* 1.5.3 */
	RUNNER_GENERATION_G, /* 1.5.4 and later */
} RunnerGeneration;

typedef struct {
	char *program; /* NULL: not installed */
	char *version; /* or NULL: not known */
	RunnerGeneration generation;
	char *directory;   /* that it loads plugins from, or NULL: there is none */
	char *plugin;	   /* our file there, or NULL */
	GPtrArray *copies; /* of other files of ours that it would load, too */
} RunnerProgram;

/* `program`: where it is, or NULL for looking in the usual places; `directory` that it was told to
 * load plugins from, or NULL. */
void runner_program_examine(const Root *root, const char *program, const char *directory,
			    RunnerProgram *ret_program);
void runner_program_clear(RunnerProgram *program);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(RunnerProgram, runner_program_clear)

/* "G", or NULL for one that is not known. */
const char *runner_generation_name(RunnerGeneration generation);

/* Whether our plugin works in it. */
gboolean runner_generation_is_served(RunnerGeneration generation);

/* "1.5.4 and later" */
const char *runner_generation_versions(RunnerGeneration generation);
