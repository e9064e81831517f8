/* SPDX-License-Identifier: Apache-2.0 */
/*
 * set: changes an attribute of a detached volume; the only one is its UUID.
 */
#include <string.h>

#include "cli/attachment.h"
#include "cli/cli.h"
#include "cli/facts.h"
#include "common/base/autofd.h"
#include "common/base/error.h"
#include "common/service/readers.h"

#define NEW_UUID "uuid=new"

/* A broken attachment holds no lock on the volume, but its device may still be in use. */
static gboolean volume_is_detached(const Places *places, GError **error)
{
	g_autoptr(Attachment) attachment = attachment_inspect(places);

	return attachment_is_gone(attachment) ||
	       error_set(error, STORAGEOS_ERROR_BUSY,
			 "in use (%s); the volume must be detached to change its UUID",
			 attachment->problem ? attachment->problem : "attached");
}

/* Gives the volume a new UUID and returns it; NULL on failure.  Free the result. */
static char *uuid_renew(const Config *config, const VolumeName *name, GError **error)
{
	Volume *volume = pool_volume_open(config, name, 0, error);
	gboolean done, closed;
	VolumeInfo info;

	if (!volume)
		return NULL;
	volume_get_info(volume, &info);
	/* The lock of a snapshot's readers has the old UUID in its name. */
	done = readers_check_none(config->run_directory, info.uuid, error) &&
	       volume_renew_uuid(volume, error);
	volume_get_info(volume, &info);
	closed = volume_close(volume, done ? error : NULL);
	return done && closed ? g_strdup(info.uuid) : NULL;
}

static void set_report(const Cli *cli, const Places *places, const char *before, const char *uuid)
{
	Json *object = json_object_new_object();

	json_add_text(object, "volume", places->text);
	json_add_text(object, "uuid", uuid);
	json_add_text(object, "before", before);
	cli_report(cli, object, "%s: UUID %s, was %s", places->text, uuid, before);
}

static gboolean set_volume(const Cli *cli, const VolumeName *name, GError **error)
{
	const Config *config = cli->config;
	g_autoptr(Places) places = places_new(config, name);
	g_autofree char *uuid = NULL;
	g_auto(Facts) facts = {0};

	gboolean locked = places_lock(places, error);
	if (locked && facts_read(config, name, &facts, error) && volume_is_detached(places, error))
		uuid = uuid_renew(config, name, error);
	if (!uuid) {
		g_prefix_error(error, "set %s: ", places->text);
		return FALSE;
	}
	set_report(cli, places, facts.uuid, uuid);
	return TRUE;
}

static int verb_set_run(int argc, char **argv)
{
	g_autoptr(VolumeName) name = NULL;
	g_autoptr(GError) error = NULL;
	g_auto(Cli) cli = {0};
	int status;

	if (!cli_start(&cli, &verb_set, NULL, 2, 2, argc, argv, &status))
		return status;
	name = volume_name_parse(cli.arguments[0], &error);
	if (!name)
		return cli_usage("set: %s", error->message);
	if (strcmp(cli.arguments[1], NEW_UUID) != 0)
		return cli_usage("set: invalid assignment '%s' (only " NEW_UUID " is supported)",
				 cli.arguments[1]);
	return set_volume(&cli, name, &error) ? CLI_DONE : cli_failed(error);
}

const Verb verb_set = {"set", "NAME " NEW_UUID, "give a copy of a volume its own UUID",
		       verb_set_run};
