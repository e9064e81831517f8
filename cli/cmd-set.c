/* SPDX-License-Identifier: Apache-2.0 */
/*
 * set: changes a property of a detached volume.
 */
#include <string.h>

#include "cli/attachment.h"
#include "cli/cli.h"
#include "cli/facts.h"
#include "common/base/autofd.h"
#include "common/base/error.h"
#include "common/service/pool-base.h"
#include "common/service/readers.h"

typedef struct Property Property;

/* One that `assignment` ("uuid=new") names, and how it is set. */
struct Property {
	const char *assignment;
	const char *name; /* in messages: "the volume must be detached to change ..." */
	gboolean (*check)(const Config *config, const VolumeName *name,
			  GError **error); /* or NULL */
	gboolean (*change)(const Config *config, Volume *volume, GError **error);
	void (*report)(const Cli *cli, const Places *places, const Facts *before, const Facts *now);
};

/* ---- uuid */

static gboolean uuid_renew(const Config *config, Volume *volume, GError **error)
{
	VolumeInfo info;

	volume_get_info(volume, &info);
	/* The lock of a snapshot's readers has the old UUID in its name. */
	return readers_check_none(config->run_directory, info.uuid, error) &&
	       volume_renew_uuid(volume, error);
}

static void uuid_report(const Cli *cli, const Places *places, const Facts *before, const Facts *now)
{
	Json *object = json_object_new_object();

	json_add_text(object, "volume", places->text);
	json_add_text(object, "uuid", now->uuid);
	json_add_text(object, "before", before->uuid);
	cli_report(cli, object, "%s: UUID %s, was %s", places->text, now->uuid, before->uuid);
}

/* ---- write_cache */

static gboolean write_cache_on(const Config *config, Volume *volume, GError **error)
{
	(void)config;
	return volume_set_write_through(volume, FALSE, error);
}

static gboolean write_cache_off(const Config *config, Volume *volume, GError **error)
{
	(void)config;
	return volume_set_write_through(volume, TRUE, error);
}

static void write_cache_report(const Cli *cli, const Places *places, const Facts *before,
			       const Facts *now)
{
	Json *object = json_object_new_object();

	json_add_text(object, "volume", places->text);
	json_add_text(object, "write_cache", facts_write_cache(now));
	json_add_text(object, "before", facts_write_cache(before));
	cli_report(cli, object, "%s: write cache %s, was %s", places->text, facts_write_cache(now),
		   facts_write_cache(before));
}

/* ---- any */

static const Property properties[] = {
	{"uuid=new", "its UUID", pool_check_uuid_unneeded, uuid_renew, uuid_report},
	{"write_cache=on", "its write cache", NULL, write_cache_on, write_cache_report},
	{"write_cache=off", "its write cache", NULL, write_cache_off, write_cache_report},
};

static const Property *property_find(const char *assignment)
{
	for (guint i = 0; i < G_N_ELEMENTS(properties); i++)
		if (!strcmp(properties[i].assignment, assignment))
			return &properties[i];
	return NULL;
}

/* A broken attachment holds no lock on the volume, but its device may still be in use. */
static gboolean volume_is_detached(const Places *places, const Property *property, GError **error)
{
	g_autoptr(Attachment) attachment = attachment_inspect(places);

	return attachment_is_gone(attachment) ||
	       error_set(error, STORAGEOS_ERROR_BUSY,
			 "in use (%s); the volume must be detached to change %s",
			 attachment->problem ? attachment->problem : "attached", property->name);
}

static gboolean property_set(const Property *property, const Config *config, const VolumeName *name,
			     GError **error)
{
	Volume *volume = pool_volume_open(config, name, 0, error);
	gboolean done, closed;

	if (!volume)
		return FALSE;
	done = (!property->check || property->check(config, name, error)) &&
	       property->change(config, volume, error);
	closed = volume_close(volume, done ? error : NULL);
	return done && closed;
}

static gboolean set_volume(const Cli *cli, const VolumeName *name, const Property *property,
			   GError **error)
{
	const Config *config = cli->config;
	g_autoptr(Places) places = places_new(config, name);
	g_auto(Facts) before = {0}, now = {0};

	gboolean locked = pool_check_thin(config, name, error) && places_lock(places, error);
	if (!locked || !facts_read(config, name, &before, error) ||
	    !volume_is_detached(places, property, error) ||
	    !property_set(property, config, name, error) ||
	    !facts_read(config, name, &now, error)) {
		g_prefix_error(error, "set %s: ", places->text);
		return FALSE;
	}
	property->report(cli, places, &before, &now);
	return TRUE;
}

static int verb_set_run(int argc, char **argv)
{
	g_autoptr(VolumeName) name = NULL;
	g_autoptr(GError) error = NULL;
	g_auto(Cli) cli = {0};
	const Property *property;
	int status;

	if (!cli_start(&cli, &verb_set, NULL, 2, 2, argc, argv, &status))
		return status;
	name = volume_name_parse(cli.arguments[0], &error);
	if (!name)
		return cli_usage("set: %s", error->message);
	property = property_find(cli.arguments[1]);
	if (!property)
		return cli_usage("set: invalid assignment '%s' (uuid=new, write_cache=on, or "
				 "write_cache=off)",
				 cli.arguments[1]);
	return set_volume(&cli, name, property, &error) ? CLI_DONE : cli_failed(error);
}

const Verb verb_set = {"set", "NAME uuid=new|write_cache=on|write_cache=off",
		       "change a property of a detached volume", verb_set_run};
