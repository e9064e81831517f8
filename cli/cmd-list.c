/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "cli/attachment.h"
#include "cli/cli.h"
#include "cli/pool-view.h"
#include "cli/table.h"
#include "cli/trouble.h"
#include "common/base/error.h"
#include "common/base/names.h"
#include "common/base/text.h"
#include "common/base/units.h"

#define SUFFIX ".vol"

static const char *const headings[] = {"VOLUME", "SIZE", "USED", "USED%", "STATE", NULL};
static const gboolean right[] = {FALSE, TRUE, TRUE, TRUE, FALSE};

typedef struct {
	const Config *config;
	Json *objects; /* with --json, otherwise NULL */
	Table *table;
	GPtrArray *pools; /* one line per pool, printed below the table */
	int status;
} Listing;

static void listing_add_row(const Listing *listing, const Attachment *attachment, const char *text,
			    const char *trouble)
{
	const Facts *facts = &attachment->facts;
	const char *state = attachment_state_name(attachment->state);

	if (attachment->facts_error)
		table_add(listing->table, g_strdup(text), g_strdup("?"), g_strdup("?"),
			  g_strdup("?"), text_printable(attachment->facts_error->message));
	else
		table_add(listing->table, g_strdup(text), size_format(facts->size),
			  size_format(facts->allocated),
			  g_strdup_printf("%.0f %%",
					  100. * (double)facts->allocated / (double)facts->size),
			  g_strdup_printf("%s%s%s%s%s", state, facts->depth ? ", linked to " : "",
					  facts->base, trouble ? "; " : "",
					  trouble ? trouble : ""));
}

static void listing_add_object(const Listing *listing, const Attachment *attachment,
			       const char *text, const char *trouble)
{
	Json *object = json_object_new_object();

	json_add_text(object, "volume", text);
	if (attachment->facts_error) {
		json_add_text(object, "error", attachment->facts_error->message);
	} else {
		json_add_number(object, "size", attachment->facts.size);
		json_add_number(object, "allocated", attachment->facts.allocated);
	}
	attachment_to_json(attachment, object);
	json_add_text(object, "trouble", trouble);
	json_object_array_add(listing->objects, object);
}

/* Lists an unreadable volume with the reason, and makes the exit status CLI_FAILED. */
static void listing_add_volume(Listing *listing, const VolumeName *name, PoolView *view)
{
	g_autofree char *text = volume_name_format(name);
	g_autoptr(Places) places = places_new(listing->config, name);
	g_autoptr(Attachment) attachment = attachment_inspect(places);
	g_autofree char *trouble = trouble_find(attachment, text);

	if (view->pool->ceph)
		pool_view_add_image(view, &attachment->facts);
	if (attachment->facts_error)
		listing->status = CLI_FAILED;
	if (listing->objects)
		listing_add_object(listing, attachment, text, trouble);
	else
		listing_add_row(listing, attachment, text, trouble);
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
			       view->pool->ceph ? "Ceph" : "file system", room, size,
			       100. * (double)view->free / (double)view->size);
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
	line = pool_describe_space(view);
	if (line)
		g_ptr_array_add(listing->pools, line);
}

static void listing_print(const Listing *listing)
{
	if (listing->objects) {
		cli_print_json(listing->objects);
		return;
	}
	table_print(listing->table);
	for (guint i = 0; i < listing->pools->len; i++)
		puts(g_ptr_array_index(listing->pools, i));
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

static int verb_list_run(int argc, char **argv)
{
	g_autoptr(GPtrArray) pools = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(Table) table = table_new(headings, right);
	g_autoptr(GError) error = NULL;
	g_autoptr(Json) objects = NULL;
	const ConfigPool *pool = NULL;
	g_auto(Cli) cli = {0};
	Listing listing;
	int status;

	if (!cli_start(&cli, &verb_list, NULL, 0, 1, argc, argv, &status))
		return status;
	if (cli.n_arguments) {
		pool = pool_find(cli.config, cli.arguments[0], &error);
		if (!pool)
			return cli_failed(error);
	}
	objects = cli.json ? json_object_new_array() : NULL;
	listing = (Listing){cli.config, objects, table, pools, CLI_DONE};
	/* A pool whose file system is not mounted must not hide the other pools. */
	for (guint i = 0; !pool && i < cli.config->pools->len; i++)
		listing_add_pool(&listing, g_ptr_array_index(cli.config->pools, i));
	if (pool)
		listing_add_pool(&listing, pool);
	listing_print(&listing);
	return listing.status;
}

const Verb verb_list = {"list", "[POOL]", "list the volumes of one pool, or of all", verb_list_run};
