/* SPDX-License-Identifier: Apache-2.0 */
#include "common/machine/runner-generation.h"

#include "tests/harness.h"

/* `data`: the symbols that are seen, with spaces between. */
static gboolean symbol_is_seen(const char *symbol, gconstpointer data)
{
	g_auto(GStrv) seen = g_strsplit(data, " ", 0);

	return g_strv_contains((const char *const *)seen, symbol);
}

/* What the versions of tcmu-runner export, of all that tells them apart. */
static const struct {
	const char *seen;
	RunnerGeneration generation;
	const char *name;
	gboolean served;
	const char *versions;
} rows[] = {
	{"", RUNNER_GENERATION_UNKNOWN, NULL, FALSE, "not known"},
	{"tcmur_cmd_complete errp", RUNNER_GENERATION_UNKNOWN, NULL, FALSE, "not known"},
	{"tcmur_register_handler", RUNNER_GENERATION_UNKNOWN, NULL, FALSE, "not known"},
	{"tcmur_register_handler errp", RUNNER_GENERATION_A, "A", FALSE, "1.1"},
	{"tcmur_register_handler errp tcmu_err_message", RUNNER_GENERATION_B, "B", FALSE, "1.2"},
	{"tcmur_register_handler tcmu_err_message tcmur_handle_writesame", RUNNER_GENERATION_C, "C",
	 TRUE, "1.3"},
	{"tcmur_register_handler tcmu_err_message tcmur_handle_writesame __tcmu_set_sense_data",
	 RUNNER_GENERATION_D, "D", TRUE, "1.4"},
	{"tcmur_register_handler tcmu_err_message tcmur_handle_writesame __tcmu_sense_set_data",
	 RUNNER_GENERATION_D, "D", TRUE, "1.4"},
	{"tcmur_register_handler tcmur_cmd_complete tcmur_handle_caw", RUNNER_GENERATION_E, "E",
	 TRUE, "1.5.0 to 1.5.2"},
	{"tcmur_register_handler tcmur_cmd_complete tcmur_handle_caw tcmu_notify_cmd_timed_out",
	 RUNNER_GENERATION_F, "F", TRUE, "1.5.3"},
	{"tcmur_register_handler tcmur_cmd_complete tcmu_notify_cmd_timed_out", RUNNER_GENERATION_G,
	 "G", TRUE, "1.5.4 and later"},
};

static void test_generations(const void *data)
{
	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		RunnerGeneration generation = runner_generation_tell(symbol_is_seen, rows[i].seen);

		test_row("'%s'", rows[i].seen);
		CHECK_UINT(generation, rows[i].generation);
		CHECK_STR(runner_generation_name(generation), rows[i].name);
		CHECK_INT(runner_generation_is_served(generation), rows[i].served);
		CHECK_STR(runner_generation_versions(generation), rows[i].versions);
	}
}

static void test_symbols(const void *data)
{
	g_autofree char *some = runner_generation_symbols(
		symbol_is_seen, "errp tcmur_cmd_complete other tcmur_register_handler");
	g_autofree char *none = runner_generation_symbols(symbol_is_seen, "other");

	(void)data;
	CHECK_STR(some, "tcmur_register_handler tcmur_cmd_complete errp");
	CHECK_STR(none, "nothing of tcmu-runner's");
}

int main(int argc, char **argv)
{
	test_add("the generation by its symbols", test_generations, NULL);
	test_add("symbols for a message: each once", test_symbols, NULL);
	return test_run(argc, argv);
}
