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
	const char *name; /* in messages */
	const char *(*get)(const Facts *facts);
	gboolean (*check)(const Config *config, const VolumeName *name, const char *uuid,
			  GError **error); /* or NULL */
	gboolean (*change)(Volume *volume, GError **error);
};

static const char *uuid_get(const Facts *facts)
{
	return facts->uuid;
}

/* The lock of a snapshot's readers has the old UUID in its name. */
static gboolean uuid_check(const Config *config, const VolumeName *name, const char *uuid,
			   GError **error)
{
	return pool_check_uuid_unneeded(config, name, error) &&
	       readers_check_none(config->run_directory, uuid, error);
}

static gboolean write_cache_on(Volume *volume, GError **error)
{
	return volume_set_write_through(volume, FALSE, error);
}

static gboolean write_cache_off(Volume *volume, GError **error)
{
	return volume_set_write_through(volume, TRUE, error);
}

static const OfflineProperty properties[] = {
	{"uuid=new", "UUID", uuid_get, uuid_check, volume_renew_uuid},
	{"write_cache=on", "write cache", facts_write_cache, NULL, write_cache_on},
	{"write_cache=off", "write cache", facts_write_cache, NULL, write_cache_off},
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
			 "in use (%s); the volume must be detached to change its %s",
			 attachment->problem ? attachment->problem : "attached", property->name);
}

/* Opened for writing, so that nobody begins to read from it meanwhile. */
static gboolean property_set(const OfflineProperty *property, const Config *config,
			     const VolumeName *name, const Facts *facts, gboolean dry,
			     GError **error)
{
	Volume *volume = pool_volume_open(config, name, dry ? VOLUME_OPEN_READ_ONLY : 0, error);
	gboolean done, closed;

	if (!volume)
		return FALSE;
	done = (!property->check || property->check(config, name, facts->uuid, error)) &&
	       (dry || property->change(volume, error));
	closed = volume_close(volume, done ? error : NULL);
	return done && closed;
}

static void set_report(const Cli *cli, const Places *places, const OfflineProperty *property,
		       const Facts *before)
{
	const char *value = strchr(property->assignment, '=');
	g_autofree char *key =
		g_strndup(property->assignment, (gsize)(value - property->assignment));
	const char *was = property->get(before);
	Json *object = json_object_new_object();
	g_auto(Facts) now = {0};

	facts_read(cli->config, places->name, &now, NULL);
	json_add_text(object, "volume", places->text);
	json_add_text(object, key, property->get(&now));
	json_add_text(object, "before", was);
	cli_report(cli, object, "%s: %s %s, was %s", places->text, property->name,
		   property->get(&now), was);
}

static void set_report_dry(const Cli *cli, const Places *places, const OfflineProperty *property,
			   const Facts *before)
{
	Json *object = json_object_new_object();

	json_add_text(object, "volume", places->text);
	json_add_text(object, "before", property->get(before));
	cli_report_dry(cli, object, "%s: %s would be %s, is %s", places->text, property->name,
		       strchr(property->assignment, '=') + 1, property->get(before));
}

gboolean set_offline(const Cli *cli, const VolumeName *name, const OfflineProperty *property,
		     gboolean dry, GError **error)
{
	g_autoptr(Places) places = places_new(cli->config, name);
	g_auto(Facts) before = {0};
	gboolean locked = pool_check_thin(cli->config, name, error) && places_lock(places, error);

	if (!locked || !facts_read(cli->config, name, &before, error) ||
	    !volume_is_detached(places, property, error) ||
	    !property_set(property, cli->config, name, &before, dry, error)) {
		g_prefix_error(error, "set %s: ", places->text);
		return FALSE;
	}
	(dry ? set_report_dry : set_report)(cli, places, property, &before);
	return TRUE;
}
