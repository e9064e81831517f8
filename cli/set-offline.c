/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/set-offline.h"

#include <string.h>

#include "cli/attachment.h"
#include "cli/facts.h"
#include "common/base/autofd.h"
#include "common/base/error.h"
#include "common/service/pool-base.h"
#include "common/service/readers.h"

/* One that `assignment` ("uuid=new") names, and how it is set. */
struct OfflineProperty {
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

static const OfflineProperty properties[] = {
	{"uuid=new", "its UUID", pool_check_uuid_unneeded, uuid_renew, uuid_report},
	{"write_cache=on", "its write cache", NULL, write_cache_on, write_cache_report},
	{"write_cache=off", "its write cache", NULL, write_cache_off, write_cache_report},
};

const OfflineProperty *set_offline_find(const char *assignment)
{
	for (guint i = 0; i < G_N_ELEMENTS(properties); i++)
		if (!strcmp(properties[i].assignment, assignment))
			return &properties[i];
	return NULL;
}

gboolean set_offline_is_key(const char *assignment)
{
	return g_str_has_prefix(assignment, "uuid=") ||
	       g_str_has_prefix(assignment, "write_cache=");
}

/* A broken attachment holds no lock on the volume, but its device may still be in use. */
static gboolean volume_is_detached(const Places *places, const OfflineProperty *property,
				   GError **error)
{
	g_autoptr(Attachment) attachment = attachment_inspect(places);

	return attachment_is_gone(attachment) ||
	       error_set(error, STORAGEOS_ERROR_BUSY,
			 "in use (%s); the volume must be detached to change %s",
			 attachment->problem ? attachment->problem : "attached", property->name);
}

static gboolean property_set(const OfflineProperty *property, const Config *config,
			     const VolumeName *name, GError **error)
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

gboolean set_offline(const Cli *cli, const VolumeName *name, const OfflineProperty *property,
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
