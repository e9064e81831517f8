/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The generations of tcmu-runner's interface for plugins: ranges of versions with the same layouts
 * and calling conventions.  The symbols that a plugin sees tell them apart, because the commits
 * that changed the interface also added or removed symbols.  This works on the running runner
 * (dlsym) and on its files.
 */
#pragma once

#include <glib.h>

typedef enum {
	RUNNER_GENERATION_UNKNOWN,
	RUNNER_GENERATION_A, /* 1.0.5 to 1.1.3 */
	RUNNER_GENERATION_B, /* 1.2.0 */
	RUNNER_GENERATION_C, /* 1.3.0 */
	RUNNER_GENERATION_D, /* 1.4.0, 1.4.1 */
	RUNNER_GENERATION_E, /* 1.5.0 to 1.5.2 */
	RUNNER_GENERATION_F, /* 1.5.3 */
	RUNNER_GENERATION_G, /* 1.5.4 and later */
} RunnerGeneration;

/* Whether a plugin sees this symbol. */
typedef gboolean (*RunnerSymbolTest)(const char *symbol, gconstpointer data);

RunnerGeneration runner_generation_tell(RunnerSymbolTest has, gconstpointer data);

/* The names of the symbols that are seen, of all that decide the generation, for a message.  Free
 * the result. */
char *runner_generation_symbols(RunnerSymbolTest has, gconstpointer data);

/* "G"; NULL for RUNNER_GENERATION_UNKNOWN. */
const char *runner_generation_name(RunnerGeneration generation);

/* The versions of tcmu-runner: "1.5.4 and later". */
const char *runner_generation_versions(RunnerGeneration generation);

/* Whether our plugin supports this generation. */
gboolean runner_generation_is_served(RunnerGeneration generation);
#define RUNNER_VERSIONS_SERVED "1.3.0 and later"
