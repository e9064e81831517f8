/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/probe-ceph.h"

#include <stdio.h>
#include <string.h>

#include "cli/bounded.h"
#include "cli/facts.h"
#include "common/base/bounds.h"
#include "common/base/units.h"
#include "common/service/pool-store.h"

/* In a child: the module brings Ceph's libraries into the process. */
static void version_answer(gconstpointer data, int fd)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *version = pool_store_version(&error);

	(void)data;
	dprintf(fd, "%s%s", version ? "+" : "-", version ? version : error->message);
}

static void json_add_module(Json *object)
{
	g_autofree char *answer = bounded_ask(version_answer, NULL, PROBE_CEPH_SECONDS);

	if (!answer || !*answer)
		json_add_text(object, "problem", "the module cannot be loaded");
	else
		json_add_text(object, *answer == '+' ? "module" : "problem", answer + 1);
}

static Json *pool_probe(const ConfigPool *pool, gint64 end)
{
	gint64 left = (end - g_get_monotonic_time()) / G_USEC_PER_SEC;
	guint64 whole = 0, available = 0;
	g_autoptr(GError) error = NULL;
	Json *object = json_object_new_object();

	facts_ask_pool(pool, (guint)max_i64(left, 1), &whole, &available, &error);
	json_add_text(object, "pool", pool->name);
	json_add_text(object, "rbd", pool->path + strlen(CONFIG_CEPH));
	json_add_flag(object, "answers", !error);
	json_add_text(object, "problem", error ? error->message : NULL);
	if (whole)
		json_add_number(object, "available", available);
	return object;
}

Json *probe_ceph(const Config *config)
{
	gint64 end = g_get_monotonic_time() + PROBE_CEPH_SECONDS * G_USEC_PER_SEC;
	Json *object = json_object_new_object(), *pools = json_object_new_array();

	json_add_module(object);
	for (guint i = 0; i < config->pools->len; i++) {
		const ConfigPool *pool = g_ptr_array_index(config->pools, i);

		if (pool->ceph)
			json_object_array_add(pools, pool_probe(pool, end));
	}
	json_object_object_add(object, "pools", pools);
	return object;
}

static char *pool_describe(Json *pool)
{
	g_autofree char *room = size_format((guint64)json_get_number(pool, "available"));
	const char *problem = json_get_text(pool, "problem");

	if (problem)
		return g_strdup(problem);
	return g_strdup_printf("pool '%s': rbd:%s answers, %s free", json_get_text(pool, "pool"),
			       json_get_text(pool, "rbd"), room);
}

void probe_ceph_print(const Config *config, void (*line)(const char *name, const char *text))
{
	g_autoptr(Json) found = probe_ceph(config);
	Json *pools = json_get_list(found, "pools");
	const char *version = json_get_text(found, "module");

	if (!version && !json_object_array_length(pools))
		return;
	line("Ceph module", version ? version : json_get_text(found, "problem"));
	for (gsize i = 0; i < json_object_array_length(pools); i++) {
		g_autofree char *text = pool_describe(json_object_array_get_idx(pools, i));

		line("Ceph", text);
	}
}
