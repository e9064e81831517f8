/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/overview.h"

#include <string.h>

#include "cli/expected.h"
#include "cli/known-volumes.h"

/* ---- pools */

static void pools_take(const Config *config, GPtrArray *pools)
{
	for (guint i = 0; i < config->pools->len; i++)
		g_ptr_array_add(pools, pool_view_take(config, g_ptr_array_index(config->pools, i)));
}

static PoolView *pool_of(const Overview *overview, const VolumeName *name)
{
	for (guint i = 0; name->pool && i < overview->pools->len; i++) {
		PoolView *pool = g_ptr_array_index(overview->pools, i);

		if (!strcmp(pool->pool->name, name->pool))
			return pool;
	}
	return NULL;
}

/* ---- volumes */

/* Whether requests to the volume reach a server that has it open. */
static gboolean attachment_is_served(const Attachment *attachment)
{
	switch (attachment->state) {
	case STATE_ATTACHED:
	case STATE_FAILED:
	case STATE_HUNG:
	case STATE_FULL:
	case STATE_UNWATCHED:
		return TRUE;
	case STATE_IN_USE:
		return attachment->sample != NULL;
	case STATE_DETACHED:
	case STATE_BROKEN:
	case STATE_MISSING:
		return FALSE;
	}
	return FALSE;
}

static void volume_take(const Config *config, const VolumeName *name, gboolean expected,
			Overview *overview)
{
	g_autoptr(Places) places = places_new(config, name);
	g_autoptr(Attachment) attachment = attachment_inspect(places);
	PoolView *pool = name->snapshot ? NULL : pool_of(overview, name);
	OverviewVolume *volume = g_new0(OverviewVolume, 1);
	const Facts *facts = &attachment->facts;

	volume->name = g_strdup(places->text);
	volume->state = attachment->state;
	volume->served = attachment_is_served(attachment);
	volume->expected = expected;
	volume->readable = !attachment->facts_error;
	volume->scrubbed = volume->readable && !name->snapshot && !pool_is_ceph(config, name);
	volume->scrub_time = facts->scrub_time;
	volume->scrub_errors = facts->scrub_errors;
	volume->shortened = facts->missing_from != 0;
	if (pool && pool->pool->ceph && attachment->state != STATE_MISSING)
		pool_view_add_image(pool, facts);
	g_ptr_array_add(overview->volumes, volume);
}

static void volume_free(gpointer data)
{
	OverviewVolume *volume = data;

	g_free(volume->name);
	g_free(volume);
}

static GHashTable *names_of(const GPtrArray *volumes)
{
	GHashTable *names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

	for (guint i = 0; i < volumes->len; i++)
		g_hash_table_add(names, volume_name_format(g_ptr_array_index(volumes, i)));
	return names;
}

/* Takes those of the `volumes` that are `expected`, or those that are not. */
static void volumes_take(const Config *config, const GPtrArray *volumes, gboolean expected,
			 GHashTable *except, Overview *overview)
{
	for (guint i = 0; i < volumes->len; i++) {
		const VolumeName *name = g_ptr_array_index(volumes, i);
		g_autofree char *text = volume_name_format(name);

		if (!except || !g_hash_table_contains(except, text))
			volume_take(config, name, expected, overview);
	}
}

Overview *overview_take(const Config *config)
{
	Overview *overview = g_new0(Overview, 1);
	g_autoptr(GPtrArray) expected = expected_volumes();
	g_autoptr(GPtrArray) known = known_volumes(config);
	g_autoptr(GHashTable) expected_names = names_of(expected);

	overview->pools = g_ptr_array_new_with_free_func((GDestroyNotify)pool_view_free);
	overview->volumes = g_ptr_array_new_with_free_func(volume_free);
	pools_take(config, overview->pools);
	volumes_take(config, known, FALSE, expected_names, overview);
	volumes_take(config, expected, TRUE, NULL, overview);
	return overview;
}

void overview_free(Overview *overview)
{
	if (!overview)
		return;
	g_ptr_array_unref(overview->pools);
	g_ptr_array_unref(overview->volumes);
	g_free(overview);
}
