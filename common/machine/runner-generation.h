/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The generations of tcmu-runner's interface for plugins: spans of its versions that have the same
 * layouts and conventions.  Told by the symbols that a plugin sees, which came and went with the
 * very commits that changed something; so in the running runner and in its files alike.
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

/* Whether a plugin sees a function of that name. */
typedef gboolean (*RunnerSymbolTest)(const char *symbol, gconstpointer data);

RunnerGeneration runner_generation_tell(RunnerSymbolTest has, gconstpointer data);

/* What of all that tells them is there: names, for a message.  Free the result. */
char *runner_generation_symbols(RunnerSymbolTest has, gconstpointer data);

/* "G", or NULL for one that is not known. */
const char *runner_generation_name(RunnerGeneration generation);

/* "1.5.4 and later" */
const char *runner_generation_versions(RunnerGeneration generation);

/* Whether our plugin works in it. */
gboolean runner_generation_is_served(RunnerGeneration generation);
#define RUNNER_VERSIONS_SERVED "1.3.0 and later"
