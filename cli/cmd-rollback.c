/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rollback: makes a detached volume what it was when a snapshot was taken.
 */
#include "cli/attachment.h"
#include "cli/cli.h"
#include "cli/interrupt.h"
#include "cli/places.h"
#include "common/base/error.h"
#include "common/engine/volume-snapshots.h"

/* *ret_undo is the snapshot of what the volume held, or NULL; to be freed. */
static gboolean volume_roll_back(const Config *config, const VolumeName *name, const char *snapshot,
				 VolumeRollbackFlags flags, char **ret_undo, GError **error)
{
	g_autofree char *undo = NULL;
	gboolean done, closed;
	Volume *volume;

	volume_set_cache_size(config->node_cache);
	volume = pool_volume_open(config, name, 0, error);
	if (!volume)
		return FALSE;
	done = volume_rollback(volume, snapshot, flags, &undo, error);
	closed = volume_close(volume, done ? error : NULL);
	if (done && closed)
		*ret_undo = g_steal_pointer(&undo);
	return done && closed;
}

/* The checks of volume_rollback(), and none of its work. */
static gboolean rollback_check(const Config *config, const VolumeName *name, const char *snapshot,
			       VolumeRollbackFlags flags, GError **error)
{
	const VolumeSnapshotInfo *to = NULL;
	g_autoptr(GArray) infos = NULL;
	Volume *volume;
	guint64 size;

	volume_set_cache_size(config->node_cache);
	volume = pool_volume_open(config, name, VOLUME_OPEN_READ_ONLY, error);
	if (!volume)
		return FALSE;
	infos = volume_snapshots(volume);
	size = volume_size(volume);
	volume_close(volume, NULL);
	for (guint i = 0; i < infos->len && !to; i++) {
		const VolumeSnapshotInfo *info = &g_array_index(infos, VolumeSnapshotInfo, i);

		if (info->state != VOLUME_SNAPSHOT_DELETING && !g_strcmp0(info->name, snapshot))
			to = info;
	}
	if (!to)
		return error_set(error, STORAGEOS_ERROR_NOT_FOUND, "no snapshot '%s'", snapshot);
	if (to->state != VOLUME_SNAPSHOT_ALIVE)
		return error_set(error, STORAGEOS_ERROR_INVALID,
				 "'%s' is a bookmark: it has no data to go back to", snapshot);
	return to->size == size || flags & VOLUME_ROLLBACK_SIZE_TOO ||
	       error_set(error, STORAGEOS_ERROR_INVALID,
			 "it has %" G_GUINT64_FORMAT " bytes, snapshot '%s' %" G_GUINT64_FORMAT
			 ": the size must be allowed to change, too",
			 size, snapshot, to->size);
}

static void rollback_report_dry(const Cli *cli, const Places *places, const char *snapshot,
				VolumeRollbackFlags flags)
{
	Json *object = json_object_new_object();

	json_add_text(object, "volume", places->text);
	json_add_text(object, "snapshot", snapshot);
	cli_report_dry(cli, object, "%s: would be rolled back to %s, %s", places->text, snapshot,
		       flags & VOLUME_ROLLBACK_DISCARD ? "and what it holds given up"
						       : "leaving a snapshot of what it holds");
}

static void rollback_report(const Cli *cli, const Places *places, const char *snapshot,
			    const char *undo)
{
	Json *object = json_object_new_object();

	json_add_text(object, "volume", places->text);
	json_add_text(object, "snapshot", snapshot);
	json_add_text(object, "undo", undo);
	if (undo)
		cli_report(cli, object,
			   "%s: rolled back to %s (to undo it: storageos rollback %s@%s)",
			   places->text, snapshot, places->text, undo);
	else
		cli_report(cli, object, "%s: rolled back to %s", places->text, snapshot);
}

static gboolean rollback_carry_out(const Cli *cli, const VolumeName *name, const char *snapshot,
				   VolumeRollbackFlags flags, gboolean dry, GError **error)
{
	g_autoptr(Places) places = places_new(cli->config, name);
	g_autofree char *undo = NULL;
	gboolean done = places_lock(places, error);

	interrupt_hold();
	done = done && attachment_require_gone(places, "roll it back", error) &&
	       (dry ? rollback_check(cli->config, name, snapshot, flags, error)
		    : volume_roll_back(cli->config, name, snapshot, flags, &undo, error));
	if (done && dry)
		rollback_report_dry(cli, places, snapshot, flags);
	else if (done)
		rollback_report(cli, places, snapshot, undo);
	else
		g_prefix_error(error, "rollback %s: ", places->text);
	return done;
}

static int verb_rollback_run(int argc, char **argv)
{
	gboolean discard = FALSE, size_too = FALSE, dry = FALSE;
	const GOptionEntry options[] = {
		{"discard", 0, 0, G_OPTION_ARG_NONE, &discard,
		 "Give up what the volume holds now, instead of leaving a snapshot of it", NULL},
		{"size-too", 0, 0, G_OPTION_ARG_NONE, &size_too,
		 "Also if the volume had another size then", NULL},
		CLI_DRY_RUN(&dry),
		{0},
	};
	g_autoptr(VolumeName) name = NULL;
	g_autofree char *snapshot = NULL;
	g_autoptr(GError) error = NULL;
	g_auto(Cli) cli = {0};
	int status;

	if (!cli_start(&cli, &verb_rollback, options, 1, 1, argc, argv, &status))
		return status;
	name = volume_name_parse_any(cli.arguments[0], &error);
	if (!name)
		return cli_usage("rollback: %s", error->message);
	if (!name->snapshot)
		return cli_usage("rollback: '%s' names no snapshot (usage: storageos rollback %s)",
				 cli.arguments[0], verb_rollback.arguments);
	if (!pool_check_thin(cli.config, name, &error))
		return cli_failed(error);
	snapshot = g_steal_pointer(&name->snapshot);
	return rollback_carry_out(&cli, name, snapshot,
				  (discard ? VOLUME_ROLLBACK_DISCARD : 0) |
					  (size_too ? VOLUME_ROLLBACK_SIZE_TOO : 0),
				  dry, &error)
		       ? CLI_DONE
		       : cli_failed(error);
}

const Verb verb_rollback = {"rollback", "VOLUME@NAME [-n] [--discard] [--size-too]",
			    "make a detached volume what it was", verb_rollback_run};
