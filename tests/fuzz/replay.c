/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replay DIRECTORY: runs a fuzz target over each file of a directory, in an ordinary build.
 */
#include <stdio.h>

#include "common/base/logging.h"
#include "tests/fuzz/fuzz.h"
#include "tests/harness.h"

static void no_log(LoggingLevel level, const char *line)
{
	(void)level, (void)line;
}

static void run_file(const void *data)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *content = NULL;
	gsize length;

	if (!g_file_get_contents(data, &content, &length, &error)) {
		CHECK_NO_ERROR(error);
		return;
	}
	CHECK_INT(LLVMFuzzerTestOneInput((const guint8 *)content, length), 0);
}

int main(int argc, char **argv)
{
	g_autoptr(GDir) dir = argc > 1 ? g_dir_open(argv[1], 0, NULL) : NULL;
	g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
	const char *name;

	logging_set_sink(no_log);
	while (dir && (name = g_dir_read_name(dir))) {
		char *path = g_build_filename(argv[1], name, NULL);

		g_ptr_array_add(paths, path);
		test_add(name, run_file, path);
	}
	if (!dir) {
		printf("Bail out! no directory of inputs\n");
		return 1;
	}
	return test_run(1, argv);
}
