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

static gboolean space_parse(const char *answer, PoolSpace *ret_space)
{
	return answer && sscanf(answer, "%" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT,
				&ret_space->size, &ret_space->free) == 2;
}

/* NULL: it has passed no mark. */
static char *pool_describe(const Config *config, const ConfigPool *pool, const char *answer)
{
	g_autofree char *size = NULL, *room = NULL;
	PoolSpace space = {0};
	guint mark, percent;

	if (!space_parse(answer, &space))
		return g_strdup_printf("pool %s: it does not answer", pool->name);
	percent = pool_space_percent(space.size, space.free);
	mark = pool_event_mark(&pool->marks, percent, pool_event_noted(config, pool->name));
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
	g_autofree const ConfigPool **pools = g_new0(const ConfigPool *, config->pools->len);
	g_autofree char **answers = g_new0(char *, config->pools->len);
	guint n = 0;

	for (guint i = 0; i < config->pools->len; i++) {
		const ConfigPool *pool = g_ptr_array_index(config->pools, i);

		if ((!names || names_are_in(names, pool)) && pool_event_noted(config, pool->name))
			pools[n++] = pool;
	}
	facts_ask_disks(pools, n, space_answer, answers);
	for (guint i = 0; i < n; i++) {
		g_autofree char *answer = answers[i];
		char *line = pool_describe(config, pools[i], answer);

		if (line)
			g_ptr_array_add(lines, line);
	}
	return lines;
}
