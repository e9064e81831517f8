/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/full-pools.h"

#include <stdio.h>

#include "cli/facts.h"
#include "common/base/units.h"
#include "common/service/pool-event.h"

static void space_answer(gconstpointer data, int fd)
{
	const ConfigPool *pool = data;
	PoolSpace space;

	if (pool_check(pool, NULL) && pool_space_read(pool, &space, NULL))
		dprintf(fd, "%" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT, space.size, space.free);
}

static gboolean space_ask(const ConfigPool *pool, PoolSpace *ret_space)
{
	g_autofree char *answer = facts_ask_disk(pool, space_answer, pool, NULL);

	return answer && sscanf(answer, "%" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT,
				&ret_space->size, &ret_space->free) == 2;
}

/* NULL: it has passed no mark. */
static char *pool_describe(const Config *config, const ConfigPool *pool)
{
	guint mark = pool_event_noted(config, pool->name), percent;
	g_autofree char *size = NULL, *room = NULL;
	PoolSpace space = {0};

	if (!mark)
		return NULL;
	if (!space_ask(pool, &space))
		return g_strdup_printf("pool %s: it does not answer", pool->name);
	percent = pool_space_percent(space.size, space.free);
	mark = pool_event_mark(&pool->marks, percent, mark);
	size = size_format(space.size);
	room = size_format(space.free);
	return mark ? g_strdup_printf("pool %s: %u %% of %s are taken, %s are free (warn=%u)",
				      pool->name, percent, size, room, mark)
		    : NULL;
}

static gboolean names_are_in(const GPtrArray *names, const ConfigPool *pool)
{
	for (guint i = 0; i < names->len; i++) {
		const VolumeName *name = g_ptr_array_index(names, i);

		if (!g_strcmp0(name->pool, pool->name))
			return TRUE;
	}
	return FALSE;
}

GPtrArray *full_pools(const Config *config, const GPtrArray *names)
{
	GPtrArray *lines = g_ptr_array_new_with_free_func(g_free);

	for (guint i = 0; i < config->pools->len; i++) {
		const ConfigPool *pool = g_ptr_array_index(config->pools, i);
		char *line =
			!names || names_are_in(names, pool) ? pool_describe(config, pool) : NULL;

		if (line)
			g_ptr_array_add(lines, line);
	}
	return lines;
}
