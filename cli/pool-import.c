/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool import: takes a pool that is there, such as one on the disk of another machine, into the
 * configuration, under the name in its marker or another one.
 */
#include <string.h>

#include "cli/facts.h"
#include "cli/pool-verbs.h"
#include "common/base/error.h"
#include "common/base/files.h"
#include "common/service/pool-marker.h"
#include "common/service/pool-store.h"

typedef struct {
	const Config *config;
	const char *as;	    /* the option --name, or NULL */
	ConfigPool pool;    /* as it is to be; its strings are others' */
	PoolMarker *marker; /* the one that is there */
	GPtrArray *volumes; /* NULL: of Ceph */
} Importing;

static void importing_clear(Importing *importing)
{
	pool_marker_free(importing->marker);
	if (importing->volumes)
		g_ptr_array_unref(importing->volumes);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Importing, importing_clear)

static gboolean marker_find(Importing *importing, GError **error)
{
	ConfigPool *pool = &importing->pool;
	g_autoptr(GError) problem = NULL;

	importing->marker = pool->ceph ? pool_store_marker(pool, &problem)
				       : pool_marker_read(pool->path, &problem);
	if (importing->marker) {
		pool->name = importing->as ? (char *)importing->as : importing->marker->name;
		pool->uuid = importing->marker->uuid;
		return TRUE;
	}
	if (!g_error_matches(problem, STORAGEOS_ERROR, STORAGEOS_ERROR_NOT_FOUND)) {
		g_propagate_error(error, g_steal_pointer(&problem));
		return FALSE;
	}
	return error_set(error, STORAGEOS_ERROR_NOT_FOUND,
			 "there is no pool: %s (to make one: storageos pool create NAME %s)",
			 problem->message, pool->path);
}

static gboolean name_is_free(const Importing *importing, GError **error)
{
	const ConfigPool *pool = &importing->pool;
	const ConfigPool *known = config_find_pool(importing->config, pool->name);
	g_autofree char *there = known ? files_real_path(known->path) : NULL;
	g_autofree char *here = files_real_path(pool->path);

	if (!known || !known->listed)
		return TRUE;
	if (!strcmp(there, here) && !g_strcmp0(known->uuid, pool->uuid))
		return error_set(error, STORAGEOS_ERROR_EXISTS, "%s is the pool '%s' already",
				 pool->path, pool->name);
	return !strcmp(there, here) ||
	       error_set(error, STORAGEOS_ERROR_EXISTS,
			 "there is a pool '%s' already, at %s; to have this one under another "
			 "name: storageos pool import %s --name NAME",
			 pool->name, known->path, pool->path);
}

/* Whoever has a volume open goes by another configuration. */
static gboolean volumes_are_free(Importing *importing, GError **error)
{
	const ConfigPool *pool = &importing->pool;
	Config of_it = *importing->config;
	g_autoptr(GPtrArray) pools = g_ptr_array_new();

	if (pool->ceph)
		return TRUE;
	importing->volumes = facts_list(pool, error);
	if (!importing->volumes)
		return FALSE;
	g_ptr_array_add(pools, (gpointer)pool);
	of_it.pools = pools;
	for (guint i = 0; i < importing->volumes->len; i++) {
		const VolumeName name = {.pool = pool->name,
					 .name = g_ptr_array_index(importing->volumes, i)};
		g_autofree char *file = pool_volume_place(&of_it, &name);
		g_autofree char *holder = facts_holder(file);

		if (holder)
			return error_set(error, STORAGEOS_ERROR_BUSY,
					 "%s is in use by %s, which does not have it from %s", file,
					 holder, importing->config->file);
	}
	return TRUE;
}

static gboolean import_check(Importing *importing, GError **error)
{
	const ConfigPool *pool = &importing->pool;

	return marker_find(importing, error) && name_is_free(importing, error) &&
	       (pool->ceph ? pool_store_check_adopt(importing->config, pool, error)
			   : pool_check_adopt(importing->config, pool->name, pool->path, error)) &&
	       volumes_are_free(importing, error);
}

static void import_report(const Cli *cli, const Importing *importing, gboolean dry)
{
	const ConfigPool *pool = &importing->pool;
	const char *made_as = importing->marker->name;
	gboolean other = strcmp(made_as, pool->name) != 0;
	g_autofree char *from = g_strdup_printf("%s%s%s%s", pool->path, other ? ", made as '" : "",
						other ? made_as : "", other ? "'" : "");
	Json *object = json_object_new_object();

	json_add_text(object, "pool", pool->name);
	pool_add_place(object, pool);
	json_add_text(object, "uuid", pool->uuid);
	json_add_text(object, "made_as", made_as);
	if (importing->volumes)
		json_add_number(object, "volumes", importing->volumes->len);
	if (dry)
		cli_report_dry(cli, object, "%s: would be imported from %s", pool->name, from);
	else
		cli_report(cli, object, "%s: pool imported from %s", pool->name, from);
}

static int import_run(int argc, char **argv)
{
	g_autofree char *conf = NULL, *id = NULL, *as = NULL, *path = NULL;
	gboolean dry = FALSE, ceph;
	const GOptionEntry options[] = {
		{"name", 0, 0, G_OPTION_ARG_FILENAME, &as,
		 "What it is called here (default: as it was made)", "NAME"},
		POOL_CEPH_CONF(&conf),
		POOL_CEPH_ID(&id),
		CLI_DRY_RUN(&dry),
		{0},
	};
	g_auto(Importing) importing = {0};
	g_autoptr(GError) error = NULL;
	g_auto(Cli) cli = {0};
	int status;

	if (!cli_start(&cli, &pool_verb_import, options, 1, 1, argc, argv, &status))
		return status;
	ceph = g_str_has_prefix(cli.arguments[0], CONFIG_CEPH);
	path = ceph ? g_strdup(cli.arguments[0]) : files_absolute(cli.arguments[0], NULL);
	importing.config = cli.config;
	importing.as = as;
	importing.pool = (ConfigPool){.name = as ? as : (char *)CONFIG_DEFAULT_POOL,
				      .path = path,
				      .ceph = ceph,
				      .ceph_conf = conf,
				      .ceph_id = id};
	if (!pool_is_valid(&pool_verb_import, &importing.pool))
		return CLI_USAGE;
	if (!import_check(&importing, &error) ||
	    (!dry && !pool_enter(cli.config, &importing.pool, TRUE, &error))) {
		g_prefix_error(&error, "pool import %s: ", cli.arguments[0]);
		return cli_failed(error);
	}
	import_report(&cli, &importing, dry);
	return CLI_DONE;
}

const Verb pool_verb_import = {
	"pool import",
	"DIRECTORY|rbd:POOL[/NAMESPACE] [--name NAME] [--ceph-conf FILE] [--ceph-id ID] [-n]",
	"take over a pool that is there, as from another machine", import_run};
