/* SPDX-License-Identifier: Apache-2.0 */
/* A configuration is loaded, or refused with a reason.  The default pool always exists, and a pool
 * that is added is found afterwards. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/service/config.h"
#include "common/service/config-edit.h"
#include "tests/fuzz/fuzz.h"

static char *path_of_file(void)
{
	return g_strdup_printf("%s/storageos-fuzz-config.%d", g_get_tmp_dir(), (int)getpid());
}

static void add_a_pool(const Config *config)
{
	const ConfigPool pool = {.name = (char *)"another", .path = (char *)"/srv/another"};
	g_autoptr(Config) now = NULL, without = NULL;

	if (!config_add_pool(config, &pool, NULL))
		return;
	now = config_load_again(config, NULL);
	fuzz_assert(now && config_find_pool(now, "another"));
	fuzz_assert(!strcmp(config_find_pool(now, "another")->path, "/srv/another"));
	fuzz_assert(config_remove_pool(now, "another", NULL));
	without = config_load_again(config, NULL);
	fuzz_assert(without && !config_find_pool(without, "another"));
}

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
	g_autofree char *path = path_of_file();
	g_autoptr(GError) error = NULL;
	g_autoptr(Config) config = NULL;
	FILE *file = fopen(path, "we");

	fuzz_assert(file && fwrite(data, 1, size, file) == size && !fclose(file));
	config = config_load(path, &error);
	fuzz_assert(!config == (error != NULL));
	if (config) {
		fuzz_assert(config_find_pool(config, CONFIG_DEFAULT_POOL));
		fuzz_assert(config->node_cache >= 1 << 20);
		add_a_pool(config);
	}
	unlink(path);
	return 0;
}
