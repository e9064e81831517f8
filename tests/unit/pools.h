/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pools of a test's own.
 */
#pragma once

#include <sys/stat.h>

#include "common/service/pool.h"
#include "tests/harness.h"

/* A configuration with the lines that every test has, followed by `lines`. */
static inline Config *config_with(const char *lines)
{
	g_autofree char *file = test_path(".conf");
	g_autofree char *run = test_path(".run"), *state = test_path(".state");
	g_autofree char *text = g_strdup_printf(
		"[storageos]\nrun_directory=%s\nstate_directory=%s\n%s", run, state, lines);
	g_autoptr(GError) error = NULL;
	Config *config;

	CHECK(g_file_set_contents(file, text, -1, NULL));
	config = config_load(file, &error);
	CHECK_NO_ERROR(error);
	return config;
}

/* A configuration whose pool "p" is a new directory, with or without a marker. */
static inline Config *new_config(gboolean with_marker)
{
	g_autofree char *directory = test_path(".pool");
	g_autofree char *lines = g_strdup_printf("[pool p]\npath=%s\n", directory);

	CHECK_INT(mkdir(directory, 0700), 0);
	if (with_marker)
		CHECK(pool_mark("p", directory, NULL, NULL));
	return config_with(lines);
}

static inline guint entries(const char *directory)
{
	g_autoptr(GDir) dir = g_dir_open(directory, 0, NULL);
	guint n = 0;

	while (dir && g_dir_read_name(dir))
		n++;
	return n;
}
