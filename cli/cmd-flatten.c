/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flatten: has a linked clone copy what it has from its base, step by step: by the volume's server,
 * or here, if nobody serves it.  Each step is kept: an interrupted flatten goes on where it was.
 */
#include "cli/cli.h"
#include "cli/clone-hold.h"
#include "cli/interrupt.h"
#include "cli/snapshot-volume.h"
#include "common/base/error.h"
#include "common/base/units.h"
#include "common/check/scrub.h" /* SCRUB_RATE: the pace of background work */

#define STEP_BYTES (8 * MIB)

typedef struct {
	const Cli *cli;
	char *text, *rate_text;
	guint64 rate;	       /* bytes a second; 0: no limit */
	guint64 copied, whole; /* bytes; whole: of the volume, when it began; 0: unknown */
	gint64 begun;	       /* monotonic time, microseconds */
} Flattening;

static void flattening_clear(Flattening *flattening)
{
	g_free(flattening->text);
	g_free(flattening->rate_text);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Flattening, flattening_clear)

static void progress_show(Flattening *flattening, guint64 left)
{
	g_autofree char *copied = size_format(flattening->copied);

	flattening->whole = MAX(flattening->whole, MAX(left, 1));
	cli_progress("flatten %s: %.0f %%, %s copied", flattening->text,
		     100. * (1. - (double)left / (double)flattening->whole), copied);
}

static void pace_keep(const Flattening *flattening)
{
	gint64 due = flattening->begun, left;

	if (!flattening->rate)
		return;
	due += (gint64)((double)flattening->copied * G_USEC_PER_SEC / (double)flattening->rate);
	while ((left = due - g_get_monotonic_time()) > 0 && interrupt_check(NULL))
		g_usleep((gulong)MIN(left, 200000));
}

/* 1: done; 0: there is more to do; -1 with *error. */
static int step_make(Flattening *flattening, SnapshotVolume *volume, GError **error)
{
	Json *request = json_object_new_object();
	g_autoptr(Json) answer = NULL;

	json_add_number(request, "bytes", STEP_BYTES);
	answer = snapshot_volume_ask(volume, "snapshot-flatten", request, error);
	if (!answer)
		return -1;
	flattening->copied += (guint64)json_get_number(answer, "copied");
	progress_show(flattening, (guint64)json_get_number(answer, "left"));
	pace_keep(flattening);
	return json_get_flag(answer, "done");
}

static gboolean steps_make(Flattening *flattening, SnapshotVolume *volume, GError **error)
{
	g_autofree char *copied = NULL;
	int r = 0;

	flattening->begun = g_get_monotonic_time();
	if (!flattening->rate_text)
		flattening->rate = volume->volume ? 0 : SCRUB_RATE;
	while (!r && interrupt_check(error))
		r = step_make(flattening, volume, error);
	cli_progress_end();
	if (r <= 0 && flattening->copied) {
		copied = size_format(flattening->copied);
		g_prefix_error(error, "%s copied, the next flatten goes on there: ", copied);
	}
	return r > 0;
}

/* The base is released once nothing of the clone names it any more. */
static gboolean volume_flatten_all(Flattening *flattening, const VolumeName *name, GError **error)
{
	const Config *config = flattening->cli->config;
	BaseIdentity base;
	char uuid[UUID_TEXT];
	SnapshotVolume *volume;
	gboolean done;

	if (!pool_clone_base(config, name, &base, uuid))
		return error_set(error, STORAGEOS_ERROR_INVALID, "%s is no linked clone",
				 flattening->text);
	volume = snapshot_volume_open(config, name, SNAPSHOT_VOLUME_CHANGE, error);
	if (!volume)
		return FALSE;
	interrupt_hold();
	done = steps_make(flattening, volume, error);
	if (!snapshot_volume_close(volume, done ? error : NULL) || !done)
		return FALSE;
	clone_release(config, &base, uuid);
	return TRUE;
}

/* ---- a dry run */

/* Its snapshots may need the base, too. */
static gboolean snapshots_check_none(const Config *config, const VolumeName *name, GError **error)
{
	SnapshotVolume *volume = snapshot_volume_open(config, name, SNAPSHOT_VOLUME_READ, error);
	gboolean none = volume != NULL;

	for (guint i = 0; none && i < snapshot_volume_count(volume); i++) {
		Json *snapshot = snapshot_volume_get(volume, i);

		if (g_strcmp0(json_get_text(snapshot, "state"), "bookmark") != 0)
			none = error_set(error, STORAGEOS_ERROR_BUSY,
					 "%s: its snapshot '%s' may need the base, too: delete its "
					 "snapshots first",
					 volume->text, json_get_text(snapshot, "name"));
	}
	return volume && snapshot_volume_close(volume, none ? error : NULL) && none;
}

static gboolean flatten_foresee(const Flattening *flattening, const VolumeName *name,
				GError **error)
{
	const Config *config = flattening->cli->config;
	g_autofree char *most = NULL;
	BaseIdentity base;
	char uuid[UUID_TEXT];
	VolumeInfo info;
	Volume *volume;
	guint64 bytes;
	Json *object;

	if (!pool_clone_base(config, name, &base, uuid))
		return error_set(error, STORAGEOS_ERROR_INVALID, "%s is no linked clone",
				 flattening->text);
	volume = snapshots_check_none(config, name, error)
			 ? pool_base_open(&base, &(PoolBases){config, 0}, error)
			 : NULL;
	if (!volume)
		return FALSE;
	volume_get_info(volume, &info);
	volume_close(volume, NULL);
	bytes = MIN(info.data_bytes + info.base_bytes, info.size);
	most = size_format(bytes);
	object = json_object_new_object();
	json_add_text(object, "volume", flattening->text);
	json_add_text(object, "base", base.name);
	json_add_number(object, "copies_at_most", bytes);
	cli_report_dry(flattening->cli, object,
		       "%s: would copy what it still reads from %s, %s at most, and release that",
		       flattening->text, base.name, most);
	return TRUE;
}

/* ---- the verb */

static int verb_flatten_run(int argc, char **argv)
{
	g_auto(Flattening) flattening = {0};
	gboolean dry = FALSE, done;
	const GOptionEntry options[] = {
		{"rate", 0, 0, G_OPTION_ARG_FILENAME, &flattening.rate_text,
		 "Bytes per second at most (default: 64M for a served volume; 0: no limit)",
		 "SIZE"},
		CLI_DRY_RUN(&dry),
		{0},
	};
	g_autoptr(VolumeName) name = NULL;
	g_autoptr(GError) error = NULL;
	g_autofree char *copied = NULL;
	g_auto(Cli) cli = {0};
	Json *object;
	int status;

	if (!cli_start(&cli, &verb_flatten, options, 1, 1, argc, argv, &status))
		return status;
	name = volume_name_parse(cli.arguments[0], &error);
	if (!name)
		return cli_usage("flatten: %s", error->message);
	if (flattening.rate_text && !size_parse(flattening.rate_text, &flattening.rate))
		return cli_usage("flatten: invalid rate '%s' (bytes per second, for example 50M)",
				 flattening.rate_text);
	flattening.cli = &cli;
	flattening.text = volume_name_format(name);
	done = dry ? flatten_foresee(&flattening, name, &error)
		   : volume_flatten_all(&flattening, name, &error);
	if (!done) {
		g_prefix_error(&error, "flatten: ");
		return cli_failed(error);
	}
	if (dry)
		return CLI_DONE;
	copied = size_format(flattening.copied);
	object = json_object_new_object();
	json_add_text(object, "volume", flattening.text);
	json_add_number(object, "copied", flattening.copied);
	cli_report(&cli, object, "%s: needs no other volume any more, %s copied", flattening.text,
		   copied);
	return CLI_DONE;
}

const Verb verb_flatten = {"flatten", "NAME [-n] [--rate SIZE]",
			   "make a linked clone independent of its snapshot", verb_flatten_run};
