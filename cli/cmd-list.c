/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/list-columns.h"
#include "cli/pool-view.h"
#include "cli/table.h"
#include "common/base/error.h"
#include "common/base/names.h"
#include "common/base/units.h"
#include "common/service/property-command.h"

#define SUFFIX ".vol"

typedef struct {
	const Config *config;
	GPtrArray *columns; /* of ListColumn * */
	GPtrArray *order;   /* of the column that is sorted by, or empty */
	gboolean json, bare, exact, reverse;
	GPtrArray *rows;  /* of ListRow * */
	GPtrArray *pools; /* one line per pool, printed below the table */
	int status;
} Listing;

static void listing_clear(Listing *listing)
{
	g_clear_pointer(&listing->columns, g_ptr_array_unref);
	g_clear_pointer(&listing->order, g_ptr_array_unref);
	g_clear_pointer(&listing->rows, g_ptr_array_unref);
	g_clear_pointer(&listing->pools, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Listing, listing_clear)

/* ---- printing */

static void row_add_facts(const Config *config, const ListRow *row, Json *object)
{
	const Facts *facts = &row->attachment->facts;

	json_add_number(object, "size", facts->size);
	json_add_number(object, "allocated", facts->allocated);
	json_object_object_add(object, "properties", properties_to_json(&facts->properties));
	if (pool_is_ceph(config, row->name))
		return; /* which scrubs by itself */
	json_add_number(object, "scrub_time", facts->scrub_time);
	json_add_number(object, "scrub_errors", facts->scrub_errors);
}

static Json *row_to_json(const Config *config, const ListRow *row)
{
	const Attachment *attachment = row->attachment;
	Json *object = json_object_new_object();

	json_add_text(object, "volume", row->text);
	if (attachment->facts_error)
		json_add_text(object, "error", attachment->facts_error->message);
	else
		row_add_facts(config, row, object);
	attachment_to_json(attachment, object);
	json_add_text(object, "trouble", row->trouble);
	return object;
}

static void rows_print_json(const Listing *listing)
{
	g_autoptr(Json) objects = json_object_new_array();

	for (guint i = 0; i < listing->rows->len; i++)
		json_object_array_add(
			objects, row_to_json(listing->config, g_ptr_array_index(listing->rows, i)));
	cli_print_json(objects);
}

/* For scripts: fields between tabs. */
static void rows_print_bare(const Listing *listing)
{
	for (guint i = 0; i < listing->rows->len; i++)
		for (guint j = 0; j < listing->columns->len; j++) {
			g_autofree char *cell = list_column_show(
				g_ptr_array_index(listing->columns, j),
				g_ptr_array_index(listing->rows, i), listing->exact);

			printf("%s%c", cell, j + 1 < listing->columns->len ? '\t' : '\n');
		}
}

static void rows_print_table(const Listing *listing)
{
	guint n = listing->columns->len;
	g_auto(GStrv) headings = g_new0(char *, n + 1);
	g_autofree gboolean *right = g_new0(gboolean, n);
	g_autoptr(Table) table = NULL;

	for (guint j = 0; j < n; j++) {
		headings[j] = list_column_heading(g_ptr_array_index(listing->columns, j));
		right[j] = list_column_is_right(g_ptr_array_index(listing->columns, j));
	}
	table = table_new((const char *const *)headings, right);
	for (guint i = 0; i < listing->rows->len; i++)
		for (guint j = 0; j < n; j++)
			table_add_cell(table,
				       list_column_show(g_ptr_array_index(listing->columns, j),
							g_ptr_array_index(listing->rows, i),
							listing->exact));
	table_print(table);
}

static gint rows_compare(gconstpointer a, gconstpointer b, gpointer data)
{
	const ListRow *first = *(ListRow *const *)a, *second = *(ListRow *const *)b;
	const Listing *listing = data;

	return list_column_compare(g_ptr_array_index(listing->order, 0), first, second,
				   listing->reverse);
}

static void listing_print(Listing *listing)
{
	if (listing->order)
		g_ptr_array_sort_with_data(listing->rows, rows_compare, listing);
	if (listing->json)
		rows_print_json(listing);
	else if (listing->bare)
		rows_print_bare(listing);
	else
		rows_print_table(listing);
	for (guint i = 0; !listing->json && !listing->bare && i < listing->pools->len; i++)
		puts(g_ptr_array_index(listing->pools, i));
}

/* ---- what is listed */

/* Lists an unreadable volume with the reason, and makes the exit status CLI_FAILED. */
static void listing_add_volume(Listing *listing, const VolumeName *name, PoolView *view)
{
	ListRow *row = list_row_new(listing->config, name);

	g_ptr_array_add(listing->rows, row);
	if (view->pool->ceph)
		pool_view_add_image(view, &row->attachment->facts);
	if (row->attachment->facts_error)
		listing->status = CLI_FAILED;
	if (list_columns_need_snapshots(listing->columns) ||
	    (listing->order && list_columns_need_snapshots(listing->order)))
		list_row_count_snapshots(row, listing->config);
}

/* The pool's volumes, their sizes and used space, and the free space of its file system, or of
 * Ceph, where what others store counts, too. */
static char *pool_describe_space(const PoolView *view)
{
	g_autofree char *promised = size_format(view->promised), *used = size_format(view->used);
	g_autofree char *size = size_format(view->size), *room = size_format(view->free);

	if (!view->measured)
		return NULL;
	return g_strdup_printf("pool %s: %" G_GUINT64_FORMAT
			       " volume%s, size %s%s%s; %s: %s of %s free (%.0f %%)",
			       view->pool->name, view->volumes, view->volumes == 1 ? "" : "s",
			       promised, view->counted ? ", used " : "", view->counted ? used : "",
			       view->pool->ceph	   ? "Ceph"
			       : view->pool->quota ? "quota"
						   : "file system",
			       room, size, 100. * (double)view->free / (double)view->size);
}

static gboolean file_is_volume(const char *file, const GPtrArray *names)
{
	g_autofree char *name = g_strndup(file, strlen(file) - strlen(SUFFIX));

	return g_ptr_array_find_with_equal_func((GPtrArray *)names, name, g_str_equal, NULL);
}

/* Mentions images that no volume can have the name of. */
static void pool_say_strange_images(const ConfigPool *pool, const GPtrArray *strangers)
{
	if (strangers->len)
		cli_say("list: %u image%s in %s cannot be a volume: '%s'%s (the name must "
			"be " NAME_RULE "; see: rbd rename)",
			strangers->len, strangers->len == 1 ? "" : "s", pool->path,
			(const char *)g_ptr_array_index(strangers, 0),
			strangers->len == 1 ? "" : " and others");
}

/* Mentions files in the pool that look like volumes but are not: "DB.vol", "db copy.vol", links. */
static void pool_say_strangers(const ConfigPool *pool, const GPtrArray *names)
{
	g_autoptr(GDir) dir = g_dir_open(pool->path, 0, NULL);
	g_autofree char *example = NULL;
	const char *file;
	guint found = 0;

	while (dir && (file = g_dir_read_name(dir)))
		if (*file != '.' && g_str_has_suffix(file, SUFFIX) &&
		    !file_is_volume(file, names) && !found++)
			example = g_strdup(file);
	if (found)
		cli_say("list: %u file%s in %s %s: '%s'%s (a volume is a regular file NAME.vol; "
			"NAME is " NAME_RULE ")",
			found, found == 1 ? "" : "s", pool->path,
			found == 1 ? "is not a volume" : "are not volumes", example,
			found == 1 ? "" : " and others");
}

/* Mentions volumes whose move to another pool was interrupted while they had no name. */
static void pool_say_moving(const ConfigPool *pool)
{
	g_autoptr(GPtrArray) names = facts_list_moving(pool);

	for (guint i = 0; i < names->len; i++)
		cli_say("list: the move of %s/%s to another pool was interrupted (to end that: "
			"storageos move %s/%s POOL)",
			pool->name, (const char *)g_ptr_array_index(names, i), pool->name,
			(const char *)g_ptr_array_index(names, i));
}

static void listing_add_pool(Listing *listing, const ConfigPool *pool)
{
	g_autoptr(GPtrArray) strangers = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) names = facts_list_all(pool, strangers, &error);
	g_autoptr(PoolView) view = NULL;
	char *line;

	if (!names) {
		listing->status = cli_failed(error);
		return;
	}
	view = pool_view_take(listing->config, pool);
	for (guint i = 0; i < names->len; i++) {
		const VolumeName name = {.pool = pool->name, .name = g_ptr_array_index(names, i)};

		listing_add_volume(listing, &name, view);
	}
	if (pool->ceph)
		pool_say_strange_images(pool, strangers);
	else
		pool_say_strangers(pool, names);
	pool_say_moving(pool);
	line = pool_describe_space(view);
	if (line)
		g_ptr_array_add(listing->pools, line);
}

static const ConfigPool *pool_find(const Config *config, const char *text, GError **error)
{
	const ConfigPool *pool = config_find_pool(config, text);
	g_autoptr(VolumeName) name = pool ? NULL : volume_name_parse(text, NULL);

	if (name && strchr(text, '/'))
		error_set(error, STORAGEOS_ERROR_INVALID,
			  "list: '%s' is a volume, not a pool (see: storageos info %s)", text,
			  text);
	else if (!pool)
		error_set(error, STORAGEOS_ERROR_NOT_FOUND,
			  "list: no pool '%s' in %s (see: storageos pool list)", text,
			  config->file);
	return pool && pool_check(pool, error) ? pool : NULL;
}

static gboolean columns_choose(Listing *listing, const char *columns, const char *order)
{
	g_autoptr(GError) error = NULL;

	listing->columns = list_columns_parse(columns ? columns : LIST_COLUMNS_DEFAULT, &error);
	listing->order = listing->columns && order ? list_columns_parse(order, &error) : NULL;
	if (!error && listing->order && listing->order->len != 1)
		error_set(&error, STORAGEOS_ERROR_INVALID, "--sort takes one column");
	if (error)
		cli_usage("list: %s", error->message);
	return !error;
}

static int pools_list(Listing *listing, const char *name)
{
	g_autoptr(GError) error = NULL;
	const ConfigPool *pool = name ? pool_find(listing->config, name, &error) : NULL;

	if (error)
		return cli_failed(error);
	listing->rows = g_ptr_array_new_with_free_func((GDestroyNotify)list_row_free);
	listing->pools = g_ptr_array_new_with_free_func(g_free);
	/* A pool whose file system is not mounted must not hide the other pools. */
	for (guint i = 0; !pool && i < listing->config->pools->len; i++)
		listing_add_pool(listing, g_ptr_array_index(listing->config->pools, i));
	if (pool)
		listing_add_pool(listing, pool);
	listing_print(listing);
	return listing->status;
}

static int verb_list_run(int argc, char **argv)
{
	g_autofree char *columns = NULL, *order = NULL;
	g_auto(Listing) listing = {.status = CLI_DONE};
	const GOptionEntry options[] = {
		{"columns", 'o', 0, G_OPTION_ARG_FILENAME, &columns,
		 "What to show (default: " LIST_COLUMNS_DEFAULT ")", "COLUMN,..."},
		{"bare", 'H', 0, G_OPTION_ARG_NONE, &listing.bare,
		 "For scripts: no heading, no lines of pools, tabs between columns", NULL},
		{"bytes", 0, 0, G_OPTION_ARG_NONE, &listing.exact,
		 "Sizes in bytes, times in seconds since 1970", NULL},
		{"sort", 's', 0, G_OPTION_ARG_FILENAME, &order, "Sort by this column", "COLUMN"},
		{"reverse", 'r', 0, G_OPTION_ARG_NONE, &listing.reverse,
		 "With --sort: the greatest first", NULL},
		{0},
	};
	g_auto(Cli) cli = {0};
	int status;

	if (!cli_start(&cli, &verb_list, options, 0, 1, argc, argv, &status))
		return status;
	if (cli.json && (columns || listing.bare || listing.exact))
		return cli_usage("list: --json has all, in bytes: it excludes -o, -H and --bytes");
	if (listing.reverse && !order)
		return cli_usage("list: --reverse needs --sort");
	listing.config = cli.config;
	listing.json = cli.json;
	if (!columns_choose(&listing, columns, order))
		return CLI_USAGE;
	return pools_list(&listing, cli.n_arguments ? cli.arguments[0] : NULL);
}

const Verb verb_list = {"list", "[POOL] [-o COLUMN,...] [-H] [--sort COLUMN]",
			"list the volumes of one pool, or of all", verb_list_run};
