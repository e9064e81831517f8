/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcmu-runner as its files show it: version, ABI generation, where it looks for plugins, and what
 * of ours lies there.  Its program is read and never run (it exits with an error even where it only
 * prints its version).
 */
#pragma once

#include <glib.h>

#include "common/machine/sysroot.h"
#include "common/machine/runner-generation.h"

#define RUNNER_PLUGIN "handler_storageos.so"

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
void runner_program_examine(const Sysroot *sysroot, const char *program, const char *directory,
			    RunnerProgram *ret_program);
void runner_program_clear(RunnerProgram *program);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(RunnerProgram, runner_program_clear)
