/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The installed tcmu-runner: its version, the generation of its interface, the directory of its
 * plugins, and our files there.  Its program is read as a file, never run: even where it only
 * prints its version, it exits with an error.
 */
#pragma once

#include <glib.h>

#include "common/machine/sysroot.h"
#include "common/machine/runner-generation.h"

#define RUNNER_PLUGIN "handler_storageos.so"

typedef struct {
	char *program; /* NULL: not installed */
	char *version; /* NULL: not known */
	RunnerGeneration generation;
	char *directory;   /* that it loads plugins from; NULL: not found */
	char *plugin;	   /* path of our plugin there, or NULL */
	GPtrArray *copies; /* paths of other copies of our plugin, loaded as well */
} RunnerProgram;

/* `program`: the path of tcmu-runner, or NULL to search the usual places.  `directory`: the value
 * of its option --handler-path, or NULL. */
void runner_program_examine(const Sysroot *sysroot, const char *program, const char *directory,
			    RunnerProgram *ret_program);
void runner_program_clear(RunnerProgram *program);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(RunnerProgram, runner_program_clear)
