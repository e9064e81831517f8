/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot delete: one snapshot, or a run A..B: B and those from which it descends, back to A.
 */
#include <string.h>

#include "cli/interrupt.h"
#include "cli/snapshot-verbs.h"
#include "common/base/error.h"
#include "common/base/names.h"
#include "common/base/units.h"

typedef struct {
	const Cli *cli;
	const char *first, *last; /* of a run; `last` NULL: `first` alone */
	gboolean dry, bookmark;
	GArray *chosen;	 /* indices in the volume's list, the newest first */
	guint64 written; /* by all of them */
	GPtrArray *deleted;
} Deletion;

/* ---- which */

static void chosen_add(Deletion *deletion, const SnapshotVolume *volume, int index)
{
	g_array_append_val(deletion->chosen, index);
	deletion->written +=
		(guint64)json_get_number(snapshot_volume_get(volume, (guint)index), "written");
}

/* The index of the snapshot, or one that is being deleted, with this UUID; -1: none. */
static int index_of_uuid(const SnapshotVolume *volume, const char *uuid)
{
	for (guint i = 0; uuid && i < snapshot_volume_count(volume); i++)
		if (!g_strcmp0(json_get_text(snapshot_volume_get(volume, i), "uuid"), uuid))
			return (int)i;
	return -1;
}

/* Bookmarks between A and B stay: they keep no space, and streams may begin there. */
static gboolean run_choose(Deletion *deletion, const SnapshotVolume *volume, GError **error)
{
	int first = snapshot_volume_find(volume, deletion->first, error);
	int last = first < 0 ? -1 : snapshot_volume_find(volume, deletion->last, error);

	if (last < 0)
		return FALSE;
	for (int at = last; at >= 0;) {
		Json *snapshot = snapshot_volume_get(volume, (guint)at);

		if (at == first || at == last || !g_strcmp0(json_get_text(snapshot, "state"), "ok"))
			chosen_add(deletion, volume, at);
		if (at == first)
			return TRUE;
		at = index_of_uuid(volume, json_get_text(snapshot, "parent_uuid"));
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
	int index = snapshot_volume_find(volume, run ? run : deletion->first, run ? NULL : error);

	if (index < 0)
		return run && run_choose(deletion, volume, error);
	chosen_add(deletion, volume, index);
	return TRUE;
}

/* Nothing is deleted of a run of which something cannot be. */
static gboolean chosen_check(const Deletion *deletion, const SnapshotVolume *volume, GError **error)
{
	for (guint i = 0; i < deletion->chosen->len; i++) {
		Json *snapshot =
			snapshot_volume_get(volume, (guint)g_array_index(deletion->chosen, int, i));
		Json *holds = json_get_list(snapshot, "holds");
		const char *name = json_get_text(snapshot, "name");
		const char *tag;

		if (!holds || !json_object_array_length(holds))
			continue;
		tag = json_object_get_string(json_object_array_get_idx(holds, 0));
		return error_set(error, STORAGEOS_ERROR_BUSY,
				 "%s@%s is held by '%s' (to release it: storageos snapshot release "
				 "%s@%s %s)",
				 volume->text, name, tag, volume->text, name, tag);
	}
	return TRUE;
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
		int index = g_array_index(deletion->chosen, int, i);
		const char *name = json_get_text(snapshot_volume_get(volume, (guint)index), "name");

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
	       chosen_delete(deletion, volume, error);
}

/* ---- the verb */

static void deletion_report(const Deletion *deletion)
{
	Json *object = json_object_new_object(), *array = json_object_new_array();
	g_autofree char *written = size_format(deletion->written);
	g_autoptr(GString) names = g_string_new(NULL);

	for (guint i = 0; i < deletion->deleted->len; i++) {
		const char *name = g_ptr_array_index(deletion->deleted, i);

		json_object_array_add(array, json_text_new(name));
		g_string_append_printf(names, "%s%s", i ? ", " : "", name);
	}
	json_object_object_add(object, "snapshots", array);
	json_add_flag(object, "deleted", !deletion->dry);
	json_add_number(object, "frees_at_most", deletion->written);
	cli_report(deletion->cli, object, "%s: %s, frees %s at most%s", names->str,
		   deletion->dry ? "would be deleted" : "deleted", written,
		   deletion->dry ? "" : ", in the background");
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
		 "Only show what would be deleted", NULL},
		{"bookmark", 0, 0, G_OPTION_ARG_NONE, &deletion.bookmark,
		 "Leave a bookmark, from which an incremental stream can still begin", NULL},
		{0},
	};
	g_autoptr(GPtrArray) deleted = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GArray) chosen = g_array_new(FALSE, FALSE, sizeof(int));
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
	return status;
}

const Verb snapshot_delete = {"snapshot delete", "VOLUME@NAME | VOLUME@A..B [-n]",
			      "delete a snapshot, or a run of them", delete_run};
