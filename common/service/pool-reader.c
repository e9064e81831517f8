/* SPDX-License-Identifier: Apache-2.0 */
#include <unistd.h>

#include "common/service/claim.h"
#include "common/service/pool-private.h"
#include "common/service/readers.h"

PoolReader *pool_reader_new(const Config *config)
{
	PoolReader *reader = g_new0(PoolReader, 1);

	reader->run_directory = config->run_directory;
	reader->lock = -1;
	return reader;
}

void pool_reader_free(gpointer data)
{
	PoolReader *reader = data;

	claim_release(reader->claim);
	if (reader->lock >= 0)
		close(reader->lock);
	g_free(reader);
}

gboolean pool_reader_join(PoolReader *reader, const char *uuid, guint64 generation, GError **error)
{
	reader->lock = readers_join(reader->run_directory, uuid, generation, error);
	return reader->lock >= 0;
}
