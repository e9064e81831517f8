/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot list: of the volumes named, or of all.
 */
#include <stdio.h>
#include <string.h>

#include "cli/facts.h"
#include "cli/snapshot-usage.h"
#include "cli/snapshot-verbs.h"
#include "cli/table.h"
#include "common/base/units.h"

typedef struct {
	const Cli *cli;
	gboolean usage;
	Json *objects; /* NULL: a table is printed */
	Table *table;
	int status;
} SnapshotListing;

static const char *const headings[] = {"SNAPSHOT", "CREATED", "SIZE",  "REFERENCED",
				       "WRITTEN",  "STATE",   "NOTES", NULL};
static const gboolean right[] = {FALSE, FALSE, TRUE, TRUE, TRUE, FALSE, FALSE};
static const char *const usage_headings[] = {
	"SNAPSHOT", "CREATED", "SIZE", "REFERENCED", "WRITTEN", "UNIQUE", "STATE", "NOTES", NULL};
static const gboolean usage_right[] = {FALSE, FALSE, TRUE, TRUE, TRUE, TRUE, FALSE, FALSE};

/* The device of an attached snapshot, or NULL. */
static char *device_find(const SnapshotVolume *volume, Json *snapshot)
{
	const char *name = json_get_text(snapshot, "name");
	g_autoptr(Places) places = places_new(volume->config, volume->name);
	g_autofree char *link = name ? g_strconcat(places->link, "@", name, NULL) : NULL;

	return link && !snapshot_is_deleting(snapshot) && g_file_test(link, G_FILE_TEST_EXISTS)
		       ? g_steal_pointer(&link)
		       : NULL;
}

static void listing_add_object(const SnapshotListing *listing, const SnapshotVolume *volume,
			       Json *snapshot)
{
	g_autofree char *device = device_find(volume, snapshot);
	Json *parent = snapshot_find(volume->list, "uuid", json_get_text(snapshot, "parent_uuid"));

	json_add_text(snapshot, "volume", volume->text);
	json_add_text(snapshot, "parent",
		      parent && !snapshot_is_deleting(parent) ? json_get_text(parent, "name")
							      : NULL);
	json_add_text(snapshot, "device", device);
	json_object_array_add(listing->objects, json_object_get(snapshot));
}

static char *time_format(gint64 seconds)
{
	g_autoptr(GDateTime) time = g_date_time_new_from_unix_local(seconds);

	return time ? g_date_time_format(time, "%Y-%m-%d %H:%M") : g_strdup("?");
}

static void note_add(GString *notes, const char *what, const char *more)
{
	g_string_append_printf(notes, "%s%s%s", notes->len ? ", " : "", what, more);
}

static char *notes_format(const SnapshotVolume *volume, Json *snapshot)
{
	g_autofree char *device = device_find(volume, snapshot);
	Json *holds = json_get_list(snapshot, "holds");
	GString *notes = g_string_new(NULL);

	if (json_get_flag(snapshot, "frozen"))
		note_add(notes, "frozen", "");
	if (json_get_flag(snapshot, "by_policy"))
		note_add(notes, "by policy", "");
	for (gsize i = 0; holds && i < json_object_array_length(holds); i++)
		note_add(notes, "held by ",
			 json_object_get_string(json_object_array_get_idx(holds, i)));
	if (json_get_flag(snapshot, "waiting"))
		note_add(notes, "a branch point, kept until one branch is deleted", "");
	if (device)
		note_add(notes, "attached as ", device);
	if (json_get_flag(snapshot, "unique_damaged"))
		note_add(notes, "damaged: deleting it does not free all of it", "");
	return g_string_free(notes, FALSE);
}

/* "-" of what frees nothing by being deleted. */
static char *unique_format(Json *snapshot)
{
	return json_get_typed(snapshot, "unique", json_type_int)
		       ? snapshot_usage_format((guint64)json_get_number(snapshot, "unique"),
					       json_get_flag(snapshot, "unique_moving"))
		       : g_strdup("-");
}

static void listing_add_row(const SnapshotListing *listing, const SnapshotVolume *volume,
			    Json *snapshot)
{
	gboolean deleting = snapshot_is_deleting(snapshot);
	g_autofree char *referenced = size_format((guint64)json_get_number(snapshot, "referenced"));
	char *name = g_strdup_printf("%s@%s", volume->text,
				     deleting ? "" : json_get_text(snapshot, "name"));
	char *created = time_format(json_get_number(snapshot, "created"));
	char *size = size_format((guint64)json_get_number(snapshot, "size"));
	char *at_most = g_strdup_printf(
		"%s%s", json_get_flag(snapshot, "referenced_is_bound") ? "<= " : "", referenced);
	char *written = size_format((guint64)json_get_number(snapshot, "written"));
	char *state = g_strdup(json_get_text(snapshot, "state"));
	char *notes = notes_format(volume, snapshot);

	if (listing->usage)
		table_add(listing->table, name, created, size, at_most, written,
			  unique_format(snapshot), state, notes);
	else
		table_add(listing->table, name, created, size, at_most, written, state, notes);
}

/* Adds to each snapshot what deleting it alone would free. */
static gboolean usage_add(SnapshotVolume *volume, GError **error)
{
	g_autoptr(Json) counts = snapshot_usage(volume, 0, 0, error);

	for (gsize i = 0; counts && i < json_object_array_length(counts); i++) {
		Json *count = json_object_array_get_idx(counts, i);

		for (guint j = 0; j < snapshot_volume_count(volume); j++) {
			Json *snapshot = snapshot_volume_get(volume, j);

			if (json_get_number(snapshot, "generation") !=
			    json_get_number(count, "generation"))
				continue;
			json_add_number(snapshot, "unique",
					(guint64)json_get_number(count, "bytes"));
			json_add_flag(snapshot, "unique_moving", json_get_flag(count, "moving"));
			json_add_flag(snapshot, "unique_damaged", json_get_flag(count, "damaged"));
		}
	}
	return counts != NULL;
}

static void listing_add(SnapshotListing *listing, const VolumeName *name)
{
	g_autoptr(GError) error = NULL;
	SnapshotVolume *volume =
		snapshot_volume_open(listing->cli->config, name, SNAPSHOT_VOLUME_READ, &error);

	if (!volume || (listing->usage && !usage_add(volume, &error))) {
		g_prefix_error(&error, "snapshot list: ");
		listing->status = cli_failed(error);
	}
	if (!volume)
		return;
	for (guint i = 0; i < snapshot_volume_count(volume); i++)
		if (listing->objects)
			listing_add_object(listing, volume, snapshot_volume_get(volume, i));
		else
			listing_add_row(listing, volume, snapshot_volume_get(volume, i));
	snapshot_volume_close(volume, NULL);
}

static void listing_add_pool(SnapshotListing *listing, const ConfigPool *pool)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) names = facts_list(pool, &error);

	if (!names)
		listing->status = cli_failed(error);
	for (guint i = 0; names && i < names->len; i++) {
		const VolumeName name = {.pool = pool->name, .name = g_ptr_array_index(names, i)};

		listing_add(listing, &name);
	}
}

/* NULL: the error has been printed. */
static GPtrArray *names_parse(const Cli *cli)
{
	g_autoptr(GPtrArray) names =
		g_ptr_array_new_with_free_func((GDestroyNotify)volume_name_free);

	for (guint i = 0; i < cli->n_arguments; i++) {
		g_autoptr(GError) error = NULL;
		VolumeName *name = volume_name_parse(cli->arguments[i], &error);

		if (!name) {
			cli_usage("snapshot list: %s", error->message);
			return NULL;
		}
		g_ptr_array_add(names, name);
	}
	return g_steal_pointer(&names);
}

static int list_run(int argc, char **argv)
{
	gboolean usage = FALSE;
	const GOptionEntry options[] = {
		{"usage", 0, 0, G_OPTION_ARG_NONE, &usage,
		 "Count what deleting each one alone would free, which may take minutes", NULL},
		{0},
	};
	g_autoptr(Table) table = NULL;
	g_autoptr(GPtrArray) names = NULL;
	g_autoptr(Json) objects = NULL;
	SnapshotListing listing;
	g_auto(Cli) cli = {0};
	int status;

	if (!cli_start(&cli, &snapshot_list, options, 0, G_MAXINT, argc, argv, &status))
		return status;
	names = names_parse(&cli);
	if (!names)
		return CLI_USAGE;
	objects = cli.json ? json_object_new_array() : NULL;
	table = usage ? table_new(usage_headings, usage_right) : table_new(headings, right);
	listing = (SnapshotListing){&cli, usage, objects, table, CLI_DONE};
	for (guint i = 0; i < names->len; i++)
		listing_add(&listing, g_ptr_array_index(names, i));
	for (guint i = 0; !names->len && i < cli.config->pools->len; i++) {
		const ConfigPool *pool = g_ptr_array_index(cli.config->pools, i);

		if (!pool->ceph)
			listing_add_pool(&listing, pool);
	}
	if (objects)
		cli_print_json(objects);
	else
		table_print(table);
	return listing.status;
}

const Verb snapshot_list = {"snapshot list", "[VOLUME...] [--usage]",
			    "list the snapshots of volumes, or of all", list_run};
