/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot delete: one snapshot, or a run A..B: B and those from which it descends, back to A.
 */
#include <string.h>

#include "cli/clone-hold.h"
#include "cli/interrupt.h"
#include "cli/snapshot-usage.h"
#include "cli/snapshot-verbs.h"
#include "common/base/error.h"
#include "common/base/names.h"
#include "common/base/units.h"

typedef struct {
	const Cli *cli;
	const char *first, *last; /* of a run; `last` NULL: `first` alone */
	gboolean dry, bookmark;
	GPtrArray *chosen; /* of Json *, borrowed from the volume's list, the newest first */
	guint64 written;   /* by all of them */
	Json *usage;	   /* of a dry run: what all of them free; NULL: nothing */
	GPtrArray *deleted;
} Deletion;

/* ---- which */

static void chosen_add(Deletion *deletion, Json *snapshot)
{
	g_ptr_array_add(deletion->chosen, snapshot);
	deletion->written += (guint64)json_get_number(snapshot, "written");
}

/* Bookmarks between A and B stay: they keep no space, and streams may begin there. */
static gboolean run_choose(Deletion *deletion, const SnapshotVolume *volume, GError **error)
{
	Json *first = snapshot_volume_find(volume, deletion->first, error);
	Json *last = first ? snapshot_volume_find(volume, deletion->last, error) : NULL;

	if (!last)
		return FALSE;
	for (Json *at = last; at;
	     at = snapshot_find(volume->list, "uuid", json_get_text(at, "parent_uuid"))) {
		if (at == first || at == last || !g_strcmp0(json_get_text(at, "state"), "ok"))
			chosen_add(deletion, at);
		if (at == first)
			return TRUE;
	}
	return error_set(error, STORAGEOS_ERROR_INVALID,
			 "%s@%s does not descend from %s@%s (see: storageos snapshot list %s)",
			 volume->text, deletion->last, volume->text, deletion->first, volume->text);
}

/* "A..B" is a snapshot's name if there is one of that name, and else a run. */
static gboolean deletion_choose(Deletion *deletion, const SnapshotVolume *volume, GError **error)
{
	g_autofree char *run =
		deletion->last ? g_strconcat(deletion->first, "..", deletion->last, NULL) : NULL;
	g_autoptr(GError) problem = NULL;
	Json *snapshot = snapshot_volume_find(volume, run ? run : deletion->first, &problem);

	if (!snapshot && run)
		return run_choose(deletion, volume, error);
	if (!snapshot) {
		g_propagate_error(error, g_steal_pointer(&problem));
		return FALSE;
	}
	chosen_add(deletion, snapshot);
	return TRUE;
}

/* FALSE with BUSY, and their names, if linked clones need the snapshot. */
static gboolean clones_check(const SnapshotVolume *volume, const char *name, Json *holds,
			     GError **error)
{
	g_autoptr(GString) clones = g_string_new(NULL);

	for (gsize i = 0; i < json_object_array_length(holds); i++) {
		const char *tag = json_object_get_string(json_object_array_get_idx(holds, i));
		g_autofree char *clone = clone_describe_tag(volume->config, tag);

		if (clone)
			g_string_append_printf(clones, "%s%s", clones->len ? "; " : "", clone);
	}
	return !clones->len || error_set(error, STORAGEOS_ERROR_BUSY, "%s@%s is needed by %s",
					 volume->text, name, clones->str);
}

/* Nothing is deleted of a run of which something cannot be. */
static gboolean chosen_check(const Deletion *deletion, const SnapshotVolume *volume, GError **error)
{
	for (guint i = 0; i < deletion->chosen->len; i++) {
		Json *snapshot = g_ptr_array_index(deletion->chosen, i);
		Json *holds = json_get_list(snapshot, "holds");
		const char *name = json_get_text(snapshot, "name");
		const char *tag;

		if (!holds || !json_object_array_length(holds))
			continue;
		tag = json_object_get_string(json_object_array_get_idx(holds, 0));
		if (!clones_check(volume, name, holds, error))
			return FALSE;
		return error_set(error, STORAGEOS_ERROR_BUSY,
				 "%s@%s is held by '%s' (to release it: storageos snapshot release "
				 "%s@%s %s)",
				 volume->text, name, tag, volume->text, name, tag);
	}
	return TRUE;
}

/* Counts what a dry run is asked for. */
static gboolean chosen_count(Deletion *deletion, SnapshotVolume *volume, GError **error)
{
	const GPtrArray *chosen = deletion->chosen;
	Json *newest = g_ptr_array_index(chosen, 0),
	     *oldest = g_ptr_array_index(chosen, chosen->len - 1);
	g_autoptr(Json) counts =
		snapshot_usage(volume, (guint64)json_get_number(oldest, "generation"),
			       (guint64)json_get_number(newest, "generation"), error);

	if (counts && json_object_array_length(counts))
		deletion->usage = json_object_get(json_object_array_get_idx(counts, 0));
	return counts != NULL;
}

/* ---- deleting */

static gboolean snapshot_drop(const Deletion *deletion, SnapshotVolume *volume, const char *name,
			      GError **error)
{
	Json *request = json_object_new_object();
	g_autoptr(Json) answer = NULL;

	json_add_text(request, "name", name);
	json_add_flag(request, "bookmark", deletion->bookmark);
	answer = snapshot_volume_ask(volume, "snapshot-delete", request, error);
	if (!answer)
		g_prefix_error(error, "%s@%s: ", volume->text, name);
	return answer != NULL;
}

/* Of a volume that nobody serves, the space becomes free only while it is open here. */
static void space_await(const SnapshotVolume *volume)
{
	guint64 ticket;

	if (!volume->volume)
		return;
	ticket = volume_settle(volume->volume);
	while (!volume_settled(volume->volume, ticket, 1) && interrupt_check(NULL))
		cli_progress("%s: freeing space (may be interrupted)", volume->text);
	cli_progress_end();
}

/* The oldest first: what an interruption leaves is then still a run. */
static gboolean chosen_delete(Deletion *deletion, SnapshotVolume *volume, GError **error)
{
	for (guint i = deletion->chosen->len; i--;) {
		const char *name = json_get_text(g_ptr_array_index(deletion->chosen, i), "name");

		if (!deletion->dry && !snapshot_drop(deletion, volume, name, error))
			return FALSE;
		g_ptr_array_add(deletion->deleted, g_strconcat(volume->text, "@", name, NULL));
		if (i && !interrupt_check(error))
			return FALSE;
	}
	if (!deletion->dry)
		space_await(volume);
	return TRUE;
}

static gboolean deletion_carry_out(SnapshotVolume *volume, gpointer data, GError **error)
{
	Deletion *deletion = data;

	return deletion_choose(deletion, volume, error) && chosen_check(deletion, volume, error) &&
	       (!deletion->dry || chosen_count(deletion, volume, error)) &&
	       chosen_delete(deletion, volume, error);
}

/* ---- the verb */

/* Of a dry run: "would be deleted, frees 1 MiB". */
static char *dry_describe(const Deletion *deletion)
{
	gint64 waiting = json_get_number(deletion->usage, "waiting");
	g_autofree char *frees =
		snapshot_usage_format((guint64)json_get_number(deletion->usage, "bytes"),
				      json_get_flag(deletion->usage, "moving"));

	if (!waiting)
		return g_strdup_printf("would be deleted, frees %s", frees);
	return g_strdup_printf("would be deleted, frees %s (%" G_GINT64_FORMAT
			       " of them, branch points, free nothing until one branch is deleted)",
			       frees, waiting);
}

static char *deletion_describe(const Deletion *deletion)
{
	g_autofree char *written = size_format(deletion->written);

	return deletion->dry
		       ? dry_describe(deletion)
		       : g_strdup_printf("deleted, frees %s at most, in the background", written);
}

static void deletion_report(const Deletion *deletion)
{
	Json *object = json_object_new_object(), *array = json_object_new_array();
	g_autofree char *what = deletion_describe(deletion);
	g_autoptr(GString) names = g_string_new(NULL);

	for (guint i = 0; i < deletion->deleted->len; i++) {
		const char *name = g_ptr_array_index(deletion->deleted, i);

		json_object_array_add(array, json_text_new(name));
		g_string_append_printf(names, "%s%s", i ? ", " : "", name);
	}
	json_object_object_add(object, "snapshots", array);
	json_add_flag(object, "deleted", !deletion->dry);
	json_add_number(object, "frees_at_most", deletion->written);
	if (deletion->dry) {
		json_add_number(object, "frees",
				(guint64)json_get_number(deletion->usage, "bytes"));
		json_add_flag(object, "moving", json_get_flag(deletion->usage, "moving"));
		json_add_number(object, "waiting",
				(guint64)json_get_number(deletion->usage, "waiting"));
	}
	if (deletion->dry)
		cli_report_dry(deletion->cli, object, "%s: %s", names->str, what);
	else
		cli_report(deletion->cli, object, "%s: %s", names->str, what);
}

/* Splits VOLUME@A..B; VOLUME@A stays as it is.  NULL: the error has been printed. */
static VolumeName *run_parse(const char *text, char **ret_last)
{
	const char *at = strrchr(text, '@');
	char *dots = at ? strstr(at, "..") : NULL;
	g_autofree char *first = dots ? g_strndup(text, (gsize)(dots - text)) : NULL;
	VolumeName *name = snapshot_name_parse(&snapshot_delete, first ? first : text);

	if (!name || !dots)
		return name;
	if (name_valid(dots + 2)) {
		*ret_last = g_strdup(dots + 2);
		return name;
	}
	cli_usage("snapshot delete: invalid snapshot name '%s': must be " NAME_RULE, dots + 2);
	volume_name_free(name);
	return NULL;
}

static int delete_run(int argc, char **argv)
{
	Deletion deletion = {0};
	const GOptionEntry options[] = {
		{"dry-run", 'n', 0, G_OPTION_ARG_NONE, &deletion.dry,
		 "Only show what would be deleted, and count what that frees", NULL},
		{"bookmark", 0, 0, G_OPTION_ARG_NONE, &deletion.bookmark,
		 "Leave a bookmark, from which an incremental stream can still begin", NULL},
		{0},
	};
	g_autoptr(GPtrArray) deleted = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GPtrArray) chosen = g_ptr_array_new();
	g_autoptr(VolumeName) name = NULL;
	g_autofree char *last = NULL;
	g_auto(Cli) cli = {0};
	int status;

	if (!cli_start(&cli, &snapshot_delete, options, 1, 1, argc, argv, &status))
		return status;
	name = run_parse(cli.arguments[0], &last);
	if (!name)
		return CLI_USAGE;
	deletion.cli = &cli;
	deletion.first = name->snapshot;
	deletion.last = last;
	deletion.chosen = chosen;
	deletion.deleted = deleted;
	status = snapshot_change(&cli, &snapshot_delete, name, deletion_carry_out, &deletion);
	if (deleted->len)
		deletion_report(&deletion);
	json_object_put(deletion.usage);
	return status;
}

const Verb snapshot_delete = {"snapshot delete", "VOLUME@NAME | VOLUME@A..B [-n]",
			      "delete a snapshot, or a run of them", delete_run};
