/* SPDX-License-Identifier: Apache-2.0 */
/*
 * copy: makes a volume of what another one holds, or of a snapshot, that needs neither.
 *
 * A volume is copied from a snapshot, which is taken for that and deleted afterwards: so it may be
 * in use.  If the command is killed, the snapshot stays.
 */
#include "cli/clone-ways.h"
#include "cli/interrupt.h"
#include "cli/snapshot-take.h"
#include "common/base/error.h"

#define PREFIX "copying-"

static gboolean snapshot_take(const Config *config, const VolumeName *name, GError **error)
{
	SnapshotVolume *volume = snapshot_volume_open(config, name, SNAPSHOT_VOLUME_CHANGE, error);
	SnapshotTake take = {.volume = volume, .name = name->snapshot};
	gboolean done =
		volume && snapshots_take(config, &take, 1, POLICY_FREEZE_AUTO, FALSE, 0, error);

	return volume && snapshot_volume_close(volume, done ? error : NULL) && done;
}

static gboolean snapshot_delete_it(const Config *config, const VolumeName *name, GError **error)
{
	SnapshotVolume *volume = snapshot_volume_open(config, name, SNAPSHOT_VOLUME_CHANGE, error);
	Json *request = json_object_new_object();
	g_autoptr(Json) answer = NULL;

	json_add_text(request, "name", name->snapshot);
	if (!volume) {
		json_object_put(request);
		return FALSE;
	}
	answer = snapshot_volume_ask(volume, "snapshot-delete", request, error);
	return snapshot_volume_close(volume, answer ? error : NULL) && answer;
}

/* The copy is good, whether or not the snapshot can be deleted. */
static void snapshot_drop(const Config *config, const VolumeName *name)
{
	g_autofree char *text = volume_name_format(name);
	g_autoptr(GError) error = NULL;

	if (!snapshot_delete_it(config, name, &error))
		cli_say("copy: the snapshot %s is left (storageos snapshot delete %s): %s", text,
			text, error->message);
}

/* A name that no other snapshot has: of this second and process. */
static char *snapshot_name_new(void)
{
	g_autoptr(GDateTime) now = g_date_time_new_now_utc();
	g_autofree char *time = g_date_time_format(now, "%Y%m%d-%H%M%S");

	return g_strdup_printf(PREFIX "%s-%08x", time, g_random_int());
}

static gboolean volume_copy(const Cli *cli, const VolumeName *from, const VolumeName *to,
			    const char **ret_how, GError **error)
{
	g_autofree char *snapshot = snapshot_name_new();
	const VolumeName name = {.pool = from->pool, .name = from->name, .snapshot = snapshot};
	gboolean done;

	interrupt_hold();
	if (!pool_check_thin(cli->config, from, error) || !snapshot_take(cli->config, &name, error))
		return FALSE;
	done = interrupt_check(error) &&
	       clone_make(cli, &name, to, CLONE_REFLINK | CLONE_COPY, ret_how, error);
	snapshot_drop(cli->config, &name);
	return done;
}

static void copy_report(const Cli *cli, const VolumeName *source, const VolumeName *copy,
			const char *how)
{
	g_autofree char *from = volume_name_format(source);
	g_autofree char *to = volume_name_format(copy);
	Json *object = json_object_new_object();

	json_add_text(object, "volume", to);
	json_add_text(object, "from", from);
	json_add_text(object, "how", how);
	cli_report(cli, object, "%s: copied from %s", to, from);
}

static int verb_copy_run(int argc, char **argv)
{
	g_autoptr(VolumeName) from = NULL, to = NULL;
	g_autoptr(GError) error = NULL;
	g_auto(Cli) cli = {0};
	gboolean done;
	const char *how;
	int status;

	if (!cli_start(&cli, &verb_copy, NULL, 2, 2, argc, argv, &status))
		return status;
	from = volume_name_parse_any(cli.arguments[0], &error);
	to = from ? volume_name_parse(cli.arguments[1], &error) : NULL;
	if (!to)
		return cli_usage("copy: %s", error->message);
	done = from->snapshot ? clone_make(&cli, from, to, CLONE_REFLINK | CLONE_COPY, &how, &error)
			      : volume_copy(&cli, from, to, &how, &error);
	cli_progress_end();
	if (!done) {
		g_prefix_error(&error, "copy %s: ", cli.arguments[0]);
		return cli_failed(error);
	}
	copy_report(&cli, from, to, how);
	return CLI_DONE;
}

const Verb verb_copy = {"copy", "NAME|VOLUME@SNAPSHOT NEW",
			"make a volume of its own of another, or of a snapshot", verb_copy_run};
