/* SPDX-License-Identifier: Apache-2.0 */
#include "common/machine/runner-generation.h"

#include <string.h>

static const struct {
	const char *name, *versions;
} generations[] = {
	[RUNNER_GENERATION_UNKNOWN] = {NULL, "not known"},
	[RUNNER_GENERATION_A] = {"A", "1.1"},
	[RUNNER_GENERATION_B] = {"B", "1.2"},
	[RUNNER_GENERATION_C] = {"C", "1.3"},
	[RUNNER_GENERATION_D] = {"D", "1.4"},
	[RUNNER_GENERATION_E] = {"E", "1.5.0 to 1.5.2"},
	[RUNNER_GENERATION_F] = {"F", "1.5.3"},
	[RUNNER_GENERATION_G] = {"G", "1.5.4 and later"},
};

/* The first row that matches gives the generation.  A row matches if the symbol `has` is exported
 * and the symbol `lacks` is not; NULL always matches. */
static const struct {
	const char *has, *lacks;
	RunnerGeneration generation;
} tells[] = {
	{NULL, "tcmur_register_handler", RUNNER_GENERATION_UNKNOWN},
	{"tcmur_cmd_complete", "tcmu_notify_cmd_timed_out", RUNNER_GENERATION_E},
	{"tcmur_cmd_complete", "tcmur_handle_caw", RUNNER_GENERATION_G},
	{"tcmur_cmd_complete", NULL, RUNNER_GENERATION_F},
	{"__tcmu_set_sense_data", NULL, RUNNER_GENERATION_D},
	{"__tcmu_sense_set_data", NULL, RUNNER_GENERATION_D},
	{"tcmur_handle_writesame", NULL, RUNNER_GENERATION_C},
	{"tcmu_err_message", NULL, RUNNER_GENERATION_B},
	{"errp", NULL, RUNNER_GENERATION_A},
	{NULL, NULL, RUNNER_GENERATION_UNKNOWN},
};

RunnerGeneration runner_generation_tell(RunnerSymbolTest has, gconstpointer data)
{
	guint i = 0;

	while ((tells[i].has && !has(tells[i].has, data)) ||
	       (tells[i].lacks && has(tells[i].lacks, data)))
		i++;
	return tells[i].generation;
}

char *runner_generation_symbols(RunnerSymbolTest has, gconstpointer data)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new();

	for (guint i = 0; i < G_N_ELEMENTS(tells); i++) {
		const char *both[] = {tells[i].has, tells[i].lacks};

		for (guint j = 0; j < G_N_ELEMENTS(both); j++)
			if (both[j] && has(both[j], data) &&
			    !g_ptr_array_find_with_equal_func(names, both[j], g_str_equal, NULL))
				g_ptr_array_add(names, (gpointer)both[j]);
	}
	if (!names->len)
		g_ptr_array_add(names, (gpointer) "nothing of tcmu-runner's");
	g_ptr_array_add(names, NULL);
	return g_strjoinv(" ", (char **)names->pdata);
}

const char *runner_generation_name(RunnerGeneration generation)
{
	return generations[generation].name;
}

const char *runner_generation_versions(RunnerGeneration generation)
{
	return generations[generation].versions;
}

gboolean runner_generation_is_served(RunnerGeneration generation)
{
	return generation >= RUNNER_GENERATION_C;
}
