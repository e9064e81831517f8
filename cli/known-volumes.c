/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/known-volumes.h"

#include "cli/facts.h"
#include "cli/places.h"
#include "cli/target-configfs.h"
#include "common/service/registry.h"

static void names_add(GHashTable *seen, GPtrArray *names, const VolumeName *name)
{
	char *text = volume_name_format(name);

	if (g_hash_table_add(seen, text))
		g_ptr_array_add(names, volume_name_parse_any(text, NULL));
}

static void names_add_all(GHashTable *seen, GPtrArray *names, const GPtrArray *more)
{
	for (guint i = 0; i < more->len; i++)
		names_add(seen, names, g_ptr_array_index(more, i));
}

/* `volumes` (of char *) may be NULL. */
static void names_add_of_pool(GHashTable *seen, GPtrArray *names, const ConfigPool *pool,
			      const GPtrArray *volumes)
{
	for (guint i = 0; volumes && i < volumes->len; i++) {
		const VolumeName name = {.pool = pool->name, .name = g_ptr_array_index(volumes, i)};

		names_add(seen, names, &name);
	}
}

GPtrArray *known_volumes(const Config *config)
{
	GPtrArray *names = g_ptr_array_new_with_free_func((GDestroyNotify)volume_name_free);
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autoptr(GPtrArray) known = places_known(config);
	g_autoptr(GPtrArray) registered = registry_list(config);
	g_autoptr(GPtrArray) backstores = target_volumes();

	for (guint i = 0; i < config->pools->len; i++) {
		const ConfigPool *pool = g_ptr_array_index(config->pools, i);
		g_autoptr(GPtrArray) volumes = facts_list(pool, NULL);
		g_autoptr(GPtrArray) moving = volumes ? facts_list_moving(pool) : NULL;

		names_add_of_pool(seen, names, pool, volumes);
		names_add_of_pool(seen, names, pool, moving);
	}
	names_add_all(seen, names, known);
	names_add_all(seen, names, registered);
	for (guint i = 0; i < backstores->len; i++) {
		g_autoptr(VolumeName) name =
			volume_name_parse_any(g_ptr_array_index(backstores, i), NULL);

		if (name)
			names_add(seen, names, name);
	}
	return names;
}
