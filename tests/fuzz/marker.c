/* SPDX-License-Identifier: Apache-2.0 */
/* The marker of a pool: the pool exists, or is refused with a reason. */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/service/pool-marker.h"
#include "common/service/pool.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
	g_autofree char *directory =
		g_strdup_printf("%s/storageos-fuzz-pool.%d", g_get_tmp_dir(), (int)getpid());
	g_autofree char *path = g_build_filename(directory, POOL_MARKER, NULL);
	const ConfigPool pool = {.name = (char *)"default", .path = directory};
	g_autoptr(GError) error = NULL;
	FILE *file;
	gboolean there;

	mkdir(directory, 0700);
	file = fopen(path, "we");
	fuzz_assert(file && fwrite(data, 1, size, file) == size && !fclose(file));
	there = pool_check(&pool, &error);
	fuzz_assert(there == (error == NULL));
	unlink(path);
	rmdir(directory);
	return 0;
}
