/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot: finds the verb below it; and those verbs that change one snapshot.
 */
#include <string.h>

#include "cli/clone-hold.h"
#include "cli/interrupt.h"
#include "cli/snapshot-verbs.h"
#include "common/base/error.h"
#include "common/base/names.h"

VolumeName *snapshot_name_parse(const Verb *verb, const char *text)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(VolumeName) name = volume_name_parse_any(text, &error);

	if (!name)
		cli_usage("%s: %s", verb->name, error->message);
	else if (!name->snapshot)
		cli_usage("%s: '%s' names no snapshot (usage: storageos %s %s)", verb->name, text,
			  verb->name, verb->arguments);
	else
		return g_steal_pointer(&name);
	return NULL;
}

static gboolean volume_change(const Cli *cli, const VolumeName *name, SnapshotChange change,
			      gpointer data, GError **error)
{
	SnapshotVolume *volume =
		snapshot_volume_open(cli->config, name, SNAPSHOT_VOLUME_CHANGE, error);
	gboolean done;

	if (!volume)
		return FALSE;
	interrupt_hold();
	done = change(volume, data, error);
	return snapshot_volume_close(volume, done ? error : NULL) && done;
}

int snapshot_change(const Cli *cli, const Verb *verb, const VolumeName *name, SnapshotChange change,
		    gpointer data)
{
	g_autoptr(GError) error = NULL;

	if (volume_change(cli, name, change, data, &error))
		return CLI_DONE;
	g_prefix_error(&error, "%s: ", verb->name);
	cli_progress_end();
	return cli_failed(error);
}

/* ---- rename, hold, release: one command with the snapshot's name and another one */

typedef struct {
	const char *command, *name, *key, *value;
} Simple;

static gboolean simple_ask(SnapshotVolume *volume, gpointer data, GError **error)
{
	const Simple *simple = data;
	Json *request;
	g_autoptr(Json) answer = NULL;

	if (!snapshot_volume_find(volume, simple->name, error))
		return FALSE;
	if (!strcmp(simple->command, "snapshot-release") &&
	    !clone_check_gone(volume->config, simple->value, error))
		return FALSE;
	request = json_object_new_object();
	json_add_text(request, "name", simple->name);
	json_add_text(request, simple->key, simple->value);
	answer = snapshot_volume_ask(volume, simple->command, request, error);
	return answer != NULL;
}

static int simple_run(const Verb *verb, const char *command, const char *key, const char *done,
		      int argc, char **argv)
{
	g_autoptr(VolumeName) name = NULL;
	g_autofree char *text = NULL;
	g_auto(Cli) cli = {0};
	Simple simple;
	Json *object;
	int status;

	if (!cli_start(&cli, verb, NULL, 2, 2, argc, argv, &status))
		return status;
	name = snapshot_name_parse(verb, cli.arguments[0]);
	if (!name)
		return CLI_USAGE;
	if (!name_valid(cli.arguments[1]))
		return cli_usage("%s: invalid name '%s': must be " NAME_RULE, verb->name,
				 cli.arguments[1]);
	simple = (Simple){command, name->snapshot, key, cli.arguments[1]};
	status = snapshot_change(&cli, verb, name, simple_ask, &simple);
	if (status != CLI_DONE)
		return status;
	text = volume_name_format(name);
	object = json_object_new_object();
	json_add_text(object, "snapshot", text);
	json_add_text(object, key, simple.value);
	cli_report(&cli, object, "%s: %s %s", text, done, simple.value);
	return CLI_DONE;
}

static int rename_run(int argc, char **argv)
{
	return simple_run(&snapshot_rename, "snapshot-rename", "to", "renamed to", argc, argv);
}

static int hold_run(int argc, char **argv)
{
	return simple_run(&snapshot_hold, "snapshot-hold", "tag", "held by", argc, argv);
}

static int release_run(int argc, char **argv)
{
	return simple_run(&snapshot_release, "snapshot-release", "tag", "released by", argc, argv);
}

const Verb snapshot_rename = {"snapshot rename", "VOLUME@NAME NEW", "give a snapshot another name",
			      rename_run};
const Verb snapshot_hold = {"snapshot hold", "VOLUME@NAME TAG",
			    "keep a snapshot from being deleted", hold_run};
const Verb snapshot_release = {"snapshot release", "VOLUME@NAME TAG", "undo a hold", release_run};

/* ---- the verb */

static int verb_snapshot_run(int argc, char **argv)
{
	static const Verb *const verbs[] = {
		&snapshot_create, &snapshot_list,    &snapshot_delete, &snapshot_rename,
		&snapshot_hold,	  &snapshot_release, &snapshot_run,    NULL,
	};

	return cli_run_below(&verb_snapshot, verbs, argc, argv);
}

const Verb verb_snapshot = {"snapshot", "create|list|delete|rename|hold|release|run ...",
			    "take, list and delete snapshots", verb_snapshot_run};
