/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot create: of one volume, or of several at one instant.
 */
#include "cli/interrupt.h"
#include "cli/snapshot-take.h"
#include "cli/snapshot-verbs.h"
#include "common/base/error.h"

typedef struct {
	SnapshotTake *takes;
	guint n;
} Creation;

static void creation_clear(Creation *creation)
{
	for (guint i = 0; i < creation->n; i++)
		g_free(creation->takes[i].name);
	g_free(creation->takes);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Creation, creation_clear)

/* Refuses a volume that is named twice, as its server answers one command at a time. */
static gboolean creation_add(Creation *creation, const Config *config, const VolumeName *name,
			     GError **error)
{
	SnapshotVolume *volume;

	for (guint i = 0; i < creation->n; i++) {
		const VolumeName *other = creation->takes[i].volume->name;

		if (!g_strcmp0(other->pool, name->pool) && !g_strcmp0(other->name, name->name))
			return error_set(error, STORAGEOS_ERROR_INVALID,
					 "the volume %s is named twice",
					 creation->takes[i].volume->text);
	}
	volume = snapshot_volume_open(config, name, SNAPSHOT_VOLUME_CHANGE, error);
	if (!volume)
		return FALSE;
	creation->takes[creation->n++] =
		(SnapshotTake){.volume = volume, .name = g_strdup(name->snapshot)};
	if (!snapshot_volume_find(volume, name->snapshot, NULL))
		return TRUE;
	return error_set(error, STORAGEOS_ERROR_EXISTS, "there is a snapshot %s@%s already",
			 volume->text, name->snapshot);
}

static gboolean creation_carry_out(Creation *creation, const Cli *cli, VolumeName **names, guint n,
				   PolicyFreeze freeze, GError **error)
{
	gboolean done = TRUE;

	creation->takes = g_new0(SnapshotTake, n);
	for (guint i = 0; done && i < n; i++)
		done = creation_add(creation, cli->config, names[i], error);
	interrupt_hold();
	done = done && snapshots_take(cli->config, creation->takes, n, freeze, FALSE, 0, error);
	for (guint i = 0; i < creation->n; i++)
		done = snapshot_volume_close(creation->takes[i].volume, done ? error : NULL) &&
		       done;
	return done;
}

static void creation_report(const Cli *cli, const Creation *creation, VolumeName **names)
{
	Json *array = json_object_new_array();
	g_autoptr(GString) line = g_string_new(NULL);

	for (guint i = 0; i < creation->n; i++) {
		g_autofree char *text = volume_name_format(names[i]);
		Json *object = json_object_new_object();

		json_add_text(object, "snapshot", text);
		json_add_number(object, "generation", creation->takes[i].generation);
		json_add_flag(object, "frozen", creation->takes[i].frozen);
		json_object_array_add(array, object);
		g_string_append_printf(line, "%s%s: taken%s", i ? "\n" : "", text,
				       creation->takes[i].frozen ? ", with frozen file systems"
								 : "");
	}
	cli_report(cli, array, "%s", line->str);
}

static GPtrArray *names_parse(const Cli *cli)
{
	g_autoptr(GPtrArray) names =
		g_ptr_array_new_with_free_func((GDestroyNotify)volume_name_free);

	for (guint i = 0; i < cli->n_arguments; i++) {
		VolumeName *name = snapshot_name_parse(&snapshot_create, cli->arguments[i]);

		if (!name)
			return NULL;
		g_ptr_array_add(names, name);
	}
	return g_steal_pointer(&names);
}

static int create_run(int argc, char **argv)
{
	g_autofree char *freeze_text = NULL;
	const GOptionEntry options[] = {
		{"freeze", 0, 0, G_OPTION_ARG_FILENAME, &freeze_text,
		 "Freeze file systems that are mounted from it: auto (default), require, never",
		 "MODE"},
		{0},
	};
	PolicyFreeze freeze = POLICY_FREEZE_AUTO;
	g_autoptr(GPtrArray) names = NULL;
	g_autoptr(GError) error = NULL;
	g_auto(Creation) creation = {0};
	g_auto(Cli) cli = {0};
	int status;

	if (!cli_start(&cli, &snapshot_create, options, 1, 64, argc, argv, &status))
		return status;
	if (freeze_text && !policy_freeze_parse(freeze_text, &freeze))
		return cli_usage("snapshot create: --freeze must be auto, require or never");
	names = names_parse(&cli);
	if (!names)
		return CLI_USAGE;
	if (creation_carry_out(&creation, &cli, (VolumeName **)names->pdata, names->len, freeze,
			       &error)) {
		creation_report(&cli, &creation, (VolumeName **)names->pdata);
		return CLI_DONE;
	}
	g_prefix_error(&error, "snapshot create: ");
	cli_progress_end();
	return cli_failed(error);
}

const Verb snapshot_create = {"snapshot create", "VOLUME@NAME... [--freeze MODE]",
			      "take a snapshot, of several volumes at one instant", create_run};
