/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool list, pool show: one line for each pool, or everything about pools.
 */
#include <stdio.h>

#include "cli/pool-verbs.h"
#include "cli/pool-view.h"
#include "cli/table.h"
#include "common/base/error.h"
#include "common/base/units.h"

static gboolean in_bytes;

static const GOptionEntry options[] = {
	{"bytes", 0, 0, G_OPTION_ARG_NONE, &in_bytes, "Print sizes in bytes", NULL},
	{0},
};

/* "-" if the number is not known. */
static char *size_text(gboolean known, guint64 bytes)
{
	return !known	  ? g_strdup("-")
	       : in_bytes ? g_strdup_printf("%" G_GUINT64_FORMAT, bytes)
			  : size_format(bytes);
}

static Json *view_to_json(const PoolView *view)
{
	g_autofree char *problem = pool_view_problem(view);
	Json *object = json_object_new_object();

	json_add_text(object, "pool", view->pool->name);
	pool_add_place(object, view->pool);
	json_add_text(object, "uuid", view->uuid ? view->uuid : view->pool->uuid);
	json_add_flag(object, "ready", view->ready);
	json_add_text(object, "state", view->state);
	json_add_text(object, "problem", problem);
	if (view->measured) {
		json_add_number(object, "size", view->size);
		json_add_number(object, "free", view->free);
		json_add_number(object, "percent", pool_view_percent(view));
		json_add_number(object, "mark", view->mark);
	}
	if (!view->pool->ceph)
		pool_add_marks(object, view->pool);
	if (view->pool->quota)
		json_add_number(object, "quota", view->pool->quota);
	if (view->counted)
		json_add_number(object, "used", view->used);
	if (view->promises)
		json_add_number(object, "promised", view->promised);
	if (view->ready)
		json_add_number(object, "volumes", view->volumes);
	json_add_text(object, "file_system", view->file_system);
	json_add_text(object, "mount", view->mount);
	return object;
}

/* ---- list */

static void table_add_view(Table *table, const PoolView *view)
{
	g_autofree char *problem = pool_view_problem(view);

	table_add(
		table, g_strdup(view->pool->name), g_strdup(view->state),
		size_text(view->measured, view->size), size_text(view->counted, view->used),
		size_text(view->measured, view->free),
		view->measured ? g_strdup_printf("%u %%", pool_view_percent(view)) : g_strdup("-"),
		size_text(view->promises, view->promised),
		view->ready ? g_strdup_printf("%" G_GUINT64_FORMAT, view->volumes) : g_strdup("-"),
		g_strconcat(view->pool->path, problem ? ": " : "", problem, NULL));
}

static void views_print_table(const GPtrArray *views)
{
	static const char *const headings[] = {"POOL", "STATE",	   "SIZE",    "USED",	   "FREE",
					       "FULL", "PROMISED", "VOLUMES", "DIRECTORY", NULL};
	static const gboolean right[] = {FALSE, FALSE, TRUE, TRUE, TRUE, TRUE, TRUE, TRUE, FALSE};
	g_autoptr(Table) table = table_new(headings, right);

	for (guint i = 0; i < views->len; i++)
		table_add_view(table, g_ptr_array_index(views, i));
	table_print(table);
}

/* ---- show */

static void line_print(const char *label, const char *text)
{
	if (text)
		printf("%-20s %s\n", label, text);
}

static void size_print(const char *label, gboolean known, guint64 bytes)
{
	g_autofree char *size = size_format_exactly(bytes);

	if (known && in_bytes)
		printf("%-20s %" G_GUINT64_FORMAT "\n", label, bytes);
	else if (known)
		printf("%-20s %s  (%" G_GUINT64_FORMAT " bytes)\n", label, size, bytes);
}

static void marks_print(const ConfigMarks *marks)
{
	printf("%-20s", "events at");
	for (guint i = 0; i < marks->n; i++)
		printf("%s %u", i ? "," : "", marks->percent[i]);
	puts(marks->n ? " %" : " none");
}

static void view_print(const PoolView *view)
{
	g_autofree char *problem = pool_view_problem(view);

	line_print("pool", view->pool->name);
	line_print(view->pool->ceph ? "in Ceph" : "directory", view->pool->path);
	line_print("uuid", view->uuid ? view->uuid : view->pool->uuid);
	line_print("state", view->state);
	line_print("problem", problem);
	size_print("size", view->measured, view->size);
	size_print(view->pool->ceph ? "stored in it" : "used by volumes", view->counted,
		   view->used);
	size_print("free", view->measured, view->free);
	if (view->measured)
		printf("%-20s %u %%\n", "full", pool_view_percent(view));
	size_print("quota", view->pool->quota != 0, view->pool->quota);
	if (!view->pool->ceph)
		marks_print(&view->pool->marks);
	size_print("promised", view->promises, view->promised);
	if (view->promises && view->measured)
		printf("%-20s %.0f %% of the size\n", "",
		       100. * (double)view->promised / (double)view->size);
	if (view->ready)
		printf("%-20s %" G_GUINT64_FORMAT "\n", "volumes", view->volumes);
	line_print("file system", view->file_system);
	line_print("mounted on", view->mount);
}

static void views_print(const GPtrArray *views)
{
	for (guint i = 0; i < views->len; i++) {
		if (i)
			putchar('\n');
		view_print(g_ptr_array_index(views, i));
	}
}

/* ---- both */

static void view_add(GPtrArray *views, const Config *config, const ConfigPool *pool)
{
	PoolView *view = pool_view_take(config, pool);

	pool_view_add_images(view, config);
	g_ptr_array_add(views, view);
}

/* `name`: NULL for all. */
static GPtrArray *views_take(const Config *config, const char *name, GError **error)
{
	g_autoptr(GPtrArray) views = g_ptr_array_new_with_free_func((GDestroyNotify)pool_view_free);
	const ConfigPool *pool = name ? config_find_pool(config, name) : NULL;

	if (name && !pool) {
		error_set(error, STORAGEOS_ERROR_NOT_FOUND,
			  "pool show: no pool '%s' in %s (see: storageos pool list)", name,
			  config->file);
		return NULL;
	}
	for (guint i = 0; !name && i < config->pools->len; i++)
		view_add(views, config, g_ptr_array_index(config->pools, i));
	if (pool)
		view_add(views, config, pool);
	return g_steal_pointer(&views);
}

static void views_print_json(const GPtrArray *views)
{
	g_autoptr(Json) objects = json_object_new_array();

	for (guint i = 0; i < views->len; i++)
		json_object_array_add(objects, view_to_json(g_ptr_array_index(views, i)));
	cli_print_json(objects);
}

static int pools_print(const Verb *verb, guint max, void (*print)(const GPtrArray *views), int argc,
		       char **argv)
{
	g_autoptr(GPtrArray) views = NULL;
	g_autoptr(GError) error = NULL;
	g_auto(Cli) cli = {0};
	int status;

	if (!cli_start(&cli, verb, options, 0, max, argc, argv, &status))
		return status;
	views = views_take(cli.config, cli.n_arguments ? cli.arguments[0] : NULL, &error);
	if (!views)
		return cli_failed(error);
	if (cli.json)
		views_print_json(views);
	else
		print(views);
	return CLI_DONE;
}

static int list_run(int argc, char **argv)
{
	return pools_print(&pool_verb_list, 0, views_print_table, argc, argv);
}

static int show_run(int argc, char **argv)
{
	return pools_print(&pool_verb_show, 1, views_print, argc, argv);
}

const Verb pool_verb_list = {"pool list", "[--bytes]",
			     "list the pools, their space, and why one cannot be used", list_run};
const Verb pool_verb_show = {"pool show", "[NAME] [--bytes]", "show everything about pools",
			     show_run};
